/*
 * Many records of an actor in order: the backend's scan, by an ephemeral pull consumer of its own.
 *
 * That of a whole namespace has no filter (servers 2.9 count a filter's messages when they make a consumer); what is no actor's is
 * passed over here.
 *
 * A pull consumer, because what is on its way is then bounded by what was asked for, whatever the reader does: two
 * requests are out, and a new one goes out when the end of one has been met among the messages. Nothing is acknowledged;
 * the chain and the consumer's own count tell if something is missing.
 */
#include <errno.h>
#include <time.h>

#include "js_api.h"
#include "js_batch.h"
#include "js_inbox.h"
#include "js_message.h"
#include "js_state.h"
#include "rpc_spent.h"

/* How long the server has for deleting a consumer. */
#define DELETE_MS 1000
/* What one request asks for, unless one message may be larger. */
#define PULL_BYTES (2 * 1024 * 1024)
#define PULL_MESSAGES 100000
#define MESSAGE_ROOM 4096
#define PULLS 2
#define PULL_EXPIRES_NS (30 * NS_PER_SEC)
/* The server forgets the consumer of a node that died after this. */
#define INACTIVE_NS (10 * NS_PER_SEC)
/* How long the queue is left to fill once it has run empty: to be woken for every message costs more than the message. */
#define NAP_NS 100000
#define TICK_MS 250

struct scan {
	struct jetstream *js;
	struct js_inbox *inbox;
	struct buf stream;
	struct buf consumer; /* its name */
	struct buf pull;     /* the subject of requests */
	struct buf lead;     /* of the subjects of a whole namespace's actors, before the actor's name; empty for one actor */
	uint64_t pull_bytes;
	bool few; /* one request is likely to do */
	uint64_t received; /* messages */
	uint64_t asked_at; /* received then */
	uint64_t pending;  /* behind the last one */
	struct rpc_spent spent;
};

static cJSON *
consumer_config(struct jetstream *js, struct actor_name name, const char *stream, uint64_t from_seq)
{
	struct buf subject = { 0 };
	cJSON *request = cJSON_CreateObject(), *config = cJSON_AddObjectToObject(request, "config");

	js_subject(js, "ev", name.ns, name.actor, &subject);
	const char *filter = buf_text(&subject);
	bool all = name.actor == NULL;
	bool ok = filter != NULL && cJSON_AddStringToObject(request, "stream_name", stream) != NULL &&
		  cJSON_AddStringToObject(config, "deliver_policy", "by_start_sequence") != NULL &&
		  cJSON_AddNumberToObject(config, "opt_start_seq", (double)from_seq) != NULL &&
		  (all || cJSON_AddStringToObject(config, "filter_subject", filter) != NULL) &&
		  cJSON_AddStringToObject(config, "ack_policy", "none") != NULL &&
		  cJSON_AddStringToObject(config, "replay_policy", "instant") != NULL &&
		  cJSON_AddNumberToObject(config, "inactive_threshold", (double)INACTIVE_NS) != NULL &&
		  cJSON_AddNumberToObject(config, "num_replicas", 1) != NULL &&
		  cJSON_AddTrueToObject(config, "mem_storage") != NULL;
	buf_free(&subject);
	if (ok)
		return request;
	cJSON_Delete(request);
	return NULL;
}

