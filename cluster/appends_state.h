/* The body of the appends, for appends.c (requests that are answered) and appends_forward.c (those that are sent). Nobody else includes this. */
#ifndef AETHER_CLUSTER_APPENDS_STATE_H
#define AETHER_CLUSTER_APPENDS_STATE_H

#include <stdatomic.h>

#include "../store/js_sub.h"
#include "appends.h"
#include "cluster_state.h"

/* Headers of lines that are handed over: struct store_forward's fields, but for its deadline: what comes too late for the answer is stored all the same. */
#define HANDED_SINCE "Aether-Since"
#define HANDED_LIFE "Aether-Life"
#define HANDED_NODE "Aether-Node"

/* Actors that were appended to lately are kept, with what is known of them: their end, and which ids are stored. */
#define APPENDS_KEPT 64

struct appends {
	struct cluster *cluster;
	struct store *store;
	struct logger *lg;
	struct js_sub requests, handed;
	atomic_size_t bytes; /* of requests that are being answered */

	struct lock lock;
	/* Guarded by lock: each counted, in the place that its name says; the latest of those with one place. */
	struct actor *kept[APPENDS_KEPT];
};

/* The store's store_forward_fn; arg is the struct appends. */
int appends_forward(void *arg, const struct store_forward *f, store_forwarded_fn done, void *done_arg);

#endif
