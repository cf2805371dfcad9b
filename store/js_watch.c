#include "js_watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "js_consumer.h"
#include "js_message.h"
#include "lock.h"
#include "name.h"
#include "rpc_spent.h"

/* Four heartbeats (js_consumer.c). */
#define LOST_NS (4 * NS_PER_SEC)
#define FLUSH_MS 1000
#define CONNECTION_NS (30 * NS_PER_SEC)
/* The server does not answer pings while it creates a consumer; that must not look like a lost connection. */
#define PING_INTERVAL_MS 20000

struct js_watches {
	struct jetstream *js;
	natsOptions *options;
	struct timer *worker;
	struct rpc *rpc; /* NULL until the first watch; set by the worker, under lock, before there are messages */
	struct buf name; /* used by the delivery thread only */
	struct rpc_spent spent;

	struct lock lock;
	/* Guarded by lock. */
	struct backend_watch *list;
	struct backend_watch *left; /* stopped ones, whose subscriptions are freed when the connection has been closed */
	bool closing;
	size_t subs;           /* those of which nats.c may still call on_message */
	pthread_cond_t called; /* a call of some watch has returned, or subs has become 0 */
};

struct backend_watch {
	struct backend_watch *next_watch; /* guarded by js_watches.lock */
	struct js_watches *ws;
	struct backend_watch_fns fns;
	void *arg;
	natsSubscription *sub; /* the worker's */
	char *inbox;           /* where the consumer sends to */
	char name[24];         /* the consumer's */
	uint64_t from_seq;
	uint64_t want_epoch;
	struct buf stream; /* its name */
	size_t lead;       /* of its subjects, before the actor's name */

	/* Guarded by js_watches.lock. */
	unsigned refs; /* the user's, the subscription's, and one for each call to come */
	bool calling;
	bool ended;
	bool stopped;
	bool made;    /* there may be a consumer */
	bool checked; /* the stream is the one that was asked for */
	bool caught_up;
	bool live;
	uint64_t next; /* the consumer's next sequence */
	int64_t heard_ns;

	char ns[];
};

static void open_watch(void *arg);

/* Life and calls */

static void
unref(struct backend_watch *w)
{
	lock_take(&w->ws->lock);
	bool last = --w->refs == 0;
	lock_give(&w->ws->lock);
	if (!last)
		return;
	buf_free(&w->stream);
	natsInbox_Destroy(w->inbox);
	free(w);
}

/* Before a call; false if there may be none any more. Calls are short, so waiting for another thread's is too. */
static bool
call_begin_locked(struct backend_watch *w)
{
	while (w->calling)
		lock_wait(&w->ws->lock, &w->ws->called);
	if (w->ended || w->stopped)
		return false;
	w->calling = true;
	return true;
}

static void
call_end_locked(struct backend_watch *w)
{
	w->calling = false;
	pthread_cond_broadcast(&w->ws->called);
}

static void
watch_end(struct backend_watch *w, int err)
{
	lock_take(&w->ws->lock);
	if (call_begin_locked(w)) {
		w->ended = true;
		lock_give(&w->ws->lock);
		w->fns.end(w->arg, err);
		lock_take(&w->ws->lock);
		call_end_locked(w);
	}
	lock_give(&w->ws->lock);
}

/* Say that it is live, once, when that is so. */
static void
tell_live_locked(struct backend_watch *w)
{
	if (w->live || !w->checked || !w->caught_up || !call_begin_locked(w))
		return;
	bool first = !w->live;
	w->live = true;
	lock_give(&w->ws->lock);
	if (first)
		w->fns.live(w->arg);
	lock_take(&w->ws->lock);
	call_end_locked(w);
}

/* All watches, counted, in an array that the caller frees. */
static struct backend_watch **
all_watches(struct js_watches *ws, size_t *count)
{
	size_t n = 0;

	lock_take(&ws->lock);
	for (struct backend_watch *w = ws->list; w != NULL; w = w->next_watch)
		n++;
	struct backend_watch **list = malloc((n + 1) * sizeof(struct backend_watch *));
	n = 0;
	for (struct backend_watch *w = ws->list; list != NULL && w != NULL; w = w->next_watch) {
		w->refs++;
		list[n++] = w;
	}
	lock_give(&ws->lock);
	*count = n;
	return list;
}

/* The server works on a consumer, and those that wait for theirs behind it wait for a reason too. */
static void
tell_busy(void *arg)
{
	struct js_watches *ws = arg;
	size_t count;
	struct backend_watch **list = all_watches(ws, &count);

	for (size_t i = 0; i < count; i++) {
		struct backend_watch *w = list[i];
		lock_take(&ws->lock);
		if (!w->live && call_begin_locked(w)) {
			lock_give(&ws->lock);
			w->fns.busy(w->arg);
			lock_take(&ws->lock);
			call_end_locked(w);
		}
		lock_give(&ws->lock);
		unref(w);
	}
	free(list);
}

