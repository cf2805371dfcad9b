#include "bounded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/clock.h"

#define CHUNK 4096

/* What a child does: writes what it found to out and returns 0, or returns -errno. */
typedef int (*bounded_fn)(const char *path, int out);

static int
do_stat(const char *path, int out)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return -errno;
	return write(out, &st, sizeof(st)) == (ssize_t)sizeof(st) ? 0 : -EIO;
}

static int
do_read(const char *path, int out)
{
	char chunk[CHUNK];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		if (write(out, chunk, (size_t)n) != n)
			return -EIO;
	return n < 0 ? -errno : 0;
}

static _Noreturn void
be_child(bounded_fn fn, const char *path, int out)
{
	/* One that is stuck must not keep the pipe open that someone reads our output from. */
	out = dup2(out, 0);
	close_range(1, ~0U, 0);
	/* The exit status has room for every errno. */
	_exit(-fn(path, out));
}

/* Read from fd to its end. 0, or -ETIMEDOUT, or another -errno. */
static int
collect(int fd, int timeout_ms, struct buf *out)
{
	const struct clock *clock = clock_system();
	const int64_t deadline_ns = clock_mono(clock) + timeout_ms * NS_PER_MS;

	for (;;) {
		int64_t left_ms = (deadline_ns - clock_mono(clock)) / NS_PER_MS;
		char *to = buf_reserve(out, CHUNK);
		ssize_t n;

		if (to == NULL)
			return -ENOMEM;
		if (left_ms <= 0 || poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, (int)left_ms) == 0)
			return -ETIMEDOUT;
		n = read(fd, to, CHUNK);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		out->len += n > 0 ? (size_t)n : 0;
	}
}

static int
run(bounded_fn fn, const char *path, int timeout_ms, struct buf *out)
{
	int fds[2], status = 0, err;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		be_child(fn, path, fds[1]);
	err = pid < 0 ? -errno : 0;
	close(fds[1]);
	if (err == 0)
		err = collect(fds[0], timeout_ms, out);
	close(fds[0]);
	if (pid < 0)
		return err;
	if (err != 0) {
		/* Not waited for: the kernel may hold it as long as the daemon is stopped. */
		kill(pid, SIGKILL);
		return err;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int
bounded_stat(const char *path, int timeout_ms, struct stat *st)
{
	struct buf found = { 0 };
	int err = run(do_stat, path, timeout_ms, &found);

	if (err == 0 && found.len != sizeof(*st))
		err = -EIO;
	if (err == 0)
		memcpy(st, found.p, sizeof(*st));
	buf_free(&found);
	return err;
}

int
bounded_read(const char *path, int timeout_ms, struct buf *out)
{
	int err = run(do_read, path, timeout_ms, out);

	return err != 0 ? err : buf_text(out) != NULL ? 0 : -ENOMEM;
}
