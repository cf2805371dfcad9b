#include "locate.h"

#include <errno.h>

#include "state.h"

/* Looking for the first record after which the key is value or more. */
struct search {
	struct actor *actor;
	enum head_key key;
	uint64_t value;
	struct head lo;           /* after a record before the wanted one, or the beginning of the life */
	uint64_t to;              /* the wanted record is best, or lies behind lo and not behind this sequence */
	uint64_t to_key;          /* the key after the last record up to there, or a little more */
	struct owned_record best; /* reaches value, but may not be the first that does; empty: none so far */
};

/* The key before a record, or a little more: a gap in the versions may lie there. */
static uint64_t
key_before(const struct record *r, enum head_key key)
{
	uint64_t lines = 0;

	if (key == HEAD_VERSION)
		return r->first > 0 ? r->first - 1 : 0;
	for (const char *p = r->payload.p, *end = p + r->payload.len; p < end; lines++) {
		p = memchr(p, '\n', (size_t)(end - p));
		p = p != NULL ? p + 1 : end;
	}
	return lines < r->count ? r->count - lines : 0;
}

/* Where to look next. Records tend to be of like size: in proportion, and where that does not get there soon, in the
 * middle. */
static uint64_t
guess(const struct search *s, unsigned tries)
{
	uint64_t from = s->lo.seq + 1, lo_key = head_key(&s->lo, s->key);

	if (tries >= LOCATE_GUESSES || s->to_key <= lo_key)
		return from + (s->to - from) / 2;
	if (s->value >= s->to_key)
		return s->to;
	/* Rounded up: the record that contains the place lies at or behind it. */
	uint64_t keys = s->to_key - lo_key;
	unsigned __int128 ahead = (unsigned __int128)(s->value - lo_key) * (s->to - s->lo.seq) + keys - 1;
	return s->lo.seq + (uint64_t)(ahead / keys);
}

static int
broken(const struct search *s, const char *why)
{
	struct actor *a = s->actor;

	if (actor_was_erased(a, s->lo.life))
		return -ESTALE;
	log_error(a->store->lg, "%s/%s: the chain does not hold behind sequence %llu, version %llu: %s", a->ns, a->name,
	    (unsigned long long)s->lo.seq, (unsigned long long)s->lo.version, why);
	return -EIO;
}

/* Sequences of other actors lie between ours: a probe gives our first record at or behind it. */
static int
narrow(struct search *s)
{
	struct store *store = s->actor->store;
	struct owned_record probe = { 0 };
	int err = 0;

	for (unsigned tries = 0; err == 0 && s->lo.seq < s->to; tries++) {
		struct backend_get g = { .kind = GET_NEXT, .seq = guess(s, tries) };
		err = wait_get_sure(
		    store->backend, store->clock, actor_full_name(s->actor), g, store_deadline(store), &probe);
		const struct record *r = &probe.record;
		if (err == -ENOENT || (err == 0 && (r->seq > s->to || r->foreign))) {
			/* Nothing of ours from here on that holds. */
			s->to = g.seq - 1;
			err = 0;
		} else if (err == 0) {
			struct head after = record_head(r);
			if (head_key(&after, s->key) < s->value) {
				s->lo = after;
				continue;
			}
			s->to = r->prev_seq < g.seq ? r->prev_seq : g.seq - 1;
			s->to_key = key_before(r, s->key);
			struct owned_record best = s->best;
			s->best = probe;
			probe = best;
			if (s->to_key < s->value)
				break;
		}
	}
	owned_record_free(&probe);
	return err;
}

/* *base becomes the head before s->best, which has been verified to continue it. */
static int
verify(const struct search *s, struct head *base)
{
	struct store *store = s->actor->store;
	const struct record *r = &s->best.record;
	const char *why;
	int err = 0;

	*base = head_of_life(r->life);
	if (r->prev_seq == s->lo.seq) {
		*base = s->lo;
	} else if (r->prev_seq != r->life) {
		struct owned_record prev = { 0 };
		struct backend_get g = { .kind = GET_SEQ, .seq = r->prev_seq };
		err = wait_get_sure(
		    store->backend, store->clock, actor_full_name(s->actor), g, store_deadline(store), &prev);
		if (err == 0)
			*base = record_head(&prev.record);
		owned_record_free(&prev);
	}
	if (err == -ENOENT)
		return broken(s, "a record is missing");
	if (err == 0 && !record_follows(base, r, &why))
		return broken(s, why);
	return err;
}

/* Narrow *lo and *hi down to the one record that is looked for, and put that into the cache. */
static int
find_record(struct actor *a, enum head_key key, uint64_t value, struct head *lo, struct head *hi)
{
	struct search s = {
		.actor = a, .key = key, .value = value, .lo = *lo, .to = hi->seq, .to_key = head_key(hi, key)
	};

	int err = narrow(&s);
	if (err == 0 && s.best.record.seq == 0)
		err = broken(&s, "a record is missing");
	if (err == 0)
		err = verify(&s, lo);
	if (err == 0) {
		*hi = record_head(&s.best.record);
		cache_put(a->store->cache, &a->file, lo, &s.best.record);
	}
	owned_record_free(&s.best);
	return err;
}

int
actor_head_at(struct actor *a, const struct head *head, uint64_t seq, struct head *at)
{
	struct store *store = a->store;
	struct search s = { .actor = a, .lo = head_of_life(head->life) };
	struct backend_get g = { .kind = GET_NEXT, .seq = seq + 1 };

	*at = seq <= head->life ? s.lo : *head;
	if (seq <= head->life || seq >= head->seq)
		return 0;
	int err = wait_get_sure(store->backend, store->clock, actor_full_name(a), g, store_deadline(store), &s.best);
	const struct record *r = &s.best.record;
	if (err == -ENOENT || (err == 0 && (r->seq > head->seq || r->life != head->life)))
		err = broken(&s, "a record is missing");
	if (err == 0)
		err = verify(&s, at);
	owned_record_free(&s.best);
	return err;
}

int
actor_locate(struct actor *a, const struct head *head, enum head_key key, uint64_t value, struct event_place *p)
{
	struct head lo = head_of_life(head->life), hi = *head;
	struct walk w;
	int err = 0;

	if (value > head_key(head, key) || head->count == 0)
		return -ENOENT;
	value = value > 0 ? value : 1;
	if (!cache_bracket(&a->file, key, value, &lo, &hi))
		err = find_record(a, key, value, &lo, &hi);
	if (err != 0)
		return err;
	walk_begin(&w, a, &hi, lo.size, lo.count);
	do
		err = walk_next(&w, p);
	while (err == 1 && (key == HEAD_VERSION ? p->version : p->count) < value);
	walk_end(&w);
	if (err == 0 || err == -EIO) {
		log_error(a->store->lg,
		    "%s/%s: a line between sequence %llu and %llu is not the event that its record promises", a->ns,
		    a->name, (unsigned long long)lo.seq, (unsigned long long)hi.seq);
		return -EIO;
	}
	return err == 1 ? 0 : err;
}
