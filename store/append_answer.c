#include <errno.h>
#include <stdlib.h>

#include "append.h"
#include "append_queue.h"

void
append_unref(struct append_state *st)
{
	struct actor *a = st->actor;

	lock_take(&a->lock);
	bool last = --st->refs == 0;
	lock_give(&a->lock);
	if (!last)
		return;
	draft_free(&st->draft);
	if (st->batch != NULL)
		batch_free(st->batch);
	free(st->batch);
	buf_free(&st->payload);
	buf_free(&st->msg_id);
	free(st);
	actor_put(a);
}

void
append_leave(struct store *s, size_t appends)
{
	lock_take(&s->lock);
	s->appends -= appends;
	if (s->appends == 0)
		pthread_cond_broadcast(&s->idle);
	lock_give(&s->lock);
}

/* Room and answers */

static void on_room(void *arg, bool granted);

static bool
has_room_locked(const struct append_queue *q, size_t cost)
{
	return q->held == 0 || q->held + cost <= APPEND_ACTOR_BYTES;
}

/* It has room in the actor; ask for room in the store. True: the answer is due, and the caller's to give. */
static bool
take_room_locked(struct append_state *st)
{
	struct append_queue *q = st->actor->queue;

	q->held += st->cost;
	st->held = true;
	st->room = (struct quota_wait){ .units = st->cost, .deadline_ns = INT64_MAX, .fn = on_room, .arg = st };
	st->waits_room = !quota_take(&st->actor->store->room, &st->room);
	return !st->waits_room;
}

static void
set_answering_locked(struct append_state *st)
{
	struct append_queue *q = st->actor->queue;

	st->answer = ANSWER_UNDER_WAY;
	if (q->answered < st->ticket)
		q->answered = st->ticket;
}

bool
append_admit_locked(struct append_state *st)
{
	struct append_queue *q = st->actor->queue;
	struct append_state **at = &q->owed;

	/* Nobody overtakes those who wait, however little it wants. */
	if (q->owed == NULL && has_room_locked(q, st->cost)) {
		if (!take_room_locked(st))
			return false;
		set_answering_locked(st);
		return true;
	}
	while (*at != NULL)
		at = &(*at)->next_owed;
	*at = st;
	st->next_owed = NULL;
	return false;
}

/* One that waits for room in the actor and now finds it; its answer is due. */
static struct append_state *
next_owed_locked(struct append_queue *q)
{
	while (q->owed != NULL && has_room_locked(q, q->owed->cost)) {
		struct append_state *st = q->owed;
		q->owed = st->next_owed;
		if (take_room_locked(st)) {
			set_answering_locked(st);
			return st;
		}
	}
	return NULL;
}

static void
forget_owed_locked(struct append_queue *q, const struct append_state *st)
{
	for (struct append_state **at = &q->owed; *at != NULL; at = &(*at)->next_owed) {
		if (*at == st) {
			*at = st->next_owed;
			return;
		}
	}
}

/* The end of an append whose answer is not under way. */
static void
end(struct append_state *st, int err)
{
	struct append *ap = st->ap;
	struct actor *a = st->actor;
	struct store *s = a->store;
	struct append_state *owed = NULL;
	size_t room = 0;

	lock_take(&a->lock);
	ap->state = NULL;
	if (st->held) {
		room = st->cost;
		st->held = false;
		a->queue->held -= room;
	}
	if (a->queue != NULL)
		owed = next_owed_locked(a->queue);
	lock_give(&a->lock);
	ap->consumed = err == 0 ? st->consumed : 0;
	ap->version = err == 0 ? st->version : 0;
	ap->life = err == 0 ? st->life : 0;
	ap->head = err == 0 ? st->end : (struct head){ 0 };
	ap->done(ap, err);
	if (room != 0)
		quota_give(&s->room, room);
	while (owed != NULL) {
		append_answer(owed);
		lock_take(&a->lock);
		owed = next_owed_locked(a->queue);
		lock_give(&a->lock);
	}
	append_unref(st);
}

