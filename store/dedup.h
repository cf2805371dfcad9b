/*
 * The ids of an actor's events that were stored lately, so that an id sent again is recognised even when it lies inside a batch, where
 * JetStream's own check, which knows one id a message, does not see it.
 *
 * Holds hashes, not ids: a hit only says where to look. Covers the records up to covered_seq, back to the window's start.
 * Not locked: belongs to the actor's one active append.
 */
#ifndef AETHER_STORE_DEDUP_H
#define AETHER_STORE_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "table.h"

/* How far back ids inside records are looked up on a node that has not followed the actor: whichever limit comes first. */
#define DEDUP_RECORDS_MAX 1024
#define DEDUP_BYTES_MAX (16 * 1024 * 1024)
/* How many ids of one actor are remembered at most. */
#define DEDUP_IDS_MAX 65536

struct dedup;

/* Covers nothing yet but sequence covered_seq: there is nothing to know before it. 0 or -ENOMEM. */
int dedup_new(struct dedup **out, uint64_t covered_seq);
void dedup_free(struct dedup *d);

uint64_t dedup_covered(const struct dedup *d);
void dedup_cover(struct dedup *d, uint64_t seq);

/* Remember that the event with that id is stored under version; forgets what is older than since_us. -ENOMEM is ignored: it would be known again later. */
void dedup_add(struct dedup *d, struct span id, uint64_t version, int64_t time_us, int64_t since_us);

/* Likewise for every event of a stored payload. */
void dedup_add_payload(struct dedup *d, struct span payload, int64_t time_us, int64_t since_us);

/* The version under which an event with that id may be stored, 0 if none is known. */
uint64_t dedup_find(const struct dedup *d, struct span id);

#endif