/* Make the consumer; its answer says how much there is. */
static int
make_consumer(struct scan *s, struct actor_name name, uint64_t from_seq, int64_t deadline_ns)
{
	struct jetstream *js = s->js;
	const char *stream;
	cJSON *info = NULL;

	js_stream_name(js, name.ns, &s->stream);
	stream = buf_text(&s->stream);
	cJSON *request = stream != NULL ? consumer_config(js, name, stream, from_seq) : NULL;
	if (request == NULL)
		return -ENOMEM;
	int err = js_api_call(js->rpc, js->lg, "CONSUMER.CREATE", stream, request, deadline_ns, &info);
	if (err != 0)
		return err;
	s->pending = js_number(info, "num_pending", 0);
	buf_puts(&s->consumer, js_text(info, "name", ""));
	cJSON_Delete(info);
	buf_printf(&s->pull, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", stream, buf_text(&s->consumer));
	return buf_text(&s->pull) != NULL && !s->consumer.failed ? 0 : -ENOMEM;
}

static int
ask_for_more(struct scan *s)
{
	char request[128];

	snprintf(request, sizeof(request), "{\"batch\":%d,\"max_bytes\":%llu,\"expires\":%lld}", PULL_MESSAGES,
	    (unsigned long long)s->pull_bytes, (long long)PULL_EXPIRES_NS);
	s->asked_at = s->received;
	return js_errno(
	    natsConnection_PublishRequestString(rpc_connection(s->js->rpc), s->pull.p, s->inbox->subject, request));
}

/* What the first requests ask for. */
static void
set_pull(struct scan *s, const struct backend_range *range)
{
	/* The names and the reply subject count as well. */
	uint64_t largest = (uint64_t)rpc_max_payload(s->js->rpc) + MESSAGE_ROOM, few = range->records * MESSAGE_ROOM + range->bytes;

	s->pull_bytes = largest > PULL_BYTES ? largest : PULL_BYTES;
	s->few = range->records > 0 && few < s->pull_bytes;
	if (s->few)
		s->pull_bytes = few;
}

static int
open_scan(struct scan *s, struct actor_name name, const struct backend_range *range, int64_t deadline_ns)
{
	if (name.actor == NULL)
		js_subject(s->js, "ev", name.ns, "", &s->lead);
	int err = s->lead.failed ? -ENOMEM : make_consumer(s, name, range->from_seq, deadline_ns);

	if (err != 0)
		return err;
	set_pull(s, range);
	err = js_inbox_take(s->js, &s->inbox);
	for (int i = 0; i < (s->few ? 1 : PULLS) && err == 0 && s->pending > 0; i++)
		err = ask_for_more(s);
	return err;
}

static void
on_deleted(void *arg, int err, natsMsg *reply)
{
	/* If it was not, the server does it when it has been idle for long enough. */
	(void)arg, (void)err, (void)reply;
}

static void
delete_consumer(struct scan *s)
{
	struct jetstream *js = s->js;
	struct buf subject = { 0 };

	buf_printf(&subject, "$JS.API.CONSUMER.DELETE.%s.%s", s->stream.p, s->consumer.p);
	if (buf_text(&subject) != NULL)
		rpc_request(js->rpc, subject.p, NULL, 0, NULL, 0, clock_mono(js->clock) + DELETE_MS * NS_PER_MS,
		    on_deleted, NULL);
	buf_free(&subject);
}

static void
close_scan(struct scan *s, int err)
{
	if (s->pull.len > 0)
		delete_consumer(s);
	/* What was asked for may still be on its way. */
	js_inbox_give(s->js, s->inbox, err == -ETIMEDOUT || err == -ENOTCONN ? JS_INBOX_SILENT : JS_INBOX_BUSY);
	buf_free(&s->lead);
	buf_free(&s->pull);
	buf_free(&s->consumer);
	buf_free(&s->stream);
}

static void
nap(void)
{
	struct timespec pause = { .tv_nsec = NAP_NS };

	nanosleep(&pause, NULL);
}

/* The next message. -EAGAIN: none for a moment. */
static int
next_message(struct scan *s, natsMsg **msg)
{
	natsStatus status = natsSubscription_NextMsg(msg, s->inbox->sub, 0);

	if (status == NATS_TIMEOUT) {
		nap();
		status = natsSubscription_NextMsg(msg, s->inbox->sub, TICK_MS);
	}
	if (status != NATS_TIMEOUT)
		return js_errno(status);
	/* The consumer may be gone with its server; the caller opens a new one. */
	return rpc_connected(s->js->rpc) ? -EAGAIN : -ENOTCONN;
}

/* A request has ended, and why is said in place of a message. */
static int
request_ended(struct scan *s, natsMsg *msg)
{
	const char *status = NULL, *text = NULL;

	if (natsMsg_IsNoResponders(msg) || natsMsgHeader_Get(msg, "Status", &status) != NATS_OK || status == NULL)
		return -ENOTCONN;
	if (natsMsgHeader_Get(msg, "Description", &text) != NATS_OK || text == NULL)
		text = "";
	bool full = strcmp(status, "409") == 0 && strstr(text, "MaxBytes") != NULL;
	/* What is left: the consumer was deleted, or its leader went. */
	if (!full && strcmp(status, "404") != 0 && strcmp(status, "408") != 0)
		return -ENOTCONN;
	/* More was counted than we know of. */
	if (full && s->received == s->asked_at)
		s->pull_bytes *= 2;
	return ask_for_more(s);
}

struct js_scanned {
	struct scanned base;
	natsMsg *msg;
};

static void
decode(const struct scanned *m, struct record *r)
{
	js_message_decode(container_of(m, const struct js_scanned, base)->msg, m->seq, r);
}

static int
actor(const struct scanned *m, struct buf *name)
{
	return js_message_actor(natsMsg_GetSubject(container_of(m, const struct js_scanned, base)->msg), name);
}

/* Hand out one message. Returns as backend_scan_fn, or 1 at the end. */
static int
hand_out(struct scan *s, natsMsg *msg, uint64_t to_seq, backend_scan_fn fn, void *arg)
{
	struct js_scanned m = { .base.decode = decode, .base.actor = actor, .msg = msg };
	struct js_delivered d;
	int stop = 0;

	if (!js_message_delivered(msg, &d))
		return request_ended(s, msg);
	if (d.consumer_seq != ++s->received)
		return -ENOTCONN; /* one was lost on the way */
	m.base.seq = d.seq;
	m.base.payload = d.payload;
	m.base.last = d.pending == 0 || d.seq >= to_seq;
	if (d.seq <= to_seq && (s->lead.len == 0 || strncmp(natsMsg_GetSubject(msg), s->lead.p, s->lead.len) == 0))
		stop = fn(arg, &m.base);
	return stop == 0 && m.base.last ? 1 : stop;
}

static int
scan_by_consumer(struct jetstream *js, struct actor_name name, const struct backend_range *range, int64_t idle_ns,
    backend_scan_fn fn, void *arg)
{
	struct scan s = { .js = js };
	int64_t idle_since = clock_mono(js->clock);
	bool idle = true;

	rpc_spent_init(&s.spent);
	int err = open_scan(&s, name, range, idle_since + 2 * idle_ns);
	bool more = err == 0 && s.pending > 0;
	while (more) {
		natsMsg *msg = NULL;
		err = next_message(&s, &msg);
		if (err == 0) {
			err = hand_out(&s, msg, range->to_seq, fn, arg);
			idle = false;
		} else if (err == -EAGAIN) {
			int64_t now = clock_mono(js->clock);
			/* Since the pause before this one, at most. */
			idle_since = idle ? idle_since : now;
			idle = true;
			err = fn(arg, NULL);
			if (err == 0 && now - idle_since >= idle_ns)
				err = -ETIMEDOUT;
		}
		rpc_spent_add(&s.spent, msg);
		more = err == 0;
	}
	close_scan(&s, err);
	rpc_spent_free(&s.spent);
	return err < 0 ? err : 0;
}

int
js_scan(struct backend *b, struct actor_name name, struct backend_range range, int64_t idle_ns, backend_scan_fn fn,
    void *arg)
{
	struct jetstream *js = js_of(b);
	uint64_t reconnects = rpc_reconnects(js->rpc);

	/* It may be another server now. */
	if (range.records > 0 && atomic_exchange(&js->few_tried, reconnects) != reconnects)
		atomic_store(&b->few_at_once, true);
	bool few = atomic_load(&b->few_at_once);
	if (!few || range.records == 0 || range.records > BACKEND_FEW)
		return scan_by_consumer(js, name, &range, idle_ns, fn, arg);
	int err = js_batch(js, name, range, idle_ns, fn, arg, &few);
	if (!few)
		atomic_store(&b->few_at_once, false);
	return err;
}
