/*
 * The body of the JetStream backend, for jetstream.c (connection, records) and js_namespace.c (streams). Nobody else includes this.
 */
#ifndef AETHER_STORE_JS_STATE_H
#define AETHER_STORE_JS_STATE_H

#include <pthread.h>

#include "backend.h"
#include "clock.h"
#include "logger.h"
#include "rpc.h"
#include "table.h"
#include "timer.h"

/* What is remembered of a stream. */
struct js_stream {
	struct table_link link;
	uint64_t replicas;
	char fence[40];       /* the nonce of a fence seen on it, empty if there is none */
	int64_t fence_seen_ns; /* since when */
	char ns[];
};

struct jetstream {
	struct backend base;
	const struct clock *clock;
	struct logger *lg;
	struct timer *timer;
	struct rpc *rpc;
	jsCtx *js;
	char *prefix;
	int replicas;

	pthread_mutex_t lock;
	struct table streams; /* guarded by lock */
};

static inline struct jetstream *
js_of(struct backend *b)
{
	return container_of(b, struct jetstream, base);
}

/* Append the name of the namespace's stream. */
void js_stream_name(const struct jetstream *js, const char *ns, struct buf *out);

/* Append the subject of the namespace's actors, for all of them ("*") if actor is NULL; kind is "ev", or "rm" for the fence. */
void js_subject(const struct jetstream *js, const char *kind, const char *ns, const char *actor, struct buf *out);

/* How many replicas the stream has, as far as is known; 0 if not. */
uint64_t js_known_replicas(struct jetstream *js, const char *ns);

/* The operations on namespaces. */
int js_ns_create(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns);
int js_ns_remove(struct backend *b, const char *ns, int64_t deadline_ns);
int js_ns_info(struct backend *b, const char *ns, int64_t deadline_ns, struct ns_info *info);
int js_ns_set(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns);
int js_ns_list(struct backend *b, int64_t deadline_ns, backend_name_fn fn, void *arg);
int js_actor_list(struct backend *b, const char *ns, int64_t deadline_ns, backend_name_fn fn, void *arg);

void js_free_streams(struct jetstream *js);

#endif
