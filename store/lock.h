/*
 * Mutexes with a rank, and the one list of all of them: in debug and sanitizer builds every thread checks the order in which it
 * takes them.
 *
 * Whoever takes one out of order is told so on standard error, with the names of both ranks, and the process aborts, even where
 * no deadlock came of it. In release builds a lock is a pthread_mutex_t and nothing else.
 *
 * No lock is held across a call of the backend, of NATS or (in fs and mount) of the store, nor across a reply, a callback or a
 * notification of the kernel. That is checked along with the order: nearly all that is called there takes an outermost lock.
 *
 * LOCK_CHECKS, 0 or 1, chooses; the Makefile sets it. Any thread may call.
 */
#ifndef AETHER_STORE_LOCK_H
#define AETHER_STORE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "clock.h"

#ifndef LOCK_CHECKS
#define LOCK_CHECKS 0
#endif

/*
 * Each lock, lowest layer first, with what it guards. A thread may take one while all that it holds stand further down in this
 * list; one behind LOCK_INNER, which is an outermost one, only while it holds nothing.
 */
enum lock_rank {
	LOCK_TIMER,      /* timer.lock: the calls to come (timer.c) */
	LOCK_QUOTA,      /* quota.lock: the units in use, and who waits for some (quota.h) */
	LOCK_CACHE,      /* cache.lock: the list of all blocks and the sum of their bytes (cache.c) */
	LOCK_CACHE_FILE, /* cache_file.lock: the cached blocks of one actor; a second one is only tried (cache.h) */
	LOCK_ACTOR,      /* actor.lock: what this node knows of one actor, what reads ahead in it, its queue of appends (state.h) */
	LOCK_NODES,      /* node_table.lock: the nodes of the file system and their counts (node.c) */
	LOCK_INNER = LOCK_NODES,

	LOCK_SPENT,    /* rpc_spent.lock: messages to be given back to nats.c (rpc_spent.h) */
	LOCK_SLOTS,    /* slots.lock: the requests under way (rpc_slots.h) */
	LOCK_LANE,     /* lane.lock: what the lane is to send, its ways; taken inside nats.c's own locks too (rpc_lane.c) */
	LOCK_RPC,      /* rpc.lock: who waits for a connection, how far it is closed (rpc.c) */
	LOCK_CALL,     /* call.lock: one blocking request (rpc_call.c) */
	LOCK_MANY,     /* js_many.lock: requests under way that somebody waits for (js_many.h) */
	LOCK_CREATION, /* creation.lock: one consumer that is being made (js_consumer.c) */
	LOCK_WATCHES,  /* js_watches.lock: the list of watches, and each of them (js_watch.c) */
	LOCK_FOLLOWS,  /* js_follows.lock: the table of follows, and each of them (js_follow_state.h) */
	LOCK_HINTS,    /* listener.lock: who listens for something (listener.h) */
	LOCK_SUB,      /* js_sub.lock: whether there may be messages (js_sub.h) */
	LOCK_STREAMS,  /* jetstream.lock: what is remembered of streams, and the inboxes that nobody uses (js_state.h) */
	LOCK_MEMORY,   /* memory.lock: the whole backend (memory_state.h) */
	LOCK_WAITER,   /* waiter.lock: one answer that is waited for (wait.c) */
	LOCK_FEEDS,    /* feeds.lock: the feeds' hubs and readers, and what these have still to read (feed_state.h) */
	LOCK_TYPES,    /* types.lock: one namespace's event types (types_state.h) */
	LOCK_TYPES_ALL, /* all_types.lock: the table of them and their counts (types_state.h) */
	LOCK_TYPE_READER, /* type_reader.lock: whose turn it is to read (types_read.c) */
	LOCK_INDEX,    /* index.lock: one index (index_state.h) */
	LOCK_INDEXES,  /* indexes.lock: the table of indexes and their counts, the listener (index_state.h) */
	LOCK_FOLLOW,   /* follow.lock: one follow (follow.c) */
	LOCK_SNAPSHOTS, /* snapshots.lock: of which actors one is to be taken (snapshots.c) */
	LOCK_MODELS,   /* models.lock: the models of all namespaces (models.c) */
	LOCK_NAMES,    /* names.lock: the names that were seen, who listens (names.c) */
	LOCK_STORE,    /* store.lock: the table of actors and their counts, namespaces, conflicts, what reads ahead, who lingers
			  (state.h) */

