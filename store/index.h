/*
 * The index of a namespace: the head of each of its actors, first as the stream has them, then followed live.
 *
 * Owns the names and heads, and the watch of the backend that feeds them (last record of each subject, headers only, then
 * every new record). Knows nothing of FUSE. Any thread may call. An index is made when it is first asked for, because it costs
 * what the namespace holds: a single actor is looked up without it (actor_head).
 *
 * What an index says lags behind by the delay of the watch, milliseconds. It never replaces the question at open.
 *
 * States: LOADING -> LIVE <-> LAGGING (the watch is interrupted; it goes on where it stopped) -> LIVE; any -> LOADING (the namespace
 * was made anew behind our back: all entries stop to live, and keep their positions); any -> GONE (the namespace was removed). After
 * GONE index_get gives another index, for the namespace of that name that there may be by then.
 */
#ifndef AETHER_STORE_INDEX_H
#define AETHER_STORE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"
#include "store.h"

struct index;
struct indexes;

struct index_entry {
	const char *name; /* not encoded; lives as long as the index */
	struct head head; /* a copy */
	/* The last record is not one of ours, so that the head is not known here: seq is that record's, the rest zeros. Ask actor_head. */
	bool foreign;
};

/*
 * The store's one index of that namespace, counted; release with index_put. It stays for a while after the last put. Starts loading if
 * it is new, does not wait for it. 0, -ENOMEM.
 */
int index_get(struct store *s, const char *ns, struct index **out);
/* The same, only if there is one already: else NULL. */
struct index *index_peek(struct store *s, const char *ns);
/* NULL is fine. */
void index_put(struct index *x);

/* LIVE: everything is there, and what changes arrives. */
bool index_is_live(struct index *x);

/* How many positions are taken now. */
uint64_t index_count(struct index *x);

/*
 * The entry at *position or the first one behind it; *position becomes its successor. Positions are in the order of arrival, and an actor
 * keeps its own as long as the index lives. Blocks while the index is loading and has nothing there yet, at most as long as
 * nothing arrives for store_options.timeout_ns (a server that is seen to work on it counts as something). 1, 0 at the end, -ENOENT (no
 * such namespace), -ETIMEDOUT (also if the watch has been interrupted for longer than that), -EACCES.
 */
int index_next(struct index *x, uint64_t *position, struct index_entry *e);

/* The head of an actor. 0, -ENOENT (not there as far as is known), -EAGAIN (still loading and not seen yet, or foreign). Does not block. */
int index_find(struct index *x, const char *name, struct head *head);

/* The same of a namespace's index, if that is live; -EAGAIN if it is not, or if there is none. */
int index_ask(struct store *s, const char *ns, const char *name, struct head *head);

/* What the store learnt of an actor by other ways (its own appends, questions): kept if newer. */
void index_learn(struct store *s, const char *ns, const char *name, const struct head *head);

/* A fresh question found that the actor does not exist; seen_seq: what index_seq said before it was asked. */
void index_unlearn(struct store *s, const char *ns, const char *name, uint64_t seen_seq);
/* The sequence of the actor's last record as the index has it; 0 if it does not know. */
uint64_t index_seq(struct store *s, const char *ns, const char *name);

/* The namespace does not exist (any more), as somebody else found out. */
void index_gone(struct store *s, const char *ns);

/*
 * Be told of changes: fn is called on a thread of the store, in stream order per actor, for each change that arrives after an index has
 * been loaded, also for this node's own appends. is_new: it is the first record of an actor, or of one that was erased before. head NULL:
 * the actor is gone, erased or otherwise (this may come on the thread that found it out, and more than once); name
 * NULL: whatever in the namespace may have changed (it was removed, or a watch was lost and had to begin anew). With a foreign record
 * the head has its seq alone. fn must not block. One listener; fn NULL ends that (and returns when no call is under way).
 */
typedef void (*store_listen_fn)(void *arg, const char *ns, const char *name, const struct head *head, bool is_new);
void store_listen(struct store *s, store_listen_fn fn, void *arg);

/* For store.c: make, end all watches (then the backend may be freed), free. */
int indexes_new(struct indexes **out, struct store *s);
void indexes_stop(struct indexes *all);
void indexes_free(struct indexes *all);

#endif
