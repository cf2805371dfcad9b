#include "js_follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "js_consumer.h"
#include "js_follow_state.h"
#include "name.h"

/* Four heartbeats (js_pull.c). */
#define LOST_NS (4 * NS_PER_SEC)

/* Life and calls */

void
js_follow_ref_locked(struct backend_follow *f)
{
	f->refs++;
}

static void
free_follow(struct backend_follow *f)
{
	buf_free(&f->stream);
	buf_free(&f->lead);
	buf_free(&f->fence);
	buf_free(&f->pull);
	free(f);
}

void
js_follow_unref(struct backend_follow *f)
{
	lock_take(&f->fs->lock);
	bool last = --f->refs == 0;
	lock_give(&f->fs->lock);
	if (last)
		free_follow(f);
}

bool
js_follow_runs_locked(const struct backend_follow *f)
{
	return !f->stopped && f->end_err == 0;
}

/* Nobody waits for another's call: whoever makes one tells the end that was decided on meanwhile. */
static void
tell_end_locked(struct backend_follow *f)
{
	if (f->calling || f->ended || f->stopped || f->end_err == 0)
		return;
	int err = f->end_err;
	f->ended = true;
	f->calling = true;
	lock_give(&f->fs->lock);
	f->fns.end(f->arg, err);
	lock_take(&f->fs->lock);
	f->calling = false;
	pthread_cond_broadcast(&f->fs->called);
}

bool
js_follow_call_begin(struct backend_follow *f)
{
	lock_take(&f->fs->lock);
	bool begun = js_follow_runs_locked(f) && !f->calling;
	if (begun)
		f->calling = true;
	lock_give(&f->fs->lock);
	return begun;
}

void
js_follow_call_end(struct backend_follow *f)
{
	lock_take(&f->fs->lock);
	f->calling = false;
	pthread_cond_broadcast(&f->fs->called);
	tell_end_locked(f);
	lock_give(&f->fs->lock);
}

void
js_follow_end(struct backend_follow *f, int err)
{
	lock_take(&f->fs->lock);
	if (f->end_err == 0)
		f->end_err = err;
	tell_end_locked(f);
	lock_give(&f->fs->lock);
}

/* Who is held, or waits for an answer that has a deadline of its own, is not heard of. */
static void
watchdog(void *arg)
{
	struct backend_follow *f = arg;
	struct jetstream *js = f->fs->js;
	int64_t now = clock_mono(js->clock);

	lock_take(&f->fs->lock);
	bool runs = js_follow_runs_locked(f);
	int64_t due_ns = f->held || f->state == MAKING ? now + LOST_NS : f->heard_ns + LOST_NS;
	lock_give(&f->fs->lock);
	if (runs && due_ns > now && timer_at(js->timer, due_ns, watchdog, f) == 0)
		return;
	if (runs)
		js_follow_end(f, -ENOTCONN);
	js_follow_unref(f);
}

void
js_follows_lost(struct js_follows *fs)
{
	size_t count = 0;

	lock_take(&fs->lock);
	struct backend_follow **list = malloc((fs->by_id.count + 1) * sizeof(struct backend_follow *));
	for (struct table_link *l = NULL; list != NULL && (l = table_next(&fs->by_id, l)) != NULL; count++) {
		list[count] = container_of(l, struct backend_follow, link);
		list[count]->refs++;
	}
	lock_give(&fs->lock);
	/* Without memory for that the watchdogs find out. */
	for (size_t i = 0; i < count; i++) {
		js_follow_end(list[i], -ENOTCONN);
		js_follow_unref(list[i]);
	}
	free(list);
}

/* Messages, on nats.c's delivery thread */

static bool
id_match(const struct table_link *link, const void *key)
{
	return container_of(link, struct backend_follow, link)->id == *(const uint64_t *)key;
}

