#include "lines.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

/* Enough to know a piece again; its end may be cut elsewhere when it is sent again. */
#define PRINT_BYTES 4096

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

static uint64_t
fingerprint(const char *data, size_t size)
{
	return XXH3_64bits(data, size < PRINT_BYTES ? size : PRINT_BYTES);
}

static bool
about_content(int err)
{
	return err == -EINVAL || err == -EILSEQ || err == -EMSGSIZE || err == -ESTALE || err == -EEXIST;
}

/* Is this still the line whose rest was refused? Returns what to answer, 0 to go on. */
static int
answer_for_lost_line(struct lines *l, const char *data, size_t size)
{
	int refused = l->refused;

	if (!about_content(refused) || fingerprint(data, size) == l->print)
		return 0;
	if (l->ended) {
		lines_clear(l);
		return 0;
	}
	if (memchr(data, '\n', size) != NULL)
		lines_clear(l);
	return refused;
}

int
lines_offer(struct lines *l, const char *data, size_t size, size_t *whole)
{
	const char *newline = memrchr(data, '\n', size);

	*whole = 0;
	int err = answer_for_lost_line(l, data, size);
	if (err != 0)
		return err;
	if (newline != NULL) {
		*whole = (size_t)(newline - data) + 1;
		return 0;
	}
	if (size > l->max || l->pending.len > l->max - size) {
		lines_refused(l, data, size, -EMSGSIZE);
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
lines_refused(struct lines *l, const char *data, size_t size, int err)
{
	if (l->pending.len == 0)
		return;
	l->refused = err;
	l->ended = memchr(data, '\n', size) != NULL;
	l->print = fingerprint(data, size);
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
