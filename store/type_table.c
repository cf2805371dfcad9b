#include "type_table.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#define VARINT_MAX 10
#define SLOTS_FIRST 64

/* What is before an entry. */
struct mark {
	uint64_t offset;
	uint64_t seq;
	size_t at;
};

struct erasure {
	uint64_t before_seq;
	uint32_t actor;
};

/* Types */

static bool
match(const struct table_link *link, const void *key)
{
	const struct type *type = container_of(link, const struct type, link);
	const struct span *name = key;

	return span_eq((struct span){ type->name, type->name_len }, *name);
}

struct type *
type_table_find(const struct type_table *t, struct span name)
{
	struct table_link *link = table_find(&t->by_name, XXH3_64bits(name.p, name.len), match, &name);

	return link == NULL ? NULL : container_of(link, struct type, link);
}

struct type *
type_table_put(struct type_table *t, struct span name)
{
	struct type *type = type_table_find(t, name);

	if (type != NULL)
		return type;
	type = calloc(1, sizeof(*type) + name.len);
	if (type == NULL || table_add(&t->by_name, XXH3_64bits(name.p, name.len), &type->link) != 0) {
		free(type);
		t->failed = true;
		return NULL;
	}
	memcpy(type->name, name.p, name.len);
	type->name_len = name.len;
	if (t->last != NULL)
		t->last->next = type;
	else
		t->first = type;
	t->last = type;
	return type;
}

/* Actors: the digest is long enough that no two names have the same. */

static bool
same_actor(const struct type_table *t, uint32_t number, XXH128_hash_t digest)
{
	XXH128_hash_t other;

	memcpy(&other, t->actors.p + number * sizeof(other), sizeof(other));
	return XXH128_isEqual(other, digest);
}

static uint32_t *
find_slot(const struct type_table *t, XXH128_hash_t digest)
{
	size_t i = digest.low64 & t->slots_mask;

	while (t->slots[i] != 0 && !same_actor(t, t->slots[i] - 1, digest))
		i = (i + 1) & t->slots_mask;
	return &t->slots[i];
}

static uint32_t
actor_count(const struct type_table *t)
{
	return (uint32_t)(t->actors.len / sizeof(XXH128_hash_t));
}

static bool
grow_slots(struct type_table *t)
{
	size_t size = t->slots == NULL ? SLOTS_FIRST : 2 * (t->slots_mask + 1);
	uint32_t *slots = calloc(size, sizeof(*slots));

	if (slots == NULL)
		return false;
	free(t->slots);
	t->slots = slots;
	t->slots_mask = size - 1;
	for (uint32_t i = 0; i < actor_count(t); i++) {
		XXH128_hash_t digest;
		memcpy(&digest, t->actors.p + i * sizeof(digest), sizeof(digest));
		*find_slot(t, digest) = i + 1;
	}
	return true;
}

static uint32_t
actor_number(struct type_table *t, struct span name)
{
	XXH128_hash_t digest = XXH3_128bits(name.p, name.len);

	if ((t->slots == NULL || actor_count(t) * 4ULL >= 3 * (t->slots_mask + 1)) && !grow_slots(t)) {
		t->failed = true;
		return 0;
	}
	uint32_t *slot = find_slot(t, digest);
	if (*slot == 0) {
		buf_put(&t->actors, &digest, sizeof(digest));
		*slot = actor_count(t);
		t->failed = t->failed || t->actors.failed;
	}
	return *slot - 1;
}

/* Entries */

static char *
put_number(char *to, uint64_t n)
{
	for (; n >= 0x80; n >>= 7)
		*to++ = (char)(n | 0x80);
	*to++ = (char)n;
	return to;
}

static uint64_t
take_number(const struct buf *b, size_t *at)
{
	uint64_t n = 0;
	unsigned char c;

	for (unsigned shift = 0;; shift += 7) {
		c = (unsigned char)b->p[(*at)++];
		n |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return n;
	}
}

static bool
append(struct type *type, uint64_t seq, uint64_t bytes, uint32_t actor)
{
	char *to = buf_reserve(&type->entries, 3 * VARINT_MAX);

	if (to == NULL)
		return false;
	if (type->end.count % TYPE_MARK_EVERY == 0) {
		struct mark mark = { type->end.size, type->end.seq, type->entries.len };
		buf_put(&type->marks, &mark, sizeof(mark));
	}
	to = put_number(to, seq - type->end.seq);
	to = put_number(to, bytes);
	to = put_number(to, actor);
	type->entries.len = (size_t)(to - type->entries.p);
	type->end.size += bytes;
	type->end.seq = seq;
	type->end.count++;
	return !type->marks.failed;
}

void
type_table_count(struct type_table *t, struct type *type, uint64_t bytes)
{
	if (type->open == 0) {
		type->next_open = t->open;
		t->open = type;
	}
	type->open += bytes;
}