static void
on_disconnect(void *arg)
{
	size_t count;
	struct backend_watch **list = all_watches(arg, &count);

	for (size_t i = 0; i < count; i++) {
		lock_take(&list[i]->ws->lock);
		bool made = list[i]->made;
		lock_give(&list[i]->ws->lock);
		if (made)
			watch_end(list[i], -ENOTCONN);
		unref(list[i]);
	}
	free(list);
}

static void
watchdog(void *arg)
{
	struct backend_watch *w = arg;
	struct jetstream *js = w->ws->js;

	lock_take(&w->ws->lock);
	int64_t due_ns = w->heard_ns + LOST_NS;
	bool over = w->ended || w->stopped || w->ws->closing;
	lock_give(&w->ws->lock);
	if (!over && due_ns > clock_mono(js->clock) && timer_at(js->timer, due_ns, watchdog, w) == 0)
		return;
	watch_end(w, -ENOTCONN);
	unref(w);
}

static struct js_consumer
consumer_of(const struct backend_watch *w)
{
	return (struct js_consumer){ w->ws->js, w->ws->rpc, w->ns, w->stream.p, w->name, w->inbox, w->from_seq };
}

/* Messages, on nats.c's delivery thread */

/* Begin the call that a message is for; false if none is wanted. */
static bool
receive(struct backend_watch *w)
{
	int64_t now = clock_mono(w->ws->js->clock);

	lock_take(&w->ws->lock);
	bool begun = call_begin_locked(w);
	w->heard_ns = now;
	lock_give(&w->ws->lock);
	return begun;
}

/* The call has ended, with err if it was the last. */
static void
received(struct backend_watch *w, bool caught_up, int err)
{
	lock_take(&w->ws->lock);
	call_end_locked(w);
	w->caught_up = w->caught_up || caught_up;
	if (err == 0)
		tell_live_locked(w);
	lock_give(&w->ws->lock);
	if (err != 0)
		watch_end(w, err);
}

static void
on_record(struct backend_watch *w, natsMsg *msg, const struct js_delivered *d)
{
	const char *subject = natsMsg_GetSubject(msg);
	struct buf *name = &w->ws->name;
	struct record r = { .seq = d->seq };

	if (!receive(w))
		return;
	if (d->consumer_seq != w->next) {
		received(w, false, -ENOTCONN);
		return;
	}
	w->next++;
	buf_clear(name);
	/* What nobody could have created by a name of ours is passed over. */
	if (strlen(subject) > w->lead && name_decode(name, span_of(subject + w->lead)) == 0 && buf_text(name) != NULL) {
		js_message_headers(msg, &r);
		w->fns.record(w->arg, name->p, &r);
	}
	received(w, d->pending == 0, 0);
}

static const char *
header(natsMsg *msg, const char *key)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : NULL;
}

/* A heartbeat, or a question whether all before it has been seen. */
static void
on_control(struct backend_watch *w, natsMsg *msg)
{
	const char *question = natsMsg_GetReply(msg);

	if (!receive(w))
		return;
	const char *last = header(msg, "Nats-Last-Consumer"), *stalled = header(msg, "Nats-Consumer-Stalled");
	if (question == NULL)
		question = stalled;
	if (question != NULL)
		natsConnection_Publish(rpc_connection(w->ws->rpc), question, NULL, 0);
	/* What was sent before it has come before it. */
	bool missed = last != NULL && strtoull(last, NULL, 10) + 1 != w->next;
	received(w, last != NULL && stalled == NULL && !missed, missed ? -ENOTCONN : 0);
}

static void
on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct backend_watch *w = closure;
	struct js_delivered d;

	(void)nc, (void)sub;
	if (js_message_delivered(msg, &d))
		on_record(w, msg, &d);
	else
		on_control(w, msg);
	rpc_spent_add(&w->ws->spent, msg);
}

/* on_message has returned for the last time. */
static void
on_messages_end(void *closure)
{
	struct backend_watch *w = closure;
	struct js_watches *ws = w->ws;

	unref(w);
	lock_take(&ws->lock);
	if (--ws->subs == 0)
		pthread_cond_broadcast(&ws->called);
	lock_give(&ws->lock);
}

