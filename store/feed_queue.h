/*
 * What a reader of a live feed has still to read: pieces of text, which many readers share.
 *
 * Owns counts on the blocks that the text lies in. A block's text never changes once it was handed out, so who has a count reads it
 * without a lock. A queue is bounded: what exceeds its bound makes it forget all that it holds, and say so once.
 *
 * All text consists of whole lines. Nothing here is locked: one thread at a time for a writer, and for a queue. Counts are atomic.
 */
#ifndef AETHER_STORE_FEED_QUEUE_H
#define AETHER_STORE_FEED_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "buf.h"

struct feed_block;

/* Text in a block. Who keeps one has a count. */
struct feed_piece {
	struct feed_block *block;
	size_t from, to;
};

void feed_piece_ref(const struct feed_piece *p);
void feed_piece_put(const struct feed_piece *p);

/* Copies text into blocks, one text behind the other where there is room. All zeros is one without a block. */
struct feed_writer {
	struct feed_block *block;
	size_t size; /* of the block; those of a writer that writes much become larger */
};

/* Copy the text; *out has a count. False for want of memory. */
bool feed_write(struct feed_writer *w, struct span text, struct feed_piece *out);
void feed_writer_free(struct feed_writer *w);

/* All zeros, but for limit_bytes, is an empty queue. */
struct feed_queue {
	size_t limit_bytes;
	struct feed_piece *pieces; /* a ring of cap, a power of two or 0 */
	size_t first, count, cap;
	size_t bytes; /* of text, and what it costs to keep it */
	struct feed_piece rest; /* of the line that is half read, where what followed was forgotten; block NULL: none */
	bool overflowed;        /* to be said once behind rest, and before pieces */
	bool mid_line;          /* the last byte that was taken does not end a line */
};

/*
 * Put a piece behind what is there. If the queue would exceed its limit, or there is no memory, everything before the piece is
 * forgotten but the rest of a line of which a part was taken; a piece is kept however large it is. p NULL: one that could not be kept.
 */
void feed_queue_add(struct feed_queue *q, const struct feed_piece *p);

/* Is there text, or something to say? */
bool feed_queue_readable(const struct feed_queue *q);

#define FEED_PIECES 256

/* Text that was taken, in at most so many pieces. */
struct feed_bytes {
	struct iovec pieces[FEED_PIECES];
	struct feed_block *blocks[FEED_PIECES];
	int count;
	size_t len;
};

/*
 * Take whole lines, as many as fit into size bytes (at least 1); of a line that does not fit by itself as much as does. 0, and out
 * is to be given to feed_bytes_free; -EOVERFLOW: something was forgotten, said once; -EAGAIN: there is nothing.
 */
int feed_queue_take(struct feed_queue *q, size_t size, struct feed_bytes *out);
void feed_bytes_free(struct feed_bytes *b);

/* The queue is empty afterwards. */
void feed_queue_free(struct feed_queue *q);

#endif
