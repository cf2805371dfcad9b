#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "js_api.h"
#include "js_follow_state.h"

/* A question that a server dropped is asked again by who follows again. */
#define ANSWER_NS (5 * NS_PER_SEC)
/* The server forgets the consumer of a node that died, or that has been held, after this; longer than WAIT_NS. */
#define INACTIVE_NS (40 * NS_PER_SEC)
/* A request that waits for one message. */
#define WAIT_NS (30 * NS_PER_SEC)
#define HEARTBEAT_NS (1 * NS_PER_SEC)
/* Between looks at a stream that is being removed. */
#define CHECK_NS (20 * NS_PER_MS)
/* So long a message may be on its way that the stream's leader has. */
#define OWED_NS (3 * NS_PER_SEC)
/* How long what comes next has to gather. */
#define GATHER_NS (3 * NS_PER_MS)
/* What one fetch asks for at most. Of payloads no more than one message may have: a server ends a connection on which more than its
 * max_pending wait for the reader, and would do so again and again. */
#define FETCH_MESSAGES 1000
/* The names and the reply subject count as well. */
#define MESSAGE_ROOM 4096

/* Requests */

static void
print_request(const struct backend_follow *f, enum follow_state kind, uint64_t bytes, char *out, size_t size)
{
	if (kind == WAITING)
		snprintf(out, size, "{\"batch\":1,\"expires\":%lld,\"idle_heartbeat\":%lld}", WAIT_NS, HEARTBEAT_NS);
	else if (f->payload)
		snprintf(out, size, "{\"batch\":%d,\"max_bytes\":%" PRIu64 ",\"no_wait\":true}", FETCH_MESSAGES, bytes);
	else
		snprintf(out, size, "{\"batch\":%d,\"no_wait\":true}", FETCH_MESSAGES);
}

/* Ask for one message (WAITING), or for what there is (FETCHING), unless it is held. */
static void
ask(struct backend_follow *f, enum follow_state kind)
{
	struct js_follows *fs = f->fs;
	int64_t now = clock_mono(fs->js->clock);
	char request[128], reply[128];

	lock_take(&fs->lock);
	bool go = js_follow_runs_locked(f) && !f->held;
	f->state = f->held ? HELD : kind;
	if (go) {
		f->asked++;
		f->got = 0;
		f->heard_ns = now;
	}
	uint64_t number = f->asked, bytes = f->pull_bytes;
	lock_give(&fs->lock);
	if (!go)
		return;
	print_request(f, kind, bytes, request, sizeof(request));
	snprintf(reply, sizeof(reply), "%s.%016" PRIx64 "-%" PRIu64, fs->inbox, f->id, number);
	int err = js_errno(natsConnection_PublishRequestString(rpc_connection(fs->js->rpc), f->pull.p, reply, request));
	if (err != 0)
		js_follow_end(f, err);
}

static void
fetch(void *arg)
{
	struct backend_follow *f = arg;

	ask(f, FETCHING);
	js_follow_unref(f);
}

void
js_pull_later_locked(struct backend_follow *f, int64_t at_ns)
{
	f->state = PAUSING;
	/* Without memory for that the watchdog ends it. */
	if (timer_at(f->fs->js->timer, at_ns, fetch, f) == 0)
		f->refs++;
}

/* Messages */

void
js_pull_go_on(struct backend_follow *f, const struct js_delivered *d)
{
	struct js_follows *fs = f->fs;
	int64_t now = clock_mono(fs->js->clock);
	bool at_once = false;

	lock_take(&fs->lock);
	f->got++;
	f->seen_seq = d->seq;
	bool over = f->state == WAITING || (f->state == FETCHING && (d->pending == 0 || f->got == FETCH_MESSAGES));
	if (over && js_follow_runs_locked(f)) {
		/* Where a whole fetch is there already, nothing need gather. */
		at_once = d->pending >= FETCH_MESSAGES;
		if (!at_once)
			js_pull_later_locked(f, now + GATHER_NS);
	}
	lock_give(&fs->lock);
	if (at_once)
		ask(f, FETCHING);
}

static const char *
header(natsMsg *msg, const char *key)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, key, &value) == NATS_OK && value != NULL ? value : "";
}

