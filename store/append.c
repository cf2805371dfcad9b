#include "append.h"

#include <errno.h>
#include <stdlib.h>

#include "append_log.h"
#include "append_queue.h"
#include "index.h"
#include "lookup.h"
#include "name.h"
#include "snapshot.h"

/* How long one at most waits in vain for the window after its deadline. */
#define SWEEP_NS (250 * NS_PER_MS)

static void step_check(struct append_state *st);
static void step_slot(struct append_state *st);
static void step_wait(struct append_state *st);

static void
report(const struct append_state *st, int err, size_t line, const char *why)
{
	const struct actor *a = st->actor;

	/* That it exists is what a creator wants to know, and that it does not whoever erases it; no data are refused. */
	if ((err != -EEXIST || !st->marker) && (err != -ENOENT || !st->erase))
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
	/* Whoever has got its lines may still store them (17). */
	append_finish(st, st->unit ? -ETIMEDOUT : err);
}

void
append_fail(struct append_state *st, int err)
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
set_stored_locked(struct append_state *st, size_t consumed, uint64_t version, uint64_t life, const struct head *end)
{
	struct append_chain *chain = st->ap->chain;

	st->consumed = consumed;
	st->version = version;
	st->life = life;
	st->end = *end;
	if (chain != NULL && !chain->bound) {
		chain->bound = true;
		chain->life = life;
	}
}

void
append_stored(struct append_state *st, const struct head *end)
{
	struct actor *a = st->actor;
	uint64_t version = st->base.version, life = st->erase ? st->record.seq : st->base.life;

	/* Also when it is stored already: then the head has just been asked for. */
	lock_take(&a->lock);
	struct head head = a->head;
	if (st->unit)
		version = st->made.version - append_group_lines(st);
	if (!st->stamped && !st->unit)
		set_stored_locked(st, st->made.consumed, st->made.version, life, end);
	else
		set_stored_locked(st, st->draft.consumed, version += st->draft.lines, life, end);
	for (struct append_state *m = st->group; m != NULL; m = m->next)
		set_stored_locked(m, m->draft.consumed, version += m->draft.lines, life, end);
	lock_give(&a->lock);
	index_learn(a->store, a->ns, a->name, &head);
	append_finish(st, 0);
}

/* Somebody has erased it, perhaps we: of one of our attempts the outcome was never known. */
static void
finish_erased(struct append_state *st, const struct head *head)
{
	st->life = head->life;
	st->end = *head;
	index_learn(st->actor->store, st->actor->ns, st->actor->name, head);
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
	append_finish(st, st->unit ? -ETIMEDOUT : -ESTALE);
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
		append_fail(st, -ETIMEDOUT);
	else if (append_is_cancelled(st))
		append_fail(st, -EINTR);
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
		append_fail(st, -EINTR);
	else if (too_late(st))
		append_fail(st, -ETIMEDOUT);
	else if (st->check_due)
		step_check(st);
	else
		append_step_head(st);
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
		go_on_later(st, err, append_step_head);
	} else if (err != 0 && err != -ENOENT) {
		append_fail(st, err);
	} else {
		lock_take(&a->lock);
		bool foreign = actor_learn_locked(a, r, true, st->asked_ns, st->seen_seq) || a->broken;
		struct head head = a->head;
		lock_give(&a->lock);
		st->fresh = true;
		if (r != NULL)
			lookup_see(a, r);
		if (foreign && st->erase)
			/* Whatever it is that stands there. */
			append_step_encode(st, (struct head){ .seq = r != NULL ? r->seq : head.seq, .time_us = head.time_us });
		else if (foreign)
			finish_refused(st, -EIO, 0, "the actor's last record was not written by Aether");
		else
			append_step_encode(st, head);
	}
}

void
append_step_head(struct append_state *st)
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
	if (st->ap->forwarded && too_late(st))
		append_fail(st, -EHOSTUNREACH); /* who has handed it over does not wait any more */
	else if (known)
		append_step_encode(st, head);
	else
		append_step_head(st);
}

static void
commit(struct append_state *st, uint64_t seq)
{
	struct actor *a = st->actor;
	struct store *s = a->store;
	int64_t since_us = st->now_us - s->backend->dedup_window_ns / 1000;

	st->record.seq = seq;
	struct head head = record_head(&st->record);
	lock_take(&a->lock);
	if (seq > a->head.seq) {
		cache_put(s->cache, &a->file, &st->base, &st->record);
		actor_set_head_locked(a, &head);
		a->broken = false;
		a->head_at_ns = st->asked_ns;
		a->known = true;
	}
	lock_give(&a->lock);
	if (a->dedup != NULL && !st->erase && dedup_life(a->dedup) == st->base.life &&
	    dedup_covered(a->dedup) == st->base.seq) {
		dedup_add_record(a->dedup, &st->record, since_us);
		dedup_cover(a->dedup, seq);
	}
	if (!st->erase)
		snapshot_note(a, st->base.count, head.count);
	append_stored(st, &head);
}

