#include "append.h"

#include <errno.h>
#include <stdlib.h>

#include "append_log.h"
#include "batch.h"
#include "index.h"
#include "lookup.h"
#include "name.h"
#include "state.h"

enum phase { QUEUED, HEAD, LOOKUP, SENT, CHECK, WAITING, ENDED };

struct append_state {
	struct append *ap;
	struct actor *actor;
	struct append_state *next;
	/* Guarded by actor.lock. */
	enum phase phase;
	unsigned refs; /* the chain of steps has one, a cancellation on its way another */
	bool cancelled;
	bool unsent; /* nothing has been published */

	/* Only the current step uses the rest. */
	bool unknown;   /* a publish that continued base has an unknown outcome */
	bool check_due; /* whether our record is stored has to be found out first, by asking for */
	struct backend_get check;
	bool refused;   /* though no record was seen behind base, one was offered there and refused */
	unsigned depth; /* how many appends have each begun inside the end of the one before, at most */
	bool fresh;     /* base is what the backend said last, during this append */
	bool looked;    /* ids were looked up while looked_seq was the last record */
	uint64_t looked_seq;
	char marker_id[UUID_LEN + 1];
	char salt[UUID_LEN + 1]; /* makes a message id new whose first use was erased */
	struct batch batch;
	struct head base;
	struct record record;
	struct batch_record made;
	struct buf payload;
	struct buf msg_id;
	int64_t deadline_ns;
	int64_t asked_ns;
	uint64_t seen_seq;
	unsigned tries;
	unsigned races;
};

static void step_begin(struct append_state *st);
static void step_head(struct append_state *st);
static void step_encode(struct append_state *st, struct head head);
static void step_check(struct append_state *st);
static void step_wait(struct append_state *st);

static bool
is_marker(const struct append_state *st)
{
	return st->ap->size == 0;
}

static void
report(const struct append_state *st, int err, size_t line, const char *why)
{
	const struct actor *a = st->actor;

	/* That it exists is what a creator wants to know, and no refusal of anybody's data. */
	if (err != -EEXIST || !is_marker(st))
		append_log(a->store->lg, actor_full_name(a), err, line, why);
}

static void
set_phase(struct append_state *st, enum phase phase)
{
	pthread_mutex_lock(&st->actor->lock);
	st->phase = phase;
	pthread_mutex_unlock(&st->actor->lock);
}

static bool
is_cancelled(struct append_state *st)
{
	pthread_mutex_lock(&st->actor->lock);
	bool yes = st->cancelled && st->unsent;
	pthread_mutex_unlock(&st->actor->lock);
	return yes;
}

static void
unref(struct append_state *st)
{
	struct actor *a = st->actor;

	pthread_mutex_lock(&a->lock);
	bool last = --st->refs == 0;
	pthread_mutex_unlock(&a->lock);
	if (!last)
		return;
	batch_free(&st->batch);
	buf_free(&st->payload);
	buf_free(&st->msg_id);
	free(st);
	actor_put(a);
}

/* End an append that is out of the queue already, and not active any more. The step's reference goes. */
static void
complete(struct append_state *st, int err)
{
	struct append *ap = st->ap;
	struct store *s = st->actor->store;

	pthread_mutex_lock(&st->actor->lock);
	ap->state = NULL;
	pthread_mutex_unlock(&st->actor->lock);
	ap->done(ap, err);
	unref(st);
	pthread_mutex_lock(&s->lock);
	if (--s->appends == 0)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
}

static void
begin_next(void *arg)
{
	step_begin(arg);
}

/* End the active append and let the next begin. */
static void
finish(struct append_state *st, int err)
{
	struct actor *a = st->actor;
	struct backend *b = a->store->backend;
	unsigned depth = st->depth + 1;

	pthread_mutex_lock(&a->lock);
	struct append_state *next = a->queued;
	st->phase = ENDED;
	a->active = next;
	if (next != NULL && (a->queued = next->next) == NULL)
		a->queued_tail = &a->queued;
	/* Whatever became of the attempts, they may have moved the head. */
	if (err != 0 && !st->unsent)
		a->known = false;
	pthread_mutex_unlock(&a->lock);
	complete(st, err);
	if (next == NULL)
		return;
	/* Where all calls end at once, a long queue would eat up the stack. */
	next->depth = depth % APPEND_DEPTH;
	if (next->depth != 0)
		step_begin(next);
	else
		b->ops->after(b, 0, begin_next, next);
}

