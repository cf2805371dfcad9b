#include "logger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"

/*
 * Nothing is buffered and nothing is locked, so a fork at any moment leaves both processes with a logger that works
 * and no line that is written twice.
 */
struct logger {
	int fd;
	bool owns_fd;
	enum log_level least;
};

int
logger_new(struct logger **out, const char *path, enum log_level least)
{
	struct logger *lg = malloc(sizeof(*lg));

	if (lg == NULL)
		return -ENOMEM;
	*lg = (struct logger){ .fd = STDERR_FILENO, .owns_fd = path != NULL, .least = least };
	if (path != NULL) {
		lg->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
		if (lg->fd < 0) {
			int err = -errno;
			free(lg);
			return err;
		}
	}
	*out = lg;
	return 0;
}

void
logger_free(struct logger *lg)
{
	if (lg == NULL)
		return;
	if (lg->owns_fd)
		close(lg->fd);
	free(lg);
}

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_DEBUG:
		return "DEBUG";
	case LOG_LEVEL_INFO:
		return "INFO";
	case LOG_LEVEL_WARN:
		return "WARN";
	case LOG_LEVEL_ERROR:
		return "ERROR";
	}
	return "?";
}

static void
put_escaped(struct buf *line, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		if (c < 0x20 || c == 0x7f)
			buf_printf(line, "\\x%02x", c);
		else
			buf_putc(line, (char)c);
	}
}

static void
write_line(int fd, struct span line)
{
	while (line.len > 0) {
		ssize_t n = write(fd, line.p, line.len);
		if (n < 0 && errno == EINTR)
			continue;
		/* There is nowhere left to tell of a log that cannot be written. */
		if (n <= 0)
			return;
		line.p += n;
		line.len -= (size_t)n;
	}
}

void
log_at(struct logger *lg, enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	char time[CLOCK_RFC3339_LEN + 1];
	struct buf text = { 0 };
	struct buf line = { 0 };
	va_list args;

	if (lg == NULL || level < lg->least)
		return;

	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);

	clock_rfc3339(clock_wall(clock_system()), time);
	buf_printf(&line, "%s %s ", time, level_name(level));
	put_escaped(&line, (struct span){ text.p, text.len });
	buf_putc(&line, '\n');
	if (text.failed || line.failed) {
		static const char lost[] = "ERROR a log entry was lost: out of memory\n";
		write_line(lg->fd, SPAN(lost));
	} else {
		write_line(lg->fd, (struct span){ line.p, line.len });
	}
	buf_free(&text);
	buf_free(&line);
	errno = saved_errno;
}
