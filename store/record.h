/*
 * A record is one stored message of an actor: one commit, whose payload is one or more event lines. Records of an
 * actor form a chain; the head is the chain's end and says all that the next record must continue.
 * store/FORMAT.md has the headers; this is their only encoder and decoder.
 *
 * Sequence, version, offset, count: the sequence is the stream's, shared by all actors of a namespace, and only rises.
 * The version numbers an actor's events and may have gaps. The offset is the byte in the actor's file. The count has no
 * gaps. All four are fixed for ever once stored. Pure functions; any thread.
 */
#ifndef AETHER_STORE_RECORD_H
#define AETHER_STORE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/* The version of what store/FORMAT.md describes. */
#define RECORD_FORMAT 1

/*
 * The end of an actor's chain after some record. All zeros: nothing stored.
 *
 * Lives: an actor that is erased and made anew begins another life, which knows nothing of the one before. Its tombstone ends a life,
 * and the tombstone's sequence names the next one; the first life is 0. So after a tombstone seq == life, and all else but the time is 0.
 */
struct head {
	uint64_t seq;     /* stream sequence of the last record; 0: nothing was ever stored */
	uint64_t version; /* of the last event; 0: none */
	uint64_t count;   /* events so far */
	uint64_t size;    /* bytes so far */
	uint64_t sum;     /* XXH3 chain so far */
	int64_t time_us;  /* when the last record was stamped, Unix microseconds; rises strictly along the chain */
	uint64_t life;    /* of what follows */
};

/* Is there such an actor? Else it never was, or was erased. */
static inline bool
head_is_there(const struct head *h)
{
	return h->seq != h->life;
}

/* Where a life begins, whatever the time of the tombstone before it. */
static inline struct head
head_of_life(uint64_t life)
{
	return (struct head){ .seq = life, .life = life };
}

/* What an event may be looked for by: its version, or its number among the actor's events, from 1. Both only rise. */
enum head_key { HEAD_VERSION, HEAD_COUNT };

static inline uint64_t
head_key(const struct head *h, enum head_key key)
{
	return key == HEAD_VERSION ? h->version : h->count;
}

struct record {
	uint64_t seq;      /* 0 until stored */
	uint64_t prev_seq; /* Nats-Expected-Last-Subject-Sequence; 0 for an actor's first */
	uint64_t first;    /* Aether-Versions: of the first and last event; 0-0 for the creation marker */
	uint64_t last;
	uint64_t count;  /* Aether-Count: the actor's events up to and with this record */
	uint64_t offset; /* Aether-Offset: of the payload's first byte in the actor's file */
	uint64_t sum;    /* Aether-Sum */
	int64_t time_us; /* Aether-Time */
	uint64_t node;   /* Aether-Node: whose append it is, drawn by each mount; 0: it does not say */
	uint64_t life;   /* Aether-Life: which life of the actor it belongs to; 0: the first, or a tombstone */
	bool erased;     /* Aether-Erased: a tombstone */
	struct span payload;
	bool foreign; /* headers missing, malformed or contradictory: not written by Aether; the numbers are then 0 */
};

enum record_header {
	RECORD_PREV,     /* Nats-Expected-Last-Subject-Sequence */
	RECORD_VERSIONS, /* Aether-Versions */
	RECORD_COUNT,    /* Aether-Count */
	RECORD_OFFSET,   /* Aether-Offset */
	RECORD_SUM,      /* Aether-Sum */
	RECORD_TIME,     /* Aether-Time */
	RECORD_NEEDED,   /* the headers before this are in every record, those from here on in some */
	RECORD_NODE = RECORD_NEEDED, /* Aether-Node */
	RECORD_LIFE,                 /* Aether-Life */
	RECORD_ERASED,               /* Aether-Erased */
	RECORD_HEADERS
};

#define RECORD_VALUE_MAX 48

extern const char *const record_header_names[RECORD_HEADERS];

/* Write each header's value for r as text; an empty one is left out of the message. */
void record_encode(const struct record *r, char values[RECORD_HEADERS][RECORD_VALUE_MAX]);

/*
 * Read the headers. NULL (of those that are needed) or a malformed value, or values that no record can have together, set
 * r->foreign, else it is cleared. seq and payload are left alone.
 */
void record_decode(struct record *r, const char *const values[RECORD_HEADERS]);

/* XXH3 (64 bits) of the payload, seeded with the previous record's sum (0 for the first). */
uint64_t record_sum(uint64_t previous, struct span payload);

/*
 * Does r continue the chain after prev: not foreign, its life, prev_seq, offset, versions, count, time and sum fit? If not,
 * *why is a static text. A tombstone continues nothing. XXH3 runs over the whole payload.
 */
bool record_follows(const struct head *prev, const struct record *r, const char **why);

/*
 * Records one behind the other of which only the payloads have been looked at. As the sum is a chain, the last one's
 * headers vouch for all of them: for their bytes, their order and that none is missing. All zeros: none yet.
 */
struct record_run {
	uint64_t records;
	uint64_t seq;      /* of the last one */
	uint64_t prev_seq; /* of the one before it, in the run or before it */
	uint64_t sum;
	size_t bytes;
	bool odd; /* no chain of Aether's: a sequence that does not rise, a payload that is empty or ends within a line */
};

/* base is the head before the run. */
void record_run_add(struct record_run *run, const struct head *base, uint64_t seq, struct span payload);

/* Does the run, of which last is the last record, continue the chain after base? */
bool record_run_follows(const struct head *base, const struct record_run *run, const struct record *last);

/* The head after r. Reads r alone: valid for any record that is not foreign. */
struct head record_head(const struct record *r);

/* The tombstone that stands behind the record with sequence prev_seq. */
struct record record_tombstone(uint64_t prev_seq, int64_t time_us);

/* Does the actor come into being with it? The first record of any life does that. */
static inline bool
record_is_first(const struct record *r)
{
	return !r->foreign && !r->erased && r->prev_seq == r->life;
}

#endif
