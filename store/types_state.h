/*
 * The body of a namespace's event types, for the files that make it up: types.c (which there are, counts, the bound), types_scan.c
 * (bringing one up to date) and types_read.c (reading). Nobody else includes this.
 */
#ifndef AETHER_STORE_TYPES_STATE_H
#define AETHER_STORE_TYPES_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lock.h"
#include "state.h"
#include "type_table.h"
#include "types.h"

struct all_types {
	struct store *store;
	struct lock lock;
	/* Guarded by lock. */
	struct table by_ns;
	uint64_t bytes; /* of all */
	bool expiring;  /* a call of expire is to come */
	bool stopped;
	bool logged; /* that one alone is too large */
};

struct types {
	struct table_link link;
	struct all_types *all;
	/* Guarded by all_types.lock. */
	size_t holders;
	int64_t used_ns;
	uint64_t bytes; /* what all_types.bytes has of it */

	atomic_uint_fast64_t erased; /* how often types_erased was told */

	struct lock lock;
	pthread_cond_t changed;
	/* Guarded by lock; who is busy may read it without, for nobody else changes it then. */
	bool busy;       /* somebody brings it up to date */
	uint64_t rounds; /* how often that has ended */
	int round_err;   /* and how the last time */
	bool complete;   /* the table shows all that was there at some time */
	uint64_t epoch;  /* of the namespace */
	uint64_t shown_seq; /* the table shows all up to this sequence */
	uint64_t erased_seen; /* erased, as of when it was last brought up to date */
	struct type_table table;
	/* Of who is busy. */
	uint64_t scanned; /* the table has all up to this sequence */
	bool logged;      /* that something was passed over */

	char ns[];
};

/* The table's memory has become another. */
void types_account(struct types *t, uint64_t bytes);

/* The lines of a payload that are stored events, one after the other, whatever else stands between them. */
struct type_lines {
	struct span rest;
	struct arena arena; /* to be freed in the end */
	bool odd;           /* something was passed over */
};
/* line: with its newline. type: until the next call. */
bool type_lines_next(struct type_lines *l, struct span *line, struct span *type);

#endif