/* The last request has ended before its count was reached. */
static void
request_ended(struct backend_follow *f, bool full)
{
	struct js_follows *fs = f->fs;
	int64_t now = clock_mono(fs->js->clock);
	enum follow_state next = PAUSING;

	lock_take(&fs->lock);
	bool idle = f->state == WAITING;
	if (idle) {
		next = WAITING;
	} else if (f->state == FETCHING && full) {
		/* More was counted than we know of. */
		if (f->got == 0)
			f->pull_bytes *= 2;
		next = FETCHING;
	} else if (f->state == FETCHING && f->got == 0) {
		next = WAITING;
	} else if (f->state == FETCHING) {
		js_pull_later_locked(f, now + GATHER_NS);
	}
	lock_give(&fs->lock);
	if (next != PAUSING)
		ask(f, next);
	if (idle)
		js_pull_check(f);
}

void
js_pull_status(struct backend_follow *f, uint64_t request, natsMsg *msg)
{
	const char *status = header(msg, "Status"), *text = header(msg, "Description");

	lock_take(&f->fs->lock);
	bool last = request == f->asked;
	lock_give(&f->fs->lock);
	if (strcmp(status, "100") == 0)
		return;
	bool full = strcmp(status, "409") == 0 && strstr(text, "MaxBytes") != NULL;
	bool over = full || strcmp(status, "404") == 0 || strcmp(status, "408") == 0 ||
	    (strcmp(status, "409") == 0 && strstr(text, "Batch Completed") != NULL);
	if (!over)
		js_follow_end(f, -ENOTCONN); /* the consumer was deleted, its leader went, nobody listens */
	else if (last)
		request_ended(f, full);
}

/* Beginning */

static cJSON *
new_config(const struct backend_follow *f)
{
	cJSON *request = cJSON_CreateObject(), *config;

	cJSON_AddStringToObject(request, "stream_name", f->stream.p);
	config = cJSON_AddObjectToObject(request, "config");
	cJSON_AddStringToObject(config, "name", f->name);
	cJSON_AddStringToObject(config, "deliver_policy", "by_start_sequence");
	cJSON_AddNumberToObject(config, "opt_start_seq", (double)f->from_seq);
	cJSON_AddStringToObject(config, "ack_policy", "none");
	cJSON_AddStringToObject(config, "replay_policy", "instant");
	cJSON_AddNumberToObject(config, "inactive_threshold", (double)INACTIVE_NS);
	cJSON_AddNumberToObject(config, "num_replicas", 1);
	cJSON_AddTrueToObject(config, "mem_storage");
	if (!f->payload)
		cJSON_AddTrueToObject(config, "headers_only");
	return request;
}

/* What of a stream, as it is now, ends the follow. */
static int
judge(const struct backend_follow *f, const cJSON *info, uint64_t *epoch, uint64_t *last_seq)
{
	js_stream_state(info, epoch, last_seq);
	if (js_stream_removed(info))
		return -ENOENT;
	return f->want_epoch != 0 && *epoch != f->want_epoch ? -ESTALE : 0;
}

static void check(void *arg);

/* With a count, which is taken. */
static void
check_later(struct backend_follow *f, int64_t in_ns)
{
	struct jetstream *js = f->fs->js;

	if (timer_at(js->timer, clock_mono(js->clock) + in_ns, check, f) != 0) {
		js_follow_end(f, -ENOTCONN); /* which looks at the stream, too */
		js_follow_unref(f);
	}
}

enum owed { NONE, PERHAPS, SURELY };

/* Is something missing, when the stream ends at last_seq? That may be on its way. Where an administrator has deleted the end of a stream
 * nothing comes for it: that follow ends, and begins again, whenever nothing has come for long. */
static enum owed
owed_locked(struct backend_follow *f, uint64_t last_seq, int64_t now)
{
	if (f->held || f->state != WAITING || f->seen_seq >= last_seq) {
		f->owed_ns = 0;
		return NONE;
	}
	if (f->owed_ns == 0 || f->owed_seen != f->seen_seq) {
		f->owed_seen = f->seen_seq;
		f->owed_ns = now;
	}
	return now - f->owed_ns >= OWED_NS ? SURELY : PERHAPS;
}

