/*
 * The bodies of struct store and struct actor, for the files that make up the store: store.c, actor.c, replay.c,
 * locate.c, fetch.c, readahead.c, append.c, append_*.c, dedup.c, index.c and index_feed.c, follow.c, names.c, types*.c. Nobody else includes this.
 *
 * In which order their locks are taken, and others below them: lock.h.
 */
#ifndef AETHER_STORE_STATE_H
#define AETHER_STORE_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "actor.h"
#include "backend.h"
#include "cache.h"
#include "clock.h"
#include "dedup.h"
#include "lock.h"
#include "logger.h"
#include "quota.h"
#include "store.h"
#include "table.h"
#include "timer.h"
#include "wait.h"

struct indexes;
struct all_types;
struct names;

struct store {
	struct backend *backend;
	const struct clock *clock;
	struct logger *lg;
	struct store_options options;
	uint64_t node; /* what our records say that they are from; never 0 */
	store_forward_fn forward; /* to whom appends are handed over that lose too many races; or NULL */
	void *forward_arg;
	struct cache *cache;
	struct timer *worker; /* for what an append must look up by blocking */
	struct indexes *indexes; /* index.c's */
	struct names *names;     /* names.c's */
	struct all_types *types; /* types.c's */
	struct models *models;       /* NULL: no model is kept to */
	struct snapshots *snapshots; /* who takes them; NULL: nobody does */
	atomic_size_t follows;   /* that were not freed yet */
	struct timer *pump;   /* for appends whose time for company is over */
	struct quota window;  /* publishes in flight */
	struct quota room;    /* bytes that are answered and not stored yet */
	atomic_bool sweeping; /* somebody will look for those that have waited too long for the window */

	struct lock lock;
	/* Guarded by lock. */
	struct table actors;
	struct table namespaces; /* struct known_ns */
	struct conflict_entry *conflicts[STORE_CONFLICTS]; /* a ring */
	size_t conflicts_added;
	struct backend_limits limits;
	int64_t limits_at_ns; /* 0: never asked */
	size_t appends;       /* under way */
	struct readahead *first_readahead;
	size_t readaheads;   /* threads */
	pthread_cond_t idle; /* appends or readaheads has become less */
	struct actor *lingering; /* those whose appends wait for company; counted */
};

struct actor {
	struct table_link link;
	struct store *store;
	size_t refs; /* guarded by store.lock */
	struct cache_file file;

	struct lock lock;
	/* Guarded by lock. */
	bool known;          /* head says what was true at head_at_ns, or later */
	bool broken;         /* the last record is not one of ours; head is the end of what holds */
	uint64_t broken_seq; /* that record's sequence */
	struct head head;
	int64_t head_at_ns;
	uint64_t read_to;    /* where the last fetch for a reader ended */
	struct readahead *readahead; /* that reads ahead; NULL: nobody does */
	int64_t contended_ns;       /* until then appends are handed over at once; 0: they are not */
	struct append_queue *queue; /* NULL until something is appended; then as long as the actor */
	struct dedup *dedup; /* ids seen lately; NULL until an append brings one. Only used by the active append */

	const char *ns; /* both behind name */
	char name[];
};

static inline struct actor_name
actor_full_name(const struct actor *a)
{
	return (struct actor_name){ a->ns, a->name };
}

/* When an operation that begins now must have ended. */
static inline int64_t
store_deadline(const struct store *s)
{
	return clock_mono(s->clock) + s->options.timeout_ns;
}

/* A call of the backend that is tried again while there is no connection. */
struct attempt {
	struct store *store;
	int64_t deadline_ns;
	unsigned tries;
	bool again; /* this is not the first */
};

static inline struct attempt
attempt_begin(struct store *s)
{
	return (struct attempt){ .store = s, .deadline_ns = store_deadline(s) };
}

/* Is another try due after this outcome of the last one? If not, *err is the outcome of all. Blocks. */
bool attempt_again(struct attempt *at, int *err);

/*
 * The deadline of a call whose asker has something to say without an answer: it is tried once, and a server that is silent is not given
 * long.
 */
int64_t store_short_deadline(struct store *s);

/*
 * Take what the backend said of the actor's last record. fresh: the answer may not lag behind; asked_ns: when the question was
 * sent; seen_seq: head.seq then. r NULL: there is none.
 * Returns true if r is foreign and the end of the part that holds has to be found (actor_find_end).
 */
bool actor_learn_locked(struct actor *a, const struct record *r, bool fresh, int64_t asked_ns, uint64_t seen_seq);

/* The actor's end is this. What is kept of another life goes. */
void actor_set_head_locked(struct actor *a, const struct head *head);

/* r, a tombstone, has been seen. Whoever has the actor open finds out. Does not block. */
void actor_see_tombstone(struct store *s, const char *ns, const char *name, const struct record *r);

/*
 * Something of that life, which was there, could not be found: is it because the actor has been erased since? Blocks. If NATS does not
 * say: false.
 */
bool actor_was_erased(struct actor *a, uint64_t life);

/* Wait until all that was accepted (struct append) so far has ended. Blocks. 0 or -ETIMEDOUT. */
int append_settle(struct actor *a, int64_t deadline_ns);

/* The chain ends in a record that is not ours: find the head of what holds by reading the last life from its start. Blocks. */
int actor_find_end(struct actor *a, uint64_t foreign_seq);

/*
 * Find the record that holds a byte of the file or an event: *base becomes the head before it. until is a head whose record lies at or behind
 * it. Blocks. 0, -ENOENT (no such), -EIO, -ESTALE (the actor has been erased since), or as wait_get.
 */
enum replay_key { REPLAY_OFFSET, REPLAY_VERSION };
int replay_locate(struct actor *a, const struct head *until, enum replay_key key, uint64_t value, struct head *base,
    struct owned_record *found);

/* Remember a refused append; and what was refused for another reason, a line of text. actor NULL: it was no append. */
void store_add_conflict(struct store *s, const struct actor *a, const struct conflict *c);
void store_add_refusal(struct store *s, const char *ns, const char *actor, const char *reason);

#endif