/* The follow with that id, with a count; NULL: there is none any more. */
static struct backend_follow *
find_id(struct js_follows *fs, uint64_t id)
{
	int64_t now = clock_mono(fs->js->clock);

	lock_take(&fs->lock);
	struct table_link *link = table_find(&fs->by_id, id, id_match, &id);
	struct backend_follow *f = link != NULL ? container_of(link, struct backend_follow, link) : NULL;
	if (f != NULL) {
		f->refs++;
		f->heard_ns = now;
	}
	lock_give(&fs->lock);
	return f;
}

/*
 * Whose message it is. What a consumer delivers keeps the subject that it was stored under, and names the consumer in its reply subject,
 * behind the stream, whose name may look like one of a consumer.
 */
static struct backend_follow *
find_delivered(struct js_follows *fs, const char *reply)
{
	struct backend_follow *f = NULL;

	while (f == NULL && (reply = strstr(reply, "." FOLLOW_LEAD)) != NULL) {
		reply += sizeof("." FOLLOW_LEAD) - 1;
		f = find_id(fs, strtoull(reply, NULL, 16));
	}
	return f;
}

/* What tells of a request itself comes under that one's subject. */
static struct backend_follow *
find_request(struct js_follows *fs, const char *subject, uint64_t *request)
{
	char *end = NULL;
	size_t lead = strlen(fs->inbox) + 1;

	*request = 0;
	if (strlen(subject) <= lead || strncmp(subject, fs->inbox, lead - 1) != 0)
		return NULL;
	uint64_t id = strtoull(subject + lead, &end, 16);
	if (*end == '-')
		*request = strtoull(end + 1, NULL, 10);
	return find_id(fs, id);
}

/* What nobody could have created by a name of ours is passed over, as is what removals leave (js_ns_state.h). */
static void
hand_out(struct backend_follow *f, natsMsg *msg, const struct js_delivered *d)
{
	const char *subject = natsMsg_GetSubject(msg);
	struct buf *name = &f->fs->name;
	struct record r = { .seq = d->seq };

	buf_clear(name);
	if (strcmp(subject, f->fence.p) == 0)
		js_pull_check(f);
	if (strncmp(subject, f->lead.p, f->lead.len) != 0 || name_decode(name, span_of(subject + f->lead.len)) != 0 ||
	    buf_text(name) == NULL)
		return;
	if (f->payload)
		js_message_decode(msg, d->seq, &r);
	else
		js_message_headers(msg, &r);
	f->fns.record(f->arg, name->p, &r);
}

static void
on_record(struct backend_follow *f, natsMsg *msg, const struct js_delivered *d)
{
	if (!js_follow_call_begin(f))
		return;
	/* One was lost on the way, or the consumer is not the one that it was. */
	bool missed = d->consumer_seq != f->next;
	f->next++;
	if (!missed)
		hand_out(f, msg, d);
	js_follow_call_end(f);
	if (missed)
		js_follow_end(f, -ENOTCONN);
	else
		js_pull_go_on(f, d);
}

static void
on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct js_follows *fs = closure;
	struct js_delivered d;
	struct backend_follow *f;
	uint64_t request;

	(void)nc, (void)sub;
	if (js_message_delivered(msg, &d)) {
		f = find_delivered(fs, natsMsg_GetReply(msg));
		if (f != NULL)
			on_record(f, msg, &d);
	} else {
		f = find_request(fs, natsMsg_GetSubject(msg), &request);
		if (f != NULL)
			js_pull_status(f, request, msg);
	}
	rpc_spent_add(&fs->spent, msg);
	if (f != NULL)
		js_follow_unref(f);
}

/* The backend's operations */

