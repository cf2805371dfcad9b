#include "natsd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/buf.h"

extern char **environ;

int
natsd_find(char *path, size_t size)
{
	static const char more[] = "/usr/sbin:/usr/local/sbin:/sbin";
	const char *given = getenv("AETHER_NATS_SERVER");
	const char *path_env = getenv("PATH");
	struct buf dirs = { 0 };
	int err = -ENOENT;

	if (given != NULL && given[0] != '\0') {
		if ((size_t)snprintf(path, size, "%s", given) >= size || access(path, X_OK) != 0)
			return -ENOENT;
		return 0;
	}
	buf_printf(&dirs, "%s:%s", path_env != NULL ? path_env : "", more);
	if (buf_text(&dirs) == NULL)
		return -ENOMEM;
	for (char *rest = dirs.p, *dir; err != 0 && (dir = strsep(&rest, ":")) != NULL;) {
		/* Relative directories of PATH mean nothing to a daemon, whose directory is the root. */
		if (dir[0] == '/' && (size_t)snprintf(path, size, "%s/nats-server", dir) < size &&
		    access(path, X_OK) == 0)
			err = 0;
	}
	buf_free(&dirs);
	return err;
}

int
natsd_version(const char *path, int *major, int *minor)
{
	char *argv[] = { (char *)"nats-server", (char *)"--version", NULL };
	posix_spawn_file_actions_t actions;
	char text[256];
	size_t len = 0;
	const char *v;
	int fds[2], err;
	pid_t pid;
	ssize_t n;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	err = posix_spawn(&pid, path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (err != 0) {
		close(fds[0]);
		return -err;
	}
	while (len < sizeof(text) - 1 && (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(fds[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	text[len] = '\0';
	v = strstr(text, ": v");
	return v != NULL && sscanf(v, ": v%d.%d", major, minor) == 2 ? 0 : -EINVAL;
}

bool
natsd_syncs(int major, int minor)
{
	return major > 2 || (major == 2 && minor >= 10);
}

bool
natsd_port_free(unsigned port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int one = 1;
	bool ok;

	if (fd < 0)
		return false;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* As the server itself does: connections of a former server that linger do not make the port taken. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ok = bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0;
	close(fd);
	return ok;
}

unsigned
natsd_free_port(const struct clock *clock)
{
	const unsigned lowest = 10000;
	unsigned from = 32768, to = 60999;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f != NULL) {
		if (fscanf(f, "%u %u", &from, &to) != 2) {
			from = 32768;
			to = 60999;
		}
		fclose(f);
	}
	for (int tries = 0; tries < 1000; tries++) {
		uint32_t random;
		unsigned port;

		clock->random(clock, &random, sizeof(random));
		port = lowest + random % (65536 - lowest);
		/* Where the range leaves nothing, any port has to do. */
		if (tries < 500 && port >= from && port <= to)
			continue;
		if (natsd_port_free(port))
			return port;
	}
	return 0;
}

/* Between double quotes nats-server knows \" and \\, and more that no path should make it see. */
static void
put_quoted(struct buf *b, const char *text)
{
	buf_putc(b, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_putc(b, '\\');
		buf_putc(b, *text);
	}
	buf_putc(b, '"');
}

int
natsd_configure(int dirfd, const char *dir, const struct statedir_server *server, bool sync_always)
{
	struct buf b = { 0 };
	int fd, err = 0;

	for (const char *p = dir; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			return -EINVAL;

	buf_printf(&b, "server_name: \"%s\"\n", server->user);
	buf_printf(&b, "listen: \"127.0.0.1:%u\"\n", server->port);
	buf_printf(&b, "authorization {\n\tuser: \"%s\"\n\tpassword: \"%s\"\n}\n", server->user, server->password);
	/* nats-server adds /jetstream to store_dir by itself. */
	buf_puts(&b, "jetstream {\n\tstore_dir: ");
	put_quoted(&b, dir);
	buf_putc(&b, '\n');
	if (sync_always)
		buf_puts(&b, "\tsync_interval: always\n");
	buf_puts(&b, "}\n");
	if (b.failed)
		return -ENOMEM;

	fd = openat(dirfd, STATEDIR_CONF, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		err = -errno;
	else if (write(fd, b.p, b.len) != (ssize_t)b.len)
		err = -ENOSPC;
	if (fd >= 0 && close(fd) != 0 && err == 0)
		err = -errno;
	buf_free(&b);
	return err;
}

/* Between fork and exec, with other threads stopped anywhere: nothing but system calls. */
static _Noreturn void
become_server(const char *path, char *const argv[], int log_fd, int null_fd, int lock_fd, pid_t parent)
{
	static const int reset[] = { SIGPIPE, SIGINT, SIGHUP, SIGTERM, SIGCHLD, SIGQUIT };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(126);
	for (size_t i = 0; i < sizeof(reset) / sizeof(reset[0]); i++)
		signal(reset[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null_fd, 0);
	dup2(log_fd, 1);
	dup2(log_fd, 2);
	fcntl(lock_fd, F_SETFD, 0);
	execv(path, argv);
	_exit(127);
}

pid_t
natsd_start(int dirfd, const char *dir, const char *path, int lock_fd)
{
	char conf[PATH_MAX];
	char *argv[] = { (char *)"nats-server", (char *)"-c", conf, NULL };
	int log_fd = openat(dirfd, STATEDIR_LOG, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t parent = getpid();
	pid_t pid = -EMFILE;

	if (snprintf(conf, sizeof(conf), "%s/" STATEDIR_CONF, dir) >= (int)sizeof(conf))
		pid = -ENAMETOOLONG;
	else if (log_fd >= 0 && null_fd >= 0) {
		pid = fork();
		if (pid == 0)
			become_server(path, argv, log_fd, null_fd, lock_fd, parent);
		if (pid < 0)
			pid = -errno;
	}
	if (log_fd >= 0)
		close(log_fd);
	if (null_fd >= 0)
		close(null_fd);
	close(lock_fd);
	return pid;
}
