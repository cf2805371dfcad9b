#include "jetstream.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "js_api.h"
#include "js_docs.h"
#include "js_erase.h"
#include "js_follow.h"
#include "js_inbox.h"
#include "js_last.h"
#include "js_message.h"
#include "js_names.h"
#include "js_options.h"
#include "js_state.h"
#include "js_watch.h"
#include "wait.h"

/* JetStream's default, and long enough for a writer to try again. */
#define DEDUP_WINDOW_NS (120 * NS_PER_SEC)

/* What the server counts as payload includes the headers; this is more than ours without the names. */
#define HEADERS_ROOM 640
/* An id of 128 bytes and an actor's name of 255, all percent-encoded, in the message id. */
#define NAMES_ROOM (3 * (128 + 255))

/* One request under way. */
struct op {
	struct jetstream *js;
	int64_t deadline_ns;
	union {
		backend_publish_fn publish;
		backend_get_fn get;
	} fn;
	void *arg;
	struct backend_get want;
	bool plain;        /* whatever the answer */
	uint64_t prev_seq; /* of a publish */
	bool late;         /* the first question had no answer */
	char *subject;     /* of the actor */
	struct actor_name name;
	char names[];
};

static void
op_free(struct op *op)
{
	free(op->subject);
	free(op);
}

static struct op *
op_new(struct jetstream *js, struct actor_name name, int64_t deadline_ns, void *arg)
{
	size_t ns_size = strlen(name.ns) + 1, actor_size = name.actor != NULL ? strlen(name.actor) + 1 : 0;
	struct op *op = calloc(1, sizeof(*op) + ns_size + actor_size);
	struct buf subject = { 0 };

	if (op == NULL)
		return NULL;
	*op = (struct op){ .js = js, .deadline_ns = deadline_ns, .arg = arg };
	op->name.ns = memcpy(op->names, name.ns, ns_size);
	if (name.actor != NULL)
		op->name.actor = memcpy(op->names + ns_size, name.actor, actor_size);
	js_subject(js, "ev", name.ns, name.actor, &subject);
	op->subject = buf_text(&subject); /* owned by op from here on */
	if (op->subject == NULL) {
		op_free(op);
		return NULL;
	}
	return op;
}

void
js_request_info(struct jetstream *js, const char *ns, int64_t deadline_ns, rpc_fn fn, void *arg)
{
	struct buf subject = { 0 };

	buf_puts(&subject, "$JS.API.STREAM.INFO.");
	js_stream_name(js, ns, &subject);
	const char *text = buf_text(&subject);
	if (text == NULL)
		fn(arg, -ENOMEM, NULL);
	else
		rpc_request(js->rpc, text, NULL, 0, NULL, 0, deadline_ns, fn, arg);
	buf_free(&subject);
}

/*
 * Nobody answers for the stream: is it that there is none, or that JetStream is not there? fn gets -ENOENT or
 * -ENOTCONN.
 */
static void
ask_for_stream(struct op *op, rpc_fn fn)
{
	js_request_info(op->js, op->name.ns, op->deadline_ns, fn, op);
}

static int
stream_answer(struct op *op, int err, natsMsg *reply)
{
	cJSON *info = NULL;

	if (err == 0)
		err = js_api_parse(op->js->lg, reply, &info);
	else if (err == -EHOSTUNREACH)
		err = -ENOTCONN;
	/* Else it is there, but does not listen at this moment. */
	if (err == 0)
		err = js_stream_removed(info) ? -ENOENT : -ENOTCONN;
	cJSON_Delete(info);
	return err;
}

/* Publish */

static void
publish_done(struct op *op, int err, uint64_t seq, bool duplicate)
{
	op->fn.publish(op->arg, err, seq, duplicate);
	op_free(op);
}

static void
on_publish_stream(void *arg, int err, natsMsg *reply)
{
	err = stream_answer(arg, err, reply);
	/* We are here because nobody got the publish. */
	publish_done(arg, err == -ENOTCONN || err == -ETIMEDOUT ? -EHOSTUNREACH : err, 0, false);
}

static void
on_refused(void *arg, int err)
{
	publish_done(arg, err, 0, false);
}