static void
finish_refused(struct append_state *st, int err, size_t line, const char *why)
{
	report(st, err, line, why);
	finish(st, err);
}

static void
finish_error(struct append_state *st, int err)
{
	/* The backend waits for nobody: what it cannot reach is late for us once the deadline has come. */
	if (err == -ENOTCONN)
		err = -ETIMEDOUT;
	/* What becomes of a later attempt, or of looking, says nothing of an earlier one that may be on its way
	 * (invariant 5). */
	if (st->unknown && err != -ETIMEDOUT) {
		report(st, err, 0, NULL);
		err = -ETIMEDOUT;
	}
	finish_refused(st, err, 0, NULL);
}

static void
finish_stored(struct append_state *st)
{
	struct actor *a = st->actor;

	/* Also when it is stored already: then the head has just been asked for. */
	pthread_mutex_lock(&a->lock);
	struct head head = a->head;
	pthread_mutex_unlock(&a->lock);
	index_learn(a->store, a->ns, a->name, &head);
	st->ap->consumed = is_marker(st) ? 0 : st->made.consumed;
	st->ap->version = st->made.version;
	finish(st, 0);
}

static void
finish_conflict(struct append_state *st, size_t refused, uint64_t current)
{
	const struct batch_line *line = &st->batch.lines[refused];
	struct conflict *c = &st->ap->conflict;
	const struct actor *a = st->actor;

	*c = (struct conflict){ .current = current, .attempted = line->event.version };
	if (line->event.id.p != NULL)
		memcpy(c->id, line->event.id.p, line->event.id.len);
	store_add_conflict(a->store, a, c);
	append_log_conflict(a->store->lg, actor_full_name(a), line->number, c);
	finish(st, -ESTALE);
}

static int64_t
attempt_deadline(const struct append_state *st)
{
	int64_t at = clock_mono(st->actor->store->clock) + APPEND_ATTEMPT_NS;

	return at < st->deadline_ns ? at : st->deadline_ns;
}

static bool
too_late(const struct append_state *st)
{
	return clock_mono(st->actor->store->clock) >= st->deadline_ns;
}

/* The connection is gone, or no answer came: not an error before the deadline. */
static void
go_on_later(struct append_state *st, int err, void (*again)(struct append_state *))
{
	if (too_late(st))
		finish_error(st, -ETIMEDOUT);
	else if (is_cancelled(st))
		finish_error(st, -EINTR);
	else if (err == -ENOTCONN)
		step_wait(st);
	else
		again(st);
}

static void
on_waited(void *arg)
{
	struct append_state *st = arg;

	pthread_mutex_lock(&st->actor->lock);
	bool ended = st->phase == ENDED;
	if (!ended)
		st->phase = st->check_due ? CHECK : HEAD; /* from here on a cancellation leaves it to us */
	pthread_mutex_unlock(&st->actor->lock);
	if (ended)
		unref(st);
	else if (is_cancelled(st))
		finish_error(st, -EINTR);
	else if (too_late(st))
		finish_error(st, -ETIMEDOUT);
	else if (st->check_due)
		step_check(st);
	else
		step_head(st);
}

static void
pause_for(struct append_state *st, int64_t ns)
{
	struct backend *b = st->actor->store->backend;
	int64_t at = clock_mono(st->actor->store->clock) + ns;

	set_phase(st, WAITING);
	b->ops->after(b, at < st->deadline_ns ? at : st->deadline_ns, on_waited, st);
}

static void
step_wait(struct append_state *st)
{
	struct backend *b = st->actor->store->backend;

	set_phase(st, WAITING);
	if (b->ops->wait(b, st->deadline_ns, on_waited, st))
		pause_for(st, wait_backoff_ns(st->tries++));
}

