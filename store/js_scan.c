/* Many records of an actor in order: the backend's scan, by an ordered consumer. */
#include <errno.h>

#include "js_api.h"
#include "js_message.h"
#include "js_state.h"

/* How long the end of a scan waits at most for the server to answer. */
#define SCAN_CLOSE_MS 1000

static int
scan_errno(natsStatus s)
{
	switch ((int)s) {
	case NATS_OK:
		return 0;
	case NATS_TIMEOUT:
		return -ETIMEDOUT;
	case NATS_NOT_FOUND:
		return -ENOENT;
	case NATS_NO_MEMORY:
		return -ENOMEM;
	case NATS_CONNECTION_CLOSED:
	case NATS_CONNECTION_DISCONNECTED:
	case NATS_NO_RESPONDERS:
	case NATS_NO_SERVER_SUPPORT:
		return -ENOTCONN;
	default:
		return -EIO;
	}
}

static int
open_scan(struct jetstream *js, struct actor_name name, uint64_t from_seq, natsSubscription **sub)
{
	struct buf subject = { 0 }, stream = { 0 };
	jsSubOptions options;
	jsErrCode code = 0;
	natsStatus s = NATS_NO_MEMORY;

	jsSubOptions_Init(&options);
	js_subject(js, "ev", name.ns, name.actor, &subject);
	js_stream_name(js, name.ns, &stream);
	options.Stream = buf_text(&stream);
	options.Ordered = true;
	options.Config.DeliverPolicy = js_DeliverByStartSequence;
	options.Config.OptStartSeq = from_seq;
	if (buf_text(&subject) != NULL && options.Stream != NULL)
		s = js_SubscribeSync(sub, js->js, subject.p, NULL, &options, &code);
	buf_free(&subject);
	buf_free(&stream);
	return code != 0 ? js_api_error(js->lg, 0, (int)code, natsStatus_GetText(s)) : scan_errno(s);
}

/*
 * The reading thread of nats.c 3.4 and 3.5 may still be putting a message into a subscription that is freed. So the
 * server is told to send no more (one message has come long ago, or will not be missed), and once that thread has seen
 * the answer to a ping behind it, it is done with this one.
 */
static void
close_scan(struct jetstream *js, natsSubscription *sub)
{
	if (sub == NULL)
		return;
	natsSubscription_AutoUnsubscribe(sub, 1);
	if (rpc_connected(js->rpc))
		natsConnection_FlushTimeout(rpc_connection(js->rpc), SCAN_CLOSE_MS);
	natsSubscription_Destroy(sub);
}

/* Wait for the next message, the connection and the deadline in view. */
static int
next_message(struct jetstream *js, natsSubscription *sub, int64_t idle_ns, natsMsg **msg)
{
	int64_t deadline = clock_mono(js->clock) + idle_ns;

	for (;;) {
		int64_t left_ms = (deadline - clock_mono(js->clock)) / NS_PER_MS;
		if (left_ms <= 0)
			return -ETIMEDOUT;
		natsStatus s = natsSubscription_NextMsg(msg, sub, left_ms < 250 ? left_ms : 250);
		if (s == NATS_OK)
			return 0;
		if (s != NATS_TIMEOUT)
			return scan_errno(s);
		/* The consumer may be gone with its server; the caller opens a new one. */
		if (!rpc_connected(js->rpc))
			return -ENOTCONN;
	}
}

int
js_scan(struct backend *b, struct actor_name name, uint64_t from_seq, uint64_t to_seq, int64_t idle_ns,
    backend_scan_fn fn, void *arg)
{
	struct jetstream *js = js_of(b);
	natsSubscription *sub = NULL;

	int err = open_scan(js, name, from_seq, &sub);
	for (bool more = err == 0; more;) {
		struct record r;
		natsMsg *msg = NULL;
		uint64_t pending = 0;
		int stop = 0;
		err = next_message(js, sub, idle_ns, &msg);
		if (err == 0)
			err = js_message_delivered(msg, &r, &pending);
		if (err == 0 && r.seq <= to_seq)
			stop = fn(arg, &r);
		more = err == 0 && stop == 0 && r.seq < to_seq && pending > 0;
		natsMsg_Destroy(msg);
		if (stop < 0)
			err = stop;
	}
	close_scan(js, sub);
	return err;
}
