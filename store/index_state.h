/*
 * The body of an index, for the two files that make it up: index.c (the store's indexes, asking, learning) and index_feed.c (the
 * watch, and what it tells). Nobody else includes this.
 */
#ifndef AETHER_STORE_INDEX_STATE_H
#define AETHER_STORE_INDEX_STATE_H

#include <pthread.h>
#include <stdbool.h>

#include "index.h"
#include "index_table.h"
#include "lock.h"
#include "state.h"

/* The size in a table's head that stands for: not one of our records. */
#define INDEX_FOREIGN UINT64_MAX

struct indexes {
	struct store *store;
	struct lock lock;
	/* Guarded by lock. */
	struct table by_ns;
	size_t idle; /* of those in by_ns, how many nobody holds */
	bool stopped;
	store_listen_fn listener;
	void *listener_arg;
	unsigned telling; /* calls of the listener under way */
	size_t closing;   /* indexes that are not listed any more and whose watch is still to be stopped */
	pthread_cond_t told; /* telling, or closing, has become 0 */
};

enum index_state { LOADING, LIVE, LAGGING, GONE }; /* index.h */

struct index {
	struct table_link link;
	struct indexes *all;
	/* Guarded by indexes.lock. */
	size_t refs;    /* one for the table, one for each holder, one for each call to come */
	size_t holders; /* who called index_get */
	bool listed;    /* in the table */
	bool expiring;  /* a call of expire is to come */
	int64_t idle_since_ns;

	struct lock lock;
	pthread_cond_t changed;
	/* Guarded by lock. */
	enum index_state state;
	bool closed; /* no watch any more */
	bool anew;   /* was loaded before, and is loading from the start again */
	int err;     /* why the last watch ended; 0 since one went live */
	unsigned tries;
	int64_t progress_ns;     /* when something last arrived */
	int64_t interrupted_ns;  /* since when it lags */
	uint64_t wake_at;        /* a reader waits for so many entries */
	uint64_t epoch;          /* the namespace's; 0: none seen */
	uint64_t last_seq;       /* of what the watch brought */
	struct index_table table;
	struct backend_watch *watch;
	bool moving; /* somebody is ending or beginning the watch */

	char ns[];
};

/* Of one that was erased the tombstone's head stays, so that nothing older is taken for news. */
static inline bool
index_is_there(const struct index_item *item)
{
	return head_is_there(&item->head);
}

/* Give a count back. */
void index_unref(struct index *x);

/* Have fn called on a thread of the backend; it owns a count. */
void index_call_at(struct index *x, int64_t at_ns, void (*fn)(void *arg));

/* Out of the table, whose count is the caller's from then on, to be given to index_close_later; false if it was out already. */
bool index_unlist_locked(struct index *x);

/* End the watch on another thread. The caller's count goes with it. */
void index_close_later(struct index *x);

/* Call the listener. */
void index_tell(struct indexes *all, const char *ns, const char *name, const struct head *head, bool is_new);

/* Wake all who wait for entries or another state. */
void index_wake_locked(struct index *x);

/* Take a head that may be newer than what is known. */
void index_learn_locked(struct index *x, const char *name, const struct head *head);

/* Nothing of what is known holds any more; names and positions stay. */
void index_forget_locked(struct index *x);

/* End the watch that is there, and begin another unless the index is closed. Not within a call of the watch. */
void index_move(struct index *x);

/* The same on a thread of the backend, once there is a connection; owns a count. */
void index_step(void *arg);

/* The namespace does not exist any more. */
void index_set_gone(struct index *x);

#endif
