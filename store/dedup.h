/*
 * The ids of an actor's events that were stored lately, so that an id sent again is recognised even when it lies inside a batch, where
 * JetStream's own check, which knows one id a message, does not see it.
 *
 * Holds hashes, not ids: a hit only says where to look. Covers the records up to covered_seq, back to the window's start or as far as the
 * limits below allow; of all records behind complete_seq it surely knows every id.
 * Not locked: belongs to the actor's one active append.
 */
#ifndef AETHER_STORE_DEDUP_H
#define AETHER_STORE_DEDUP_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "record.h"
#include "table.h"

/* How far back ids inside records are looked up on a node that has not followed the actor: whichever limit comes first. */
#define DEDUP_RECORDS_MAX 1024
#define DEDUP_BYTES_MAX (16 * 1024 * 1024)
/* How many ids of one actor are remembered at most. */
#define DEDUP_IDS_MAX 65536

struct dedup;

/* Of one life of the actor. Covers nothing yet but sequence covered_seq: there is nothing to know before it. 0 or -ENOMEM. */
int dedup_new(struct dedup **out, uint64_t life, uint64_t covered_seq);
void dedup_free(struct dedup *d);

uint64_t dedup_life(const struct dedup *d);

uint64_t dedup_covered(const struct dedup *d);
void dedup_cover(struct dedup *d, uint64_t seq);

/* Which is the last record of whose ids it may not know one? It is not behind what is covered. */
uint64_t dedup_complete(const struct dedup *d);
/* Of this record, or of some before it, it does not know all. */
void dedup_lacks(struct dedup *d, uint64_t seq);

/*
 * Remember that the event with that id is stored under version, by record seq, the latest so far; forgets what is older than since_us. Without
 * memory for it that is lacking.
 */
void dedup_add(struct dedup *d, struct span id, uint64_t version, uint64_t seq, int64_t time_us, int64_t since_us);

/* Likewise for every event of a stored record. */
void dedup_add_record(struct dedup *d, const struct record *r, int64_t since_us);

/* The version under which an event with that id may be stored, 0 if none is known. */
uint64_t dedup_find(const struct dedup *d, struct span id);

#endif