static void
on_publish_reply(void *arg, int err, natsMsg *reply)
{
	struct op *op = arg;
	cJSON *ack = NULL;
	uint64_t seq = 0;
	bool duplicate = false;

	if (err == -EHOSTUNREACH) {
		ask_for_stream(op, on_publish_stream);
		return;
	}
	if (err == 0 && js_api_plain_ack(reply, &seq)) {
		publish_done(op, 0, seq, false);
		return;
	}
	if (err == 0)
		err = js_api_parse(op->js->lg, reply, &ack);
	if (err == -ESTALE && op->prev_seq != 0 && js_api_refused_for_none(reply)) {
		js_last_refused(op->js, op->name, op->prev_seq, op->deadline_ns, on_refused, op);
		return;
	}
	if (err == 0) {
		seq = js_number(ack, "seq", 0);
		duplicate = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(ack, "duplicate"));
		/* A duplicate of what the leader has not stored yet, and may never: until 2.10 so, later an error (js_api.c). */
		if (seq == 0)
			err = -ENOTCONN;
	}
	cJSON_Delete(ack);
	publish_done(op, err, seq, duplicate);
}

static void
jetstream_publish(struct backend *b, struct actor_name name, const struct record *r, const char *msg_id,
    int64_t deadline_ns, backend_publish_fn fn, void *arg)
{
	struct jetstream *js = js_of(b);
	struct op *op = op_new(js, name, deadline_ns, arg);
	char values[RECORD_HEADERS][RECORD_VALUE_MAX];
	struct rpc_header headers[RECORD_HEADERS + 1];

	if (op == NULL) {
		fn(arg, -ENOMEM, 0, false);
		return;
	}
	op->fn.publish = fn;
	op->prev_seq = r->prev_seq;
	record_encode(r, values);
	size_t count = 0;
	for (int i = 0; i < RECORD_HEADERS; i++)
		if (values[i][0] != '\0')
			headers[count++] = (struct rpc_header){ record_header_names[i], values[i] };
	headers[count++] = (struct rpc_header){ "Nats-Msg-Id", msg_id };
	rpc_request(js->rpc, op->subject, headers, count, r->payload.p, r->payload.len, deadline_ns,
	    on_publish_reply, op);
}

/* Get */

static void
get_done(struct op *op, int err, const struct record *r)
{
	op->fn.get(op->arg, err, r);
	op_free(op);
}

static void
on_last_found(void *arg, int err, const struct record *r)
{
	get_done(arg, err, r);
}

static void send_get(struct op *op);

/* What the server says of a get; no last message needs a second look. */
static void
get_answered(struct op *op, int err, const struct record *r)
{
	bool none = err == -ENOENT && op->want.kind == GET_LAST && !op->plain;

	if (none && !js_is_trusted(op->js, op->name.ns)) {
		js_last_find(op->js, op->name, op->deadline_ns, on_last_found, op);
	} else if (none && !op->want.fresh && js_known_replicas(op->js, op->name.ns) != 1) {
		op->want.fresh = true; /* the replica may be behind */
		send_get(op);
	} else {
		get_done(op, err, err == 0 ? r : NULL);
	}
}

static void
on_get_stream(void *arg, int err, natsMsg *reply)
{
	struct op *op = arg;

	err = stream_answer(op, err, reply);
	get_done(op, op->late && err == -ENOTCONN ? -ETIMEDOUT : err, NULL);
}

static void
on_get_reply(void *arg, int err, natsMsg *reply)
{
	struct op *op = arg;
	struct record r;

	/* nats-server 2.9 goes on listening for direct gets of a stream that was deleted, and does not answer them. */
	if (err == -EHOSTUNREACH || (err == -ETIMEDOUT && rpc_connected(op->js->rpc))) {
		op->late = err == -ETIMEDOUT;
		ask_for_stream(op, on_get_stream);
		return;
	}
	if (err == 0)
		err = js_message_direct(op->js->lg, reply, op->subject, &r);
	get_answered(op, err, &r);
}

/* The leader's own answer, for streams whose other replicas may lag. */
static void
on_leader_reply(void *arg, int err, natsMsg *reply)
{
	struct op *op = arg;
	struct js_leader_message m = { 0 };
	struct record r;

	if (err == -EHOSTUNREACH)
		err = -ENOTCONN;
	if (err == 0)
		err = js_message_leader(op->js->lg, reply, op->subject, &m, &r);
	get_answered(op, err, &r);
	js_leader_message_free(&m);
}

static void
put_request(const struct op *op, struct buf *out)
{
	switch (op->want.kind) {
	case GET_LAST:
		buf_printf(out, "{\"last_by_subj\":\"%s\"}", op->subject);
		return;
	case GET_SEQ:
		buf_printf(out, "{\"seq\":%llu}", (unsigned long long)op->want.seq);
		return;
	case GET_NEXT:
		buf_printf(
		    out, "{\"seq\":%llu,\"next_by_subj\":\"%s\"}", (unsigned long long)op->want.seq, op->subject);
		return;
	}
}