/* A subscription of its own: that a wildcard one would get the messages is no interest in the server's eyes. */
static int
subscribe(struct backend_watch *w)
{
	struct js_watches *ws = w->ws;

	natsStatus s = natsInbox_Create(&w->inbox);
	if (s == NATS_OK)
		s = natsConnection_Subscribe(&w->sub, rpc_connection(ws->rpc), w->inbox, on_message, w);
	if (s != NATS_OK)
		return -ENOTCONN;
	lock_take(&ws->lock);
	ws->subs++;
	w->refs++;
	lock_give(&ws->lock);
	s = natsSubscription_SetOnCompleteCB(w->sub, on_messages_end, w);
	if (s != NATS_OK)
		on_messages_end(w);
	/* What is under way is bounded by flow control. */
	if (s == NATS_OK)
		s = natsSubscription_SetPendingLimits(w->sub, -1, -1);
	return s == NATS_OK ? 0 : -ENOTCONN;
}

/* Leave it until the connection is closed; whether there is time for that. Takes the caller's count then. */
static bool
leave_to_close(struct backend_watch *w)
{
	struct js_watches *ws = w->ws;

	lock_take(&ws->lock);
	bool closing = ws->closing;
	if (closing) {
		w->next_watch = ws->left;
		ws->left = w;
	}
	lock_give(&ws->lock);
	return closing;
}

/*
 * On the worker. The reading thread of nats.c 3.4 and 3.5 may still be putting a message into a subscription that is freed; not any
 * more once it has seen the answer to a ping behind that, or when the connection has been closed.
 */
static void
unsubscribe(void *arg)
{
	struct backend_watch *w = arg;
	struct js_watches *ws = w->ws;

	if (w->sub != NULL) {
		if (leave_to_close(w))
			return;
		natsSubscription_Unsubscribe(w->sub);
		bool quiet = natsConnection_FlushTimeout(rpc_connection(ws->rpc), FLUSH_MS) == NATS_OK;
		int64_t again_ns = clock_mono(ws->js->clock) + NS_PER_SEC;
		/* Connected again later. Without memory for that it is never freed. */
		if (!quiet && timer_at(ws->worker, again_ns, unsubscribe, w) == 0)
			return;
		if (quiet)
			natsSubscription_Destroy(w->sub);
	}
	unref(w);
}

/* Beginning */

static int
begin_watch(struct backend_watch *w)
{
	struct js_watches *ws = w->ws;
	uint64_t epoch, last_seq, epoch_after, ignored;
	bool empty = false;

	struct js_consumer consumer = consumer_of(w);
	int err = js_consumer_stream(&consumer, &epoch, &last_seq);
	if (err != 0)
		return err;
	if (w->from_seq != 0 && (epoch != w->want_epoch || w->from_seq > last_seq + 1))
		return -ESTALE;
	lock_take(&ws->lock);
	bool go = call_begin_locked(w);
	lock_give(&ws->lock);
	if (!go)
		return -ENOTCONN;
	w->fns.begin(w->arg, epoch);
	lock_take(&ws->lock);
	w->made = true;
	call_end_locked(w);
	lock_give(&ws->lock);
	err = subscribe(w);
	consumer = consumer_of(w);
	if (err == 0)
		err = js_consumer_make(&consumer, tell_busy, ws, &empty);
	if (err == 0)
		err = js_consumer_stream(&consumer, &epoch_after, &ignored);
	if (err != 0)
		return err;
	if (epoch_after != epoch)
		return -ESTALE;
	lock_take(&ws->lock);
	w->checked = true;
	w->caught_up = w->caught_up || empty;
	w->heard_ns = clock_mono(ws->js->clock);
	w->refs++;
	tell_live_locked(w);
	lock_give(&ws->lock);
	watchdog(w);
	return 0;
}

/* The connection */

/* On the worker. */
static int
connect_once(struct js_watches *ws)
{
	struct rpc_options options = { .nats = ws->options, .on_disconnect = on_disconnect, .arg = ws };
	struct buf why = { 0 };
	struct rpc *rpc;
	int err = 0;

	if (ws->rpc == NULL) {
		err = rpc_new(&rpc, &options, ws->js->clock, ws->js->timer, NULL, &why);
		buf_free(&why);
		lock_take(&ws->lock);
		ws->rpc = err == 0 ? rpc : NULL;
		lock_give(&ws->lock);
	}
	return err;
}

static void
open_again(void *arg)
{
	struct backend_watch *w = arg;

	if (timer_at(w->ws->worker, 0, open_watch, w) == 0)
		return;
	watch_end(w, -ENOTCONN);
	unref(w);
}

/* On the worker, so that nobody waits for what blocks here. */
static void
open_watch(void *arg)
{
	struct backend_watch *w = arg;
	struct js_watches *ws = w->ws;

	lock_take(&ws->lock);
	bool over = w->ended || w->stopped || ws->closing;
	lock_give(&ws->lock);
	int err = over ? 0 : connect_once(ws);
	if (!over && err == 0) {
		if (!rpc_wait(ws->rpc, clock_mono(ws->js->clock) + CONNECTION_NS, open_again, w))
			return;
		err = begin_watch(w);
	}
	if (err != 0)
		watch_end(w, err);
	unref(w);
}

