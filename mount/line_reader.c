#include "line_reader.h"

#include <errno.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)

/* Returns what read did. */
static int
read_more(struct line_reader *r)
{
	char *to;
	ssize_t n;

	if (r->at > 0) {
		memmove(r->b.p, r->b.p + r->at, r->b.len - r->at);
		r->b.len -= r->at;
		r->at = 0;
	}
	if (r->b.len > LINE_READER_MAX)
		return -EMSGSIZE;
	to = buf_reserve(&r->b, READ_BYTES);
	if (to == NULL)
		return -ENOMEM;
	n = read(r->fd, to, READ_BYTES);
	if (n < 0)
		return -errno;
	r->b.len += (size_t)n;
	r->ended = n == 0;
	return 0;
}

int
line_reader_next(struct line_reader *r, struct span *line)
{
	size_t looked = 0;

	for (;;) {
		const char *begin = r->b.len > 0 ? r->b.p + r->at : NULL;
		size_t have = r->b.len - r->at;
		const char *end = have > looked ? memchr(begin + looked, '\n', have - looked) : NULL;

		if (end != NULL || (r->ended && have > 0)) {
			size_t len = end != NULL ? (size_t)(end - begin) : have;
			size_t taken = len + (end != NULL);

			*line = (struct span){ begin, len };
			r->at += taken;
			r->offset += taken;
			r->line++;
			return 1;
		}
		if (r->ended)
			return 0;
		looked = have;
		int err = read_more(r);
		if (err != 0)
			return err;
	}
}

int
line_reader_seek(struct line_reader *r, uint64_t offset)
{
	if (lseek(r->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	r->b.len = r->at = 0;
	r->offset = offset;
	r->ended = 0;
	return 0;
}

void
line_reader_free(struct line_reader *r)
{
	buf_free(&r->b);
}
