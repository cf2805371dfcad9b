/*
 * The lines that a writer sends through one handle, in pieces of any size: which bytes are whole lines now, and which
 * wait for their newline.
 *
 * Owns the unfinished last line. Knows nothing of storage or FUSE. Not locked: one thread at a time.
 */
#ifndef AETHER_FS_LINES_H
#define AETHER_FS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../store/buf.h"

/* All zeros but for max is a handle that nothing was written through. */
struct lines {
	struct buf pending; /* the unfinished line; holds no newline */
	size_t max;         /* bytes that pending may have */

	/* Of the last write that would have gone on with pending, if it was refused; see lines_refused. */
	int refused;    /* 0 or -errno */
	bool ended;     /* it held the line's newline */
	uint64_t print; /* a fingerprint of its first bytes */
};

/*
 * A write of size bytes (at least 1) has come. 0: if *whole is 0, it was taken into pending and is done; else pending
 * and then the first *whole bytes of data are to be committed, and lines_committed or lines_refused must follow.
 * -EMSGSIZE: part of a line over max. -ENOMEM. What lines_refused was told: the rest of a refused line. After an error
 * nothing of the write has been taken.
 */
int lines_offer(struct lines *l, const char *data, size_t size, size_t *whole);

/*
 * The first consumed bytes of pending and data are committed. Returns how many bytes of data are done with: size, if
 * the tail after the last newline has become pending; fewer, if not everything was committed, or if there is no room
 * for the tail. 0 only if consumed does not even cover pending, which is then left as it was.
 */
size_t lines_committed(struct lines *l, const char *data, size_t size, size_t whole, size_t consumed);

/*
 * Nothing of what was offered is committed because of err. A write that fails has written nothing, and pending, which
 * earlier writes had succeeded with, stays: after a short write programs send the rest of a line again without having
 * seen an error, and that rest must neither become a line of its own nor go in with another answer than before.
 *
 * Whoever sends something else instead has seen the error. If err is about the content, the line is lost then: what
 * comes is refused up to the line's newline, if that has not been there yet, and begins a new line if it has. In any
 * case a start whose rest was refused is not committed alone when the file is closed.
 */
void lines_refused(struct lines *l, const char *data, size_t size, int err);

/* Forget the unfinished line: it was committed as it is, or given up. */
void lines_clear(struct lines *l);

/* Release the memory. */
void lines_free(struct lines *l);

#endif
