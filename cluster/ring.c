#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* What is sorted by a number: members by their points on the ring, shards by how badly they fit. */
struct ranked {
	uint64_t key;
	uint32_t value;
};

enum bound { LO, HI };

struct member {
	const char *id;
	uint32_t index; /* among the caller's nodes */
	unsigned capacity;
	size_t share[2]; /* by enum bound */
	size_t load;
	uint64_t *own; /* its points, ascending; part of ring.own */
	size_t own_count;
};

struct ring {
	struct member *members; /* by id, so that the caller's order cannot matter */
	size_t count;
	struct ranked *points;
	size_t point_count;
	uint64_t *own;
	/* next[p]: p, or a later point from which to go on because p's member is full; the last one stands for the end. */
	uint32_t *next;
	uint32_t *owner; /* of each shard: a member, or RING_NONE: in the pool */
	size_t shards;
	struct ranked *misfits;
	struct ranked *scratch; /* for as many as there are points or shards */
	char *text; /* for the longest id and a number */
};

#define NUMBER_MAX 24

static size_t
put_number(char *to, size_t number)
{
	char digits[NUMBER_MAX];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	for (size_t i = 0; i < n; i++)
		to[i] = digits[n - 1 - i];
	return n;
}

static uint64_t
shard_point(size_t shard)
{
	char text[sizeof("shard/") + NUMBER_MAX] = "shard/";

	return XXH3_64bits(text, 6 + put_number(text + 6, shard));
}

/*
 * Ascending; equal keys stay as they are. By bytes, lowest first: an even number of passes ends where it began. There are many points and
 * all of them are made anew each time, so that a sort by comparison would take most of the time.
 */
static void
sort_ranked(struct ranked *a, struct ranked *scratch, size_t n)
{
	for (unsigned shift = 0; shift < 64; shift += 8) {
		size_t at[256] = { 0 };
		size_t sum = 0;

		for (size_t i = 0; i < n; i++)
			at[a[i].key >> shift & 255]++;
		for (size_t b = 0; b < 256; b++) {
			size_t here = at[b];
			at[b] = sum;
			sum += here;
		}
		for (size_t i = 0; i < n; i++)
			scratch[at[a[i].key >> shift & 255]++] = a[i];

		struct ranked *sorted = scratch;
		scratch = a;
		a = sorted;
	}
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->id, ((const struct member *)b)->id);
}

static void
ring_free(struct ring *r)
{
	free(r->members);
	free(r->points);
	free(r->own);
	free(r->next);
	free(r->owner);
	free(r->misfits);
	free(r->scratch);
	free(r->text);
}

/* The caller frees the ring after a failure too. */
static int
ring_alloc(struct ring *r, const struct ring_node *nodes, size_t count, size_t shards)
{
	size_t longest = 0;

	r->count = count;
	r->shards = shards;
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(nodes[i].id);
		if (len > longest)
			longest = len;
		r->point_count += (size_t)RING_POINTS * nodes[i].capacity;
	}
	if (r->point_count >= UINT32_MAX)
		return -ENOMEM; /* 64 GB of points */
	r->members = calloc(count, sizeof(*r->members));
	r->points = calloc(r->point_count, sizeof(*r->points));
	r->own = calloc(r->point_count, sizeof(*r->own));
	r->next = calloc(r->point_count + 1, sizeof(*r->next));
	r->owner = calloc(shards, sizeof(*r->owner));
	r->misfits = calloc(shards, sizeof(*r->misfits));
	r->scratch = calloc(r->point_count > shards ? r->point_count : shards, sizeof(*r->scratch));
	r->text = malloc(longest + 1 + NUMBER_MAX);
	if (r->members == NULL || r->points == NULL || r->own == NULL || r->next == NULL || r->owner == NULL ||
	    r->misfits == NULL || r->scratch == NULL || r->text == NULL)
		return -ENOMEM;
	return 0;
}

static void
set_members(struct ring *r, const struct ring_node *nodes)
{
	uint64_t total = 0;

	for (size_t i = 0; i < r->count; i++) {
		r->members[i] = (struct member){ .id = nodes[i].id, .index = (uint32_t)i, .capacity = nodes[i].capacity };
		total += nodes[i].capacity;
	}
	qsort(r->members, r->count, sizeof(*r->members), by_id);
	for (size_t i = 0; i < r->count; i++) {
		struct member *m = &r->members[i];
		uint64_t part = (uint64_t)r->shards * m->capacity;

		m->share[LO] = (size_t)(part / total);
		m->share[HI] = (size_t)((part + total - 1) / total);
	}
}

static void
set_points(struct ring *r)
{
	struct ranked *p = r->points;
	uint64_t *own = r->own;

	for (size_t i = 0; i < r->count; i++) {
		struct member *m = &r->members[i];
		size_t len = strlen(m->id);
		size_t n = (size_t)RING_POINTS * m->capacity;

		memcpy(r->text, m->id, len);
		r->text[len++] = '/';
		for (size_t k = 0; k < n; k++)
			*p++ = (struct ranked){ XXH3_64bits(r->text, len + put_number(r->text + len, k)), (uint32_t)i };
		m->own = own;
		own += n;
	}
	sort_ranked(r->points, r->scratch, r->point_count);
	for (p = r->points; p < r->points + r->point_count; p++) {
		struct member *m = &r->members[p->value];
		m->own[m->own_count++] = p->key;
	}
}

