#include "model_groups.h"

#include <errno.h>
#include <stdlib.h>

int
model_groups_init(struct model_groups *g, const struct model *m)
{
	const struct model_section *s = &m->sections[MODEL_AGGREGATE];
	size_t most = 0;

	for (size_t i = 0; i < s->count; i++) {
		size_t n = s->items[i].refs[0].count + s->items[i].refs[1].count;
		most = n > most ? n : most;
	}
	*g = (struct model_groups){ .place = calloc(m->sections[MODEL_EVENT].count + 1, sizeof(*g->place)),
		.parent = calloc(most + 1, sizeof(*g->parent)),
		.members = calloc(most + 1, sizeof(*g->members)) };
	if (g->place != NULL && g->parent != NULL && g->members != NULL)
		return 0;
	model_groups_free(g);
	return -ENOMEM;
}

void
model_groups_free(struct model_groups *g)
{
	free(g->place);
	free(g->parent);
	free(g->members);
	*g = (struct model_groups){ 0 };
}

static size_t
first_of(struct model_groups *g, size_t member)
{
	while (g->parent[member] != member) {
		g->parent[member] = g->parent[g->parent[member]];
		member = g->parent[member];
	}
	return member;
}

static void
join(struct model_groups *g, size_t a, size_t b)
{
	a = first_of(g, a);
	b = first_of(g, b);
	if (a < b)
		g->parent[b] = a;
	else
		g->parent[a] = b;
}

static int
compare_members(const void *a, const void *b)
{
	const struct model_member *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->item->kind != y->item->kind)
		return x->item->kind < y->item->kind ? -1 : 1;
	return x->item->index < y->item->index ? -1 : x->item->index > y->item->index;
}

/* The first of a group is a command of it: what is joined to nothing is its own first, and no other's. */
static void
number_groups(struct model_groups *g, size_t commands)
{
	for (size_t i = 0; i < g->count; i++)
		g->members[i].group = commands;
	for (size_t i = commands; i < g->count; i++) {
		size_t first = first_of(g, i);
		if (first < commands)
			g->members[i].group = g->members[first].group = first;
	}
	for (size_t i = 0; i < commands; i++) {
		size_t first = first_of(g, i);
		if (first != i)
			g->members[i].group = first;
	}
}

void
model_groups_find(struct model_groups *g, const struct model_item *aggregate)
{
	const struct model_refs *commands = &aggregate->refs[0], *events = &aggregate->refs[1];

	g->count = commands->count + events->count;
	for (size_t i = 0; i < g->count; i++) {
		g->parent[i] = i;
		g->members[i].item = i < commands->count ? commands->items[i] : events->items[i - commands->count];
	}
	for (size_t i = 0; i < events->count; i++)
		g->place[events->items[i]->index] = i + 1;
	for (size_t i = 0; i < commands->count; i++) {
		const struct model_refs *emits = &commands->items[i]->refs[0];
		for (size_t j = 0; j < emits->count; j++) {
			size_t place = g->place[emits->items[j]->index];
			if (place != 0)
				join(g, i, commands->count + place - 1);
		}
	}
	for (size_t i = 0; i < events->count; i++)
		g->place[events->items[i]->index] = 0;
	number_groups(g, commands->count);
	qsort(g->members, g->count, sizeof(*g->members), compare_members);
}
