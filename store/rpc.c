#include "rpc.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "rpc_lane.h"
#include "rpc_slots.h"
#include "rpc_spent.h"

/* Replies come to "<inbox>.u.<slot>.<generation>" by the usual connection, to "<inbox>.l.<way>.<slot>.<generation>" by the
 * lane. */
#define INBOX_MAX 64
#define INBOX_TAIL_MAX 40

struct waiting {
	struct waiting *next;
	struct rpc *rpc;
	unsigned refs;
	bool called;
	void (*fn)(void *arg);
	void *arg;
};

struct rpc {
	const struct clock *clock;
	struct timer *timer;
	struct logger *lg;
	natsConnection *nc;
	natsSubscription *inbox_sub;
	struct lane *lane; /* NULL where none was asked for, or it could not be started */
	char inbox[INBOX_MAX];
	size_t inbox_len;
	void (*on_disconnect)(void *arg);
	void (*on_reconnect)(void *arg);
	void (*on_refused)(void *arg, struct span subject);
	void *connection_arg;
	atomic_bool connected;
	atomic_uint_fast64_t reconnects;
	atomic_uint_fast64_t heard; /* counts the replies */
	atomic_bool silent;         /* as rpc_is_silent */
	struct rpc_spent spent;
	struct slots slots;

	struct lock lock;
	/* Guarded by lock. */
	struct waiting *waiting;
	bool closed;
	bool closed_cb; /* nats.c has told that the connection is closed for good */
	bool replies_on; /* nats.c may still call on_reply */
	pthread_cond_t closing;
};

/* Tell how a request ended that has left its slot. answered: nothing more will come for it. */
static void
end_request(struct rpc *r, const struct slot *held, bool answered, int err, natsMsg *reply)
{
	if (held->way.life != 0)
		lane_give_back(r->lane, held->way, answered);
	held->fn(held->arg, err, reply);
}

static bool
any_slot(const struct slot *s, const void *arg)
{
	(void)s, (void)arg;
	return true;
}

static bool
slot_has_subject(const struct slot *s, const void *arg)
{
	return s->subject_hash == *(const uint64_t *)arg;
}

static bool
slot_is_on_lane(const struct slot *s, const void *arg)
{
	(void)arg;
	return s->way.life != 0;
}

static bool
slot_is_due(const struct slot *s, const void *arg)
{
	return s->deadline_ns <= *(const int64_t *)arg;
}

/* End the requests for which the predicate holds. Those added meanwhile may be missed; the callers can bear it. */
static void
fail_slots(struct rpc *r, slot_predicate holds, const void *arg, int err)
{
	struct slot held;

	for (uint32_t from = 0; slots_take_any(&r->slots, &from, holds, arg, &held);)
		end_request(r, &held, false, err, NULL);
}

static void
fail_due(struct rpc *r, int64_t now)
{
	struct slot held;

	for (uint32_t from = 0; slots_take_any(&r->slots, &from, slot_is_due, &now, &held);) {
		if (held.heard == atomic_load(&r->heard))
			atomic_store(&r->silent, true);
		end_request(r, &held, false, -ETIMEDOUT, NULL);
	}
}

static void
sweep(void *arg)
{
	struct rpc *r = arg;
	int64_t now = clock_mono(r->clock);

	/* Another has been here since this one was armed, and has armed the next. */
	if (!slots_sweep_is_due(&r->slots, now))
		return;
	fail_due(r, now);
	int64_t next = slots_next_sweep(&r->slots);
	if (next != INT64_MAX && timer_at(r->timer, next, sweep, r) != 0)
		log_error(r->lg, "out of memory: requests may end late");
}

/* Waiting for a connection */

static void
waiting_call(struct waiting *w)
{
	struct rpc *r = w->rpc;

	lock_take(&r->lock);
	bool call = !w->called;
	w->called = true;
	bool last = --w->refs == 0;
	lock_give(&r->lock);
	void (*fn)(void *) = w->fn;
	void *arg = w->arg;
	if (last)
		free(w);
	if (call)
		fn(arg);
}

static void
waiting_expired(void *arg)
{
	struct waiting *w = arg;
	struct rpc *r = w->rpc;

	lock_take(&r->lock);
	for (struct waiting **at = &r->waiting; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			w->refs--;
			break;
		}
	}
	lock_give(&r->lock);
	waiting_call(w);
}

