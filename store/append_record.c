#include <errno.h>

#include "append_queue.h"

static uint64_t
node_of(const struct append_state *st)
{
	bool lines = !st->marker && !st->erase;

	return lines && st->ap->for_other ? st->ap->for_node : st->actor->store->node;
}

uint64_t
append_node(const struct append_state *st)
{
	uint64_t node = node_of(st);

	for (const struct append_state *m = st->group; m != NULL; m = m->next)
		if (node_of(m) != node)
			return 0;
	return node;
}

size_t
append_group_lines(const struct append_state *st)
{
	size_t lines = st->draft.lines;

	for (const struct append_state *m = st->group; m != NULL; m = m->next)
		lines += m->draft.lines;
	return lines;
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
		.life = base->life,
		.payload = { st->payload.p, st->payload.len },
	};
	st->record.sum = record_sum(base->sum, st->record.payload);
	return 0;
}

/* The creation marker, or the tombstone. */
static int
make_marker(struct append_state *st)
{
	const struct head *base = &st->base;
	int64_t time_us = st->now_us > base->time_us ? st->now_us : base->time_us + 1;

	st->made = (struct batch_record){ .first_id = span_of(st->marker_id) };
	if (st->erase) {
		st->record = record_tombstone(base->seq, time_us);
		return 0;
	}
	st->record = (struct record){ .prev_seq = base->seq, .life = base->life, .time_us = time_us };
	st->record.sum = record_sum(0, st->record.payload);
	return 0;
}

/* Those of them that are not stored yet, and those of a hand-over not without the others. */
static int
encode(struct append_state *st, size_t payload_max, size_t *refused, uint64_t *current)
{
	int err = batch_encode(
	    st->batch, &st->base, payload_max, &st->payload, &st->record, &st->made, refused, current);

	if (err == 0 && st->range.all && st->made.lines < st->batch->count)
		err = -EMSGSIZE;
	return err;
}

int
append_make(struct append_state *st, size_t payload_max, size_t *refused, uint64_t *current)
{
	int err;

	st->stamped = st->draft.lines > 0 && !st->unit && (st->batch == NULL || !batch_any_stored(st->batch));
	if (st->marker || st->erase) {
		err = make_marker(st);
	} else if (st->stamped) {
		append_gather(st, payload_max, true);
		err = stamp(st, payload_max, refused, current);
	} else {
		err = encode(st, payload_max, refused, current);
	}
	st->record.node = append_node(st);
	return err;
}

/* Is there anything in the record but lines whose ids are made here? */
static bool
has_given_ids(const struct append_state *st)
{
	bool has = st->batch != NULL;

	for (const struct append_state *m = st->group; m != NULL; m = m->next)
		has |= m->batch != NULL;
	return has;
}

bool
append_is_our_stamp(const struct append_state *st, const struct record *r)
{
	const struct record *ours = &st->record;

	/* What does not say that it is this node's may be stamped alike elsewhere. */
	if (ours->node != st->actor->store->node && !span_eq(r->payload, ours->payload))
		return false;
	return r->node == ours->node && r->time_us == ours->time_us && r->prev_seq == ours->prev_seq &&
	       r->erased == ours->erased && r->life == ours->life;
}

/*
 * Is the stored record the one that we offered? The ids in its payload are made here and nowhere else; that of a creation marker is empty,
 * as that of a tombstone, so who made it and when has to tell, as it has where ids were given. Lines that were not stamped as they are are
 * compared one by one.
 */
bool
append_is_ours(const struct append_state *st, const struct record *r)
{
	if (st->marker || st->erase)
		return r->payload.len == 0 && append_is_our_stamp(st, r);
	if (!st->stamped || !span_eq(r->payload, st->record.payload))
		return false;
	return !has_given_ids(st) || append_is_our_stamp(st, r);
}
