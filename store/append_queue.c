#include "append_queue.h"

#include <errno.h>
#include <stdlib.h>

#include "append.h"
#include "append_log.h"
#include "models.h"

static size_t
bytes_of(const struct append_state *st)
{
	return st->draft.text.len;
}

/* Who is next */

void
append_pop_locked(struct append_queue *q)
{
	struct append_state *st = q->first;

	q->first = st->next;
	if (q->first == NULL)
		q->tail = &q->first;
	st->next = NULL;
	q->waiting_bytes -= bytes_of(st);
}

/* What the first in the queue waits for, if somebody has to see to its end. */
enum company { COMPANY_NONE, COMPANY_LINGER, COMPANY_CROWD };

static size_t
count_locked(const struct append_queue *q, size_t max)
{
	size_t count = 0;

	for (const struct append_state *st = q->first; st != NULL && count < max; st = st->next)
		count++;
	return count;
}

/* Are those who were answered a moment ago, and others before them, about to come again? */
static bool
awaits_crowd_locked(const struct actor *a)
{
	const struct append_queue *q = a->queue;

	return q->crowd > 1 && clock_mono(a->store->clock) < q->crowd_ns && count_locked(q, q->crowd) < q->crowd;
}

/* A record of so many appends was stored, and they are about to be answered. */
static void
note_crowd_locked(struct actor *a, size_t stored)
{
	struct append_queue *q = a->queue;
	int64_t now = clock_mono(a->store->clock);
	size_t crowd = stored + count_locked(q, APPEND_CROWD_MAX);

	q->crowd = now < q->served_ns + APPEND_SERVED_NS ? crowd < APPEND_CROWD_MAX ? crowd : APPEND_CROWD_MAX : 0;
	q->crowd_ns = now + APPEND_CROWD_NS;
}

/* The leader of the next commit, active from here on, if its time has come. *company: what must be seen to if it has not. */
static struct append_state *
next_locked(struct actor *a, enum company *company)
{
	struct append_queue *q = a->queue;
	struct append_state *st = q->first;

	if (q->active != NULL || st == NULL)
		return NULL;
	if (st->ticket > q->hurry && q->waiting_bytes < APPEND_LINGER_BYTES) {
		if (!q->lingering)
			*company = COMPANY_LINGER;
		q->lingering = true;
		return NULL;
	}
	if (awaits_crowd_locked(a)) {
		if (!q->crowding)
			*company = COMPANY_CROWD;
		q->crowding = true;
		return NULL;
	}
	append_pop_locked(q);
	q->active = st;
	if (st->answer != ANSWER_WITH_END && q->progress_ns + a->store->options.timeout_ns > st->deadline_ns)
		st->deadline_ns = q->progress_ns + a->store->options.timeout_ns;
	return st;
}

/* The time for company is over for every actor in the list. */
static void
on_linger(void *arg)
{
	struct store *s = arg;

	lock_take(&s->lock);
	struct actor *a = s->lingering;
	s->lingering = NULL;
	lock_give(&s->lock);
	while (a != NULL) {
		struct actor *next = a->queue->next_lingering;
		enum company company = COMPANY_NONE;
		lock_take(&a->lock);
		a->queue->lingering = false;
		a->queue->hurry = a->queue->tickets;
		a->queue->crowd = 0;
		struct append_state *st = next_locked(a, &company);
		lock_give(&a->lock);
		if (st != NULL)
			append_begin(st);
		actor_put(a);
		a = next;
	}
}

static void
linger(struct actor *a)
{
	struct store *s = a->store;

	lock_take(&s->lock);
	bool first = s->lingering == NULL;
	a->refs++;
	a->queue->next_lingering = s->lingering;
	s->lingering = a;
	lock_give(&s->lock);
	/* Without memory for it they go at once. */
	if (first && timer_at(s->pump, clock_mono(s->clock) + APPEND_LINGER_NS, on_linger, s) != 0)
		on_linger(s);
}

/* The time for others to come is over. */
static void
on_crowd(void *arg)
{
	struct actor *a = arg;

	lock_take(&a->lock);
	a->queue->crowding = false;
	lock_give(&a->lock);
	append_go_on(a);
	actor_put(a);
}

static void
await_company(struct actor *a, enum company company)
{
	struct store *s = a->store;

	if (company == COMPANY_LINGER) {
		linger(a);
		return;
	}
	lock_take(&s->lock);
	a->refs++;
	lock_give(&s->lock);
	if (timer_at(s->pump, clock_mono(s->clock) + APPEND_CROWD_NS, on_crowd, a) != 0)
		on_crowd(a);
}