static void
call_all_waiting(struct rpc *r)
{
	for (;;) {
		lock_take(&r->lock);
		struct waiting *w = r->waiting;
		if (w != NULL)
			r->waiting = w->next;
		lock_give(&r->lock);
		if (w == NULL)
			return;
		waiting_call(w);
	}
}

bool
rpc_wait(struct rpc *r, int64_t deadline_ns, void (*fn)(void *arg), void *arg)
{
	if (atomic_load(&r->connected) || fn == NULL)
		return atomic_load(&r->connected);
	struct waiting *w = malloc(sizeof(*w));
	if (w == NULL)
		return true; /* the caller tries again after a pause */
	*w = (struct waiting){ .rpc = r, .refs = 2, .fn = fn, .arg = arg };
	lock_take(&r->lock);
	bool connected = atomic_load(&r->connected) || r->closed;
	if (!connected) {
		w->next = r->waiting;
		r->waiting = w;
	}
	lock_give(&r->lock);
	if (connected) {
		free(w);
		return true;
	}
	if (timer_at(r->timer, deadline_ns, waiting_expired, w) != 0)
		waiting_expired(w);
	return false;
}

/* Callbacks of nats.c */

static int
reply_error(natsMsg *msg)
{
	return natsMsg_IsNoResponders(msg) ? -EHOSTUNREACH : 0;
}

