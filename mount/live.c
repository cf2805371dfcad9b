#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 << 10)

int
live_open(struct live *l, int dir, const char *name)
{
	*l = (struct live){ .fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC) };
	return l->fd >= 0 ? 0 : -errno;
}

void
live_close(struct live *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	buf_free(&l->text);
}

/* More text. 1, or as live_next. */
static int
fill(struct live *l)
{
	char *to;
	ssize_t n;

	if (l->at > 0) {
		memmove(l->text.p, l->text.p + l->at, l->text.len - l->at);
		l->text.len -= l->at;
		l->looked -= l->at;
		l->at = 0;
	}
	to = buf_reserve(&l->text, READ_BYTES);
	if (to == NULL)
		return -ENOMEM;
	do
		n = read(l->fd, to, READ_BYTES);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ENODATA;
	l->text.len += (size_t)n;
	return 1;
}

int
live_next(struct live *l, struct span *line)
{
	for (;;) {
		size_t left = l->text.len - l->looked;
		const char *end = left > 0 ? memchr(l->text.p + l->looked, '\n', left) : NULL;
		if (end != NULL) {
			*line = (struct span){ l->text.p + l->at, (size_t)(end + 1 - (l->text.p + l->at)) };
			l->at += line->len;
			l->looked = l->at;
			return 1;
		}
		l->looked = l->text.len;
		int more = fill(l);
		if (more != 1)
			return more;
	}
}

int
live_wait(struct live *const *lives, size_t count, int timeout_ms)
{
	struct pollfd *fds = calloc(count + 1, sizeof(*fds));
	int n;

	if (fds == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = lives[i]->fd, .events = POLLIN };
	fds[count] = (struct pollfd){ .fd = STDOUT_FILENO };
	do
		n = poll(fds, count + 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	int err = n < 0 ? -errno : 0;
	/* A file that is full does not say so here, a pipe that nobody reads does. */
	if (n > 0 && (fds[count].revents & POLLERR)) {
		raise(SIGPIPE);
		err = -EPIPE;
	}
	free(fds);
	return err;
}