static void
on_head(void *arg, int err, const struct record *r)
{
	struct append_state *st = arg;
	struct actor *a = st->actor;

	if (err == -ENOTCONN || err == -ETIMEDOUT) {
		go_on_later(st, err, step_head);
	} else if (err != 0 && err != -ENOENT) {
		finish_error(st, err);
	} else {
		pthread_mutex_lock(&a->lock);
		bool foreign = actor_learn_locked(a, r, true, st->asked_ns, st->seen_seq) || a->broken;
		struct head head = a->head;
		pthread_mutex_unlock(&a->lock);
		st->fresh = true;
		if (foreign)
			finish_refused(st, -EIO, 0, "the actor's last record was not written by Aether");
		else
			step_encode(st, head);
	}
}

static void
step_head(struct append_state *st)
{
	struct store *s = st->actor->store;
	struct backend_get g = { .kind = GET_LAST, .fresh = true };

	pthread_mutex_lock(&st->actor->lock);
	st->phase = HEAD;
	st->seen_seq = st->actor->head.seq;
	pthread_mutex_unlock(&st->actor->lock);
	st->asked_ns = clock_mono(s->clock);
	s->backend->ops->get(s->backend, actor_full_name(st->actor), g, attempt_deadline(st), on_head, st);
}

static void
step_begin(struct append_state *st)
{
	struct actor *a = st->actor;

	pthread_mutex_lock(&a->lock);
	bool known = a->known && !a->broken;
	struct head head = a->head;
	pthread_mutex_unlock(&a->lock);
	if (known)
		step_encode(st, head);
	else
		step_head(st);
}

static void
commit(struct append_state *st, uint64_t seq)
{
	struct actor *a = st->actor;
	struct store *s = a->store;
	int64_t since_us = st->batch.now_us - s->backend->dedup_window_ns / 1000;

	st->record.seq = seq;
	pthread_mutex_lock(&a->lock);
	if (seq > a->head.seq) {
		cache_put(s->cache, &a->file, &st->base, &st->record);
		a->head = record_head(&st->record);
		a->head_at_ns = st->asked_ns;
		a->known = true;
	}
	pthread_mutex_unlock(&a->lock);
	if (a->dedup != NULL && dedup_covered(a->dedup) == st->base.seq) {
		dedup_add_payload(a->dedup, st->record.payload, st->record.time_us, since_us);
		dedup_cover(a->dedup, seq);
	}
	finish_stored(st);
}

static void
lost_race(struct append_state *st)
{
	struct store *s = st->actor->store;
	uint16_t random;

	if (++st->races <= APPEND_RACES) {
		step_head(st);
		return;
	}
	s->clock->random(s->clock, &random, sizeof(random));
	pause_for(st, APPEND_PAUSE_MAX_NS * random / UINT16_MAX);
}

/* The record that is ours if the publish of unknown outcome was stored is the one that follows base (invariant 2). */
static void
check_behind_base(struct append_state *st)
{
	st->check_due = true;
	st->check = (struct backend_get){ .kind = GET_NEXT, .seq = st->base.seq + 1, .fresh = true };
}

static void
on_published(void *arg, int err, uint64_t seq, bool duplicate)
{
	struct append_state *st = arg;

	if (err == 0 && !duplicate) {
		commit(st, seq);
	} else if (err == 0) {
		st->check_due = true;
		st->check = (struct backend_get){ .kind = GET_SEQ, .seq = seq, .fresh = true };
		step_check(st);
	} else if (err == -ESTALE && too_late(st)) {
		finish_error(st, -ETIMEDOUT);
	} else if (err == -ESTALE && st->unknown) {
		st->refused = true;
		check_behind_base(st);
		step_check(st);
	} else if (err == -ESTALE) {
		lost_race(st);
	} else if (err == -EHOSTUNREACH) {
		go_on_later(st, -ENOTCONN, step_head);
	} else if (err == -ETIMEDOUT || err == -ENOTCONN) {
		st->unknown = true;
		check_behind_base(st);
		go_on_later(st, err, step_check);
	} else {
		finish_error(st, err);
	}
}

static void
publish(struct append_state *st)
{
	struct actor *a = st->actor;
	struct backend *b = a->store->backend;

	buf_clear(&st->msg_id);
	name_encode(&st->msg_id, span_of(a->name));
	buf_putc(&st->msg_id, '/');
	name_encode(&st->msg_id, st->made.first_id);
	if (st->salt[0] != '\0') {
		buf_putc(&st->msg_id, '/');
		buf_puts(&st->msg_id, st->salt);
	}
	const char *msg_id = buf_text(&st->msg_id);
	if (msg_id == NULL) {
		finish_error(st, -ENOMEM);
		return;
	}
	pthread_mutex_lock(&a->lock);
	st->phase = SENT;
	st->unsent = false;
	pthread_mutex_unlock(&a->lock);
	st->asked_ns = clock_mono(a->store->clock);
	b->ops->publish(b, actor_full_name(a), &st->record, msg_id, attempt_deadline(st), on_published, st);
}