/* The number at *at, which a dot precedes, or false. */
static bool
get_number(const char **at, uint32_t *number)
{
	const char *p = *at;
	uint64_t value = 0;

	if (*p++ != '.' || *p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9' && value <= UINT32_MAX; p++)
		value = value * 10 + (uint64_t)(*p - '0');
	*at = p;
	*number = (uint32_t)value;
	return value <= UINT32_MAX;
}

/* msg is borrowed. */
static void
hand_on_reply(void *arg, natsMsg *msg)
{
	struct rpc *r = arg;
	const char *at = natsMsg_GetSubject(msg) + r->inbox_len;
	struct slot held;
	uint32_t way, index, generation;
	bool on_lane = strncmp(at, ".l.", 3) == 0;

	atomic_fetch_add(&r->heard, 1);
	if (atomic_load(&r->silent))
		atomic_store(&r->silent, false);
	at += 2;
	if ((on_lane && !get_number(&at, &way)) || !get_number(&at, &index) || !get_number(&at, &generation) || *at != '\0' ||
	    !slots_release(&r->slots, index, generation, &held))
		return;
	int err = reply_error(msg);
	end_request(r, &held, true, err, err == 0 ? msg : NULL);
}

static void
on_reply(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct rpc *r = closure;

	(void)nc, (void)sub;
	hand_on_reply(r, msg);
	rpc_spent_add(&r->spent, msg);
}

/* Then a lost connection is meant. */
static bool
is_closed(struct rpc *r)
{
	lock_take(&r->lock);
	bool closed = r->closed;
	lock_give(&r->lock);
	return closed;
}

static void
on_disconnected(natsConnection *nc, void *closure)
{
	struct rpc *r = closure;

	(void)nc;
	atomic_store(&r->connected, false);
	if (!is_closed(r))
		log_warn(r->lg, "the connection to NATS is lost; trying again until it is back");
	if (r->lane != NULL)
		lane_renew(r->lane);
	fail_slots(r, any_slot, NULL, -ENOTCONN);
	if (!is_closed(r) && r->on_disconnect != NULL)
		r->on_disconnect(r->connection_arg);
}

static void
on_reconnected(natsConnection *nc, void *closure)
{
	struct rpc *r = closure;

	(void)nc;
	atomic_fetch_add(&r->reconnects, 1);
	/* Under the lock, so that nobody joins the waiting after they have been called. */
	lock_take(&r->lock);
	atomic_store(&r->connected, true);
	lock_give(&r->lock);
	atomic_store(&r->silent, false);
	log_info(r->lg, "connected to NATS again");
	call_all_waiting(r);
	if (r->on_reconnect != NULL)
		r->on_reconnect(r->connection_arg);
}

static void
on_closed(natsConnection *nc, void *closure)
{
	struct rpc *r = closure;

	(void)nc;
	lock_take(&r->lock);
	r->closed_cb = true;
	pthread_cond_broadcast(&r->closing);
	lock_give(&r->lock);
}

/* on_reply has returned for the last time. */
static void
on_replies_end(void *closure)
{
	struct rpc *r = closure;

	lock_take(&r->lock);
	r->replies_on = false;
	pthread_cond_broadcast(&r->closing);
	lock_give(&r->lock);
}

/* A refused publish has no reply; the server tells of it here, with the subject between quotes. */
static void
on_error(natsConnection *nc, natsSubscription *sub, natsStatus err, void *closure)
{
	struct rpc *r = closure;
	natsStatus last = NATS_OK;
	/* Of this thread, which is told one after the other; the connection's may be of the next already. */
	const char *text = nats_GetLastError(&last);

	(void)sub;
	if (text == NULL || last != err)
		natsConnection_GetLastError(nc, &text);
	/* Who listens to what is refused to this user goes on without it. */
	bool listens = text != NULL && strstr(text, "Violation for Subscription") != NULL;
	log_at(r->lg, listens ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "NATS: %s: %s", natsStatus_GetText(err), text != NULL ? text : "");
	const char *quote = text != NULL ? strchr(text, '"') : NULL;
	const char *end = quote != NULL ? strchr(quote + 1, '"') : NULL;
	if (err != NATS_NOT_PERMITTED || end == NULL)
		return;
	if (listens && r->on_refused != NULL)
		r->on_refused(r->connection_arg, (struct span){ quote + 1, (size_t)(end - quote - 1) });
	uint64_t hash = XXH3_64bits(quote + 1, (size_t)(end - quote - 1));
	fail_slots(r, slot_has_subject, &hash, -EACCES);
}

/* Connecting */

static natsStatus
set_callbacks(struct rpc *r, natsOptions *o)
{
	natsStatus s = natsOptions_SetDisconnectedCB(o, on_disconnected, r);

	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(o, on_reconnected, r);
	if (s == NATS_OK)
		s = natsOptions_SetClosedCB(o, on_closed, r);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(o, on_error, r);
	return s;
}

static natsStatus
subscribe(struct rpc *r)
{
	natsInbox *inbox = NULL;
	char subject[INBOX_MAX + INBOX_TAIL_MAX];

	natsStatus s = natsInbox_Create(&inbox);
	if (s != NATS_OK)
		return s;
	snprintf(r->inbox, sizeof(r->inbox), "%s", inbox);
	natsInbox_Destroy(inbox);
	r->inbox_len = strlen(r->inbox);
	snprintf(subject, sizeof(subject), "%s.u.>", r->inbox);
	s = natsConnection_Subscribe(&r->inbox_sub, r->nc, subject, on_reply, r);
	/* Whoever a reply woke may close and free everything before on_reply has returned, if that is not waited for. */
	if (s == NATS_OK)
		s = natsSubscription_SetOnCompleteCB(r->inbox_sub, on_replies_end, r);
	r->replies_on = s == NATS_OK;
	/* A dropped reply would look like a lost one; what is under way is bounded by who asks. */
	if (s == NATS_OK)
		s = natsSubscription_SetPendingLimits(r->inbox_sub, -1, -1);
	if (s == NATS_OK)
		s = natsConnection_Flush(r->nc);
	return s;
}

int
rpc_errno(natsStatus s)
{
	switch ((int)s) {
	case NATS_OK:
		return 0;
	case NATS_TIMEOUT:
		return -ETIMEDOUT;
	case NATS_NO_RESPONDERS:
		return -EHOSTUNREACH;
	case NATS_NO_MEMORY:
		return -ENOMEM;
	case NATS_MAX_PAYLOAD:
		return -EMSGSIZE;
	case NATS_INVALID_SUBJECT:
	case NATS_INVALID_ARG:
		return -EIO;
	default:
		/* Also NATS_INSUFFICIENT_BUFFER: nothing is kept for later while there is no connection. */
		return -ENOTCONN;
	}
}

/* The server that the usual connection has: of all that are listed or were discovered the one that works. */
static bool
lane_url(void *arg, char *out, size_t size)
{
	struct rpc *r = arg;

	return atomic_load(&r->connected) && natsConnection_GetConnectedUrl(r->nc, out, size) == NATS_OK &&
	    out[0] != '\0';
}

static void
on_lane_failed(void *arg, uint64_t tag, natsStatus why)
{
	struct rpc *r = arg;
	struct slot held;

	if (slots_release(&r->slots, (uint32_t)(tag >> 32), (uint32_t)tag, &held))
		end_request(r, &held, true, rpc_errno(why), NULL);
}

static void
on_lane_down(void *arg)
{
	fail_slots(arg, slot_is_on_lane, NULL, -ENOTCONN);
}

/* Takes the options. Without a lane everything goes over the usual connection. */
static void
start_lane(struct rpc *r, natsOptions *options)
{
	const struct lane_events events = { .url = lane_url,
		.reply = hand_on_reply,
		.failed = on_lane_failed,
		.down = on_lane_down,
		.error = on_error,
		.arg = r };
	char inbox[INBOX_MAX + INBOX_TAIL_MAX];

	snprintf(inbox, sizeof(inbox), "%s.l", r->inbox);
	int err = lane_new(&r->lane, options, inbox, &r->spent, &events);
	if (err == 0)
		return;
	log_warn(r->lg, "no second connection to NATS: %s", strerror(-err));
	natsOptions_Destroy(options);
}

int
rpc_new(struct rpc **out, const struct rpc_options *options, const struct clock *clock, struct timer *timer, struct logger *lg,
    struct buf *why)
{
	struct rpc *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		natsOptions_Destroy(options->lane);
		return -ENOMEM;
	}
	r->clock = clock;
	r->timer = timer;
	r->lg = lg;
	r->on_disconnect = options->on_disconnect;
	r->on_refused = options->on_refused;
	r->on_reconnect = options->on_reconnect;
	r->connection_arg = options->arg;
	slots_init(&r->slots);
	atomic_init(&r->connected, false);
	atomic_init(&r->heard, 0);
	atomic_init(&r->silent, false);
	lock_init(&r->lock, LOCK_RPC);
	lock_cond_init(&r->closing);
	rpc_spent_init(&r->spent);
	natsStatus s = set_callbacks(r, options->nats);
	if (s == NATS_OK)
		s = natsConnection_Connect(&r->nc, options->nats);
	if (s == NATS_OK) {
		atomic_store(&r->connected, true);
		s = subscribe(r);
	}
	if (s != NATS_OK) {
		buf_printf(why, "cannot connect to NATS: %s", natsStatus_GetText(s));
		natsOptions_Destroy(options->lane);
		if (r->nc != NULL)
			rpc_close(r);
		rpc_free(r);
		return s == NATS_CONNECTION_AUTH_FAILED || s == NATS_NOT_PERMITTED ? -EACCES : -ENOTCONN;
	}
	if (options->lane != NULL)
		start_lane(r, options->lane);
	*out = r;
	return 0;
}

