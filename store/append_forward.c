#include <errno.h>
#include <stdlib.h>

#include "append.h"
#include "append_queue.h"

/* Only what nobody but this node knows can be handed over: it is then known by the ids that were made for it here. */
static bool
is_own_draft(const struct append_state *st)
{
	return st->draft.lines > 0 && st->batch == NULL && !st->kept && st->actor->store->forward != NULL;
}

static void
set_contended(const struct append_state *st, bool contended)
{
	struct actor *a = st->actor;
	int64_t now = clock_mono(a->store->clock);

	lock_take(&a->lock);
	a->contended_ns = contended ? now + APPEND_CONTENDED_NS : 0;
	lock_give(&a->lock);
}

bool
append_note_races(struct append_state *st)
{
	if (st->races < APPEND_HAND_RACES || !is_own_draft(st))
		return false;
	set_contended(st, true);
	return true;
}

bool
append_hands_over(struct append_state *st)
{
	struct actor *a = st->actor;

	if (!is_own_draft(st))
		return false;
	lock_take(&a->lock);
	int64_t until_ns = a->contended_ns;
	lock_give(&a->lock);
	int64_t now = clock_mono(a->store->clock);
	return now < until_ns && now < st->deadline_ns;
}

/* What the others have to know is what its own attempts would have made known: that it is stored, and the head behind it. */
static void
stored_elsewhere(struct append_state *st, const struct head *head, uint64_t version)
{
	struct actor *a = st->actor;

	lock_take(&a->lock);
	if (head->seq > a->head.seq) {
		actor_set_head_locked(a, head);
		a->broken = false;
		a->known = true;
		a->head_at_ns = st->asked_ns;
	}
	lock_give(&a->lock);
	/* As long as others' records come in between. */
	if (head->seq > st->base.seq && head->version - st->base.version > append_group_lines(st))
		set_contended(st, true);
	st->unit = true;
	st->made.version = version;
	append_stored(st, head);
}

static void send_over(struct append_state *st);

/*
 * It may be stored, or will be. Who sequences the others' knows best, so he is asked once more. Then it is one that brings ids, and is looked for
 * before each attempt.
 */
static void
go_on_unknown(struct append_state *st)
{
	struct actor *a = st->actor;
	struct span text = { st->payload.p, st->payload.len };

	st->unit = true;
	if (++st->handed < APPEND_HAND_TRIES && clock_mono(a->store->clock) < st->deadline_ns) {
		send_over(st);
		return;
	}
	set_contended(st, false);
	struct batch *b = calloc(1, sizeof(*b));
	st->range = (struct lookup_range){ .all = true, .since_seq = st->base.seq, .once = true };
	st->since_life = st->base.life;
	st->batch = b;
	int err = b == NULL ? -ENOMEM : batch_parse(b, text, span_of(a->name), text.len, a->store->clock);
	if (err == 0)
		b->now_us = st->now_us;
	if (err != 0 || clock_mono(a->store->clock) >= st->deadline_ns)
		append_fail(st, -ETIMEDOUT);
	else
		append_step_head(st);
}

static void
go_on_alone(struct append_state *st)
{
	set_contended(st, false);
	st->kept = true;
	append_step_encode(st, st->base);
}

/* By this answer it is not stored; but it may be by an earlier hand-over, of which no answer came. */
static void
refused_over(struct append_state *st)
{
	if (st->handed == 0) {
		go_on_alone(st);
	} else {
		st->handed = APPEND_HAND_TRIES;
		go_on_unknown(st);
	}
}

static void
on_handed(void *arg, int err, const struct head *head, uint64_t version)
{
	struct append_state *st = arg;

	if (err == 0 && head != NULL && version >= append_group_lines(st))
		stored_elsewhere(st, head, version);
	else if (err == 0 || err == -ETIMEDOUT || err == -ENOTCONN)
		go_on_unknown(st);
	else
		refused_over(st);
}

void
append_hand_over(struct append_state *st)
{
	struct actor *a = st->actor;
	struct store *s = a->store;
	struct backend_status status;

	s->backend->ops->status(s->backend, &status);
	append_gather(st, (size_t)status.payload_max, false);
	buf_clear(&st->payload);
	draft_bare(&st->draft, &st->payload);
	for (const struct append_state *m = st->group; m != NULL; m = m->next)
		draft_bare(&m->draft, &st->payload);
	if (st->payload.failed) {
		append_fail(st, -ENOMEM);
		return;
	}
	send_over(st);
}

/* The lines are in payload. */
static void
send_over(struct append_state *st)
{
	struct actor *a = st->actor;
	struct store *s = a->store;

	st->asked_ns = clock_mono(s->clock);
	int64_t left_ns = (st->deadline_ns - st->asked_ns) / 2;
	struct store_forward f = { .ns = a->ns, .actor = a->name, .lines = { st->payload.p, st->payload.len } };
	f.since_seq = st->base.seq;
	f.life = st->base.life;
	f.node = append_node(st);
	f.deadline_ns = st->asked_ns + (left_ns < APPEND_HAND_NS ? left_ns : APPEND_HAND_NS);
	lock_take(&a->lock);
	st->phase = HANDED;
	st->unsent = false;
	lock_give(&a->lock);
	/* Once it is under way, st may be gone. */
	int err = s->forward(s->forward_arg, &f, on_handed, st);
	if (err == 0)
		return;
	st->is_owner = err == -EALREADY;
	refused_over(st);
}
