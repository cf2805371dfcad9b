/*
 * The lines of one append in their stored form, but for their versions: what makes committing cheap, for it can be done
 * while others wait, and several drafts one behind the other are one record.
 *
 * Only for lines that bring no versions of their own, which hence can be stored under any, and no id twice. Owns its text.
 * Pure; one thread at a time.
 */
#ifndef AETHER_STORE_DRAFT_H
#define AETHER_STORE_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch.h"

/* All zeros is empty. */
struct draft {
	struct buf text; /* the lines, with versions that mean nothing */
	size_t lines;
	size_t rest;     /* bytes of text without the digits of the versions */
	size_t consumed; /* bytes of the input that it covers */
	char first_id[EVENT_ID_MAX + 1];
};

/* Is the batch one that can be drafted? */
bool draft_suits(const struct batch *b);

/*
 * Draft as many whole lines from the start as payload_max holds whatever their versions will be, at least one. b must suit and hold a line;
 * it is not needed afterwards. 0; -EMSGSIZE (the first line exceeds payload_max under any version) or -ENOMEM, and d is
 * then empty.
 */
int draft_make(struct draft *d, struct batch *b, size_t payload_max);
void draft_free(struct draft *d);

/* Bytes of the record at most. Above payload_max only for a single line that is as long as can be. */
size_t draft_bound(const struct draft *d);

/* Append the lines, numbered from version on. A failure shows in out. */
void draft_stamp(const struct draft *d, uint64_t version, struct buf *out);

/* Append the lines without versions: what batch_parse reads as the same events. A failure shows in out. */
void draft_bare(const struct draft *d, struct buf *out);

/* Bytes that the lines of any batch have as a record, at most. */
size_t draft_bound_of_batch(const struct batch *b);

#endif
