#include "lines.h"

#include <errno.h>
#include <string.h>

static int
append(struct lines *l, const char *p, size_t n)
{
	buf_put(&l->pending, p, n);
	if (!l->pending.failed)
		return 0;
	/* What is pending already is whole; only this piece found no room. */
	l->pending.failed = false;
	return -ENOMEM;
}

int
lines_offer(struct lines *l, const char *data, size_t size, size_t *whole)
{
	const char *newline = memrchr(data, '\n', size);

	*whole = 0;
	if (newline != NULL) {
		*whole = (size_t)(newline - data) + 1;
		return 0;
	}
	if (size > l->max || l->pending.len > l->max - size) {
		lines_refused(l, -EMSGSIZE);
		return -EMSGSIZE;
	}
	return append(l, data, size);
}

size_t
lines_committed(struct lines *l, const char *data, size_t size, size_t whole, size_t consumed)
{
	size_t tail = size - whole;
	size_t done = consumed - l->pending.len;

	if (consumed <= l->pending.len)
		return 0;
	lines_clear(l);
	if (done < whole)
		return done;
	if (tail > 0 && (tail > l->max || append(l, data + whole, tail) != 0))
		return whole;
	return size;
}

void
lines_refused(struct lines *l, int err)
{
	if (l->pending.len > 0)
		l->refused = err;
}

void
lines_clear(struct lines *l)
{
	l->refused = 0;
	/* A handle may stay open for long with nothing to say: it should not hold the memory of its longest line. */
	if (l->pending.cap > 4096)
		buf_free(&l->pending);
	else
		buf_clear(&l->pending);
}

void
lines_free(struct lines *l)
{
	buf_free(&l->pending);
}