static void
lost_race(struct append_state *st)
{
	struct store *s = st->actor->store;
	uint16_t random;

	++st->races;
	/* Who sequences the others' does not make way for them. */
	if (append_note_races(st) || st->races <= APPEND_RACES || st->is_owner || st->ap->forwarded) {
		append_step_head(st);
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
		append_fail(st, -ETIMEDOUT);
	} else if (err == -ESTALE && st->unknown) {
		st->refused = true;
		check_behind_base(st);
		step_check(st);
	} else if (err == -ESTALE) {
		lost_race(st);
	} else if (err == -EHOSTUNREACH) {
		go_on_later(st, -ENOTCONN, append_step_head);
	} else if (err == -ETIMEDOUT || err == -ENOTCONN) {
		st->unknown = st->unsure = true;
		check_behind_base(st);
		go_on_later(st, err, step_check);
	} else if (st->group != NULL && !st->unknown && !st->unit) {
		/* What is refused may be the size of the whole. */
		st->alone = true;
		append_step_encode(st, st->base);
	} else {
		append_fail(st, err);
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
		append_fail(st, -ENOMEM);
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

	int err = lookup_ids(st->actor, st->batch, &st->range, &st->base, st->deadline_ns);
	st->looked = true;
	st->looked_seq = st->base.seq;
	/* What was true of the base need not be, if the actor has been erased since. */
	bool stale = err == -ESTALE || (err == -EEXIST && !st->fresh);
	if (stale)
		st->looked = false;
	if (err == -ESTALE)
		lost_race(st);
	else if (stale)
		append_step_head(st);
	else if (err == -EEXIST)
		finish_refused(st, err, st->batch->failed_line, st->batch->why);
	else if (err != 0)
		append_fail(st, st->range.all && err != -ETIMEDOUT ? -EHOSTUNREACH : err);
	else
		append_step_encode(st, st->base);
}

static void
step_lookup(struct append_state *st)
{
	land(st);
	set_phase(st, LOOKUP);
	if (timer_at(st->actor->store->worker, 0, look_up, st) != 0)
		append_fail(st, -ENOMEM);
}

/* There is room in flight: make the record, if it is not the one that was offered already, and send it. */
static void
send_record(struct append_state *st)
{
	struct backend *b = st->actor->store->backend;
	struct backend_status status;
	size_t refused = 0;
	uint64_t current = 0;

	if (st->made_for_base) {
		publish(st);
		return;
	}
	b->ops->status(b, &status);
	int err = append_make(st, (size_t)status.payload_max, &refused, &current);
	bool looked = st->looked && st->looked_seq == st->base.seq;
	if (err == -ESTALE && !looked && st->batch != NULL && st->batch->lines[refused].event.id.p != NULL)
		step_lookup(st);
	else if (err == -ESTALE && !st->fresh)
		append_step_head(st); /* what is reported as current should be so */
	else if (err == -ESTALE)
		finish_conflict(st, refused, current);
	else if (err != 0)
		append_fail(st, err);
	else if (st->record.payload.len == 0 && st->batch != NULL && !st->fresh)
		append_step_head(st); /* all is stored, unless it has been erased since */
	else if (st->record.payload.len == 0 && st->batch != NULL)
		append_stored(st, &st->base);
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
		append_fail(st, -ETIMEDOUT);
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
	else if (st->draft.lines == 0 && st->batch != NULL)
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

/* The head does not allow what is wanted; true: that is dealt with. */
static bool
is_refused(struct append_state *st, const struct head *head)
{
	lock_take(&st->actor->lock);
	bool elsewhere = append_is_elsewhere_locked(st, head->life);
	lock_give(&st->actor->lock);
	bool there = head_is_there(head);
	bool lost = append_is_lost(st, head);
	if (!elsewhere && !lost && !(st->marker && there) && !(st->erase && !there))
		return false;
	if (!st->fresh)
		append_step_head(st);
	else if (lost)
		append_fail(st, -EHOSTUNREACH);
	else if (elsewhere)
		finish_refused(st, -ENOENT, 0, "the actor that the writer had opened was erased");
	else if (st->marker)
		append_fail(st, -EEXIST);
	else if (st->unsure)
		finish_erased(st, head);
	else
		append_fail(st, -ENOENT);
	return true;
}

void
append_step_encode(struct append_state *st, struct head head)
{
	if (!st->unit)
		append_disband(st);
	/* Nothing that was found before it was erased counts. */
	if (st->batch != NULL && head.life != st->base.life)
		batch_forget_stored(st->batch);
	st->base = head;
	st->unknown = st->check_due = st->refused = st->made_for_base = false;
	if (is_refused(st, &head))
		return;
	bool looked = st->looked && st->looked_seq == head.seq;
	if (!looked && st->batch != NULL && lookup_needed(st->actor, st->batch, &st->range, &head)) {
		step_lookup(st);
	} else if (append_hands_over(st)) {
		land(st);
		append_hand_over(st);
	} else {
		step_slot(st);
	}
}

static void
on_checked(void *arg, int err, const struct record *r)
{
	struct append_state *st = arg;

	if (err == -ENOTCONN || err == -ETIMEDOUT) {
		go_on_later(st, err, step_check);
		return;
	}
	if (err == 0 && append_is_ours(st, r)) {
		commit(st, r->seq);
		return;
	}
	/* It is not the group's record; whether it holds ids of one append is found when that looks for them, or is sent alone. */
	bool compare = st->batch != NULL && (st->group == NULL || st->unit);
	st->alone |= st->batch != NULL && st->check.kind == GET_SEQ;
	if (err == 0 && compare && !append_is_our_stamp(st, r)) {
		if (!st->fresh) {
			/* It says nothing before it is known whether it was erased before this append began. */
			st->check_due = false;
			append_step_head(st);
			return;
		}
		if (r->seq <= st->base.life)
			err = -ENOENT;
	}
	if (err == 0 && compare)
		err = batch_match(st->batch, r->payload);
	if (err == -EEXIST) {
		finish_refused(st, err, st->batch->failed_line, st->batch->why);
	} else if (err != 0 && err != -ENOENT) {
		append_fail(st, err);
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
		append_step_head(st);
	}
}

static void
step_check(struct append_state *st)
{
	struct store *s = st->actor->store;

	set_phase(st, CHECK);
	s->backend->ops->get(s->backend, actor_full_name(st->actor), st->check, attempt_deadline(st), on_checked, st);
}