void
append_go_on(struct actor *a)
{
	enum company company = COMPANY_NONE;

	lock_take(&a->lock);
	struct append_state *st = next_locked(a, &company);
	lock_give(&a->lock);
	if (company != COMPANY_NONE)
		await_company(a, company);
	if (st != NULL)
		append_begin(st);
}

void
actor_append_hurry(struct actor *a)
{
	lock_take(&a->lock);
	bool any = a->queue != NULL && a->queue->first != NULL;
	if (any)
		a->queue->hurry = a->queue->tickets;
	lock_give(&a->lock);
	if (any)
		append_go_on(a);
}

/* The end of a commit */

/* Take those that are behind it in its chain out of the queue, into the list that *refused ends. */
static void
refuse_behind_locked(struct append_queue *q, const struct append_state *st, struct append_state ***refused)
{
	const struct append_chain *chain = st->ap->chain;

	if (chain == NULL)
		return;
	for (struct append_state **at = &q->first; *at != NULL;) {
		struct append_state *m = *at;
		if (m->ap->chain != chain) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		q->waiting_bytes -= bytes_of(m);
		m->next = NULL;
		**refused = m;
		*refused = &m->next;
	}
	q->tail = &q->first;
	while (*q->tail != NULL)
		q->tail = &(*q->tail)->next;
}

/* What was answered has nobody to tell but its chain. One that was not is the last of its chain, and tells for all. */
static void
note_failure_locked(const struct append_state *st, int err)
{
	if (st->ap->chain != NULL)
		st->ap->chain->failed = st->answer == ANSWER_WITH_END || st->answer == ANSWER_OWED ? 0 : err;
}

/* The active append and its group fail. Returns who fails with them, and how many there are besides the first. */
static struct append_state *
fail_locked(struct actor *a, struct append_state *st, struct append_state *group, int err, size_t *others)
{
	struct append_state *refused = NULL, **tail = &refused;

	/* Whatever became of the attempts, they may have moved the head. */
	if (!st->unsent)
		a->known = false;
	refuse_behind_locked(a->queue, st, &tail);
	for (struct append_state *m = group; m != NULL; m = m->next)
		refuse_behind_locked(a->queue, m, &tail);
	note_failure_locked(st, err);
	for (struct append_state *m = group; m != NULL; m = m->next, ++*others)
		note_failure_locked(m, err);
	for (struct append_state *m = refused; m != NULL; m = m->next, ++*others)
		note_failure_locked(m, err);
	return refused;
}

static size_t
complete_all(struct append_state *first, int err)
{
	size_t left = 0;

	for (struct append_state *m = first, *next; m != NULL; m = next) {
		next = m->next;
		left += append_complete(m, err);
	}
	return left;
}

static void
begin_next(void *arg)
{
	append_begin(arg);
}

void
append_finish(struct append_state *st, int err)
{
	struct actor *a = st->actor;
	struct store *s = a->store;
	struct append_queue *q = a->queue;
	struct append_state *group = st->group, *refused = NULL;
	unsigned depth = st->depth + 1;
	size_t units = st->in_flight ? st->slot.units : 0, others = 0;
	enum company company = COMPANY_NONE;

	/* It stays active until its end has been told, so that the ends of appends come in their order; and we stay. */
	lock_take(&s->lock);
	s->appends++;
	lock_give(&s->lock);
	lock_take(&a->lock);
	st->phase = ENDED;
	st->group = NULL;
	st->refs++;
	if (err == 0) {
		size_t stored = 1;
		for (const struct append_state *m = group; m != NULL; m = m->next)
			stored++;
		note_crowd_locked(a, stored);
		q->progress_ns = clock_mono(s->clock);
	} else {
		refused = fail_locked(a, st, group, err, &others);
	}
	lock_give(&a->lock);
	if (others > 0)
		append_log_others(s->lg, actor_full_name(a), others, err);
	size_t left = 1 + append_complete(st, err);
	left += complete_all(group, err);
	left += complete_all(refused, err);

	lock_take(&a->lock);
	q->active = NULL;
	struct append_state *next = next_locked(a, &company);
	append_wake_locked(q);
	lock_give(&a->lock);
	if (company != COMPANY_NONE)
		await_company(a, company);
	append_unref(st);
	if (units != 0)
		quota_give(&s->window, units);
	append_leave(s, left);
	if (next == NULL)
		return;
	/* Where all calls end at once, a long queue would eat up the stack. */
	next->depth = depth % APPEND_DEPTH;
	if (next->depth != 0)
		append_begin(next);
	else
		s->backend->ops->after(s->backend, 0, begin_next, next);
}

