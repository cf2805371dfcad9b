/*
 * Ids that a user gave, looked up in what is stored: the part of idempotence that has to read.
 *
 * An event that names its version is looked for under that version, however old. One that does not is looked for among the ids of the
 * last dedup_window_ns (dedup.h). Called by the actor's one active append.
 */
#ifndef AETHER_STORE_LOOKUP_H
#define AETHER_STORE_LOOKUP_H

#include <stdbool.h>

#include "actor.h"
#include "batch.h"

/* Does the batch bring ids that only lookup_ids can tell of, given that head is the actor's end? Does not block. */
bool lookup_needed(struct actor *a, const struct batch *b, const struct head *head);

/*
 * Mark the lines that are stored already. Blocks, until deadline_ns at most. 0, -EEXIST (stored with other content; b->failed_line and
 * why are set), or as the backend.
 */
int lookup_ids(struct actor *a, struct batch *b, const struct head *head, int64_t deadline_ns);

#endif