/* Runs on the store's worker. */
static void
look_up(void *arg)
{
	struct append_state *st = arg;

	int err = lookup_ids(st->actor, &st->batch, &st->base, st->deadline_ns);
	st->looked = true;
	st->looked_seq = st->base.seq;
	if (err == -EEXIST)
		finish_refused(st, err, st->batch.failed_line, st->batch.why);
	else if (err != 0)
		finish_error(st, err);
	else
		step_encode(st, st->base);
}

static void
step_lookup(struct append_state *st)
{
	set_phase(st, LOOKUP);
	if (timer_at(st->actor->store->worker, 0, look_up, st) != 0)
		finish_error(st, -ENOMEM);
}

static void
encode_marker(struct append_state *st)
{
	const struct head *base = &st->base;

	if (base->seq != 0 && !st->fresh) {
		step_head(st);
		return;
	}
	if (base->seq != 0) {
		finish_error(st, -EEXIST);
		return;
	}
	st->made = (struct batch_record){ .first_id = span_of(st->marker_id) };
	st->record = (struct record){ .time_us = st->batch.now_us };
	st->record.sum = record_sum(0, st->record.payload);
	publish(st);
}

static void
step_encode(struct append_state *st, struct head head)
{
	struct backend_status status;
	struct backend *b = st->actor->store->backend;
	size_t refused = 0;
	uint64_t current = 0;

	st->base = head;
	st->unknown = st->check_due = st->refused = false;
	if (is_marker(st)) {
		encode_marker(st);
		return;
	}
	bool looked = st->looked && st->looked_seq == head.seq;
	if (!looked && lookup_needed(st->actor, &st->batch, &head)) {
		step_lookup(st);
		return;
	}
	b->ops->status(b, &status);
	int err = batch_encode(
	    &st->batch, &head, (size_t)status.payload_max, &st->payload, &st->record, &st->made, &refused, &current);
	if (err == -ESTALE && !looked && st->batch.lines[refused].event.id.p != NULL)
		step_lookup(st);
	else if (err == -ESTALE && !st->fresh)
		step_head(st); /* what is reported as current should be so */
	else if (err == -ESTALE)
		finish_conflict(st, refused, current);
	else if (err != 0)
		finish_error(st, err);
	else if (st->payload.len == 0)
		finish_stored(st);
	else
		publish(st);
}

/* Is the stored record our creation marker? Its payload is empty, so its time has to tell. */
static bool
is_our_marker(const struct append_state *st, const struct record *r)
{
	return r->prev_seq == 0 && r->payload.len == 0 && r->time_us == st->record.time_us;
}

static void
on_checked(void *arg, int err, const struct record *r)
{
	struct append_state *st = arg;

	if (err == -ENOTCONN || err == -ETIMEDOUT) {
		go_on_later(st, err, step_check);
		return;
	}
	if (err == 0 && is_marker(st) && is_our_marker(st, r)) {
		commit(st, r->seq);
		return;
	}
	if (err == 0 && !is_marker(st))
		err = batch_match(&st->batch, r->payload);
	if (err == -EEXIST) {
		finish_refused(st, err, st->batch.failed_line, st->batch.why);
	} else if (err != 0 && err != -ENOENT) {
		finish_error(st, err);
	} else if (err == -ENOENT && st->check.kind == GET_NEXT && st->refused) {
		/* What stands in the way does not show yet, or base was erased: do not ask in a circle. */
		st->refused = false;
		pause_for(st, wait_backoff_ns(st->tries++));
	} else if (err == -ENOENT && st->check.kind == GET_NEXT) {
		publish(st);
	} else {
		/* A message id whose message was erased since can never be stored again as it is. */
		if (err == -ENOENT)
			clock_uuid7(st->actor->store->clock, st->salt);
		st->check_due = false;
		step_head(st);
	}
}

