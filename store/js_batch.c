#include "js_batch.h"

#include <errno.h>

#include "js_inbox.h"
#include "js_message.h"

/* What a server counts for each message besides its payload, about. */
#define HEADERS_BYTES 512
#define TICK_MS 250

struct batched {
	struct scanned base;
	struct record record;
	natsMsg *msg;
};

/* One question. */
struct batch_question {
	struct jetstream *js;
	struct js_inbox *inbox;
	struct buf subject; /* of the actor, or of all */
	struct backend_range range;
	backend_scan_fn fn;
	void *arg;
	int64_t idle_ns;
	int64_t idle_since_ns;
	bool stopped;  /* fn wants no more; what is on its way is thrown away */
	bool answered; /* nothing more comes for it */
};

static int
ask(struct batch_question *q, const char *stream)
{
	struct buf to = { 0 }, body = { 0 };
	int err = -ENOMEM;

	buf_printf(&to, "$JS.API.DIRECT.GET.%s", stream);
	buf_printf(&body, "{\"seq\":%llu,\"next_by_subj\":\"%s\",\"batch\":%llu", (unsigned long long)q->range.from_seq,
	    q->subject.p, (unsigned long long)q->range.records);
	if (q->range.bytes > 0)
		buf_printf(&body, ",\"max_bytes\":%llu", (unsigned long long)(q->range.bytes + q->range.records * HEADERS_BYTES));
	buf_puts(&body, "}");
	if (buf_text(&to) != NULL && buf_text(&body) != NULL)
		err = js_errno(
		    natsConnection_PublishRequestString(rpc_connection(q->js->rpc), to.p, q->inbox->subject, body.p));
	buf_free(&to);
	buf_free(&body);
	return err;
}

static void
decode(const struct scanned *m, struct record *r)
{
	*r = container_of(m, const struct batched, base)->record;
}

static int
actor(const struct scanned *m, struct buf *name)
{
	const char *subject = NULL;

	(void)natsMsgHeader_Get(container_of(m, const struct batched, base)->msg, "Nats-Subject", &subject);
	return js_message_actor(subject, name);
}

/* Returns as backend_scan_fn. */
static int
hand_out(struct batch_question *q, natsMsg *msg)
{
	struct batched m = { .base.decode = decode, .base.actor = actor, .msg = msg };

	int err = js_message_direct(q->js->lg, msg, q->subject.p, &m.record);
	if (err != 0)
		return err;
	m.base.seq = m.record.seq;
	m.base.payload = m.record.payload;
	/* Whether another one follows is not known: the server may have come to its limit. */
	m.base.last = true;
	if (q->stopped || m.base.seq > q->range.to_seq)
		return 0;
	return q->fn(q->arg, &m.base);
}

/* Takes the message. Sets answered at the end. */
static int
take(struct batch_question *q, natsMsg *msg, bool *few)
{
	const char *value = NULL;
	int err = 0;

	if (natsMsgHeader_Get(msg, "Status", &value) == NATS_OK && value != NULL) {
		/* The end of the batch, or there was nothing for it; else it is refused, and a consumer has to do. */
		q->answered = true;
		if (strcmp(value, "404") != 0)
			*few = strcmp(value, "204") == 0;
	} else {
		*few = natsMsgHeader_Get(msg, "Nats-Num-Pending", &value) == NATS_OK;
		q->answered = !*few;
		err = hand_out(q, msg);
		if (err > 0) {
			q->stopped = true;
			err = 0;
		}
	}
	natsMsg_Destroy(msg);
	return err;
}

/* Nothing has come for a moment. */
static int
on_pause(struct batch_question *q)
{
	if (!rpc_connected(q->js->rpc))
		return -ENOTCONN;
	if (clock_mono(q->js->clock) - q->idle_since_ns >= q->idle_ns)
		return -ETIMEDOUT;
	int stop = q->stopped ? 0 : q->fn(q->arg, NULL);
	q->stopped = q->stopped || stop > 0;
	return stop < 0 ? stop : 0;
}

static int
listen(struct batch_question *q, bool *few)
{
	int err = 0;

	q->idle_since_ns = clock_mono(q->js->clock);
	while (err == 0 && !q->answered) {
		natsMsg *msg = NULL;
		natsStatus s = natsSubscription_NextMsg(&msg, q->inbox->sub, TICK_MS);
		if (s == NATS_OK) {
			err = take(q, msg, few);
			q->idle_since_ns = clock_mono(q->js->clock);
		} else if (s == NATS_TIMEOUT) {
			err = on_pause(q);
		} else {
			err = js_errno(s);
			q->answered = s == NATS_NO_RESPONDERS;
		}
	}
	return err;
}

int
js_batch(struct jetstream *js, struct actor_name name, struct backend_range range, int64_t idle_ns, backend_scan_fn fn,
    void *arg, bool *few)
{
	struct batch_question q = { .js = js, .range = range, .fn = fn, .arg = arg, .idle_ns = idle_ns };
	struct buf stream = { 0 };

	js_subject(js, "ev", name.ns, name.actor, &q.subject);
	js_stream_name(js, name.ns, &stream);
	int err = buf_text(&q.subject) != NULL && buf_text(&stream) != NULL ? 0 : -ENOMEM;
	if (err == 0)
		err = js_inbox_take(js, &q.inbox);
	if (err == 0) {
		err = ask(&q, stream.p);
		if (err == 0)
			err = listen(&q, few);
		js_inbox_give(js, q.inbox, q.answered ? JS_INBOX_CLEAN : JS_INBOX_SILENT);
	}
	buf_free(&stream);
	buf_free(&q.subject);
	return err;
}
