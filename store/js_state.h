/*
 * The body of the JetStream backend, for the files that make it up: jetstream.c (connection, records), js_last.c (an
 * actor's last record, where the server has forgotten it), js_scan.c (many records in order), js_batch.c (a few of them), js_time.c (where a time is among them), js_docs.c (documents), js_inbox.c (where their messages come to), js_ns_stream.c, js_namespace.c, js_ns_remove.c and js_ns_list.c (namespaces as streams), js_erase.c (what is left of erased actors), js_streams.c (what
 * is remembered of them), js_watch.c and js_consumer.c (watches), js_follow.c and js_pull.c (follows), js_names.c (hints that namespaces come and go). Nobody else includes this.
 */
#ifndef AETHER_STORE_JS_STATE_H
#define AETHER_STORE_JS_STATE_H

#include <cjson/cJSON.h>

#include "backend.h"
#include "clock.h"
#include "lock.h"
#include "logger.h"
#include "rpc.h"
#include "table.h"
#include "timer.h"

struct js_watches;
struct js_follows;
struct js_names;
struct js_docs;

struct jetstream {
	struct backend base;
	const struct clock *clock;
	struct logger *lg;
	struct timer *timer;
	struct rpc *rpc;
	jsCtx *js;
	struct js_watches *watches; /* js_watch.c's */
	struct js_follows *follows; /* js_follow.c's */
	struct js_names *names;     /* js_names.c's */
	struct js_docs *docs;       /* js_docs.c's */
	void (*on_disconnect)(void *arg); /* as in jetstream_options */
	void *on_disconnect_arg;
	char *prefix;
	int replicas;

	struct lock lock;
	struct table streams; /* js_streams.c's; guarded by lock */
	struct js_inbox *kept_inboxes, *left_inboxes; /* js_inbox.c's; guarded by lock */
	unsigned kept_count;
	atomic_uint_fast64_t few_tried; /* the last reconnect after which the server was asked for a batch */
};

static inline struct jetstream *
js_of(struct backend *b)
{
	return container_of(b, struct jetstream, base);
}

/* Append the name of the namespace's stream. */
void js_stream_name(const struct jetstream *js, const char *ns, struct buf *out);

/* Append the subject of the namespace's actors, for all of them ("*") if actor is NULL; kind is "ev", or "rm" for the
 * fence. */
void js_subject(const struct jetstream *js, const char *kind, const char *ns, const char *actor, struct buf *out);

/* As the backend's get, but for GET_LAST what the server says is taken as it is. */
void js_get_plain(struct jetstream *js, struct actor_name name, struct backend_get g, int64_t deadline_ns,
    backend_get_fn fn, void *arg);

/* The backend's scan. */
int js_scan(struct backend *b, struct actor_name name, struct backend_range range, int64_t idle_ns, backend_scan_fn fn,
    void *arg);

/* The backend's seq_at (js_time.c). */
int js_seq_at(struct backend *b, const char *ns, int64_t time_ns, int64_t deadline_ns, uint64_t *seq, int64_t *wait_ns);

/* What tells one stream from another of the same name, never 0, and its last sequence, from the answer of STREAM.INFO. */
void js_stream_state(const cJSON *info, uint64_t *epoch, uint64_t *last_seq);

/* Is it that of a namespace that was removed, kept for its tombstones (js_ns_state.h)? From the same. */
bool js_stream_removed(const cJSON *info);
/* Is somebody about to remove it? */
bool js_stream_fenced(const cJSON *info);

/* What nats.c says of a request or of waiting for its answer, as backend.h has it. */
int js_errno(natsStatus s);

/* Ask for the stream's information: rpc_request. */
void js_request_info(struct jetstream *js, const char *ns, int64_t deadline_ns, rpc_fn fn, void *arg);

/*
 * What is remembered of streams; where there is no memory for it, it is as if nothing had been said.
 */

/* How many replicas the stream has, as far as is known; 0 if not. */
uint64_t js_known_replicas(struct jetstream *js, const char *ns);
void js_note_replicas(struct jetstream *js, const char *ns, uint64_t replicas);

/* fence: the nonce of the fence that the stream has now, empty if it has none. True if it has been seen so long that
 * its remover must have left it behind. */
bool js_note_stream(struct jetstream *js, const char *ns, uint64_t replicas, const char *fence);

/* Is the server that keeps the stream one that never forgets a subject's last message (js_last.h)? False if not known.
 */
void js_note_trusted(struct jetstream *js, const char *ns, bool trusted);
bool js_is_trusted(struct jetstream *js, const char *ns);

/* True the first time that it is called for a stream, so that what is wrong with it is logged once. */
bool js_first_report(struct jetstream *js, const char *ns);

void js_forget_stream(struct jetstream *js, const char *ns);
void js_free_streams(struct jetstream *js);

/* The operations on namespaces. */
int js_ns_create(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns);
int js_ns_remove(struct backend *b, const char *ns, int64_t deadline_ns);
int js_ns_info(struct backend *b, const char *ns, int64_t deadline_ns, struct ns_info *info);
int js_ns_set(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns);
int js_ns_list(struct backend *b, int64_t deadline_ns, backend_name_fn fn, void *arg);

#endif
