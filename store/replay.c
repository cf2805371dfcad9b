/* Reading an actor's bytes: from the cache, and what is missing from the backend. */
#include <errno.h>
#include <stdlib.h>

#include "fetch.h"
#include "readahead.h"
#include "state.h"

/* A hole up to this size is read through rather than jumped over by a search. */
#define NEAR_BYTES (64 * 1024)
/* How far ahead who reads on is served, where there is no reading ahead by a thread. */
#define AHEAD_BYTES (1024 * 1024)

/* What a record says of its place, for the search. */
static bool
is_before(const struct record *r, enum replay_key key, uint64_t value)
{
	return key == REPLAY_OFFSET ? r->offset + r->payload.len <= value : r->last < value;
}

static bool
is_behind(const struct record *r, enum replay_key key, uint64_t value)
{
	return key == REPLAY_OFFSET ? r->offset > value : r->first > value;
}

/* Where the search is: the value lies behind lo_value and before hi_value, which the sequences next to lo and hi have. */
struct search {
	uint64_t lo, hi; /* sequences that may still be it */
	uint64_t lo_value, hi_value;
	bool halve; /* the next guess; every other one, so that the search is never slower than twice the best */
};

/* Records of one actor often lie as densely in the stream everywhere, and are alike. */
static uint64_t
guess(struct search *s, uint64_t value)
{
	uint64_t width = s->hi - s->lo, part = width / 2;

	if (!s->halve && s->hi_value > s->lo_value && value >= s->lo_value && value < s->hi_value)
		part = (uint64_t)((double)width * ((double)(value - s->lo_value) / (double)(s->hi_value - s->lo_value)));
	s->halve = !s->halve;
	return s->lo + (part < width ? part : width);
}

static int
get_sure(struct actor *a, enum backend_get_kind kind, uint64_t seq, struct owned_record *out)
{
	struct store *s = a->store;
	struct backend_get g = { .kind = kind, .seq = seq };

	return wait_get_sure(s->backend, s->clock, actor_full_name(a), g, store_deadline(s), out);
}

/* found holds it; what is before it? */
static int
find_base(struct actor *a, const struct owned_record *found, struct head *base)
{
	struct owned_record prev = { 0 };
	const char *why;
	int err = 0;

	*base = head_of_life(found->record.life);
	if (found->record.prev_seq != found->record.life) {
		err = get_sure(a, GET_SEQ, found->record.prev_seq, &prev);
		if (err == 0)
			*base = record_head(&prev.record);
		owned_record_free(&prev);
	}
	if (err == 0 && record_follows(base, &found->record, &why))
		return 0;
	return err == 0 || err == -ENOENT ? -EIO : err;
}

static int
search(struct actor *a, const struct head *until, enum replay_key key, uint64_t value, struct head *base,
    struct owned_record *found)
{
	struct search s = { .lo = until->life + 1, .hi = until->seq };
	const struct record *r = &found->record;

	s.hi_value = key == REPLAY_OFFSET ? until->size : until->version;
	/* Sequences of other actors lie between ours: a probe gives our first record at or behind it. */
	while (s.lo <= s.hi) {
		uint64_t seq = guess(&s, value);
		int err = get_sure(a, GET_NEXT, seq, found);
		if (err != 0 && err != -ENOENT)
			return err;
		if (err == -ENOENT || r->seq > s.hi) {
			s.hi = seq - 1;
		} else if (is_behind(r, key, value)) {
			s.hi = seq - 1;
			s.hi_value = key == REPLAY_OFFSET ? r->offset : r->first;
		} else if (r->foreign) {
			return -EIO;
		} else if (is_before(r, key, value)) {
			s.lo = r->seq + 1;
			s.lo_value = key == REPLAY_OFFSET ? r->offset + r->payload.len : r->last;
		} else {
			return find_base(a, found, base);
		}
	}
	return -ENOENT;
}

int
replay_locate(struct actor *a, const struct head *until, enum replay_key key, uint64_t value, struct head *base,
    struct owned_record *found)
{
	int err = search(a, until, key, value, base, found);

	return err == -EIO && actor_was_erased(a, until->life) ? -ESTALE : err;
}

/* Where to begin so that offset is reached: behind a cached block, or by a search. */
static int
find_start(struct actor *a, const struct head *until, uint64_t offset, struct head *base)
{
	struct owned_record found = { 0 };
	struct head hi = *until;
	uint64_t before_seq;

	cache_nearest(&a->file, until->life, offset, base, &before_seq);
	if (offset - base->size <= NEAR_BYTES)
		return 0;
	hi.seq = before_seq < hi.seq ? before_seq : hi.seq;
	int err = replay_locate(a, &hi, REPLAY_OFFSET, offset, base, &found);
	owned_record_free(&found);
	if (err == -ENOENT)
		return actor_was_erased(a, until->life) ? -ESTALE : -EIO;
	return err;
}

/* Does this read go on where the last one that went to the backend ended, or begin at the beginning? */
static bool
is_sequential(struct actor *a, uint64_t offset)
{
	lock_take(&a->lock);
	bool sequential = offset == 0 || offset == a->read_to;
	lock_give(&a->lock);
	return sequential;
}

/* One read, from its begin to its end. */
struct reading {
	struct actor *actor;
	const struct head *until;
	int64_t deadline_ns;
	bool alone; /* a reader ahead was waited for, and did not bring what is wanted */
};

/*
 * The byte at offset is not in the cache: have it brought, and more of them behind it if the reader is likely to go on. Returns
 * how many bytes were copied out, 0 if one should look into the cache again, or -errno.
 */
