#include "feed_queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A namespace in which little happens shall not cost much, and one in which much happens not many blocks. */
#define BLOCK_LEAST ((size_t)1 << 10)
#define BLOCK_MOST ((size_t)64 << 10)

struct feed_block {
	_Atomic size_t refs;
	size_t used; /* the writer's alone */
	size_t size;
	char text[];
};

static void
block_put(struct feed_block *b)
{
	if (b != NULL && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		free(b);
}

void
feed_piece_ref(const struct feed_piece *p)
{
	atomic_fetch_add_explicit(&p->block->refs, 1, memory_order_relaxed);
}

void
feed_piece_put(const struct feed_piece *p)
{
	block_put(p->block);
}

static struct feed_block *
block_new(size_t size)
{
	struct feed_block *b = malloc(sizeof(*b) + size);

	if (b == NULL)
		return NULL;
	atomic_init(&b->refs, 1);
	b->used = 0;
	b->size = size;
	return b;
}

bool
feed_write(struct feed_writer *w, struct span text, struct feed_piece *out)
{
	if (w->block == NULL || w->block->size - w->block->used < text.len) {
		size_t size = w->size < BLOCK_LEAST ? BLOCK_LEAST : w->size < BLOCK_MOST ? w->size * 2 : BLOCK_MOST;
		struct feed_block *b = block_new(size < text.len ? text.len : size);
		if (b == NULL)
			return false;
		block_put(w->block);
		w->block = b;
		w->size = size;
	}
	memcpy(w->block->text + w->block->used, text.p, text.len);
	*out = (struct feed_piece){ w->block, w->block->used, w->block->used + text.len };
	w->block->used += text.len;
	feed_piece_ref(out);
	return true;
}

void
feed_writer_free(struct feed_writer *w)
{
	block_put(w->block);
	w->block = NULL;
}

static size_t
piece_len(const struct feed_piece *p)
{
	return p->to - p->from;
}

static struct feed_piece *
piece_at(const struct feed_queue *q, size_t i)
{
	return &q->pieces[(q->first + i) & (q->cap - 1)];
}

static bool
grow(struct feed_queue *q)
{
	size_t cap = q->cap == 0 ? 8 : q->cap * 2;
	struct feed_piece *pieces = calloc(cap, sizeof(*pieces));

	if (pieces == NULL)
		return false;
	for (size_t i = 0; i < q->count; i++)
		pieces[i] = *piece_at(q, i);
	free(q->pieces);
	q->pieces = pieces;
	q->first = 0;
	q->cap = cap;
	return true;
}

static void
forget_first(struct feed_queue *q)
{
	struct feed_piece *p = piece_at(q, 0);

	q->bytes -= piece_len(p) + sizeof(*p);
	feed_piece_put(p);
	q->first = (q->first + 1) & (q->cap - 1);
	q->count--;
}

/* A copy of what is left of the line that is half read: the block it lies in would hold all that was written with it. */
static void
save_rest(struct feed_queue *q)
{
	const struct feed_piece *p;
	struct feed_writer w = { 0 };
	const char *from, *end;

	if (!q->mid_line || q->rest.block != NULL || q->count == 0)
		return;
	p = piece_at(q, 0);
	from = p->block->text + p->from;
	end = memchr(from, '\n', piece_len(p));
	if (end != NULL && !feed_write(&w, (struct span){ from, (size_t)(end + 1 - from) }, &q->rest))
		q->rest.block = NULL;
	feed_writer_free(&w);
}

static void
overflow(struct feed_queue *q)
{
	save_rest(q);
	while (q->count > 0)
		forget_first(q);
	q->overflowed = true;
}

void
feed_queue_add(struct feed_queue *q, const struct feed_piece *p)
{
	struct feed_piece *last;

	if (p == NULL) {
		overflow(q);
		return;
	}
	if (q->count > 0 && q->bytes + piece_len(p) + sizeof(*p) > q->limit_bytes)
		overflow(q);
	last = q->count > 0 ? piece_at(q, q->count - 1) : NULL;
	if (last != NULL && last->block == p->block && last->to == p->from) {
		last->to = p->to;
		q->bytes += piece_len(p);
		return;
	}
	if (q->count == q->cap && !grow(q)) {
		overflow(q);
		if (q->cap == 0)
			return;
	}
	*piece_at(q, q->count++) = *p;
	q->bytes += piece_len(p) + sizeof(*p);
	feed_piece_ref(p);
}

bool
feed_queue_readable(const struct feed_queue *q)
{
	return q->rest.block != NULL || q->overflowed || q->count > 0;
}

/* How much of the piece fits into room bytes: all of it, or up to a line's end; if not even one line does, all the room if it is the
 * first. */
static size_t
fitting(const struct feed_piece *p, size_t room, bool first)
{
	const char *from = p->block->text + p->from;
	const char *end;

	if (piece_len(p) <= room)
		return piece_len(p);
	end = room > 0 ? memrchr(from, '\n', room) : NULL;
	if (end != NULL)
		return (size_t)(end + 1 - from);
	return first ? room : 0;
}

/* Move n bytes from the start of a piece to out. */
static void
move(struct feed_piece *p, size_t n, struct feed_bytes *out)
{
	feed_piece_ref(p);
	out->blocks[out->count] = p->block;
	out->pieces[out->count++] = (struct iovec){ p->block->text + p->from, n };
	out->len += n;
	p->from += n;
}

int
feed_queue_take(struct feed_queue *q, size_t size, struct feed_bytes *out)
{
	const struct iovec *last;

	out->count = 0;
	out->len = 0;
	if (q->rest.block != NULL) {
		move(&q->rest, fitting(&q->rest, size, true), out);
		if (piece_len(&q->rest) == 0) {
			feed_piece_put(&q->rest);
			q->rest.block = NULL;
		}
	} else if (q->overflowed) {
		q->overflowed = false;
		q->mid_line = false;
		return -EOVERFLOW;
	}
	while (!q->overflowed && q->rest.block == NULL && q->count > 0 && out->count < FEED_PIECES) {
		struct feed_piece *p = piece_at(q, 0);
		size_t n = fitting(p, size - out->len, out->len == 0);
		if (n == 0)
			break;
		move(p, n, out);
		q->bytes -= n;
		if (piece_len(p) > 0)
			break;
		forget_first(q);
	}
	if (out->count == 0)
		return -EAGAIN;
	last = &out->pieces[out->count - 1];
	q->mid_line = ((const char *)last->iov_base)[last->iov_len - 1] != '\n';
	return 0;
}

void
feed_bytes_free(struct feed_bytes *b)
{
	for (int i = 0; i < b->count; i++)
		block_put(b->blocks[i]);
	b->count = 0;
}

void
feed_queue_free(struct feed_queue *q)
{
	while (q->count > 0)
		forget_first(q);
	if (q->rest.block != NULL)
		feed_piece_put(&q->rest);
	free(q->pieces);
	*q = (struct feed_queue){ .limit_bytes = q->limit_bytes };
}