void
type_table_add(struct type_table *t, uint64_t seq, struct span actor, int64_t time_us)
{
	uint32_t number = t->open != NULL ? actor_number(t, actor) : 0;

	for (struct type *type = t->open; type != NULL; type = type->next_open) {
		if (!append(type, seq, type->open, number))
			t->failed = true;
		/* Clocks of several nodes: it never goes back. */
		if (time_us > type->time_us)
			type->time_us = time_us;
		type->open = 0;
	}
	t->open = NULL;
}

void
type_table_erase(struct type_table *t, struct span actor, uint64_t before_seq)
{
	XXH128_hash_t digest = XXH3_128bits(actor.p, actor.len);
	const uint32_t *slot = t->slots != NULL ? find_slot(t, digest) : NULL;

	if (slot == NULL || *slot == 0)
		return;
	struct erasure e = { before_seq, *slot - 1 };
	buf_put(&t->erasures, &e, sizeof(e));
	t->failed = t->failed || t->erasures.failed;
}

/* Settling */

/* For each actor the sequence before which it has nothing. */
static uint64_t *
read_erasures(const struct type_table *t)
{
	uint64_t *before = calloc(actor_count(t), sizeof(*before));
	struct erasure e;

	for (size_t i = 0; before != NULL && i < t->erasures.len; i += sizeof(e)) {
		memcpy(&e, t->erasures.p + i, sizeof(e));
		if (e.before_seq > before[e.actor])
			before[e.actor] = e.before_seq;
	}
	return before;
}

static void
free_entries(struct type *type)
{
	buf_free(&type->entries);
	buf_free(&type->marks);
	type->end = (struct type_end){ 0 };
}

/* Write anew what stays of it. */
static bool
take_out(struct type *type, const uint64_t *before)
{
	struct type fresh = { .end = { 0 } };
	struct type_walk w;
	struct type_entry e;
	bool any = false, shown = false, ok = true;

	type_walk_begin(&w, type, 0);
	while (!any && type_walk_next(&w, &e))
		any = e.seq < before[e.actor];
	if (!any)
		return true;
	type_walk_begin(&w, type, 0);
	while (ok && type_walk_next(&w, &e)) {
		if (e.seq >= before[e.actor])
			ok = append(&fresh, e.seq, e.bytes, e.actor);
		else
			shown = shown || e.offset < type->shown_size;
	}
	free_entries(type);
	type->entries = fresh.entries;
	type->marks = fresh.marks;
	type->end = fresh.end;
	type->generation += shown;
	return ok;
}

int
type_table_settle(struct type_table *t)
{
	if (t->erasures.len > 0 && !t->failed) {
		uint64_t *before = read_erasures(t);
		t->failed = before == NULL;
		for (struct type *type = t->first; type != NULL && !t->failed; type = type->next)
			t->failed = !take_out(type, before);
		free(before);
		buf_free(&t->erasures);
	}
	if (t->failed)
		return -ENOMEM;
	for (struct type *type = t->first; type != NULL; type = type->next) {
		type->shown_size = type->end.size;
		type->shown_time_us = type->time_us;
	}
	return 0;
}

void
type_table_clear(struct type_table *t)
{
	for (struct type *type = t->first; type != NULL; type = type->next) {
		free_entries(type);
		type->generation += type->shown_size > 0;
		type->shown_size = 0;
		type->time_us = 0;
		type->open = 0;
	}
	buf_free(&t->actors);
	buf_free(&t->erasures);
	free(t->slots);
	t->slots = NULL;
	t->open = NULL;
	t->failed = false;
}

void
type_table_free(struct type_table *t)
{
	struct table_link *link;

	type_table_clear(t);
	while ((link = table_pop(&t->by_name)) != NULL)
		free(container_of(link, struct type, link));
	table_free(&t->by_name);
	*t = (struct type_table){ .failed = false };
}

uint64_t
type_table_bytes(const struct type_table *t)
{
	uint64_t sum = t->actors.cap + (t->slots != NULL ? (t->slots_mask + 1) * sizeof(*t->slots) : 0);

	for (const struct type *type = t->first; type != NULL; type = type->next)
		sum += sizeof(*type) + type->name_len + type->entries.cap + type->marks.cap;
	return sum;
}

/* Walking */

void
type_walk_begin(struct type_walk *w, const struct type *type, uint64_t offset)
{
	size_t lo = 0, hi = type->marks.len / sizeof(struct mark);
	struct mark mark = { 0 };

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct mark m;
		memcpy(&m, type->marks.p + mid * sizeof(m), sizeof(m));
		if (m.offset <= offset) {
			mark = m;
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	*w = (struct type_walk){ .type = type, .at = mark.at, .offset = mark.offset, .seq = mark.seq };
	struct type_walk next = *w;
	struct type_entry e;
	while (type_walk_next(&next, &e) && e.offset + e.bytes <= offset)
		*w = next;
}

bool
type_walk_next(struct type_walk *w, struct type_entry *e)
{
	const struct buf *b = &w->type->entries;

	if (w->at >= b->len)
		return false;
	e->seq = w->seq += take_number(b, &w->at);
	e->bytes = take_number(b, &w->at);
	e->actor = (uint32_t)take_number(b, &w->at);
	e->offset = w->offset;
	w->offset += e->bytes;
	return true;
}