/* Giving up */

bool
append_is_cancelled(struct append_state *st)
{
	lock_take(&st->actor->lock);
	bool answered = st->answer == ANSWER_UNDER_WAY || st->answer == ANSWER_GIVEN;
	bool yes = st->cancelled && st->unsent && !answered;
	lock_give(&st->actor->lock);
	return yes;
}

static bool
take_from_queue_locked(struct append_queue *q, struct append_state *st)
{
	for (struct append_state **at = &q->first; *at != NULL; at = &(*at)->next) {
		if (*at != st)
			continue;
		*at = st->next;
		if (st->next == NULL)
			q->tail = at;
		st->next = NULL;
		q->waiting_bytes -= bytes_of(st);
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
	struct store *s = a->store;
	struct append_queue *q = a->queue;
	bool was_queued = false, was_waiting = false;

	lock_take(&a->lock);
	bool may = st->unsent && (st->answer == ANSWER_WITH_END || st->answer == ANSWER_OWED);
	if (may && st->phase == QUEUED && q->active != NULL && q->active->phase == WAITING)
		was_queued = take_from_queue_locked(q, st);
	else if (may && st->phase == WAITING)
		was_waiting = true;
	if (was_queued || was_waiting)
		st->phase = ENDED;
	lock_give(&a->lock);
	if (was_queued || was_waiting)
		append_log(s->lg, actor_full_name(a), -EINTR, 0, NULL);
	if (was_queued) {
		append_unref(st);
		if (append_complete(st, -EINTR) > 0)
			append_leave(s, 1);
	} else if (was_waiting) {
		/* The step's own reference stays with the callback that is still to come; finish takes this one. */
		append_finish(st, -EINTR);
	} else {
		append_unref(st);
	}
}

void
actor_append_cancel(struct actor *a, struct append *ap)
{
	struct backend *b = a->store->backend;

	lock_take(&a->lock);
	ap->cancelled = true;
	struct append_state *st = ap->state;
	if (st != NULL && !st->cancelled) {
		st->cancelled = true;
		st->refs++;
	} else {
		st = NULL;
	}
	lock_give(&a->lock);
	if (st != NULL)
		b->ops->after(b, 0, on_cancel, st);
}

int
actor_chain_take(struct actor *a, struct append_chain *chain)
{
	lock_take(&a->lock);
	int err = chain->failed;
	chain->failed = 0;
	lock_give(&a->lock);
	return err;
}

/* The beginning */

/* Lines of a hand-over are known by their ids alone. */
static int
check_forwarded(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (b->lines[i].event.id.p != NULL && b->lines[i].event.version == 0)
			continue;
		b->failed_line = b->lines[i].number;
		b->why = "handed over without an id or with a version";
		return -EINVAL;
	}
	return 0;
}

/* The batch is kept too where its ids may be known already, or where it is all there is. */
static int
draft(struct append_state *st, struct batch *b, size_t payload_max)
{
	int err = draft_suits(b) ? draft_make(&st->draft, b, payload_max) : 0;

	/* What may turn out shorter, for some of it is stored, is not cut here. */
	if (b->user_ids && (err == -EMSGSIZE || st->draft.lines < b->count)) {
		draft_free(&st->draft);
		err = 0;
	}
	if (err != 0 && !b->user_ids)
		b->failed_line = b->lines[0].number;
	st->cost = APPEND_COST + st->draft.text.cap;
	if (err != 0 || (st->draft.lines > 0 && !b->user_ids))
		return err;
	st->cost += draft_bound_of_batch(b);
	st->batch = malloc(sizeof(*b));
	if (st->batch == NULL)
		return -ENOMEM;
	*st->batch = *b;
	*b = (struct batch){ 0 };
	return 0;
}

static int
parse(struct append_state *st, struct batch *b)
{
	const struct append *ap = st->ap;
	struct store *s = st->actor->store;
	struct backend_status status;

	s->backend->ops->status(s->backend, &status);
	size_t payload_max = (size_t)status.payload_max;
	int err = batch_parse(
	    b, (struct span){ ap->data, ap->size }, span_of(st->actor->name), payload_max, s->clock);
	st->now_us = b->now_us;
	if (err == 0)
		err = ap->forwarded ? check_forwarded(b) : models_check(s, st->actor->ns, st->actor->name, b);
	if (err != 0 || b->count == 0)
		return err;
	err = draft(st, b, payload_max);
	bool whole = st->draft.lines > 0 || st->cost - APPEND_COST <= payload_max;
	/* What could turn out to be too long for one record is answered when it is known how much of it is stored. */
	if (err == 0 && ap->accepted != NULL && whole)
		st->answer = ANSWER_OWED;
	return err;
}