static void
step_check(struct append_state *st)
{
	struct store *s = st->actor->store;

	set_phase(st, CHECK);
	s->backend->ops->get(s->backend, actor_full_name(st->actor), st->check, attempt_deadline(st), on_checked, st);
}

static int
prepare(struct append_state *st)
{
	const struct append *ap = st->ap;
	struct store *s = st->actor->store;
	struct backend_status status;

	s->backend->ops->status(s->backend, &status);
	if (ap->size == 0)
		clock_uuid7(s->clock, st->marker_id);
	return batch_parse(&st->batch, (struct span){ ap->data, ap->size }, span_of(st->actor->name),
	    (size_t)status.payload_max, s->clock);
}

static void on_cancel(void *arg);

/* Put it at the end of the actor's queue. Returns true if its turn has come. */
static bool
enqueue(struct append_state *st)
{
	struct actor *a = st->actor;
	struct backend *b = a->store->backend;
	bool first;

	pthread_mutex_lock(&a->lock);
	bool cancelled = st->cancelled = st->ap->cancelled;
	if (cancelled)
		st->refs++;
	st->ap->state = st;
	first = a->active == NULL;
	if (first) {
		a->active = st;
	} else {
		*a->queued_tail = st;
		a->queued_tail = &st->next;
	}
	pthread_mutex_unlock(&a->lock);
	if (cancelled)
		b->ops->after(b, 0, on_cancel, st);
	return first;
}

void
actor_append(struct actor *a, struct append *ap)
{
	struct store *s = a->store;
	struct append_state *st = calloc(1, sizeof(*st));

	ap->consumed = 0;
	ap->version = 0;
	if (st == NULL) {
		ap->done(ap, -ENOMEM);
		return;
	}
	*st =
	    (struct append_state){ .ap = ap, .actor = a, .refs = 1, .unsent = true, .deadline_ns = store_deadline(s) };
	pthread_mutex_lock(&s->lock);
	a->refs++;
	s->appends++;
	pthread_mutex_unlock(&s->lock);
	int err = prepare(st);
	if (err != 0) {
		report(st, err, st->batch.failed_line, st->batch.why);
		complete(st, err);
	} else if (ap->size > 0 && st->batch.count == 0) {
		ap->consumed = ap->size;
		complete(st, 0);
	} else if (enqueue(st)) {
		step_begin(st);
	}
}

static bool
take_from_queue_locked(struct actor *a, struct append_state *st)
{
	for (struct append_state **at = &a->queued; *at != NULL; at = &(*at)->next) {
		if (*at != st)
			continue;
		*at = st->next;
		if (st->next == NULL)
			a->queued_tail = at;
		return true;
	}
	return false;
}

/*
 * Only what waits for NATS is given up. Any signal interrupts, a child's end too, and no writer expects an error for
 * that where an answer is a moment away; a step under way sees the mark if it comes to waiting.
 */
static void
on_cancel(void *arg)
{
	struct append_state *st = arg;
	struct actor *a = st->actor;
	bool was_queued = false, was_waiting = false;

	pthread_mutex_lock(&a->lock);
	if (st->phase == QUEUED && a->active->phase == WAITING)
		was_queued = take_from_queue_locked(a, st);
	else if (st->phase == WAITING && st->unsent)
		was_waiting = true;
	if (was_queued || was_waiting)
		st->phase = ENDED;
	pthread_mutex_unlock(&a->lock);
	if (was_queued || was_waiting)
		report(st, -EINTR, 0, NULL);
	if (was_queued) {
		unref(st);
		complete(st, -EINTR);
	} else if (was_waiting) {
		/* The step's own reference stays with the callback that is still to come; finish takes this one. */
		finish(st, -EINTR);
	} else {
		unref(st);
	}
}

void
actor_append_cancel(struct actor *a, struct append *ap)
{
	struct backend *b = a->store->backend;

	pthread_mutex_lock(&a->lock);
	ap->cancelled = true;
	struct append_state *st = ap->state;
	if (st != NULL && !st->cancelled) {
		st->cancelled = true;
		st->refs++;
	} else {
		st = NULL;
	}
	pthread_mutex_unlock(&a->lock);
	if (st != NULL)
		b->ops->after(b, 0, on_cancel, st);
}
