/*
 * Who wants to hear of something, and calls of him that must not be under way any more once he has left.
 *
 * Any thread may call.
 */
#ifndef AETHER_STORE_LISTENER_H
#define AETHER_STORE_LISTENER_H

#include "lock.h"

struct listener {
	struct lock lock;
	/* Guarded by lock. */
	void (*fn)(void *arg, const char *name);
	void *arg;
	unsigned telling; /* calls under way */
	pthread_cond_t told;
};

void listener_init(struct listener *l);
void listener_destroy(struct listener *l);

/* fn is called from now on, whoever was before. NULL: nobody is, and no call is under way when this returns. */
void listener_set(struct listener *l, void (*fn)(void *arg, const char *name), void *arg);

/* Call him, if there is one, with what it is about; NULL: anything. */
void listener_tell(struct listener *l, const char *name);

#endif
