/*
 * The body of the bridge, for the two files that make it up: bridge.c (what comes from the store, which namespaces the kernel knows) and
 * bridge_tell.c (the thread, and the process that it gives orders to). Nobody else includes this.
 */
#ifndef AETHER_FS_BRIDGE_STATE_H
#define AETHER_FS_BRIDGE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "../store/follow.h"
#include "../store/lock.h"
#include "../store/names.h"
#include "../store/timer.h"
#include "bridge.h"
#include "helper.h"

/* Orders given and not reported yet: each thread of the process has its next one at hand. */
#define ORDERS_MAX (2 * POKER_THREADS)

/* The words of a set of shards, and where a namespace's links to what this node owns are. */
#define BRIDGE_OWNED_WORDS 16
#define OWNED_PATH "/.aether/owned"

/* A namespace that the kernel knows. */
struct known {
	struct table_link link;
	struct bridge *bridge;
	/* Guarded by bridge.lock. */
	struct follow *follow; /* NULL: being begun, or could not be */
	uint64_t lookups;      /* the kernel's count */
	bool beginning;        /* a thread is beginning the follow, and will see to what has changed by then */
	bool owned_known;      /* and its directory of owned actors too, or did once */
	bool ended;            /* the follow has seen the namespace go */
	uint64_t told;         /* names of its actors that were told since it was last seen in use */
	int64_t unused_ns;     /* by then it will not have been used for long enough to be worth a try (struct trial) */
	unsigned vain;         /* how often that was tried in vain */
	char ns[];
};

/*
 * Finding out whether anybody can see what is told. The kernel keeps what it knows of a namespace long after the last use. So where
 * much is told and no user has looked for a while, the process looks the namespace up, and is told that there is none: the kernel then
 * drops what is not in use, and forgets the namespace unless it is watched, open, or somebody's directory. If it is, a second
 * look puts it back in its place, as any look by a user does; in between, for some milliseconds, getcwd(2) cannot tell its path.
 *
 * What is being told just then would find no such namespace, and go untold: so the look waits (DUE) until nothing is, and nothing is begun
 * until it is over.
 *
 * Not by the notification that FUSE has for this (inval_entry): it waits in the daemon for the lock of the root, and a daemon that is
 * killed then would leave everybody waiting.
 */
enum trial_state { TRIAL_NONE, TRIAL_DUE, TRIAL_HIDE, TRIAL_PAUSE, TRIAL_SHOW };

struct trial {
	enum trial_state state; /* guarded by bridge.lock, as ns */
	uint64_t id;            /* of the order; the thread's, as at_ns */
	int64_t at_ns;          /* the end of the pause */
	char ns[POKER_NAMES_MAX];
};

struct order {
	uint64_t id; /* 0: free */
	struct poke *poke;
};

/* What a namespace is still to be told: that these shards have come or gone. */
struct owed {
	struct owed *next;
	uint64_t changed[BRIDGE_OWNED_WORDS];
	char ns[];
};

struct bridge {
	struct fs_env *env;
	struct names_listener *names;
	pthread_t thread;
	bool running;
	int wake_fd; /* eventfd: something was noted, or the end has come */

	/* The thread's. */
	uint64_t next_id;
	int64_t start_ns; /* when the process may be started again */
	int64_t pause_ns;
	uint64_t dev; /* of the file system, as the first process found it; 0: not known yet */
	struct order orders[ORDERS_MAX];
	struct trial trial;

	struct helper helper;

	struct timer *worker; /* goes through the actors of namespaces when shards change hands */
	uint64_t owned[BRIDGE_OWNED_WORDS]; /* the worker's: which shards are owned, as was seen last */
	struct owed *owed; /* the worker's: namespaces that have not been told of all of it */
	bool owed_again;   /* the worker's: it will look at them again */
	atomic_bool owned_due;

	struct lock lock;
	/* Guarded by lock. */
	struct pokes pokes;
	struct table known;
	uint64_t told;
	bool stopping;
	bool idle;    /* the thread waits for longer than it would if it knew */
	bool full;    /* follows are to be held */
	bool held;    /* they are, or are just being */
	bool holding; /* the thread is going over them: none may be freed */
	pthread_cond_t held_over;
	bool owned_over; /* the worker is to come to an end */
};

static inline int64_t
bridge_now(const struct bridge *b)
{
	return clock_mono(b->env->clock);
}

/* The namespace if the kernel knows it. */
struct known *bridge_find_locked(struct bridge *b, const char *ns);

/* Nobody has used it until now. */
void bridge_used_locked(struct known *k);

/* A record has made or erased that actor. With no lock held. */
void bridge_owned_record(struct bridge *b, const char *ns, const char *actor, bool made);
/* As pokes_forget, of the namespace's links. */
void bridge_owned_forget_locked(struct bridge *b, const char *ns);
/* Forget what is still to be told. After the worker has ended. */
void bridge_owned_end(struct bridge *b);

/* Wake the thread. */
void bridge_wake(const struct bridge *b);

/* The thread's function; its argument is the bridge. */
void *bridge_tell(void *arg);

#endif