/* Put it at the end of the actor's queue. Returns 0, or the error of its chain, which it tells. */
static int
enqueue(struct append_state *st, bool *answer_due)
{
	struct actor *a = st->actor;
	struct append_queue *q = a->queue;
	struct append_chain *chain = st->ap->chain;

	if (chain != NULL && chain->failed != 0) {
		int err = chain->failed;
		chain->failed = 0;
		return err;
	}
	if (q == NULL) {
		q = a->queue = calloc(1, sizeof(*q));
		if (q == NULL)
			return -ENOMEM;
		q->tail = &q->first;
	}
	st->cancelled = st->ap->cancelled;
	if (st->cancelled)
		st->refs++;
	st->ap->state = st;
	st->ticket = ++q->tickets;
	if (st->ap->forwarded)
		q->served_ns = clock_mono(a->store->clock);
	*q->tail = st;
	q->tail = &st->next;
	q->waiting_bytes += bytes_of(st);
	*answer_due = st->answer == ANSWER_OWED && append_admit_locked(st);
	if (!*answer_due)
		q->hurry = st->ticket;
	return 0;
}

static void
submit(struct append_state *st)
{
	struct actor *a = st->actor;
	struct backend *b = a->store->backend;
	bool answer_due = false;
	enum company company = COMPANY_NONE;
	struct append_state *next = NULL;

	lock_take(&a->lock);
	int err = enqueue(st, &answer_due);
	bool cancelled = err == 0 && st->cancelled;
	/* One that is to be answered is answered before anything is sent, so that its writer goes on meanwhile. */
	if (err == 0 && !answer_due)
		next = next_locked(a, &company);
	lock_give(&a->lock);
	if (cancelled)
		b->ops->after(b, 0, on_cancel, st);
	if (err != 0) {
		if (append_complete(st, err) > 0)
			append_leave(a->store, 1);
	} else if (answer_due) {
		append_answer(st);
		append_go_on(a);
	} else if (next != NULL) {
		append_begin(next);
	} else if (company != COMPANY_NONE) {
		await_company(a, company);
	}
}

/* Refused, or nothing in it. */
static void
end_at_once(struct append_state *st, int err, const struct batch *b)
{
	struct store *s = st->actor->store;

	if (err != 0)
		append_log(s->lg, actor_full_name(st->actor), err, b->failed_line, b->why);
	else
		st->consumed = st->ap->size;
	if (append_complete(st, err) > 0)
		append_leave(s, 1);
}

void
actor_append(struct actor *a, struct append *ap)
{
	struct store *s = a->store;
	struct append_state *st = calloc(1, sizeof(*st));
	struct batch b = { .count = 0 };
	int err = 0;

	ap->consumed = 0;
	ap->version = 0;
	ap->life = 0;
	ap->head = (struct head){ 0 };
	if (st == NULL) {
		ap->done(ap, -ENOMEM);
		return;
	}
	*st = (struct append_state){ .ap = ap, .actor = a, .refs = 1, .unsent = true };
	st->erase = ap->erase;
	st->marker = ap->size == 0 && !ap->erase;
	st->deadline_ns = store_deadline(s);
	if (ap->deadline_ns != 0 && ap->deadline_ns < st->deadline_ns)
		st->deadline_ns = ap->deadline_ns;
	st->range = (struct lookup_range){ .all = ap->forwarded, .since_seq = ap->since_seq };
	st->since_life = ap->since_life;
	/* One reference and one append more, for ourselves: what is answered may end, and all be freed, while we are here. */
	lock_take(&s->lock);
	a->refs += 2;
	s->appends += 2;
	lock_give(&s->lock);
	if (ap->size == 0)
		clock_uuid7(s->clock, st->marker_id), st->now_us = clock_wall(s->clock);
	else
		err = parse(st, &b);
	if (err != 0 || (ap->size != 0 && st->draft.lines == 0 && st->batch == NULL))
		end_at_once(st, err, &b);
	else
		submit(st);
	batch_free(&b);
	actor_put(a);
	append_leave(s, 1);
}
