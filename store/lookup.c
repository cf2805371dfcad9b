#include "lookup.h"

#include <errno.h>
#include <stdlib.h>

#include "state.h"

static int64_t
window_start_us(const struct actor *a)
{
	/* Twice the window: clocks of nodes differ, and remembering more does no harm. */
	return clock_wall(a->store->clock) - 2 * a->store->backend->dedup_window_ns / 1000;
}

/* What is known of the ids of the life that head is in, at least NULL. */
static void
forget_other_lives(struct actor *a, const struct head *head)
{
	if (a->dedup == NULL || dedup_life(a->dedup) == head->life)
		return;
	dedup_free(a->dedup);
	a->dedup = NULL;
}

static bool
is_covered(struct actor *a, const struct head *head)
{
	forget_other_lives(a, head);
	if (a->dedup != NULL && dedup_covered(a->dedup) == head->seq)
		return true;
	if (head_is_there(head) && head->time_us >= window_start_us(a))
		return false;
	/* All that is stored is older than the window. */
	dedup_free(a->dedup);
	a->dedup = NULL;
	return dedup_new(&a->dedup, head->life, head->seq) == 0;
}

static bool
is_open(const struct batch_line *line)
{
	return line->event.id.p != NULL && line->stored == 0 && !line->repeat;
}

/* Then there is one place where it can be, if it is stored at all. */
static bool
names_stored_version(const struct batch_line *line, const struct head *head)
{
	return line->event.version != 0 && line->event.version <= head->version;
}

/* Does what is remembered tell of all records behind seq? */
static bool
knows_since(struct actor *a, const struct head *head, uint64_t seq)
{
	return is_covered(a, head) && (dedup_complete(a->dedup) <= seq || seq >= head->seq);
}

bool
lookup_needed(struct actor *a, const struct batch *b, const struct lookup_range *range, const struct head *head)
{
	if (range->all && range->once && range->since_seq >= head->seq)
		return false;
	if (range->all && !knows_since(a, head, range->since_seq))
		return true;
	for (size_t i = 0; b->user_ids && i < b->count; i++) {
		const struct batch_line *line = &b->lines[i];
		if (!is_open(line))
			continue;
		if (names_stored_version(line, head) || !is_covered(a, head) || dedup_find(a->dedup, line->event.id) != 0)
			return true;
	}
	return false;
}

/* Walk back from head along the records' own pointers, to what is covered or the limits, then remember what was found, oldest first. */
static int
cover(struct actor *a, const struct head *head, int64_t deadline_ns)
{
	struct store *s = a->store;
	int64_t since_us = window_start_us(a);
	uint64_t known_seq = a->dedup != NULL ? dedup_covered(a->dedup) : head->life, seq = head->seq;
	struct owned_record *records = calloc(DEDUP_RECORDS_MAX, sizeof(*records));
	size_t count = 0, bytes = 0;
	int err = records == NULL ? -ENOMEM : 0;

	if (err == 0 && a->dedup == NULL)
		err = dedup_new(&a->dedup, head->life, head->life);
	while (err == 0 && seq > known_seq && count < DEDUP_RECORDS_MAX && bytes < DEDUP_BYTES_MAX) {
		struct owned_record *r = &records[count];
		struct backend_get g = { .kind = GET_SEQ, .seq = seq };
		err = wait_get_sure(s->backend, s->clock, actor_full_name(a), g, deadline_ns, r);
		if (err != 0 || r->record.foreign || r->record.time_us < since_us)
			break;
		count++;
		bytes += r->record.payload.len;
		seq = r->record.prev_seq;
	}
	if (err == -ENOENT)
		err = 0; /* erased; nothing before it counts */
	if (err == 0 && seq > known_seq)
		dedup_lacks(a->dedup, seq);
	for (size_t i = count; err == 0 && i-- > 0;)
		dedup_add_record(a->dedup, &records[i].record, since_us);
	if (err == 0)
		dedup_cover(a->dedup, head->seq);
	for (size_t i = 0; records != NULL && i < DEDUP_RECORDS_MAX; i++)
		owned_record_free(&records[i]);
	free(records);
	return err;
}

static int
look_up_version(struct actor *a, struct batch *b, const struct head *head, uint64_t version)
{
	struct owned_record found = { 0 };
	struct head base;

	int err = replay_locate(a, head, REPLAY_VERSION, version, &base, &found);
	if (err == 0)
		err = batch_match(b, found.record.payload);
	owned_record_free(&found);
	return err == -ENOENT ? 0 : err;
}

/* Read all that is stored behind since_seq, from the end. */
static int
scan(struct actor *a, struct batch *b, const struct head *head, uint64_t since_seq, int64_t deadline_ns)
{
	struct store *s = a->store;
	struct owned_record r = { 0 };
	uint64_t seq = head->seq;
	int err = 0;

	while (err == 0 && seq > since_seq && seq > head->life) {
		struct backend_get g = { .kind = GET_SEQ, .seq = seq };
		err = wait_get_sure(s->backend, s->clock, actor_full_name(a), g, deadline_ns, &r);
		if (err == 0)
			err = r.record.foreign ? -EIO : batch_match(b, r.record.payload);
		seq = r.record.prev_seq;
	}
	owned_record_free(&r);
	if (err == -ENOENT)
		err = actor_was_erased(a, head->life) ? -ESTALE : -EIO;
	return err;
}

/* What is remembered does not tell of all that was stored since. */
static int
look_since(struct actor *a, struct batch *b, const struct lookup_range *range, const struct head *head, int64_t deadline_ns)
{
	int err = range->once || is_covered(a, head) ? 0 : cover(a, head, deadline_ns);

	if (err == 0 && !knows_since(a, head, range->since_seq))
		err = scan(a, b, head, range->since_seq, deadline_ns);
	return err;
}

int
lookup_ids(struct actor *a, struct batch *b, const struct lookup_range *range, const struct head *head, int64_t deadline_ns)
{
	bool known = !range->all || knows_since(a, head, range->since_seq);
	int err = known ? 0 : look_since(a, b, range, head, deadline_ns);

	/* After a scan there is nothing left to be found. */
	if (err != 0 || (range->all && !knows_since(a, head, range->since_seq)))
		return err;
	for (size_t i = 0; err == 0 && i < b->count; i++) {
		const struct batch_line *line = &b->lines[i];
		uint64_t version = line->event.version;
		if (!is_open(line))
			continue;
		if (!names_stored_version(line, head) && !is_covered(a, head))
			err = cover(a, head, deadline_ns);
		if (err == 0 && !names_stored_version(line, head))
			version = a->dedup != NULL ? dedup_find(a->dedup, line->event.id) : 0;
		if (err == 0 && version != 0)
			err = look_up_version(a, b, head, version);
	}
	return err;
}

void
lookup_see(struct actor *a, const struct record *r)
{
	if (a->dedup == NULL || r->foreign || r->erased || r->life != dedup_life(a->dedup) ||
	    r->prev_seq != dedup_covered(a->dedup))
		return;
	dedup_add_record(a->dedup, r, window_start_us(a));
	dedup_cover(a->dedup, r->seq);
}
