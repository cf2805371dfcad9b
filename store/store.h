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

/* Takes the backend (freed by store_free, also when this fails). clock and lg are borrowed for the store's life. 0 or -ENOMEM. */
int store_new(struct store **out, struct backend *backend, const struct clock *clock, struct logger *lg,
    const struct store_options *options);

/* All actors must have been put. NULL is fine. Blocks until appends under way have ended. */
void store_free(struct store *s);

/* Namespaces; names are checked with name_check_namespace first where they are created. All block. */
int store_ns_create(struct store *s, const char *ns, const struct ns_attr *attr);
int store_ns_remove(struct store *s, const char *ns);
int store_ns_set(struct store *s, const char *ns, const struct ns_attr *attr);
/* An answer at most max_age_ns old will do (0: ask now). While NATS is away, one that is known is served whatever its age if stale_ok. */
int store_ns_info(struct store *s, const char *ns, int64_t max_age_ns, bool stale_ok, struct ns_info *info);
int store_ns_list(struct store *s, backend_name_fn fn, void *arg);

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
 * currentVersion, attemptedVersion, id?. ns NULL: of all namespaces; actor NULL: of all actors of ns. At most STORE_CONFLICTS are kept.
 */
#define STORE_CONFLICTS 1024
void store_conflicts(struct store *s, const char *ns, const char *actor, struct buf *out);
/* The newest one of that actor, without newline; nothing if there is none. */
void store_conflict_last(struct store *s, const char *ns, const char *actor, struct buf *out);

#endif
