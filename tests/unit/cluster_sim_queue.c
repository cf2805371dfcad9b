#include <stdlib.h>

#include "cluster_sim_state.h"

struct blob *
blob_new(struct span s)
{
	struct blob *b = malloc(sizeof(*b) + s.len);

	if (b == NULL)
		abort();
	b->refs = 1;
	b->len = s.len;
	memcpy(b->bytes, s.p, s.len);
	return b;
}

struct blob *
blob_get(struct blob *b)
{
	if (b != NULL)
		b->refs++;
	return b;
}

void
blob_put(struct blob *b)
{
	if (b != NULL && --b->refs == 0)
		free(b);
}

static bool
is_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void
queue_push(struct sim_queue *q, const struct sim_event *e)
{
	struct sim_event added = *e;

	if (q->count == q->cap) {
		q->cap = q->cap > 0 ? 2 * q->cap : 256;
		q->events = realloc(q->events, q->cap * sizeof(*q->events));
		if (q->events == NULL)
			abort();
	}
	added.order = q->order++;
	size_t at = q->count++;
	while (at > 0 && is_before(&added, &q->events[(at - 1) / 2])) {
		q->events[at] = q->events[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	q->events[at] = added;
}

struct sim_event
queue_pop(struct sim_queue *q)
{
	struct sim_event first = q->events[0], last = q->events[--q->count];
	size_t at = 0;

	for (size_t child; (child = 2 * at + 1) < q->count; at = child) {
		if (child + 1 < q->count && is_before(&q->events[child + 1], &q->events[child]))
			child++;
		if (is_before(&last, &q->events[child]))
			break;
		q->events[at] = q->events[child];
	}
	q->events[at] = last;
	return first;
}

void
queue_free(struct sim_queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		blob_put(q->events[i].body);
	free(q->events);
}
