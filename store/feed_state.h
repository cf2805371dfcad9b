/*
 * The bodies of struct feeds and of what hangs on it, for the files that make up the feeds: feed.c and feed_tap.c. Nobody
 * else includes this.
 */
#ifndef AETHER_STORE_FEED_STATE_H
#define AETHER_STORE_FEED_STATE_H

#include <pthread.h>

#include "feed.h"
#include "lock.h"
#include "table.h"
#include "timer.h"

struct feeds {
	struct feed_options o;
	struct timer *worker; /* for what blocks and comes of a call that must not */

	struct lock lock;
	/* Guarded by lock, as all that hangs on it. */
	struct table hubs;         /* those that can be joined, and those that are STARTING */
	struct hub *ended;         /* to be freed */
	pthread_cond_t started;    /* a hub is not STARTING any more */
	struct feed_reader *alls;  /* readers of all namespaces */
	struct feed_reader *liners; /* readers of lines that are no events */
	struct feed_writer lines;
	struct feed_reader *ready, **ready_tail;
	struct names_listener *names; /* set by who opens the first of alls */
	bool listening;
	bool stopping;
};

enum hub_state { HUB_STARTING, HUB_FOLLOWING, HUB_ENDED };

struct hub {
	struct table_link link;
	struct feeds *feeds;
	struct follow *follow; /* set before HUB_FOLLOWING */
	enum hub_state state;
	bool linked;
	bool over;      /* of a STARTING one: it has ended already */
	uint64_t epoch; /* set before the follow */
	struct tap *taps;
	struct hub *next_ended;
	struct feed_writer writer; /* of whom the follow calls, one at a time; with names likewise */
	struct feed_writer named;
	char name[];
};

/* A record that waits until it is known whether it is for the reader. Has a count on the block. */
struct pending {
	uint64_t seq;
	struct feed_piece piece;
};

struct tap {
	struct hub *hub; /* NULL: it has ended */
	struct feed_reader *reader;
	struct tap *next_of_hub, **link_of_hub;
	struct tap *next_of_reader, **link_of_reader;
	uint64_t skip_seq; /* records up to this are not for the reader */
	bool undecided;    /* skip_seq is not known yet, and records are kept in pending */
	bool lost;         /* records came that could not be kept */
	struct buf pending;
	size_t pending_bytes;
};

struct feed_reader {
	struct feeds *feeds;
	void *user;
	struct tap *taps;
	struct feed_queue queue;
	bool all;     /* of all namespaces: in feeds.alls */
	bool lines;   /* of lines that are no events: in feeds.liners */
	bool named;   /* wants their names in its lines */
	bool opening; /* of those: names that appear wait in appeared, one behind the other with their NULs */
	struct buf appeared;
	bool ended;
	bool armed; /* was asked in vain */
	bool is_ready;
	struct feed_reader *next_ready;
	struct feed_reader *next_of_kind, **link_of_kind; /* of those in a list */
};

/* If it says so, wake is to be called when the lock has been given. */
bool reader_wake_locked(struct feed_reader *r);

/* A hub that can be joined or is STARTING. */
struct hub *hub_find_locked(const struct feeds *fs, const char *ns);

/* A new one, STARTING, not in the table. NULL for want of memory. */
struct hub *hub_new(struct feeds *fs, const char *ns);
int hub_link_locked(struct hub *hub);

/*
 * Follow from behind after_seq on, in the namespace that epoch tells. The hub is STARTING, afterwards FOLLOWING or ended; if this fails it is
 * ended, and its taps are freed. 0 or -ENOMEM.
 */
int hub_start(struct hub *hub, uint64_t after_seq, uint64_t epoch);

/* Nobody can join it any more, and nobody waits for it. */
void hub_unlink_locked(struct hub *hub);

/* No record is for anybody any more: it is freed, soon. */
void hub_end_locked(struct hub *hub);

/* NULL for want of memory. */
struct tap *tap_new_locked(struct hub *hub, struct feed_reader *r);
/* A hub that nobody has a tap on ends, unless it is STARTING. */
void tap_free_locked(struct tap *t);

/* Tap a namespace for that reader from now on. Blocks. 0, -ENOENT, or -errno of the store. */
int feed_tap(struct feed_reader *r, const char *ns);

/* The same for each namespace that there is, and those that will be from their first record on. */
int feed_tap_all(struct feed_reader *r);

/*
 * Soon, on the worker's thread: all readers of all namespaces that have not tapped the one of that name do, from its first record on, if
 * it is there. ended_epoch: what was of that name before; 0: nothing.
 */
void feed_appeared_locked(struct feeds *fs, const char *ns, uint64_t ended_epoch);

#endif
