/*
 * The requests under way: a table whose slots are named by index and generation, so that a reply that comes too late
 * never meets the slot's next user.
 *
 * Owns the slots. Knows neither NATS nor time. Any thread may call; calls nobody.
 */
#ifndef AETHER_STORE_RPC_SLOTS_H
#define AETHER_STORE_RPC_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lock.h"
#include "rpc.h"
#include "rpc_lane.h"

struct slot {
	rpc_fn fn; /* NULL: free, or taken for a request that is still being put together */
	void *arg;
	int64_t deadline_ns;
	uint64_t heard; /* replies so far when it was sent */
	uint64_t subject_hash;
	uint32_t generation;
	uint32_t next_free;
	struct lane_way way; /* if it is one the request goes over the lane, and is lost with it */
};

struct slots {
	struct lock lock;
	/* Guarded by lock. */
	struct slot *list;
	uint32_t count;
	uint32_t first_free; /* index + 1, 0: none */
	int64_t sweep_ns;    /* when the next sweep is due; INT64_MAX: none */
	bool closed;
};

typedef bool (*slot_predicate)(const struct slot *s, const void *arg);

void slots_init(struct slots *t);
void slots_free(struct slots *t);

/* None is given out any more. */
void slots_close(struct slots *t);

/* Take a slot, which holds nothing yet. 0, -ENOTCONN (closed), -ENOMEM. */
int slots_take(struct slots *t, uint32_t *index, uint32_t *generation);

/* Give back a slot that holds nothing. */
void slots_return(struct slots *t, uint32_t index);

/*
 * From here on the request in the slot may end at any moment, and its owner may then free all that it was made of.
 * Returns true if the caller must see to a sweep at its deadline.
 */
bool slots_fill(struct slots *t, uint32_t index, const struct slot *request);

/* Free a slot and hand out what it held; false if it is not in use under that generation any more. */
bool slots_release(struct slots *t, uint32_t index, uint32_t generation, struct slot *held);

/* The same with the first one from index *from on for which the predicate holds; *from goes behind it. */
bool slots_take_any(struct slots *t, uint32_t *from, slot_predicate holds, const void *arg, struct slot *held);

/* Has the time come that the last slots_fill to return true, or slots_next_sweep, named? */
bool slots_sweep_is_due(struct slots *t, int64_t now_ns);

/* The first deadline of all requests, which is when the next sweep is due; INT64_MAX: none. */
int64_t slots_next_sweep(struct slots *t);

#endif