static struct backend_follow *
new_follow(struct js_follows *fs, const char *ns)
{
	size_t size = strlen(ns) + 1;
	struct backend_follow *f = calloc(1, sizeof(*f) + size);

	if (f == NULL)
		return NULL;
	memcpy(f->ns, ns, size);
	f->fs = fs;
	f->next = 1;
	f->refs = 1;
	fs->js->clock->random(fs->js->clock, &f->id, sizeof(f->id));
	snprintf(f->name, sizeof(f->name), FOLLOW_LEAD "%016" PRIx64, f->id);
	js_stream_name(fs->js, ns, &f->stream);
	js_subject(fs->js, "ev", ns, "", &f->lead);
	js_subject(fs->js, "rm", ns, NULL, &f->fence);
	buf_printf(&f->pull, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", buf_text(&f->stream) != NULL ? f->stream.p : "", f->name);
	if (!f->stream.failed && buf_text(&f->lead) != NULL && buf_text(&f->fence) != NULL && buf_text(&f->pull) != NULL)
		return f;
	free_follow(f);
	return NULL;
}

int
js_follow(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, bool payload, const struct backend_follow_fns *fns,
    void *arg, struct backend_follow **out)
{
	struct js_follows *fs = js_of(b)->follows;
	struct backend_follow *f = new_follow(fs, ns);

	if (f == NULL)
		return -ENOMEM;
	f->fns = *fns;
	f->arg = arg;
	f->from_seq = from_seq;
	f->seen_seq = from_seq - 1;
	f->want_epoch = epoch;
	f->payload = payload;
	lock_take(&fs->lock);
	int err = table_add(&fs->by_id, f->id, &f->link);
	f->refs += 2;
	lock_give(&fs->lock);
	if (err != 0) {
		free_follow(f);
		return err;
	}
	*out = f;
	watchdog(f);
	js_pull_start(f);
	return 0;
}

void
js_follow_hold(struct backend *b, struct backend_follow *f, bool hold)
{
	struct js_follows *fs = js_of(b)->follows;
	int64_t now = clock_mono(fs->js->clock);

	lock_take(&fs->lock);
	if (f->held && !hold) {
		f->heard_ns = now;
		/* Not here: the user may be in a call, or have more to do than to wait for a socket. */
		if (f->state == HELD)
			js_pull_later_locked(f, now);
	}
	f->held = hold;
	lock_give(&fs->lock);
}

void
js_follow_stop(struct backend *b, struct backend_follow *f)
{
	struct js_follows *fs = js_of(b)->follows;

	lock_take(&fs->lock);
	f->stopped = true;
	table_remove(&fs->by_id, &f->link);
	while (f->calling)
		lock_wait(&fs->lock, &fs->called);
	bool made = f->made;
	lock_give(&fs->lock);
	if (made) {
		struct js_consumer consumer = { .js = fs->js, .rpc = fs->js->rpc, .stream = f->stream.p, .name = f->name };
		js_consumer_delete(&consumer);
	}
	js_follow_unref(f);
}

int
js_follows_new(struct js_follows **out, struct jetstream *js)
{
	struct js_follows *fs = calloc(1, sizeof(*fs));

	if (fs == NULL)
		return -ENOMEM;
	fs->js = js;
	rpc_spent_init(&fs->spent);
	lock_init(&fs->lock, LOCK_FOLLOWS);
	lock_cond_init(&fs->called);
	*out = fs;
	return 0;
}

int
js_follows_open(struct js_follows *fs)
{
	struct buf subject = { 0 };

	if (natsInbox_Create(&fs->inbox) != NATS_OK)
		return -ENOMEM;
	buf_printf(&subject, "%s.*", fs->inbox);
	const char *text = buf_text(&subject);
	int err = text == NULL ? -ENOMEM : js_sub_open(&fs->sub, rpc_connection(fs->js->rpc), text, on_message, fs);
	buf_free(&subject);
	return err;
}

void
js_follows_close(struct js_follows *fs)
{
	if (fs != NULL)
		js_sub_close(&fs->sub);
}

void
js_follows_free(struct js_follows *fs)
{
	if (fs == NULL)
		return;
	rpc_spent_free(&fs->spent);
	natsInbox_Destroy(fs->inbox);
	buf_free(&fs->name);
	table_free(&fs->by_id);
	pthread_cond_destroy(&fs->called);
	lock_destroy(&fs->lock);
	free(fs);
}
