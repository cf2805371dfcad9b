#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../cluster/shard.h"
#include "../fs/fs.h"
#include "../store/clock.h"
#include "../store/jetstream.h"
#include "../store/logger.h"
#include "../store/memory.h"
#include "../store/store.h"
#include "bounded.h"
#include "cli.h"
#include "daemon.h"
#include "mountinfo.h"
#include "options.h"
#include "paths.h"
#include "server.h"
#include "unmount.h"
#include "urls.h"
#include "version.h"

#define CONNECT_MIN_NS (5 * NS_PER_SEC)

/* One mount from its options to its end. */
struct mount {
	struct options o;
	struct buf mountpoint, state_dir, log, node_id, source;
	struct buf creds, nkey, tls_ca, tls_cert, tls_key;
	const struct clock *clock;
	struct daemon daemon;

	struct logger *lg;
	struct server *server;
	struct store *store;
	struct fs *fs;
};

/* The reason of a failure goes to the log, and to whoever waits in front. */
static int __attribute__((format(printf, 2, 3))) fail(struct mount *m, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* Standard error is the log of a mount in the foreground: once is enough. */
	if (!m->o.foreground || m->log.len > 0)
		log_error(m->lg, "mount failed: %s", line);
	if (m->o.foreground)
		cli_fail("%s", line);
	daemon_failed(&m->daemon, line);
	return CLI_FAILED;
}

/* What was given, else NULL. */
static const char *
text_or_null(struct buf *b)
{
	return b->len > 0 ? buf_text(b) : NULL;
}

static int
open_backend(struct mount *m, struct backend **backend)
{
	const struct options *o = &m->o;
	const int64_t connect_ns = o->timeout_ns > CONNECT_MIN_NS ? o->timeout_ns : CONNECT_MIN_NS;
	struct jetstream_options js = {
		.urls = o->nats,
		.creds = text_or_null(&m->creds),
		.nkey = text_or_null(&m->nkey),
		.tls_ca = text_or_null(&m->tls_ca),
		.tls_cert = text_or_null(&m->tls_cert),
		.tls_key = text_or_null(&m->tls_key),
		.prefix = o->prefix,
		.replicas = o->replicas,
		.connect_timeout_ns = connect_ns,
	};
	struct buf why = { 0 }, name = { 0 };
	int err;

	if (o->memory)
		return memory_new(backend, m->clock);
	if (o->nats == NULL) {
		err = server_start(&m->server, buf_text(&m->state_dir), SERVER_START_NS, m->clock, m->lg, &why);
		if (err != 0)
			goto out;
		js.urls = server_url(m->server);
		js.user = server_user(m->server);
		js.password = server_password(m->server);
		js.on_disconnect = server_lost;
		js.arg = m->server;
	}
	buf_printf(&name, "aether %s", buf_text(&m->node_id));
	js.client_name = buf_text(&name);
	err = jetstream_new(backend, &js, m->clock, m->lg, &why);
out:
	if (err != 0)
		fail(m, "%s", why.len > 0 ? buf_text(&why) : strerror(-err));
	buf_free(&why);
	buf_free(&name);
	return err;
}

static int
build(struct mount *m)
{
	const struct options *o = &m->o;
	const struct store_options store = {
		.timeout_ns = o->timeout_ns,
		.cache_bytes = o->cache_bytes,
		.eventual = o->eventual,
	};
	const struct fs_options fs = {
		.node_id = buf_text(&m->node_id),
		.version = AETHER_VERSION,
		.mountpoint = buf_text(&m->mountpoint),
		.source = buf_text(&m->source),
		.state_dir = o->nats == NULL && !o->memory ? buf_text(&m->state_dir) : NULL,
		.fuse_opts = o->fuse_opts,
		.read_only = o->read_only,
		.commit_async = o->commit_async,
		.set_uid = o->set_uid,
		.set_gid = o->set_gid,
		.uid = o->uid,
		.gid = o->gid,
		.set_umask = o->set_umask,
		.umask = o->umask,
		.shard_of = shard_of,
	};
	struct backend *backend = NULL;
	int err = open_backend(m, &backend);

	if (err != 0)
		return err;
	err = store_new(&m->store, backend, m->clock, m->lg, &store);
	if (err != 0) {
		fail(m, "cannot set up the store: %s", strerror(-err));
		return err;
	}
	err = fs_new(&m->fs, m->store, m->clock, m->lg, &fs);
	if (err != 0)
		fail(m, "cannot mount at %s: %s", fs.mountpoint, strerror(-err));
	return err;
}

