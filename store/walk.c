#include "walk.h"

#include <errno.h>

#define PIECE (64 * 1024)

#define LINE_START "{\"version\":"
/* And the digits of a version with the comma behind them: as much as must be seen of a line. */
#define LINE_START_MAX (sizeof(LINE_START) - 1 + 20)

void
walk_begin(struct walk *w, struct actor *a, const struct head *head, uint64_t offset, uint64_t count)
{
	*w = (struct walk){ .actor = a, .head = *head, .offset = offset, .count = count };
}

void
walk_end(struct walk *w)
{
	buf_free(&w->piece);
}

/* The bytes from `at` on, at least `least` unless the file ends before. */
static int
look(struct walk *w, uint64_t at, size_t least, struct span *s)
{
	uint64_t end = w->piece_at + w->piece.len;

	if (at < w->piece_at || at >= end || (end - at < least && end < w->head.size)) {
		buf_clear(&w->piece);
		w->piece_at = at;
		if (buf_reserve(&w->piece, PIECE) == NULL)
			return -ENOMEM;
		while (w->piece.len < least && at + w->piece.len < w->head.size) {
			ssize_t n = actor_read(
			    w->actor, &w->head, at + w->piece.len, PIECE - w->piece.len, w->piece.p + w->piece.len);
			if (n <= 0)
				return n < 0 ? (int)n : -EIO;
			w->piece.len += (size_t)n;
		}
	}
	*s = (struct span){ w->piece.p + (at - w->piece_at), w->piece.len - (size_t)(at - w->piece_at) };
	return s->len > 0 ? 0 : -EIO;
}

/* The version that a stored line begins with; 0: it does not. */
static uint64_t
read_version(struct span line)
{
	const size_t fixed = sizeof(LINE_START) - 1;
	uint64_t v = 0;
	size_t i = fixed;

	if (line.len < LINE_START_MAX || memcmp(line.p, LINE_START, fixed) != 0)
		return 0;
	for (; i < LINE_START_MAX && line.p[i] >= '0' && line.p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(line.p[i] - '0');
	return i < LINE_START_MAX && line.p[i] == ',' ? v : 0;
}

int
walk_next(struct walk *w, struct event_place *p)
{
	struct span s;
	const char *newline;
	uint64_t at = w->offset;

	/* The end, or the place from where on the chain does not hold. */
	if (at >= w->head.size)
		return (int)actor_read(w->actor, &w->head, at, 0, NULL);
	int err = look(w, at, LINE_START_MAX, &s);
	if (err != 0)
		return err;
	*p = (struct event_place){ .version = read_version(s), .count = w->count + 1, .offset = at };
	if (p->version == 0)
		return -EIO;
	while ((newline = memchr(s.p, '\n', s.len)) == NULL) {
		at += s.len;
		err = look(w, at, 1, &s);
		if (err != 0)
			return err;
	}
	at += (uint64_t)(newline - s.p) + 1;
	p->size = at - p->offset;
	w->offset = at;
	w->count++;
	return 1;
}