static void
send_get(struct op *op)
{
	struct jetstream *js = op->js;
	struct buf subject = { 0 }, body = { 0 };
	bool leader = op->want.fresh && js_known_replicas(js, op->name.ns) != 1;
	/* Leaves time to ask for the stream. */
	int64_t half_ns = op->deadline_ns - (op->deadline_ns - clock_mono(js->clock)) / 2;

	buf_puts(&subject, leader ? "$JS.API.STREAM.MSG.GET." : "$JS.API.DIRECT.GET.");
	js_stream_name(js, op->name.ns, &subject);
	put_request(op, &body);
	const char *to = buf_text(&subject);
	if (to == NULL || body.failed)
		get_done(op, -ENOMEM, NULL);
	else
		rpc_request(js->rpc, to, NULL, 0, body.p, body.len, leader ? op->deadline_ns : half_ns,
		    leader ? on_leader_reply : on_get_reply, op);
	buf_free(&subject);
	buf_free(&body);
}

static void
get(struct jetstream *js, struct actor_name name, struct backend_get g, bool plain, int64_t deadline_ns,
    backend_get_fn fn, void *arg)
{
	struct op *op = op_new(js, name, deadline_ns, arg);

	if (op == NULL) {
		fn(arg, -ENOMEM, NULL);
		return;
	}
	op->fn.get = fn;
	op->want = g;
	op->plain = plain;
	send_get(op);
}

static void
jetstream_get(
    struct backend *b, struct actor_name name, struct backend_get g, int64_t deadline_ns, backend_get_fn fn, void *arg)
{
	get(js_of(b), name, g, false, deadline_ns, fn, arg);
}

void
js_get_plain(struct jetstream *js, struct actor_name name, struct backend_get g, int64_t deadline_ns, backend_get_fn fn,
    void *arg)
{
	get(js, name, g, true, deadline_ns, fn, arg);
}

/* The rest */

static uint64_t
payload_max(struct jetstream *js)
{
	int64_t max = rpc_max_payload(js->rpc);

	return max > HEADERS_ROOM + NAMES_ROOM ? (uint64_t)(max - HEADERS_ROOM - NAMES_ROOM) : 1;
}

static int
jetstream_limits(struct backend *b, int64_t deadline_ns, struct backend_limits *limits)
{
	struct jetstream *js = js_of(b);
	cJSON *info = NULL;

	int err = js_api_call(js->rpc, js->lg, "INFO", NULL, NULL, deadline_ns, &info);
	if (err != 0)
		return err;
	const cJSON *max = cJSON_GetObjectItemCaseSensitive(info, "limits");
	limits->payload_max = payload_max(js);
	limits->used_bytes = js_number(info, "storage", 0);
	/* -1 stands for none, which js_number takes as missing. */
	limits->max_bytes = js_number(max, "max_storage", UINT64_MAX);
	cJSON_Delete(info);
	return 0;
}

static void
jetstream_status(struct backend *b, struct backend_status *status)
{
	struct jetstream *js = js_of(b);

	*status = (struct backend_status){ .connected = rpc_connected(js->rpc),
		.silent = rpc_is_silent(js->rpc),
		.reconnects = rpc_reconnects(js->rpc),
		.payload_max = payload_max(js) };
}

static void
jetstream_url(struct backend *b, char *out, size_t size)
{
	struct jetstream *js = js_of(b);

	out[0] = '\0';
	if (rpc_connected(js->rpc))
		js_options_shown_url(rpc_connection(js->rpc), out, size);
}

static bool
jetstream_wait(struct backend *b, int64_t deadline_ns, void (*fn)(void *arg), void *arg)
{
	return rpc_wait(js_of(b)->rpc, deadline_ns, fn, arg);
}

static void
jetstream_after(struct backend *b, int64_t at_ns, void (*fn)(void *arg), void *arg)
{
	if (timer_at(js_of(b)->timer, at_ns, fn, arg) != 0)
		fn(arg);
}

static void
jetstream_free(struct backend *b)
{
	struct jetstream *js = js_of(b);

	js_watches_close(js->watches);
	jsCtx_Destroy(js->js);
	if (js->rpc != NULL)
		rpc_close(js->rpc);
	js_follows_close(js->follows);
	js_names_close(js->names);
	js_docs_close(js->docs);
	timer_free(js->timer);
	js_inboxes_free(js);
	js_follows_free(js->follows);
	js_names_free(js->names);
	js_docs_free(js->docs);
	js_watches_free(js->watches);
	rpc_free(js->rpc);
	js_free_streams(js);
	lock_destroy(&js->lock);
	free(js->prefix);
	free(js);
}