/*
 * A large write needs some megabytes for a moment. By default malloc gives them back each time, and the next write pays for
 * every page again: a third of its time. What may stay is this much in each of malloc's arenas.
 */
#define MALLOC_KEEP (4 * 1024 * 1024)

/* From the logger to the end of the mount. Returns the exit code. */
static int
serve(struct mount *m)
{
	struct rlimit files;
	bool served;
	int err;

	signal(SIGPIPE, SIG_IGN);
	mallopt(M_MMAP_THRESHOLD, MALLOC_KEEP);
	mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	err = logger_new(&m->lg, text_or_null(&m->log), LOG_LEVEL_INFO);
	if (err != 0)
		return fail(m, "cannot open the log %s: %s", buf_text(&m->log), strerror(-err));
	log_info(
	    m->lg, "aether %s, node %s, mounts %s", AETHER_VERSION, buf_text(&m->node_id), buf_text(&m->mountpoint));
	err = build(m);
	served = err == 0;
	if (served) {
		daemon_ready(&m->daemon);
		err = fs_serve(m->fs);
		if (err != 0)
			log_error(m->lg, "serving ended: %s", strerror(-err));
	}
	fs_free(m->fs);
	store_free(m->store);
	server_free(m->server);
	if (served)
		log_info(m->lg, "unmounted %s", buf_text(&m->mountpoint));
	logger_free(m->lg);
	return err == 0 ? CLI_DONE : CLI_FAILED;
}

/* Is there a mount of Aether at that path? A dead one, left by a daemon that was killed, is taken away. */
static int
clear_place(const char *path)
{
	struct buf file = { 0 }, why = { 0 };
	int err;

	if (!mountinfo_aether_at(path))
		return 0;
	/* Opening a file asks the daemon; a stat may be answered from what the kernel remembers of a dead one. */
	buf_printf(&file, "%s/.aether/version", path);
	err = buf_text(&file) != NULL ? bounded_read(file.p, BOUNDED_MS, &why) : -ENOMEM;
	buf_free(&file);
	buf_clear(&why);
	if (err != -ENOTCONN) {
		buf_free(&why);
		return cli_fail(
		    "%s is already a mount of Aether%s", path, err == -ETIMEDOUT ? ", which does not answer" : "");
	}
	fprintf(stderr, "aether: %s was left by a daemon that ended: unmounting it first\n", path);
	err = unmount(path, true, &why);
	if (err != 0)
		cli_fail("%s", buf_text(&why));
	buf_free(&why);
	return err;
}

