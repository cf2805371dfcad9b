/*
 * Units of which so many may be in use at a time; who finds none free waits in order.
 *
 * Owns the count and the list of those who wait, not what the units stand for. Any thread may call. A function given here runs without
 * the quota's lock, on the thread of whoever gave units back, never inside the same thread's call of another such
 * function: however long the list, the stack does not grow with it.
 */
#ifndef AETHER_STORE_QUOTA_H
#define AETHER_STORE_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"

struct quota_wait {
	size_t units;        /* may exceed the limit: it is then let in when nothing else is in use */
	int64_t deadline_ns; /* of the monotonic clock; for quota_expire */
	void (*fn)(void *arg, bool granted);
	void *arg;

	/* For quota.c's use; zeros. */
	struct quota_wait *next;
	bool waiting;
};

struct quota {
	struct lock lock;
	/* Guarded by lock. */
	size_t limit;
	size_t used;
	bool granting; /* some thread goes through the list */
	struct quota_wait *first;
	struct quota_wait **tail;
};

void quota_init(struct quota *q, size_t limit);

/* Nobody waits any more. */
void quota_destroy(struct quota *q);

/* True: the units are the caller's, until quota_give. False: w is kept, and its fn will be called once, unless quota_drop comes first. */
bool quota_take(struct quota *q, struct quota_wait *w);

/* Wait no longer. True: fn will not be called. False: it has been or is about to be, and the units with it. */
bool quota_drop(struct quota *q, struct quota_wait *w);

void quota_give(struct quota *q, size_t units);

/* Is nothing in use? */
bool quota_is_idle(struct quota *q);

/* Call, with granted false, those who have waited until their deadline. Returns the next deadline, INT64_MAX for none. */
int64_t quota_expire(struct quota *q, int64_t now_ns);

#endif
