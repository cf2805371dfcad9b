#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fs/fs.h"
#include "bounded.h"
#include "cli.h"
#include "daemon.h"
#include "detach.h"
#include "mountinfo.h"
#include "options.h"
#include "paths.h"
#include "service.h"
#include "unmount.h"
#include "urls.h"
#include "version.h"
#include "wiring.h"

/* One mount from its options to its end. */
struct mount {
	struct options o;
	struct buf mountpoint, log, source;
	struct daemon daemon;

	struct service service;
	struct logger *lg; /* the service's */
	struct fs *fs;
	struct fs *_Atomic shown; /* the same, as long as it is to be told of the cluster */
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

static void
cluster_changed(void *arg)
{
	const struct mount *m = arg;
	struct fs *fs = m->shown;

	if (fs != NULL)
		fs_cluster_changed(fs);
}

static void
cluster_event(void *arg, struct span line)
{
	const struct mount *m = arg;
	struct fs *fs = m->shown;

	if (fs != NULL)
		fs_cluster_event(fs, line);
}

static int
build(struct mount *m)
{
	const struct options *o = &m->o;
	struct service *service = &m->service;
	struct buf why = { 0 };
	int err = service_open(service, &why);
	const struct fs_options fs = {
		.node_id = buf_text(&service->node_id),
		.version = AETHER_VERSION,
		.mountpoint = buf_text(&m->mountpoint),
		.source = buf_text(&m->source),
		.state_dir = o->nats == NULL && !o->memory ? buf_text(&service->state_dir) : NULL,
		.fuse_opts = o->fuse_opts,
		.read_only = o->read_only,
		.allow_delete = o->allow_delete,
		.commit_async = o->commit_async,
		.set_uid = o->set_uid,
		.set_gid = o->set_gid,
		.uid = o->uid,
		.gid = o->gid,
		.set_umask = o->set_umask,
		.umask = o->umask,
		.cluster = wiring_cluster(service->cluster),
	};

	if (err == 0)
		err = service_join(service, &why);
	if (err != 0) {
		fail(m, "%s", buf_text(&why));
	} else {
		err = fs_new(&m->fs, service->store, service->clock, m->lg, &fs);
		if (err != 0)
			fail(m, "cannot mount at %s: %s", fs.mountpoint, strerror(-err));
	}
	if (err == 0) {
		m->shown = m->fs;
		fs_cluster_changed(m->fs);
	}
	buf_free(&why);
	return err;
}

/*
 * A large write needs some megabytes for a moment. By default malloc gives them back each time, and the next write pays for
 * every page again: a third of its time. What may stay is this much in each of malloc's arenas.
 */
#define MALLOC_KEEP (4 * 1024 * 1024)

static void
detached(void *arg)
{
	struct mount *m = arg;

	fs_detached(m->fs);
}

/* Until the mount is gone. 0 or -errno. */
static int
serve_requests(struct mount *m)
{
	struct detach *detach;
	int err = detach_new(&detach, buf_text(&m->mountpoint), detached, m);

	if (err != 0)
		log_warn(m->lg, "an unmount with files open will not be noticed: %s", strerror(-err));
	err = fs_serve(m->fs);
	if (err != 0)
		log_error(m->lg, "serving ended: %s", strerror(-err));
	detach_free(detach);
	return err;
}

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
	err = logger_new(&m->lg, m->log.len > 0 ? buf_text(&m->log) : NULL, LOG_LEVEL_INFO);
	if (err != 0)
		return fail(m, "cannot open the log %s: %s", buf_text(&m->log), strerror(-err));
	m->service.lg = m->lg;
	log_info(m->lg, "aether %s, node %s, mounts %s", AETHER_VERSION, buf_text(&m->service.node_id), buf_text(&m->mountpoint));
	err = build(m);
	served = err == 0;
	if (served) {
		daemon_ready(&m->daemon);
		err = serve_requests(m);
	}
	service_leave(&m->service);
	fs_free(m->fs);
	service_close(&m->service);
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

/* Where the log goes. */
static int
find_log(struct mount *m)
{
	char *slash;
	int err = 0;

	if (m->o.log != NULL)
		err = paths_absolute(&m->log, m->o.log);
	else if (!m->o.foreground)
		err = paths_log(&m->log, buf_text(&m->mountpoint));
	if (err == -ENOENT)
		return cli_fail("no home directory for the log: set HOME, or use -o log=");
	if (err == 0 && m->o.log == NULL && !m->o.foreground) {
		slash = strrchr(buf_text(&m->log), '/');
		*slash = '\0';
		err = paths_mkdirs(buf_text(&m->log), 0700);
		if (err != 0)
			return cli_fail("cannot create %s: %s", buf_text(&m->log), strerror(-err));
		*slash = '/';
	}
	return err != 0 ? cli_fail("%s", strerror(-err)) : 0;
}

static int
find_source(struct mount *m)
{
	if (m->o.nats != NULL)
		urls_redact(&m->source, m->o.nats);
	else
		buf_puts(&m->source, "aether");
	if (buf_text(&m->source) == NULL || buf_text(&m->mountpoint) == NULL)
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

	if (find_place(m, &before) != 0 || find_log(m) != 0 || find_source(m) != 0 || service_find(&m->service) != 0)
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

static int
mount_main(int argc, char **argv)
{
	struct mount m = { .service = { .o = &m.o, .clock = clock_system(), .changed = cluster_changed, .event = cluster_event, .arg = &m },
		.daemon = DAEMON_FOREGROUND };
	struct buf why = { 0 };
	int err = options_parse(&m.o, argc, argv, getenv("AETHER_NATS"), &why);
	int code;

	service_hide_secrets(argc, argv);
	if (err == -EINVAL)
		code = cli_usage(&command_mount, "%s", buf_text(&why));
	else if (err != 0)
		code = cli_fail("%s", strerror(-err));
	else
		code = run(&m);
	buf_free(&m.mountpoint);
	buf_free(&m.log);
	buf_free(&m.source);
	service_free(&m.service);
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
	    "      snapshot_every=N     snapshots of the state of an actor, each so many of its events (1000); 0: none\n"
	    "      delete               rm erases actors for good, rmdir namespaces with all actors in them\n"
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