void
rpc_close(struct rpc *r)
{
	lock_take(&r->lock);
	r->closed = true;
	lock_give(&r->lock);
	slots_close(&r->slots);
	fail_slots(r, any_slot, NULL, -ENOTCONN);
	call_all_waiting(r);
	if (r->lane != NULL)
		lane_stop(r->lane);
	natsConnection_Close(r->nc);
	lock_take(&r->lock);
	while (!r->closed_cb || r->replies_on)
		lock_wait(&r->lock, &r->closing);
	lock_give(&r->lock);
	/* Only now that nothing is read any more: nats.c 3.4 frees a subscription that its reader is still filling. */
	natsSubscription_Destroy(r->inbox_sub);
}

void
rpc_free(struct rpc *r)
{
	if (r == NULL)
		return;
	lane_free(r->lane);
	natsConnection_Destroy(r->nc);
	rpc_spent_free(&r->spent);
	pthread_cond_destroy(&r->closing);
	lock_destroy(&r->lock);
	slots_free(&r->slots);
	free(r);
}

/* Requests */

static int
make_message(natsMsg **msg, const char *subject, const char *reply, const struct rpc_header *headers, size_t header_count,
    const void *data, size_t size)
{
	natsStatus s = natsMsg_Create(msg, subject, reply, data, (int)size);

	for (size_t i = 0; s == NATS_OK && i < header_count; i++)
		s = natsMsgHeader_Set(*msg, headers[i].key, headers[i].value);
	return rpc_errno(s);
}

