/*
 * Live feeds: the events of one namespace, or of all, as they are stored.
 *
 * Owns the readers with what they have still to read, and the hubs: each follows one namespace, once for all its readers. Knows
 * neither who reads nor how. Any thread may call; what blocks says so.
 *
 * A hub follows one namespace as it was made once (its epoch), from some record on: STARTING -> FOLLOWING -> ENDED, when the namespace
 * is gone or was made anew, or nobody reads any more. A reader hangs on a hub by a tap, which says from which record on it is
 * for that reader. Who joins a hub that follows already is hung on it first and asks for the last record then, so that nothing
 * falls in between: what comes meanwhile is kept by the tap until the answer tells what of it is the reader's. Readers of all namespaces
 * have a tap on each; those of one that appears get it from its first record on.
 */
#ifndef AETHER_STORE_FEED_H
#define AETHER_STORE_FEED_H

#include "feed_queue.h"
#include "follow.h"
#include "names.h"
#include "store.h"

#define FEED_QUEUE_BYTES ((size_t)16 << 20)

struct feeds;
struct feed_reader;

/* What feeds need of the store, as store.h, follow.h and names.h say it. */
struct feed_source {
	int (*info)(void *source, const char *ns, struct ns_info *info);
	int (*list)(void *source, backend_name_fn fn, void *arg);
	int (*follow)(void *source, const char *ns, uint64_t after_seq, uint64_t epoch, const struct follow_fns *fns, void *arg,
	    struct follow **out);
	void (*unfollow)(struct follow *f);
	int (*listen)(void *source, names_fn fn, void *arg, struct names_listener **out);
	void (*ignore)(void *source, struct names_listener *l);
};

extern const struct feed_source feed_source_store; /* its source is the struct store */

struct feed_options {
	const struct feed_source *ops;
	void *source; /* borrowed until feeds_free, as clock */
	const struct clock *clock; /* whose mono_ns is CLOCK_MONOTONIC */
	int64_t timeout_ns;        /* how often an open is begun anew where a namespace comes and goes */
	size_t queue_bytes;        /* bound of what is kept for one reader; FEED_QUEUE_BYTES */
	/* Called when feeds_next has something, on any thread, also on one that is in feed_open; it must not block. */
	void (*wake)(void *arg);
	void *arg;
};

/* 0 or -errno. */
int feeds_new(struct feeds **out, const struct feed_options *options);

/* All readers must have been closed. Before store_free. NULL is fine. Blocks. */
void feeds_free(struct feeds *fs);

/*
 * Begin to read a namespace, or all (ns NULL): what is stored from now on. user is what feeds_next gives. Blocks. 0, -ENOENT (no such
 * namespace), -ENOMEM, or -errno of the store.
 */
int feed_open(struct feeds *fs, const char *ns, void *user, struct feed_reader **out);

/*
 * Begin to read lines of another kind than events: those that feeds_tell is given from now on. Does not block. 0 or -ENOMEM.
 */
int feed_open_lines(struct feeds *fs, void *user, struct feed_reader **out);

/* A line, with its newline, for all readers of those. Does not block. */
void feeds_tell(struct feeds *fs, struct span line);

/*
 * Take what there is, as feed_queue_take. Besides its outcomes: 0 with out->len 0 is the end: the namespace is gone, or was made anew.
 * After -EAGAIN feeds_next will tell when there is something.
 */
int feed_read(struct feed_reader *r, size_t size, struct feed_bytes *out);

/*
 * From now on each line begins with the name of its namespace and a tab, which no name holds. What came before and was not read yet is
 * forgotten. 0, or -EINVAL if that reader reads one namespace.
 */
int feed_name(struct feed_reader *r);

/* What poll(2) wants to know. After FEED_NOTHING feeds_next will tell. */
enum feed_state { FEED_NOTHING, FEED_READABLE, FEED_ENDED };
enum feed_state feed_poll(struct feed_reader *r);

/* The user of a reader that has become readable since it was asked in vain; NULL: there is none. Each is told once. */
void *feeds_next(struct feeds *fs);

/* feeds_next does not tell of it any more. No other call for this reader may be under way. NULL is fine. */
void feed_close(struct feed_reader *r);

#endif