static const struct backend_ops jetstream_ops = {
	.name = "jetstream",
	.publish = jetstream_publish,
	.get = jetstream_get,
	.purge = js_purge,
	.scan = js_scan,
	.ns_create = js_ns_create,
	.ns_remove = js_ns_remove,
	.ns_info = js_ns_info,
	.ns_set = js_ns_set,
	.ns_list = js_ns_list,
	.seq_at = js_seq_at,
	.doc_put = js_doc_put,
	.doc_get = js_doc_get,
	.doc_list = js_doc_list,
	.models_listen = js_models_listen,
	.doc_drop = js_doc_drop,
	.watch = js_watch,
	.watch_stop = js_watch_stop,
	.follow = js_follow,
	.follow_hold = js_follow_hold,
	.follow_stop = js_follow_stop,
	.names_listen = js_names_listen,
	.limits = jetstream_limits,
	.status = jetstream_status,
	.url = jetstream_url,
	.wait = jetstream_wait,
	.after = jetstream_after,
	.free = jetstream_free,
};

static void
on_disconnect(void *arg)
{
	struct jetstream *js = arg;

	js_follows_lost(js->follows);
	if (js->on_disconnect != NULL)
		js->on_disconnect(js->on_disconnect_arg);
}

static void
on_reconnect(void *arg)
{
	struct jetstream *js = arg;

	js_names_hint(js->names);
	js_docs_hint(js->docs);
}

/* While a server, or a cluster, is starting it may not answer yet; that JetStream is not enabled it says at once. */
static int
first_answer(struct jetstream *js, int64_t deadline_ns, struct buf *why)
{
	struct backend_limits limits;
	unsigned tries = 0;
	int err;

	do {
		int64_t asked_ns = clock_mono(js->clock);
		err = jetstream_limits(&js->base, deadline_ns, &limits);
		if (err == -ENOTCONN && clock_mono(js->clock) - asked_ns < RPC_TRY_NS) {
			buf_puts(why, "the NATS server is there, but JetStream does not answer: it is not enabled");
			return err;
		}
	} while (err == -ENOTCONN && (err = wait_retry(&js->base, js->clock, deadline_ns, &tries)) == 0);
	if (err != 0)
		buf_printf(why, "the NATS server is there, but JetStream does not answer: %s", strerror(-err));
	return err;
}

static int
connect_to(struct jetstream *js, const struct jetstream_options *options, struct buf *why)
{
	struct rpc_options rpc = { .on_disconnect = on_disconnect, .on_reconnect = on_reconnect, .arg = js };

	int err = js_options_make(&rpc.nats, options, why);
	if (err == 0)
		err = js_options_make(&rpc.lane, options, why);
	if (err == 0)
		err = rpc_new(&js->rpc, &rpc, js->clock, js->timer, js->lg, why);
	else
		natsOptions_Destroy(rpc.lane);
	natsOptions_Destroy(rpc.nats);
	rpc.nats = NULL;
	if (err == 0)
		err = js_options_make(&rpc.nats, options, why);
	if (err == 0)
		err = js_watches_new(&js->watches, js, rpc.nats);
	if (err == 0)
		err = js_follows_open(js->follows);
	if (err == 0)
		err = js_names_open(js->names);
	if (err == 0)
		err = js_docs_open(js->docs);
	if (err == 0 && natsConnection_JetStream(&js->js, rpc_connection(js->rpc), NULL) != NATS_OK)
		err = -ENOMEM;
	return err != 0 ? err : first_answer(js, clock_mono(js->clock) + options->connect_timeout_ns, why);
}

int
jetstream_new(struct backend **out, const struct jetstream_options *options, const struct clock *clock,
    struct logger *lg, struct buf *why)
{
	struct jetstream *js = calloc(1, sizeof(*js));

	if (js == NULL)
		return -ENOMEM;
	js->base = (struct backend){ .ops = &jetstream_ops, .dedup_window_ns = DEDUP_WINDOW_NS };
	atomic_init(&js->base.few_at_once, true);
	js->clock = clock;
	js->lg = lg;
	js->replicas = options->replicas;
	js->on_disconnect = options->on_disconnect;
	js->on_disconnect_arg = options->arg;
	js->prefix = strdup(options->prefix);
	lock_init(&js->lock, LOCK_STREAMS);
	int err = js->prefix == NULL ? -ENOMEM : timer_new(&js->timer, clock);
	if (err == 0)
		err = js_follows_new(&js->follows, js);
	if (err == 0)
		err = js_names_new(&js->names, js);
	if (err == 0)
		err = js_docs_new(&js->docs, js);
	if (err == 0)
		err = connect_to(js, options, why);
	if (err != 0) {
		jetstream_free(&js->base);
		return err;
	}
	*out = &js->base;
	return 0;
}
