/*
 * Ids that a user gave, looked up in what is stored: the part of idempotence that has to read.
 *
 * An event that names its version is looked for under that version, however old. One that does not is looked for among the ids of the
 * last dedup_window_ns (dedup.h); one that was handed over among all that is stored since, as append.h says. Called by the actor's one active append.
 */
#ifndef AETHER_STORE_LOOKUP_H
#define AETHER_STORE_LOOKUP_H

#include <stdbool.h>

#include "actor.h"
#include "batch.h"

/* Where ids without versions are looked for. All zeros: in the last dedup_window_ns. */
struct lookup_range {
	bool all; /* in each record behind since_seq, however many and however old */
	uint64_t since_seq;
	bool once; /* more such appends are not expected: what is read is not kept for them */
};

/* Does the batch bring ids that only lookup_ids can tell of, given that head is the actor's end? Does not block. */
bool lookup_needed(struct actor *a, const struct batch *b, const struct lookup_range *range, const struct head *head);

/*
 * Mark the lines that are stored already. Blocks, until deadline_ns at most. 0, -EEXIST (stored with other content; b->failed_line and
 * why are set), -ESTALE (the actor has been erased since), or as the backend.
 */
int lookup_ids(struct actor *a, struct batch *b, const struct lookup_range *range, const struct head *head, int64_t deadline_ns);

/* r has been seen as the actor's last record. If it is the next behind what is known, what it holds need not be read again. */
void lookup_see(struct actor *a, const struct record *r);

#endif
