#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define READY '+'
#define FAILED '-'

/* Where the pipe goes, so that all above can be closed. */
#define CHILD_PIPE 3

static int
settle(int pipe_fd, int log_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null_fd < 0 || setsid() < 0 || chdir("/") != 0)
		return -errno;
	/* Lifted out of the way first: any of them may be where another has to go. */
	pipe_fd = fcntl(pipe_fd, F_DUPFD_CLOEXEC, 10);
	log_fd = fcntl(log_fd, F_DUPFD_CLOEXEC, 10);
	null_fd = fcntl(null_fd, F_DUPFD_CLOEXEC, 10);
	if (pipe_fd < 0 || log_fd < 0 || null_fd < 0)
		return -errno;
	if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
	    dup3(pipe_fd, CHILD_PIPE, O_CLOEXEC) < 0)
		return -errno;
	/* Whatever else the caller had open (a test's pipe, a shell's lock file) would be held for the mount's life. */
	close_range(CHILD_PIPE + 1, ~0U, 0);
	return 0;
}

pid_t
daemon_fork(struct daemon *d, int log_fd)
{
	int fds[2];
	pid_t pid;
	int err;

	*d = DAEMON_FOREGROUND;
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		err = -errno;
		close(fds[0]);
		close(fds[1]);
		return err;
	}
	if (pid > 0) {
		close(fds[1]);
		d->pipe = fds[0];
		return pid;
	}
	d->pipe = fds[1];
	err = settle(fds[1], log_fd);
	if (err != 0) {
		daemon_failed(d, strerror(-err));
		_exit(1);
	}
	d->pipe = CHILD_PIPE;
	return 0;
}

static void
report(struct daemon *d, char kind, const char *text)
{
	struct buf b = { 0 };

	if (d->pipe < 0)
		return;
	buf_putc(&b, kind);
	buf_puts(&b, text);
	/* If the front has gone, there is nobody left to tell. */
	if (!b.failed && write(d->pipe, b.p, b.len) < 0)
		errno = 0;
	buf_free(&b);
	close(d->pipe);
	d->pipe = -1;
}

void
daemon_ready(struct daemon *d)
{
	report(d, READY, "");
}

void
daemon_failed(struct daemon *d, const char *reason)
{
	report(d, FAILED, reason);
}

int
daemon_wait(struct daemon *d, struct buf *why)
{
	char text[4096];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text)) {
		n = read(d->pipe, text + len, sizeof(text) - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(d->pipe);
	d->pipe = -1;
	if (len > 0 && text[0] == READY)
		return 0;
	if (len > 1)
		buf_put(why, text + 1, len - 1);
	else
		buf_puts(why, "the daemon ended without a word");
	return -EIO;
}