static ssize_t
fill(struct reading *r, uint64_t offset, size_t size, char *out)
{
	struct actor *a = r->actor;
	const struct head *until = r->until;
	struct fetch f = { .actor = a, .until_seq = until->seq, .offset = offset, .size = size, .out = out };
	bool sequential = is_sequential(a, offset);

	f.until_count = until->count;
	f.deadline_ns = r->deadline_ns;
	f.generation = cache_generation(&a->file);
	int err = find_start(a, until, offset, &f.at);
	if (err != 0)
		return err;
	if (sequential && !r->alone && until->size - offset >= READAHEAD_LEFT_MIN &&
	    readahead_start(a, &f.at, until, f.generation, offset) &&
	    readahead_wait(a, offset, offset + size, &r->alone))
		return 0;
	f.stop_at = offset + size + (sequential ? AHEAD_BYTES : 0);
	f.stop_at = f.stop_at < until->size ? f.stop_at : until->size;
	err = fetch_follow(&f);
	lock_take(&a->lock);
	a->read_to = err == 0 ? f.at.size : 0;
	lock_give(&a->lock);
	if (f.got > 0)
		return (ssize_t)f.got;
	return err != 0 ? err : -EIO;
}

/* A place to copy to, for what is not in the cache or lies in too many pieces there. */
static char *
own_room(struct actor_bytes *b, size_t size)
{
	if (b->own == NULL)
		b->own = malloc(size);
	return b->own == NULL ? NULL : b->own + b->own_len;
}

static void
add_piece(struct actor_bytes *b, const char *p, size_t n, struct cache_block *block)
{
	struct iovec *last = b->count > 0 ? &b->pieces[b->count - 1] : NULL;

	b->len += n;
	if (block == NULL)
		b->own_len += n;
	if (block == NULL && last != NULL && (const char *)last->iov_base + last->iov_len == p) {
		last->iov_len += n;
		return;
	}
	b->pieces[b->count] = (struct iovec){ (void *)(uintptr_t)p, n };
	b->blocks[b->count++] = block;
}

/* Returns how many bytes came from the cache, 0 if it does not have the next one, -ENOMEM. */
static ssize_t
borrow_some(struct actor *a, uint64_t life, uint64_t offset, size_t size, struct actor_bytes *b)
{
	struct cache_block *block;
	const char *p;
	size_t n = cache_borrow(a->store->cache, &a->file, life, offset, size, &p, &block);

	if (n == 0)
		return 0;
	/* The last places are for what is copied. */
	if (b->count < ACTOR_PIECES - 2) {
		add_piece(b, p, n, block);
		return (ssize_t)n;
	}
	char *to = own_room(b, size);
	if (to != NULL) {
		memcpy(to, p, n);
		add_piece(b, to, n, NULL);
	}
	cache_return(block);
	return to != NULL ? (ssize_t)n : -ENOMEM;
}

static ssize_t
fill_some(struct reading *r, uint64_t offset, size_t size, struct actor_bytes *b)
{
	char *to = own_room(b, size);

	if (to == NULL)
		return -ENOMEM;
	ssize_t n = fill(r, offset, size, to);
	if (n > 0)
		add_piece(b, to, (size_t)n, NULL);
	return n;
}

ssize_t
actor_borrow(struct actor *a, const struct head *head, uint64_t offset, size_t size, struct actor_bytes *b)
{
	struct reading r = { .actor = a, .until = head, .deadline_ns = store_deadline(a->store) };
	ssize_t n = 1;

	lock_take(&a->lock);
	bool erased = a->known && a->head.life > head->life;
	bool at_break = a->broken && offset >= a->head.size;
	lock_give(&a->lock);
	if (erased)
		return -ESTALE;
	if (offset >= head->size)
		return at_break ? -EIO : 0;
	if (size > head->size - offset)
		size = (size_t)(head->size - offset);
	while (b->len < size && n >= 0) {
		uint64_t at = offset + b->len;
		size_t left = size - b->len;
		n = borrow_some(a, head->life, at, left, b);
		if (n == 0 && readahead_wait(a, at, at + left, &r.alone))
			n = borrow_some(a, head->life, at, left, b);
		if (n == 0)
			n = fill_some(&r, at, left, b);
	}
	if (b->len == 0)
		actor_bytes_free(b);
	else
		readahead_advance(a, offset + b->len);
	return b->len > 0 || n >= 0 ? (ssize_t)b->len : n;
}

void
actor_bytes_free(struct actor_bytes *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->blocks[i] != NULL)
			cache_return(b->blocks[i]);
	free(b->own);
	*b = (struct actor_bytes){ 0 };
}

ssize_t
actor_read(struct actor *a, const struct head *head, uint64_t offset, size_t size, char *out)
{
	struct actor_bytes b = { 0 };

	ssize_t n = actor_borrow(a, head, offset, size, &b);
	for (size_t i = 0; i < b.count; i++) {
		memcpy(out, b.pieces[i].iov_base, b.pieces[i].iov_len);
		out += b.pieces[i].iov_len;
	}
	actor_bytes_free(&b);
	return n;
}

int
actor_find_end(struct actor *a, uint64_t foreign_seq)
{
	struct fetch f = { .actor = a, .until_seq = foreign_seq, .stop_at = UINT64_MAX, .any_life = true };
	int64_t asked_ns = clock_mono(a->store->clock);

	f.generation = cache_generation(&a->file);
	int err = fetch_follow(&f);
	if (err != 0)
		return err;
	lock_take(&a->lock);
	a->known = a->broken = true;
	a->broken_seq = foreign_seq;
	actor_set_head_locked(a, &f.at);
	a->head_at_ns = asked_ns;
	lock_give(&a->lock);
	return 0;
}