static void
warn_if_not_empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool empty = true;

	while (dir != NULL && empty && (entry = readdir(dir)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (dir != NULL)
		closedir(dir);
	if (!empty)
		fprintf(stderr, "aether: warning: %s is not empty; the mount hides what is in it\n", path);
}

static int
find_place(struct mount *m, struct stat *before)
{
	char real[PATH_MAX];
	struct buf path = { 0 };
	int err = paths_absolute(&path, m->o.mountpoint);

	/* As it was written first: realpath of a dead mount fails. */
	if (err == 0)
		err = clear_place(buf_text(&path));
	else
		cli_fail("%s: %s", m->o.mountpoint, strerror(-err));
	buf_free(&path);
	if (err != 0)
		return err;
	if (realpath(m->o.mountpoint, real) == NULL || stat(real, before) != 0) {
		if (errno == ENOTCONN && clear_place(real) == 0 && stat(real, before) == 0)
			errno = 0;
		else
			return cli_fail("mount point %s: %s", m->o.mountpoint, strerror(errno));
	}
	if (!S_ISDIR(before->st_mode))
		return cli_fail("mount point %s: %s", m->o.mountpoint, strerror(ENOTDIR));
	err = clear_place(real);
	if (err != 0)
		return err;
	warn_if_not_empty(real);
	buf_puts(&m->mountpoint, real);
	return 0;
}

static int
make_absolute(struct buf *out, const char *path)
{
	return path != NULL ? paths_absolute(out, path) : 0;
}

/* All that the daemon needs and that depends on the user's surroundings. */
static int
find_paths(struct mount *m)
{
	const struct options *o = &m->o;
	char *slash;
	int err = 0;

	if (o->state_dir != NULL)
		err = paths_absolute(&m->state_dir, o->state_dir);
	else if (o->nats == NULL && !o->memory)
		err = paths_state(&m->state_dir);
	if (err == -ENOENT)
		return cli_fail("no home directory for the state: set HOME, or use --state-dir");
	if (err == 0 && o->log != NULL)
		err = paths_absolute(&m->log, o->log);
	else if (err == 0 && !o->foreground) {
		err = paths_log(&m->log, buf_text(&m->mountpoint));
		if (err == -ENOENT)
			return cli_fail("no home directory for the log: set HOME, or use -o log=");
		if (err == 0) {
			slash = strrchr(buf_text(&m->log), '/');
			*slash = '\0';
			err = paths_mkdirs(buf_text(&m->log), 0700);
			if (err != 0)
				return cli_fail("cannot create %s: %s", buf_text(&m->log), strerror(-err));
			*slash = '/';
		}
	}
	if (err != 0 || (err = make_absolute(&m->creds, o->creds)) != 0 ||
	    (err = make_absolute(&m->nkey, o->nkey)) != 0 || (err = make_absolute(&m->tls_ca, o->tls_ca)) != 0 ||
	    (err = make_absolute(&m->tls_cert, o->tls_cert)) != 0 ||
	    (err = make_absolute(&m->tls_key, o->tls_key)) != 0)
		return cli_fail("%s", strerror(-err));
	return 0;
}

static int
name_node(struct mount *m)
{
	char host[HOST_NAME_MAX + 1] = "";
	unsigned char random[4];

	if (m->o.node_id != NULL) {
		buf_puts(&m->node_id, m->o.node_id);
	} else {
		if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
			strcpy(host, "node");
		m->clock->random(m->clock, random, sizeof(random));
		buf_printf(&m->node_id, "%s-%02x%02x%02x%02x", host, random[0], random[1], random[2], random[3]);
	}
	if (m->o.nats != NULL)
		urls_redact(&m->source, m->o.nats);
	else
		buf_puts(&m->source, "aether");
	if (buf_text(&m->node_id) == NULL || buf_text(&m->source) == NULL || buf_text(&m->mountpoint) == NULL)
		return cli_fail("%s", strerror(ENOMEM));
	return 0;
}

/* The front's part: wait until the daemon serves, and see for oneself. A mount that failed leaves nothing behind. */
static int
wait_in_front(struct mount *m, pid_t pid, const struct stat *before)
{
	struct buf why = { 0 };
	struct stat now;
	int err = daemon_wait(&m->daemon, &why);

	if (err == 0) {
		err = bounded_stat(buf_text(&m->mountpoint), BOUNDED_MS, &now);
		if (err == 0 && (now.st_dev == before->st_dev || !mountinfo_aether_dev(now.st_dev)))
			err = -ENOTCONN;
		if (err != 0)
			buf_printf(&why, "%s does not answer: %s", buf_text(&m->mountpoint), strerror(-err));
		if (err != 0) {
			kill(pid, SIGTERM);
			if (mountinfo_aether_at(buf_text(&m->mountpoint)))
				unmount(buf_text(&m->mountpoint), true, &why);
		}
	}
	if (err != 0)
		cli_fail("%s\naether: the log is %s", why.len > 0 ? buf_text(&why) : strerror(-err), buf_text(&m->log));
	buf_free(&why);
	return err == 0 ? CLI_DONE : CLI_FAILED;
}

static int
run(struct mount *m)
{
	struct stat before;
	int log_fd;
	pid_t pid;

	if (find_place(m, &before) != 0 || find_paths(m) != 0 || name_node(m) != 0)
		return CLI_FAILED;
	if (m->o.foreground)
		return serve(m);
	log_fd = open(buf_text(&m->log), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (log_fd < 0)
		return cli_fail("cannot open the log %s: %s", buf_text(&m->log), strerror(errno));
	pid = daemon_fork(&m->daemon, log_fd);
	if (pid == 0)
		return serve(m);
	close(log_fd);
	if (pid < 0)
		return cli_fail("cannot go to the background: %s", strerror((int)-pid));
	return wait_in_front(m, pid, &before);
}

/* A URL's credentials are in the argument vector for all to see (ps); they have been copied. */
static void
hide_secrets(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--nats=", 7) == 0)
			urls_mask(argv[i] + 7);
		else if (strcmp(argv[i], "--nats") == 0 && i + 1 < argc)
			urls_mask(argv[i + 1]);
	}
}

static int
mount_main(int argc, char **argv)
{
	struct mount m = { .clock = clock_system(), .daemon = DAEMON_FOREGROUND };
	struct buf why = { 0 };
	int err = options_parse(&m.o, argc, argv, getenv("AETHER_NATS"), &why);
	int code;
	struct buf *bufs[] = { &m.mountpoint, &m.state_dir, &m.log, &m.node_id, &m.source, &m.creds, &m.nkey, &m.tls_ca,
		&m.tls_cert, &m.tls_key };

	hide_secrets(argc, argv);
	if (err == -EINVAL)
		code = cli_usage(&command_mount, "%s", buf_text(&why));
	else if (err != 0)
		code = cli_fail("%s", strerror(-err));
	else
		code = run(&m);
	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
		buf_free(bufs[i]);
	buf_free(&why);
	options_free(&m.o);
	return code;
}

const struct cli_command command_mount = {
	.name = "mount",
	.summary = "mount Aether at a directory",
	.usage =
	    "Usage: aether mount MOUNTPOINT [OPTION…]\n"
	    "\n"
	    "Mounts Aether and returns once the mount answers. Without --nats it runs a private nats-server, which "
	    "keeps its\n"
	    "data in the state directory, is shared by all mounts of the user, and is stopped by the last.\n"
	    "\n"
	    "  --nats URL[,URL…]        use that NATS server or cluster; also from the environment: AETHER_NATS, "
	    "which\n"
	    "                           suits URLs with credentials better\n"
	    "  --store jetstream|memory where events are kept (jetstream); memory lives with the mount\n"
	    "  --replicas 1|3|5         copies of namespaces that are created from here (1); needs --nats\n"
	    "  --node-id ID             this node's name (host name and a random suffix)\n"
	    "  --state-dir DIR          of the private server ($XDG_STATE_HOME/aether, ~/.local/state/aether)\n"
	    "  -f                       stay in the foreground and log to standard error\n"
	    "  -o OPTION[,OPTION…]      with \\, for a comma in a value:\n"
	    "      timeout=SECONDS      how long an operation waits for NATS (5); 0.01 to 3600\n"
	    "      consistency=close-to-open|eventual\n"
	    "                           does an open() see every append that has returned on any node (close-to-open)\n"
	    "      commit=sync|async    when is a write answered: once its events are stored (sync), or at once, and "
	    "fsync and\n"
	    "                           close wait for them and report errors\n"
	    "      cache_size=BYTES     memory for content, with K, M or G for the unit (256M)\n"
	    "      prefix=WORD          of streams and subjects in NATS: letters and digits (aether)\n"
	    "      uid=N, gid=N         show that owner and group everywhere\n"
	    "      umask=OCTAL          permission bits that are taken from all modes\n"
	    "      allow_other          let other users in\n"
	    "      ro                   read-only\n"
	    "      creds=, nkey=        files with the credentials for NATS\n"
	    "      tlsca=, tlscert=, tlskey=\n"
	    "                           PEM files; any of them asks for TLS\n"
	    "      log=FILE             ($XDG_STATE_HOME/aether/log/<mount point>.log)\n"
	    "      rw, defaults, nosuid, nodev, noexec, auto, noauto, user, nouser, _netdev, nofail, x-*\n"
	    "                           as in fstab\n",
	.run = mount_main,
};
