#include "dedup.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "event.h"

struct entry {
	struct table_link link;
	struct entry *newer;
	uint64_t version;
	uint64_t seq;
	int64_t time_us;
};

struct dedup {
	uint64_t life;
	uint64_t covered_seq;
	uint64_t complete_seq;
	struct table ids;
	struct entry *oldest, *newest;
};

int
dedup_new(struct dedup **out, uint64_t life, uint64_t covered_seq)
{
	*out = calloc(1, sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	(*out)->life = life;
	(*out)->covered_seq = (*out)->complete_seq = covered_seq;
	return 0;
}

static void
forget_oldest(struct dedup *d)
{
	struct entry *e = d->oldest;

	d->oldest = e->newer;
	if (d->oldest == NULL)
		d->newest = NULL;
	dedup_lacks(d, e->seq);
	table_remove(&d->ids, &e->link);
	free(e);
}

void
dedup_free(struct dedup *d)
{
	if (d == NULL)
		return;
	while (d->oldest != NULL)
		forget_oldest(d);
	table_free(&d->ids);
	free(d);
}

uint64_t
dedup_life(const struct dedup *d)
{
	return d->life;
}

uint64_t
dedup_covered(const struct dedup *d)
{
	return d->covered_seq;
}

void
dedup_cover(struct dedup *d, uint64_t seq)
{
	d->covered_seq = seq;
}

uint64_t
dedup_complete(const struct dedup *d)
{
	return d->complete_seq;
}

void
dedup_lacks(struct dedup *d, uint64_t seq)
{
	if (d->complete_seq < seq)
		d->complete_seq = seq;
}

static bool
match_hash(const struct table_link *link, const void *key)
{
	(void)link, (void)key;
	return true;
}

void
dedup_add(struct dedup *d, struct span id, uint64_t version, uint64_t seq, int64_t time_us, int64_t since_us)
{
	struct entry *e = malloc(sizeof(*e));

	while (d->oldest != NULL && (d->oldest->time_us < since_us || d->ids.count >= DEDUP_IDS_MAX))
		forget_oldest(d);
	if (e == NULL) {
		dedup_lacks(d, seq);
		return;
	}
	*e = (struct entry){ .version = version, .seq = seq, .time_us = time_us };
	if (table_add(&d->ids, XXH3_64bits(id.p, id.len), &e->link) != 0) {
		dedup_lacks(d, seq);
		free(e);
		return;
	}
	*(d->newest != NULL ? &d->newest->newer : &d->oldest) = e;
	d->newest = e;
}

void
dedup_add_record(struct dedup *d, const struct record *r, int64_t since_us)
{
	struct arena arena = { 0 };
	struct span payload = r->payload;

	while (payload.len > 0) {
		const char *newline = memchr(payload.p, '\n', payload.len);
		size_t len = newline != NULL ? (size_t)(newline - payload.p) : payload.len;
		struct event ev;
		const char *why;
		if (event_parse((struct span){ payload.p, len }, &arena, &ev, &why) == 0 && ev.id.p != NULL)
			dedup_add(d, ev.id, ev.version, r->seq, r->time_us, since_us);
		else
			dedup_lacks(d, r->seq);
		payload.p += len + (newline != NULL);
		payload.len -= len + (newline != NULL);
	}
	arena_free(&arena);
}

uint64_t
dedup_find(const struct dedup *d, struct span id)
{
	struct table_link *link = table_find(&d->ids, XXH3_64bits(id.p, id.len), match_hash, NULL);

	return link == NULL ? 0 : container_of(link, struct entry, link)->version;
}