/* Copies: after may be the same array as before. */
static int
set_owners(struct ring *r, const uint32_t *before)
{
	uint32_t *member_of = calloc(r->count, sizeof(*member_of));

	if (member_of == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < r->count; i++)
		member_of[r->members[i].index] = (uint32_t)i;
	for (size_t s = 0; s < r->shards; s++) {
		if (before == NULL || before[s] >= r->count) {
			r->owner[s] = RING_NONE;
		} else {
			r->owner[s] = member_of[before[s]];
			r->members[r->owner[s]].load++;
		}
	}
	free(member_of);
	return 0;
}

/* How far it is from the shard clockwise to its owner's next point. */
static uint64_t
distance(const struct ring *r, size_t shard)
{
	const struct member *m = &r->members[r->owner[shard]];
	uint64_t at = shard_point(shard);
	size_t from = 0;
	size_t to = m->own_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (m->own[middle] < at)
			from = middle + 1;
		else
			to = middle;
	}
	return m->own[from < m->own_count ? from : 0] - at;
}

/* Into the pool goes what members have above the bound, but no more than most shards, those that fit worst first. */
static void
shed(struct ring *r, enum bound bound, size_t most)
{
	size_t n = 0;

	for (size_t s = 0; s < r->shards; s++) {
		if (r->owner[s] == RING_NONE)
			continue;
		const struct member *m = &r->members[r->owner[s]];
		if (m->load > m->share[bound])
			r->misfits[n++] = (struct ranked){ UINT64_MAX - distance(r, s), (uint32_t)s };
	}
	sort_ranked(r->misfits, r->scratch, n);
	for (size_t i = 0; i < n && most > 0; i++) {
		uint32_t s = r->misfits[i].value;
		struct member *m = &r->members[r->owner[s]];
		if (m->load <= m->share[bound])
			continue;
		r->owner[s] = RING_NONE;
		m->load--;
		most--;
	}
}

static size_t
pool_size(const struct ring *r)
{
	size_t n = r->shards;

	for (size_t i = 0; i < r->count; i++)
		n -= r->members[i].load;
	return n;
}

/* How many shards are missing until everybody has its share, rounded down. */
static size_t
deficit(const struct ring *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		if (r->members[i].load < r->members[i].share[LO])
			n += r->members[i].share[LO] - r->members[i].load;
	return n;
}

static void
link_points(struct ring *r)
{
	for (size_t p = 0; p <= r->point_count; p++)
		r->next[p] = (uint32_t)p;
}

/* The first point from p on that is still linked; halves the way for those who come later. */
static uint32_t
linked(struct ring *r, uint32_t p)
{
	while (r->next[p] != p) {
		r->next[p] = r->next[r->next[p]];
		p = r->next[p];
	}
	return p;
}

static uint32_t
first_point(const struct ring *r, uint64_t at)
{
	size_t from = 0;
	size_t to = r->point_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (r->points[middle].key < at)
			from = middle + 1;
		else
			to = middle;
	}
	return (uint32_t)from;
}

/*
 * The first member clockwise that has less than the bound; there must be one. Points of full members are unlinked on the way: loads only
 * grow while shards are placed, so that each is met once per bound and not once per shard.
 */
static uint32_t
walk(struct ring *r, uint64_t at, enum bound bound)
{
	uint32_t p = linked(r, first_point(r, at));

	for (;;) {
		if (p == r->point_count)
			p = linked(r, 0);
		const struct member *m = &r->members[r->points[p].value];
		if (m->load < m->share[bound])
			return r->points[p].value;
		r->next[p] = p + 1;
		p = linked(r, p);
	}
}

static void
place(struct ring *r)
{
	size_t missing = deficit(r);
	enum bound bound = missing > 0 ? LO : HI;

	link_points(r);
	for (size_t s = 0; s < r->shards; s++) {
		if (r->owner[s] != RING_NONE)
			continue;
		r->owner[s] = walk(r, shard_point(s), bound);
		r->members[r->owner[s]].load++;
		if (bound == LO && --missing == 0) {
			bound = HI;
			link_points(r);
		}
	}
}

int
ring_assign(const struct ring_node *nodes, size_t count, const uint32_t *before, uint32_t *after, size_t shards)
{
	struct ring r = { 0 };
	int err = 0;

	if (count == 0 || shards == 0) {
		for (size_t s = 0; s < shards; s++)
			after[s] = RING_NONE;
		return 0;
	}
	err = ring_alloc(&r, nodes, count, shards);
	if (err != 0)
		goto out;
	set_members(&r, nodes);
	set_points(&r);
	err = set_owners(&r, before);
	if (err != 0)
		goto out;

	shed(&r, HI, shards);
	size_t pool = pool_size(&r);
	size_t missing = deficit(&r);
	/* Whoever gives from between the bounds gives one, and ends with its share rounded down: it takes nothing back. */
	if (missing > pool)
		shed(&r, LO, missing - pool);
	place(&r);
	for (size_t s = 0; s < shards; s++)
		after[s] = r.members[r.owner[s]].index;
out:
	ring_free(&r);
	return err;
}