/* The backend's operations */

static struct backend_watch *
new_watch(struct js_watches *ws, const char *ns)
{
	size_t size = strlen(ns) + 1;
	struct backend_watch *w = calloc(1, sizeof(*w) + size);
	struct buf lead = { 0 };
	uint64_t id;

	if (w == NULL)
		return NULL;
	memcpy(w->ns, ns, size);
	w->ws = ws;
	w->next = 1;
	w->refs = 2;
	ws->js->clock->random(ws->js->clock, &id, sizeof(id));
	snprintf(w->name, sizeof(w->name), "aw-%016" PRIx64, id);
	js_stream_name(ws->js, ns, &w->stream);
	js_subject(ws->js, "ev", ns, "", &lead);
	w->lead = lead.len;
	bool ok = buf_text(&w->stream) != NULL && !lead.failed;
	buf_free(&lead);
	if (ok)
		return w;
	buf_free(&w->stream);
	free(w);
	return NULL;
}

int
js_watch(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns, void *arg,
    struct backend_watch **out)
{
	struct js_watches *ws = js_of(b)->watches;
	struct backend_watch *w = new_watch(ws, ns);

	if (w == NULL)
		return -ENOMEM;
	w->fns = *fns;
	w->arg = arg;
	w->from_seq = from_seq;
	w->want_epoch = epoch;
	lock_take(&ws->lock);
	w->next_watch = ws->list;
	ws->list = w;
	lock_give(&ws->lock);
	if (timer_at(ws->worker, 0, open_watch, w) != 0) {
		unref(w);
		js_watch_stop(b, w);
		return -ENOMEM;
	}
	*out = w;
	return 0;
}

void
js_watch_stop(struct backend *b, struct backend_watch *w)
{
	struct js_watches *ws = js_of(b)->watches;

	lock_take(&ws->lock);
	w->stopped = true;
	for (struct backend_watch **at = &ws->list; *at != NULL; at = &(*at)->next_watch) {
		if (*at == w) {
			*at = w->next_watch;
			break;
		}
	}
	while (w->calling)
		lock_wait(&ws->lock, &ws->called);
	bool made = w->made;
	lock_give(&ws->lock);
	if (made) {
		struct js_consumer consumer = consumer_of(w);
		js_consumer_delete(&consumer);
	}
	/* The worker goes on with the user's count; without memory for that the subscription stays to the end. */
	if (timer_at(ws->worker, 0, unsubscribe, w) != 0)
		unref(w);
}

int
js_watches_new(struct js_watches **out, struct jetstream *js, natsOptions *options)
{
	struct js_watches *ws = calloc(1, sizeof(*ws));
	int err = ws == NULL ? -ENOMEM : timer_new(&ws->worker, js->clock);

	/* One delivery thread for all watches. */
	if (err == 0 && (natsOptions_SetPingInterval(options, PING_INTERVAL_MS) != NATS_OK ||
			    natsOptions_UseGlobalMessageDelivery(options, true) != NATS_OK))
		err = -ENOMEM;
	if (err != 0) {
		if (ws != NULL)
			timer_free(ws->worker);
		free(ws);
		natsOptions_Destroy(options);
		return err;
	}
	ws->js = js;
	ws->options = options;
	rpc_spent_init(&ws->spent);
	lock_init(&ws->lock, LOCK_WATCHES);
	lock_cond_init(&ws->called);
	*out = ws;
	return 0;
}

void
js_watches_close(struct js_watches *ws)
{
	if (ws == NULL)
		return;
	lock_take(&ws->lock);
	ws->closing = true;
	struct rpc *rpc = ws->rpc;
	lock_give(&ws->lock);
	/* Ends what the worker waits for. */
	if (rpc != NULL)
		rpc_close(rpc);
	timer_free(ws->worker);
	if (ws->rpc == NULL)
		return;
	/* It was just being made. */
	if (rpc == NULL)
		rpc_close(ws->rpc);
	lock_take(&ws->lock);
	while (ws->subs > 0)
		lock_wait(&ws->lock, &ws->called);
	struct backend_watch *left = ws->left;
	lock_give(&ws->lock);
	while (left != NULL) {
		struct backend_watch *w = left;
		left = w->next_watch;
		natsSubscription_Destroy(w->sub);
		unref(w);
	}
}

void
js_watches_free(struct js_watches *ws)
{
	if (ws == NULL)
		return;
	rpc_spent_free(&ws->spent);
	rpc_free(ws->rpc);
	natsOptions_Destroy(ws->options);
	buf_free(&ws->name);
	pthread_cond_destroy(&ws->called);
	lock_destroy(&ws->lock);
	free(ws);
}