/* *msg is cleared if it was taken. */
static int
send_message(struct rpc *r, struct lane_way way, natsMsg **msg, uint64_t tag)
{
	if (way.life == 0)
		return rpc_errno(natsConnection_PublishMsg(r->nc, *msg));
	if (!lane_send(r->lane, way, *msg, tag))
		return -ENOTCONN;
	*msg = NULL;
	return 0;
}

static void
print_inbox(const struct rpc *r, const struct slot *request, uint32_t index, uint32_t generation, char *out, size_t size)
{
	if (request->way.life == 0)
		snprintf(out, size, "%s.u.%" PRIu32 ".%" PRIu32, r->inbox, index, generation);
	else
		snprintf(out, size, "%s.l.%" PRIu32 ".%" PRIu32 ".%" PRIu32, r->inbox, request->way.index, index,
		    generation);
}

/* A request that has a slot is put together and sent. */
static void
send_request(struct rpc *r, uint32_t index, uint32_t generation, struct slot *request, const char *subject,
    const struct rpc_header *headers, size_t header_count, const void *data, size_t size)
{
	struct slot held;
	char reply[INBOX_MAX + INBOX_TAIL_MAX];
	natsMsg *msg = NULL;

	if (r->lane != NULL)
		request->way = lane_take(r->lane);
	request->subject_hash = XXH3_64bits(subject, strlen(subject));
	print_inbox(r, request, index, generation, reply, sizeof(reply));
	int err = make_message(&msg, subject, reply, headers, header_count, data, size);
	if (err != 0) {
		slots_return(&r->slots, index);
		natsMsg_Destroy(msg);
		end_request(r, request, true, err, NULL);
		return;
	}
	if (slots_fill(&r->slots, index, request) && timer_at(r->timer, request->deadline_ns, sweep, r) != 0)
		err = -ENOMEM;
	if (err == 0)
		err = send_message(r, request->way, &msg, (uint64_t)index << 32 | generation);
	bool unsent = err != 0;
	rpc_spent_add(&r->spent, msg);
	/* A disconnect that came after the slot was filled and before it was looked at has ended it already. */
	if (err == 0 && !atomic_load(&r->connected))
		err = -ENOTCONN;
	if (err != 0 && slots_release(&r->slots, index, generation, &held))
		end_request(r, &held, unsent, err, NULL);
}

void
rpc_request(struct rpc *r, const char *subject, const struct rpc_header *headers, size_t header_count, const void *data,
    size_t size, int64_t deadline_ns, rpc_fn fn, void *arg)
{
	struct slot request = { .fn = fn, .arg = arg, .deadline_ns = deadline_ns, .heard = atomic_load(&r->heard) };
	uint32_t index, generation;

	/* nats.c would keep it for later, and later it may not be wanted any more. */
	int err = atomic_load(&r->connected) ? slots_take(&r->slots, &index, &generation) : -ENOTCONN;
	if (err != 0)
		fn(arg, err, NULL);
	else
		send_request(r, index, generation, &request, subject, headers, header_count, data, size);
}

bool
rpc_connected(struct rpc *r)
{
	return atomic_load(&r->connected);
}

bool
rpc_is_silent(struct rpc *r)
{
	return atomic_load(&r->silent) && atomic_load(&r->connected);
}

uint64_t
rpc_reconnects(struct rpc *r)
{
	return atomic_load(&r->reconnects);
}

int64_t
rpc_try_deadline(struct rpc *r, int64_t deadline_ns)
{
	int64_t now = clock_mono(r->clock), part_ns = (deadline_ns - now) / 4;
	int64_t try_ns = now + (part_ns > RPC_TRY_NS ? part_ns : RPC_TRY_NS);

	return try_ns < deadline_ns ? try_ns : deadline_ns;
}

int64_t
rpc_max_payload(struct rpc *r)
{
	return natsConnection_GetMaxPayload(r->nc);
}

natsConnection *
rpc_connection(struct rpc *r)
{
	return r->nc;
}