static void
on_checked(void *arg, int err, natsMsg *reply)
{
	struct backend_follow *f = arg;
	int64_t now = clock_mono(f->fs->js->clock);
	uint64_t epoch, last_seq = 0;
	enum owed owed = NONE;
	bool undecided = false;
	cJSON *info = NULL;

	if (err == 0)
		err = js_api_parse(f->fs->js->lg, reply, &info);
	if (err == 0) {
		undecided = js_stream_fenced(info);
		err = judge(f, info, &epoch, &last_seq);
	}
	cJSON_Delete(info);
	lock_take(&f->fs->lock);
	bool runs = js_follow_runs_locked(f);
	if (runs && err == 0)
		owed = owed_locked(f, last_seq, now);
	bool again = runs && err == 0 && owed != SURELY && (undecided || owed == PERHAPS);
	f->checking = again;
	lock_give(&f->fs->lock);
	if (err == 0 && owed == SURELY)
		err = -ENOTCONN;
	if (err != 0)
		js_follow_end(f, err == -ENOENT || err == -ESTALE ? err : -ENOTCONN);
	if (again)
		check_later(f, undecided ? CHECK_NS : OWED_NS);
	else
		js_follow_unref(f);
}

static void
check(void *arg)
{
	struct backend_follow *f = arg;
	struct jetstream *js = f->fs->js;

	js_request_info(js, f->ns, clock_mono(js->clock) + ANSWER_NS, on_checked, f);
}

void
js_pull_check(struct backend_follow *f)
{
	lock_take(&f->fs->lock);
	bool begin = !f->checking && js_follow_runs_locked(f);
	if (begin) {
		f->checking = true;
		f->refs++;
	}
	lock_give(&f->fs->lock);
	if (begin)
		check_later(f, CHECK_NS);
}

/* One inquiry of the stream, behind the making of the consumer, is enough: streams of one name succeed each other, and the epoch that
 * is wanted was seen before, so that if it still is that one's now, the consumer was made in it. */
static void
on_stream(void *arg, int err, natsMsg *reply)
{
	struct backend_follow *f = arg;
	uint64_t epoch = 0, last_seq = 0;
	cJSON *info = NULL;

	if (err == 0)
		err = js_api_parse(f->fs->js->lg, reply, &info);
	if (err == 0)
		err = judge(f, info, &epoch, &last_seq);
	/* Where there is one replica no other can have known more. */
	if (err == 0 && f->from_seq > last_seq + 1)
		err = js_number(cJSON_GetObjectItemCaseSensitive(info, "config"), "num_replicas", 1) == 1 ? -ESTALE : -EAGAIN;
	cJSON_Delete(info);
	if (err != 0) {
		js_follow_end(f, err == -EHOSTUNREACH ? -ENOTCONN : err);
	} else if (js_follow_call_begin(f)) {
		f->want_epoch = epoch;
		f->fns.begin(f->arg, epoch);
		js_follow_call_end(f);
		ask(f, FETCHING);
	}
	js_follow_unref(f);
}

static void
on_created(void *arg, int err, natsMsg *reply)
{
	struct backend_follow *f = arg;
	struct jetstream *js = f->fs->js;
	cJSON *info = NULL;

	if (err == 0)
		err = js_api_parse(js->lg, reply, &info);
	cJSON_Delete(info);
	lock_take(&f->fs->lock);
	bool runs = js_follow_runs_locked(f);
	lock_give(&f->fs->lock);
	if (err == 0 && runs) {
		js_request_info(js, f->ns, clock_mono(js->clock) + ANSWER_NS, on_stream, f);
		return;
	}
	if (err != 0)
		js_follow_end(f, err == -EHOSTUNREACH ? -ENOTCONN : err);
	js_follow_unref(f);
}

void
js_pull_start(struct backend_follow *f)
{
	struct jetstream *js = f->fs->js;
	uint64_t largest = (uint64_t)rpc_max_payload(js->rpc) + MESSAGE_ROOM;
	struct buf subject = { 0 };

	cJSON *request = new_config(f);
	char *body = cJSON_PrintUnformatted(request);
	cJSON_Delete(request);
	buf_printf(&subject, "$JS.API.CONSUMER.CREATE.%s.%s", f->stream.p, f->name);
	lock_take(&f->fs->lock);
	f->made = true;
	f->pull_bytes = largest;
	lock_give(&f->fs->lock);
	if (body != NULL && buf_text(&subject) != NULL)
		rpc_request(js->rpc, subject.p, NULL, 0, body, strlen(body), clock_mono(js->clock) + ANSWER_NS, on_created, f);
	else
		on_created(f, -ENOMEM, NULL);
	cJSON_free(body);
	buf_free(&subject);
}