static void
call_accepted(struct append_state *st)
{
	st->ap->consumed = st->batch != NULL ? st->batch->size : st->draft.consumed;
	st->ap->accepted(st->ap);
}

void
append_answer(struct append_state *st)
{
	struct actor *a = st->actor;
	struct store *s = a->store;

	call_accepted(st);
	lock_take(&a->lock);
	st->answer = ANSWER_GIVEN;
	bool late = st->late;
	int err = st->late_err;
	lock_give(&a->lock);
	if (!late)
		return;
	end(st, err);
	append_leave(s, 1);
}

static void
on_room(void *arg, bool granted)
{
	struct append_state *st = arg;
	struct store *s = st->actor->store;

	(void)granted;
	lock_take(&st->actor->lock);
	st->waits_room = false;
	bool late_failure = st->late && st->late_err != 0;
	int err = st->late_err;
	if (!late_failure)
		set_answering_locked(st);
	lock_give(&st->actor->lock);
	if (!late_failure) {
		append_answer(st);
		return;
	}
	end(st, err);
	append_leave(s, 1);
}

size_t
append_complete(struct append_state *st, int err)
{
	struct actor *a = st->actor;

	lock_take(&a->lock);
	st->phase = ENDED;
	bool owed = st->answer == ANSWER_OWED;
	bool leave_it = st->answer == ANSWER_UNDER_WAY;
	if (owed && st->waits_room && quota_drop(&a->store->room, &st->room)) {
		st->waits_room = false;
		st->held = false;
		a->queue->held -= st->cost;
	} else if (owed && st->waits_room) {
		leave_it = true;
	} else if (owed && a->queue != NULL) {
		forget_owed_locked(a->queue, st);
	}
	if (leave_it) {
		st->late = true;
		st->late_err = err;
	}
	lock_give(&a->lock);
	if (leave_it)
		return 0;
	if (owed && err == 0)
		call_accepted(st);
	end(st, err);
	return 1;
}

/* Waiting for what was answered */

static uint64_t
oldest_locked(const struct append_queue *q)
{
	return q->active != NULL ? q->active->ticket : q->first != NULL ? q->first->ticket : UINT64_MAX;
}

void
append_wake_locked(struct append_queue *q)
{
	uint64_t oldest = oldest_locked(q);

	for (struct settle_wait *w = q->settling; w != NULL; w = w->next) {
		if (w->ticket < oldest && !w->done) {
			w->done = true;
			pthread_cond_signal(&w->wake);
		}
	}
}

/* Wait in the list. Left and entered with the lock. */
static bool
wait_settled_locked(struct actor *a, struct settle_wait *w, int64_t deadline_ns)
{
	bool in_time = true;

	w->next = a->queue->settling;
	a->queue->settling = w;
	while (!w->done && in_time)
		in_time = lock_wait_until(&a->lock, &w->wake, deadline_ns);
	for (struct settle_wait **p = &a->queue->settling; *p != NULL; p = &(*p)->next) {
		if (*p == w) {
			*p = w->next;
			break;
		}
	}
	return w->done;
}

int
append_settle(struct actor *a, int64_t deadline_ns)
{
	struct settle_wait w = { .done = false };

	lock_take(&a->lock);
	struct append_queue *q = a->queue;
	bool settled = q == NULL || oldest_locked(q) > q->answered;
	if (!settled) {
		w.ticket = q->answered;
		q->hurry = q->hurry < w.ticket ? w.ticket : q->hurry;
	}
	lock_give(&a->lock);
	if (settled)
		return 0;
	append_go_on(a);
	lock_cond_init(&w.wake);
	lock_take(&a->lock);
	settled = oldest_locked(q) > w.ticket || wait_settled_locked(a, &w, deadline_ns);
	lock_give(&a->lock);
	pthread_cond_destroy(&w.wake);
	return settled ? 0 : -ETIMEDOUT;
}

