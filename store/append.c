#include "append.h"

#include <errno.h>
#include <stdlib.h>

#include "append_log.h"
#include "append_queue.h"
#include "index.h"
#include "lookup.h"
#include "name.h"

/* How long one at most waits in vain for the window after its deadline. */
#define SWEEP_NS (250 * NS_PER_MS)

static void step_head(struct append_state *st);
static void step_encode(struct append_state *st, struct head head);
static void step_check(struct append_state *st);
static void step_slot(struct append_state *st);
static void step_wait(struct append_state *st);

static void
report(const struct append_state *st, int err, size_t line, const char *why)
{
	const struct actor *a = st->actor;

	/* That it exists is what a creator wants to know, and no refusal of anybody's data. */
	if (err != -EEXIST || !st->marker)
		append_log(a->store->lg, actor_full_name(a), err, line, why);
}

static void
set_phase(struct append_state *st, enum phase phase)
{
	lock_take(&st->actor->lock);
	st->phase = phase;
	lock_give(&st->actor->lock);
}

/* Out of the publishes in flight, but not at the end: append_finish sees to that itself. */
static void
land(struct append_state *st)
{
	if (!st->in_flight)
		return;
	st->in_flight = false;
	quota_give(&st->actor->store->window, st->slot.units);
}

static void
finish_refused(struct append_state *st, int err, size_t line, const char *why)
{
	report(st, err, line, why);
	append_finish(st, err);
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
set_stored(struct append_state *st, size_t consumed, uint64_t version)
{
	st->consumed = consumed;
	st->version = version;
}

static void
finish_stored(struct append_state *st)
{
	struct actor *a = st->actor;
	uint64_t version = st->base.version;

	/* Also when it is stored already: then the head has just been asked for. */
	lock_take(&a->lock);
	struct head head = a->head;
	lock_give(&a->lock);
	index_learn(a->store, a->ns, a->name, &head);
	if (st->draft.lines == 0)
		set_stored(st, st->made.consumed, st->made.version);
	else
		set_stored(st, st->draft.consumed, version += st->draft.lines);
	for (struct append_state *m = st->group; m != NULL; m = m->next)
		set_stored(m, m->draft.consumed, version += m->draft.lines);
	append_finish(st, 0);
}

/* refused is the index of the line whose version is not above current. */
static void
finish_conflict(struct append_state *st, size_t refused, uint64_t current)
{
	struct conflict *c = &st->ap->conflict;
	const struct actor *a = st->actor;
	size_t number = refused + 1;

	*c = (struct conflict){ .current = current };
	if (st->batch != NULL) {
		const struct batch_line *line = &st->batch->lines[refused];
		c->attempted = line->event.version;
		if (line->event.id.p != NULL)
			memcpy(c->id, line->event.id.p, line->event.id.len);
		number = line->number;
	}
	store_add_conflict(a->store, a, c);
	append_log_conflict(a->store->lg, actor_full_name(a), number, c);
	append_finish(st, -ESTALE);
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
	else if (append_is_cancelled(st))
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

	lock_take(&st->actor->lock);
	bool ended = st->phase == ENDED;
	if (!ended)
		st->phase = st->check_due ? CHECK : HEAD; /* from here on a cancellation leaves it to us */
	lock_give(&st->actor->lock);
	if (ended)
		append_unref(st);
	else if (append_is_cancelled(st))
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
		lock_take(&a->lock);
		bool foreign = actor_learn_locked(a, r, true, st->asked_ns, st->seen_seq) || a->broken;
		struct head head = a->head;
		lock_give(&a->lock);
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

	land(st);
	lock_take(&st->actor->lock);
	st->phase = HEAD;
	st->seen_seq = st->actor->head.seq;
	lock_give(&st->actor->lock);
	st->asked_ns = clock_mono(s->clock);
	s->backend->ops->get(s->backend, actor_full_name(st->actor), g, attempt_deadline(st), on_head, st);
}

void
append_begin(struct append_state *st)
{
	struct actor *a = st->actor;

	lock_take(&a->lock);
	bool known = a->known && !a->broken;
	struct head head = a->head;
	lock_give(&a->lock);
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
	int64_t since_us = st->now_us - s->backend->dedup_window_ns / 1000;

	st->record.seq = seq;
	lock_take(&a->lock);
	if (seq > a->head.seq) {
		cache_put(s->cache, &a->file, &st->base, &st->record);
		a->head = record_head(&st->record);
		a->head_at_ns = st->asked_ns;
		a->known = true;
	}
	lock_give(&a->lock);
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
		return;
	}
	land(st);
	if (err == 0) {
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
	} else if (st->group != NULL && !st->unknown) {
		/* What is refused may be the size of the whole. */
		st->alone = true;
		step_encode(st, st->base);
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
	lock_take(&a->lock);
	st->phase = SENT;
	st->unsent = false;
	st->made_for_base = true;
	lock_give(&a->lock);
	st->asked_ns = clock_mono(a->store->clock);
	b->ops->publish(b, actor_full_name(a), &st->record, msg_id, attempt_deadline(st), on_published, st);
}

/* Runs on the store's worker. */
static void
look_up(void *arg)
{
	struct append_state *st = arg;

	int err = lookup_ids(st->actor, st->batch, &st->base, st->deadline_ns);
	st->looked = true;
	st->looked_seq = st->base.seq;
	if (err == -EEXIST)
		finish_refused(st, err, st->batch->failed_line, st->batch->why);
	else if (err != 0)
		finish_error(st, err);
	else
		step_encode(st, st->base);
}

static void
step_lookup(struct append_state *st)
{
	land(st);
	set_phase(st, LOOKUP);
	if (timer_at(st->actor->store->worker, 0, look_up, st) != 0)
		finish_error(st, -ENOMEM);
}

/* The record of st's draft and those of its group, behind base. */
static int
stamp(struct append_state *st, size_t payload_max, size_t *refused, uint64_t *current)
{
	const struct head *base = &st->base;
	uint64_t version = base->version + 1;
	int64_t now_us = st->now_us;

	if (st->draft.lines > EVENT_VERSION_MAX - base->version) {
		*refused = (size_t)(EVENT_VERSION_MAX - base->version);
		*current = EVENT_VERSION_MAX;
		return -ESTALE;
	}
	buf_clear(&st->payload);
	draft_stamp(&st->draft, version, &st->payload);
	version += st->draft.lines;
	for (const struct append_state *m = st->group; m != NULL; m = m->next) {
		draft_stamp(&m->draft, version, &st->payload);
		version += m->draft.lines;
		now_us = m->now_us > now_us ? m->now_us : now_us;
	}
	if (st->payload.failed)
		return -ENOMEM;
	if (st->payload.len > payload_max)
		return -EMSGSIZE;
	st->made = (struct batch_record){ .first_id = span_of(st->draft.first_id) };
	st->record = (struct record){
		.prev_seq = base->seq,
		.first = base->version + 1,
		.last = version - 1,
		.count = base->count + (version - 1 - base->version),
		.offset = base->size,
		.time_us = now_us > base->time_us ? now_us : base->time_us + 1,
		.payload = { st->payload.p, st->payload.len },
	};
	st->record.sum = record_sum(base->sum, st->record.payload);
	return 0;
}

static int
make_marker(struct append_state *st)
{
	st->made = (struct batch_record){ .first_id = span_of(st->marker_id) };
	st->record = (struct record){ .time_us = st->now_us };
	st->record.sum = record_sum(0, st->record.payload);
	return 0;
}

/* There is room in flight: make the record, if it is not the one that was offered already, and send it. */
static void
send_record(struct append_state *st)
{
	struct backend *b = st->actor->store->backend;
	struct backend_status status;
	size_t refused = 0;
	uint64_t current = 0;
	int err;

	if (st->made_for_base) {
		publish(st);
		return;
	}
	b->ops->status(b, &status);
	size_t max = (size_t)status.payload_max;
	if (st->marker) {
		err = make_marker(st);
	} else if (st->draft.lines > 0) {
		append_gather(st, max, st->base.version);
		err = stamp(st, max, &refused, &current);
	} else {
		err = batch_encode(
		    st->batch, &st->base, max, &st->payload, &st->record, &st->made, &refused, &current);
	}
	bool looked = st->looked && st->looked_seq == st->base.seq;
	if (err == -ESTALE && !looked && st->batch != NULL && st->batch->lines[refused].event.id.p != NULL)
		step_lookup(st);
	else if (err == -ESTALE && !st->fresh)
		step_head(st); /* what is reported as current should be so */
	else if (err == -ESTALE)
		finish_conflict(st, refused, current);
	else if (err != 0)
		finish_error(st, err);
	else if (st->payload.len == 0 && !st->marker)
		finish_stored(st);
	else
		publish(st);
}

static void
on_slot(void *arg, bool granted)
{
	struct append_state *st = arg;

	st->in_flight = granted;
	if (granted)
		send_record(st);
	else
		finish_error(st, -ETIMEDOUT);
}

static void on_sweep(void *arg);

static void
sweep_later(struct store *s)
{
	if (!atomic_exchange(&s->sweeping, true))
		s->backend->ops->after(s->backend, clock_mono(s->clock) + SWEEP_NS, on_sweep, s);
}

/* Those that have waited in vain until their deadline. */
static void
on_sweep(void *arg)
{
	struct store *s = arg;

	atomic_store(&s->sweeping, false);
	if (quota_expire(&s->window, clock_mono(s->clock)) != INT64_MAX)
		sweep_later(s);
}

static void
step_slot(struct append_state *st)
{
	struct actor *a = st->actor;
	struct store *s = a->store;

	lock_take(&a->lock);
	st->phase = SLOT;
	size_t bytes = st->draft.text.len + a->queue->waiting_bytes;
	lock_give(&a->lock);
	if (st->made_for_base)
		bytes = st->payload.len;
	else if (st->batch != NULL)
		bytes = st->batch->size;
	st->slot = (struct quota_wait){ .deadline_ns = st->deadline_ns, .fn = on_slot, .arg = st };
	st->slot.units = 1 + bytes / APPEND_WINDOW_BYTES;
	if (st->slot.units > APPEND_WINDOW / 4)
		st->slot.units = APPEND_WINDOW / 4;
	if (quota_take(&s->window, &st->slot))
		on_slot(st, true);
	else
		sweep_later(s);
}

static void
step_encode(struct append_state *st, struct head head)
{
	append_disband(st);
	st->base = head;
	st->unknown = st->check_due = st->refused = st->made_for_base = false;
	if (st->marker && head.seq != 0 && !st->fresh) {
		step_head(st);
		return;
	}
	if (st->marker && head.seq != 0) {
		finish_error(st, -EEXIST);
		return;
	}
	bool looked = st->looked && st->looked_seq == head.seq;
	if (!looked && st->batch != NULL && lookup_needed(st->actor, st->batch, &head))
		step_lookup(st);
	else
		step_slot(st);
}

/*
 * Is the stored record the one that we offered? The ids in its payload are made here and nowhere else; that of a creation marker is empty,
 * so its time has to tell. Ids that the user gave prove nothing: lines that bring them are compared one by one.
 */
static bool
is_our_record(const struct append_state *st, const struct record *r)
{
	if (st->marker)
		return r->prev_seq == 0 && r->payload.len == 0 && r->time_us == st->record.time_us;
	return st->batch == NULL && span_eq(r->payload, st->record.payload);
}

static void
on_checked(void *arg, int err, const struct record *r)
{
	struct append_state *st = arg;

	if (err == -ENOTCONN || err == -ETIMEDOUT) {
		go_on_later(st, err, step_check);
		return;
	}
	if (err == 0 && is_our_record(st, r)) {
		commit(st, r->seq);
		return;
	}
	if (err == 0 && st->batch != NULL)
		err = batch_match(st->batch, r->payload);
	if (err == -EEXIST) {
		finish_refused(st, err, st->batch->failed_line, st->batch->why);
	} else if (err != 0 && err != -ENOENT) {
		finish_error(st, err);
	} else if (err == -ENOENT && st->check.kind == GET_NEXT && st->refused) {
		/* What stands in the way does not show yet, or base was erased: do not ask in a circle. */
		st->refused = false;
		pause_for(st, wait_backoff_ns(st->tries++));
	} else if (err == -ENOENT && st->check.kind == GET_NEXT) {
		step_slot(st);
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
