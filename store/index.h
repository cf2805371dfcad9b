/*
 * The index of a namespace: the head of each of its actors, first as the stream has them, then followed live.
 *
 * Owns the names and heads, and the watch of the backend that feeds them (last record of each subject, headers only, then
 * every new record). Knows nothing of FUSE. Any thread may call. An index is made when it is first asked for, because it costs
 * what the namespace holds: a single actor is looked up without it (actor_head).
 *
 * What an index says lags behind by the delay of the watch, milliseconds. It never replaces the question at open.
 *
 * States: LOADING -> LIVE <-> LAGGING (the watch is interrupted; it goes on where it stopped) -> LIVE; GONE (the namespace was removed).
 */
#ifndef AETHER_STORE_INDEX_H
#define AETHER_STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"
#include "store.h"

struct index;

struct index_entry {
	const char *name;  /* not encoded; lives as long as the index */
	struct head head;  /* a copy */
};

/*
 * The store's one index of that namespace, counted; release with index_put. It stays for a while after the last put. Starts loading if
 * it is new, does not wait for it. 0, -ENOMEM.
 */
int index_get(struct store *s, const char *ns, struct index **out);
/* The same, only if there is one already: else NULL. */
struct index *index_peek(struct store *s, const char *ns);
void index_put(struct index *x);

/* LIVE: everything is there, and what changes arrives. */
bool index_is_live(struct index *x);

/* How many positions are taken now. */
uint64_t index_count(struct index *x);

/*
 * The entry at *position or the first one behind it; *position becomes its successor. Positions are in the order of arrival, and an actor
 * keeps its own as long as the index lives. Blocks while the index is loading and has nothing there yet, at most as long as
 * nothing arrives for store_options.timeout_ns. 1, 0 at the end, -ENOENT (no such namespace), -ETIMEDOUT, -EACCES.
 */
int index_next(struct index *x, uint64_t *position, struct index_entry *e);

/* The head of an actor. 0, -ENOENT (not there as far as is known), -EAGAIN (still loading, and not seen yet). Does not block. */
int index_find(struct index *x, const char *name, struct head *head);

/* What the store learnt of an actor by other ways (its own appends, questions): kept if newer. head NULL: it does not exist. */
void index_learn(struct store *s, const char *ns, const char *name, const struct head *head);

/*
 * Be told of changes: fn is called on a thread of the store, in stream order per actor, for each change that arrives after an index has
 * been loaded, also for this node's own appends. head NULL: the actor is gone; name NULL: whatever in the namespace may have changed
 * (a watch was lost and had to begin anew). fn must not block. One listener; fn NULL ends that (and returns when no call is under way).
 */
void store_listen(struct store *s, void (*fn)(void *arg, const char *ns, const char *name, const struct head *head, bool is_new), void *arg);

#endif
