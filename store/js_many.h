/*
 * Requests of which several are under way at once, and waited for by who sends them.
 *
 * Knows nothing of what they are. One thread sends and waits; the ends come on any.
 */
#ifndef AETHER_STORE_JS_MANY_H
#define AETHER_STORE_JS_MANY_H

#include "lock.h"

struct js_many {
	struct lock lock;
	pthread_cond_t wake;
	/* Guarded by lock. */
	unsigned under_way;
	int err; /* the first that one ended with */
};

void js_many_init(struct js_many *m);

/* One more is about to be sent: wait until fewer than max are under way. Returns 0, or what one has ended with: then it does not count. */
int js_many_begin(struct js_many *m, unsigned max);

/* One has ended. */
void js_many_end(struct js_many *m, int err);

/* Wait until all have ended; m is gone then. 0, or what the first that failed ended with. */
int js_many_finish(struct js_many *m);

#endif
