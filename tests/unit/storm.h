/*
 * Appends from several threads on several nodes while everything goes wrong, and then the books: what was said to each
 * writer against what is stored.
 */
#ifndef AETHER_TESTS_STORM_H
#define AETHER_TESTS_STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "../../store/backend.h"

#define STORM_NODES 2

struct storm {
	struct backend *nodes[STORM_NODES]; /* on the same data; taken */
	struct backend *honest;             /* the same data without faults, to check with; borrowed */
	int64_t timeout_ns;                 /* of the stores */
	unsigned threads;                   /* of each node */
	unsigned appends;                   /* of each thread */
	unsigned actors;
	uint64_t seed;
	bool cancel; /* also cancel appends at random */
	bool async;  /* half of them may be answered before they are stored */
	bool forward; /* the nodes hand over to each other, by relays on which little can be relied */
};

/*
 * Run it, and check: what was acknowledged is stored exactly once, what was refused for good is not stored, what timed
 * out at most once; batches are whole; the chains hold from their start and versions rise. Fails checks; says what it
 * did in a line.
 */
void storm_run(const struct storm *storm);

#endif