	LOCK_APPENDS, /* appends.lock: the actors that are kept (cluster/appends_state.h) */
	LOCK_CLUSTER, /* cluster.lock: what has come in for the cluster's thread, what readers are shown (cluster/cluster_state.h) */

	LOCK_HANDLES, /* handles.lock: the list of other open handles (handles.h) */
	LOCK_SPACE,   /* space.lock: what is known of the storage (space.c) */
	LOCK_FEED_FILES, /* feed_files.lock: the reads of feeds that wait, what the thread that answers them has to do (feed_file.c) */
	LOCK_FILE,    /* file.lock: one open file: its queue of operations, what it has seen of its actor (file.c) */
	LOCK_FILES,   /* files.lock: the list of open actor files (file.c) */
	LOCK_BRIDGE,  /* bridge.lock: what is to be told of other nodes' changes, the namespaces that the kernel knows (bridge.c) */
	LOCK_NOTIFY,  /* notify.lock: what the kernel was told of namespaces, what it must be told (notify.c) */

	LOCK_SERVER, /* server.lock: whether the private server is lost, or not wanted any more (mount/server.c) */
};

struct lock {
	pthread_mutex_t mutex;
#if LOCK_CHECKS
	enum lock_rank rank;
	const char *name; /* the rank's */
#endif
};

/* The checks themselves, for the functions below. lock tells apart locks of one rank; name is borrowed for good. */
void lock_check_take(const void *lock, enum lock_rank rank, const char *name);
void lock_check_got(const void *lock, enum lock_rank rank, const char *name);
void lock_check_give(const void *lock);
void lock_check_wait(const void *lock);

/* void lock_init(struct lock *l, enum lock_rank rank), with the rank by its name. */
#define lock_init(l, rank) lock_init_named(l, rank, #rank)

static inline void
lock_init_named(struct lock *l, enum lock_rank rank, const char *name)
{
	pthread_mutex_init(&l->mutex, NULL);
#if LOCK_CHECKS
	l->rank = rank;
	l->name = name;
#else
	(void)rank, (void)name;
	_Static_assert(sizeof(*l) == sizeof(pthread_mutex_t), "a lock costs nothing");
#endif
}

/* Nobody holds it. */
static inline void
lock_destroy(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

static inline void
lock_take(struct lock *l)
{
#if LOCK_CHECKS
	lock_check_take(l, l->rank, l->name);
#endif
	pthread_mutex_lock(&l->mutex);
#if LOCK_CHECKS
	lock_check_got(l, l->rank, l->name);
#endif
}

/* Take it unless somebody has it. It cannot wait, so it may be of any rank. */
static inline bool
lock_try(struct lock *l)
{
	bool taken = pthread_mutex_trylock(&l->mutex) == 0;

#if LOCK_CHECKS
	if (taken)
		lock_check_got(l, l->rank, l->name);
#endif
	return taken;
}

static inline void
lock_give(struct lock *l)
{
#if LOCK_CHECKS
	lock_check_give(l);
#endif
	pthread_mutex_unlock(&l->mutex);
}

/* A condition variable for the functions below; signal, broadcast and destroy are pthread's own. */
void lock_cond_init(pthread_cond_t *c);

/* As pthread_cond_wait. No other lock may be held: whoever ends the wait may need it. */
static inline void
lock_wait(struct lock *l, pthread_cond_t *c)
{
#if LOCK_CHECKS
	lock_check_wait(l);
#endif
	pthread_cond_wait(c, &l->mutex);
}

/* The same until until_ns of the monotonic clock (clock_mono); INT64_MAX: for ever. False if it ended because of that. */
static inline bool
lock_wait_until(struct lock *l, pthread_cond_t *c, int64_t until_ns)
{
	struct timespec until = { .tv_sec = until_ns / NS_PER_SEC, .tv_nsec = until_ns % NS_PER_SEC };

	if (until_ns == INT64_MAX) {
		lock_wait(l, c);
		return true;
	}
#if LOCK_CHECKS
	lock_check_wait(l);
#endif
	return pthread_cond_timedwait(c, &l->mutex, &until) == 0;
}

#endif
