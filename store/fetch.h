/*
 * Following an actor's chain: records from the backend, verified one behind the other, into the cache.
 *
 * Records are verified in runs: the sums of all payloads, the headers of the run's last record only. Where that does
 * not come out right the run is gone over again with every header, and the record at which it breaks is asked for once
 * more by itself: a break is only what is stored so.
 *
 * One thread at a time for each struct fetch.
 */
#ifndef AETHER_STORE_FETCH_H
#define AETHER_STORE_FETCH_H

#include "state.h"

/* The caller sets the first part; all else zeros. */
struct fetch {
	struct actor *actor;
	struct head at;      /* a head of the chain; moves on with what has been verified and put into the cache */
	uint64_t until_seq;  /* the chain's last record that the caller knows of */
	uint64_t until_count; /* events up to it; 0: not known */
	bool any_life;       /* go through tombstones: what was before one is forgotten. Else they end it */
	uint64_t stop_at;    /* enough once the chain has reached this byte; UINT64_MAX: go on to until_seq */
	uint64_t generation; /* of the actor's cache when `at` was known to be right (cache_generation) */

	int64_t deadline_ns; /* when to give up; moves on with every record by store_options.timeout_ns. 0: as if one had come now */

	/* The caller's buffer, which is filled from offset on; size may be 0. */
	uint64_t offset;
	size_t size;
	char *out;

	/*
	 * NULL, or called whenever `at` has moved, and when nothing has come for a moment. May block. True: stop. With it
	 * nothing is tried again: fetch_follow ends with -ENOTCONN or -ETIMEDOUT at once when NATS is away.
	 */
	bool (*pause)(struct fetch *f);
	void *pause_arg;

	/* Results. */
	size_t got;  /* bytes in out */
	bool broken; /* the chain does not hold behind `at`; a line has been logged */

	/* For fetch.c's use. */
	bool stopped;
	struct record_run run;
	struct buf run_bytes;
	uint64_t careful_to; /* every header is read up to this sequence */
};

/*
 * Follow the chain until there is enough, it breaks, or pause says so: 0. Else -ESTALE (what was left of it has been erased),
 * -ETIMEDOUT when nothing has come by the deadline, or as backend.h says. Blocks.
 */
int fetch_follow(struct fetch *f);

#endif
