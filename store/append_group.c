#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "append_queue.h"

/* Where versions are about to end nothing joins: the last of a group could be refused alone. */
#define GROUP_VERSION_MAX (EVENT_VERSION_MAX - (INT64_C(1) << 40))

/* How much earlier than its own one may meet the deadline of a leader, in parts of the timeout. */
#define GROUP_EARLY 4

/* The ids that a group brings: an open hash of hashes. One that seems to be there though it is not does no harm. */
struct id_set {
	uint64_t *slots; /* 0 is free */
	size_t mask;
	size_t count;
};

static void
put_hash(struct id_set *set, uint64_t hash)
{
	size_t at = hash & set->mask;

	while (set->slots[at] != 0)
		at = (at + 1) & set->mask;
	set->slots[at] = hash;
}

static bool
grow_set(struct id_set *set)
{
	struct id_set more = { .mask = set->slots != NULL ? set->mask * 2 + 1 : 63, .count = set->count };

	more.slots = calloc(more.mask + 1, sizeof(more.slots[0]));
	if (more.slots == NULL)
		return false;
	for (size_t i = 0; set->slots != NULL && i <= set->mask; i++)
		if (set->slots[i] != 0)
			put_hash(&more, set->slots[i]);
	free(set->slots);
	*set = more;
	return true;
}

/* False: it is there already, or there is no memory. */
static bool
put_id(struct id_set *set, struct span id)
{
	uint64_t hash = XXH3_64bits(id.p, id.len) | 1;

	if ((set->slots == NULL || set->count * 2 > set->mask) && !grow_set(set))
		return false;
	for (size_t at = hash & set->mask; set->slots[at] != 0; at = (at + 1) & set->mask)
		if (set->slots[at] == hash)
			return false;
	put_hash(set, hash);
	set->count++;
	return true;
}

/* False: the batch and those before it bring the same id. */
static bool
put_ids(struct id_set *set, const struct batch *b)
{
	for (size_t i = 0; b != NULL && i < b->count; i++)
		if (b->lines[i].event.id.p != NULL && !put_id(set, b->lines[i].event.id))
			return false;
	return true;
}

void
append_disband(struct append_state *st)
{
	struct actor *a = st->actor;

	if (st->group == NULL)
		return;
	lock_take(&a->lock);
	struct append_queue *q = a->queue;
	struct append_state *last = st->group;
	for (struct append_state *m = st->group; m != NULL; m = m->next) {
		m->phase = QUEUED;
		q->waiting_bytes += m->draft.text.len;
		last = m;
	}
	last->next = q->first;
	if (q->first == NULL)
		q->tail = &last->next;
	q->first = st->group;
	st->group = NULL;
	lock_give(&a->lock);
}

bool
append_is_elsewhere_locked(const struct append_state *st, uint64_t life)
{
	const struct append_chain *chain = st->ap->chain;

	return chain != NULL && chain->bound && chain->life != life;
}

bool
append_is_lost(const struct append_state *st, const struct head *head)
{
	return st->range.all && (head->life != st->since_life || head->seq < st->range.since_seq);
}

/* May it be stored behind the leader's base, as far as that depends on what is stored? */
static bool
fits_base_locked(const struct append_state *leader, const struct append_state *st)
{
	struct actor *a = leader->actor;
	const struct head *base = &leader->base;

	if (append_is_elsewhere_locked(st, base->life) || append_is_lost(st, base))
		return false;
	return st->batch == NULL || !lookup_needed(a, st->batch, &st->range, base);
}

static bool
may_join_locked(const struct append_state *leader, const struct append_state *st)
{
	int64_t early_ns = leader->actor->store->options.timeout_ns / GROUP_EARLY;

	/* The time of an answered one begins anew when its turn comes. */
	return st->draft.lines > 0 && (st->answer != ANSWER_WITH_END || st->deadline_ns - leader->deadline_ns <= early_ns) &&
	       fits_base_locked(leader, st);
}

void
append_gather(struct append_state *st, size_t payload_max, bool with_ids)
{
	struct append_queue *q = st->actor->queue;
	struct append_state **at = &st->group;
	size_t bytes = draft_bound(&st->draft);
	struct id_set ids = { .slots = NULL };

	if (st->alone || st->base.version > GROUP_VERSION_MAX || !put_ids(&ids, st->batch))
		goto out;
	lock_take(&st->actor->lock);
	while (q->first != NULL && (with_ids || q->first->batch == NULL) && may_join_locked(st, q->first) &&
	       bytes + draft_bound(&q->first->draft) <= payload_max && put_ids(&ids, q->first->batch)) {
		struct append_state *m = q->first;
		append_pop_locked(q);
		m->phase = JOINED;
		m->unsent = false;
		bytes += draft_bound(&m->draft);
		*at = m;
		at = &m->next;
	}
	lock_give(&st->actor->lock);
out:
	free(ids.slots);
}
