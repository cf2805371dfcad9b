/*
 * The store: namespaces, and the actors in them, on top of a backend.
 *
 * Owns the table of known actors with their heads, the cache of what was read, the last refused appends, and the backend.
 * Must not know FUSE or NATS. Any thread may call. What blocks says so, and is bounded by store_options.timeout_ns.
 *
 * Errors besides those of backend.h: a wait for NATS that ends without it is -ETIMEDOUT, never -ENOTCONN.
 */
#ifndef AETHER_STORE_STORE_H
#define AETHER_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "buf.h"
#include "clock.h"
#include "logger.h"

struct store_options {
	int64_t timeout_ns;   /* how long an operation waits for NATS */
	uint64_t cache_bytes; /* bound of the memory for content that was read or written */
	bool eventual;        /* consistency=eventual: what is known is served without asking */
};

struct store;

/* What the records that this store appends say in struct record's node. */
uint64_t store_node(const struct store *s);

/* Takes the backend (freed by store_free, also when this fails). clock and lg are borrowed for the store's life. 0 or -ENOMEM. */
int store_new(struct store **out, struct backend *backend, const struct clock *clock, struct logger *lg,
    const struct store_options *options);

/* All actors must have been put, all follows freed. NULL is fine. Blocks until appends under way have ended. */
void store_free(struct store *s);

/*
 * Lines of one actor for which this node has lost race after race, so that somebody else may store them, who sequences all nodes' appends
 * to that actor (append.h). Whoever gets them appends them with struct append's forwarded and the fields that belong to it.
 */
struct store_forward {
	const char *ns;
	const char *actor;
	struct span lines;   /* NDJSON with ids and timestamps and without versions: exactly these events are to be stored, all as one record or
				none */
	uint64_t since_seq;  /* what it is to look for their ids in, if it may have got them twice: all records behind this one */
	uint64_t life;       /* of the actor, in which they are to be stored, or not at all */
	uint64_t node;       /* what Aether-Node is to say: the node whose lines they are; 0: nobody's */
	int64_t deadline_ns; /* of the monotonic clock: the answer is of no use afterwards */
};

/*
 * The answer. 0: they are stored; head is the actor's head right after their record, or a later one, and version that of the last
 * line. -ETIMEDOUT, -ENOTCONN: unknown. -EHOSTUNREACH or anything else: surely not stored, and never will be. head is borrowed, and NULL
 * unless err is 0. Does not block.
 */
typedef void (*store_forwarded_fn)(void *done_arg, int err, const struct head *head, uint64_t version);

/*
 * Hand lines over. 0: under way; done is called exactly once, on any thread, maybe before this returns, and soon after deadline_ns at the
 * latest. -EHOSTUNREACH: there is nobody to hand them to; -EALREADY: this node is the one itself; done is not called then. All that f
 * points to is borrowed until done is called, f itself until this returns. Must not block. Called without locks, on any thread.
 */
typedef int (*store_forward_fn)(void *arg, const struct store_forward *f, store_forwarded_fn done, void *done_arg);

/* Hand appends over by fn, if they lose too many races. Before the first append; fn and arg must live until store_free has returned. NULL: never. */
void store_set_forward(struct store *s, store_forward_fn fn, void *arg);

/* Namespaces; names are checked with name_check_namespace first where they are created. All block. */
int store_ns_create(struct store *s, const char *ns, const struct ns_attr *attr);
/* -ENOTEMPTY if there are actors in it that are not erased. all: erase them first, one by one; what others append meanwhile may still be in
 * the way. */
int store_ns_remove(struct store *s, const char *ns, bool all);
int store_ns_set(struct store *s, const char *ns, const struct ns_attr *attr);
/* An answer at most max_age_ns old will do (0: ask now). While NATS is away, one that is known is served whatever its age if stale_ok. */
int store_ns_info(struct store *s, const char *ns, int64_t max_age_ns, bool stale_ok, struct ns_info *info);
int store_ns_list(struct store *s, backend_name_fn fn, void *arg);

/*
 * The sequence of the last of what was stored in a namespace up to a time (Unix nanoseconds, by JetStream's clock; what was stored at that
 * time belongs to it); 0: nothing. It stays so for ever. Waits where the time is as good as now. Blocks. -ENOENT: the time has not come, or no such
 * namespace.
 */
int store_seq_at(struct store *s, const char *ns, int64_t time_ns, uint64_t *seq);

/* Blocks; limits at most a second old, or older while NATS is away. */
int store_limits(struct store *s, struct backend_limits *limits);
void store_status(struct store *s, struct backend_status *status);
void store_url(struct store *s, char *out, size_t size); /* as the backend's url */
const char *store_backend_name(const struct store *s);
const struct store_options *store_get_options(const struct store *s);

/* One refused append. */
struct conflict {
	uint64_t current;   /* the actor's latest version when it was refused */
	uint64_t attempted; /* the version that the refused event named */
	char id[129];       /* the refused event's id, empty if it had none */
};

/*
 * The last refused appends of this node, newest last, one JSON object a line with the keys timestamp, namespace, actorId,
 * currentVersion, attemptedVersion, id?; or what a model refused, or why it was refused itself: timestamp, namespace, actorId?, reason. ns NULL: of all namespaces; actor NULL: of all actors of ns. At most STORE_CONFLICTS are kept.
 */
#define STORE_CONFLICTS 1024
void store_conflicts(struct store *s, const char *ns, const char *actor, struct buf *out);
/* The newest one of that actor, without newline; nothing if there is none. */
void store_conflict_last(struct store *s, const char *ns, const char *actor, struct buf *out);

#endif
