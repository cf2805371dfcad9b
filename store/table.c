#include "table.h"

#include <errno.h>
#include <stdlib.h>

struct table_link *
table_find(const struct table *t, uint64_t hash, table_match_fn match, const void *key)
{
	if (t->slots == NULL)
		return NULL;
	for (struct table_link *l = t->slots[hash & t->mask]; l != NULL; l = l->next)
		if (l->hash == hash && match(l, key))
			return l;
	return NULL;
}

static int
grow(struct table *t)
{
	size_t slots = t->slots == NULL ? 16 : (t->mask + 1) * 2;
	struct table_link **fresh = calloc(slots, sizeof(*fresh));

	if (fresh == NULL)
		return -ENOMEM;
	for (size_t i = 0; t->slots != NULL && i <= t->mask; i++) {
		struct table_link *l = t->slots[i];
		while (l != NULL) {
			struct table_link *next = l->next;
			l->next = fresh[l->hash & (slots - 1)];
			fresh[l->hash & (slots - 1)] = l;
			l = next;
		}
	}
	free(t->slots);
	t->slots = fresh;
	t->mask = slots - 1;
	return 0;
}

int
table_add(struct table *t, uint64_t hash, struct table_link *link)
{
	/* A table that cannot grow still works, only slower. */
	if (t->slots == NULL || t->count > t->mask)
		if (grow(t) != 0 && t->slots == NULL)
			return -ENOMEM;
	link->hash = hash;
	link->next = t->slots[hash & t->mask];
	t->slots[hash & t->mask] = link;
	t->count++;
	return 0;
}

void
table_remove(struct table *t, struct table_link *link)
{
	struct table_link **at = &t->slots[link->hash & t->mask];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	t->count--;
}

static struct table_link *
first_from(const struct table *t, size_t slot)
{
	for (; t->slots != NULL && slot <= t->mask; slot++)
		if (t->slots[slot] != NULL)
			return t->slots[slot];
	return NULL;
}

struct table_link *
table_next(const struct table *t, const struct table_link *link)
{
	if (link == NULL)
		return first_from(t, 0);
	if (link->next != NULL)
		return link->next;
	return first_from(t, (link->hash & t->mask) + 1);
}

struct table_link *
table_pop(struct table *t)
{
	struct table_link *link = first_from(t, 0);

	if (link != NULL)
		table_remove(t, link);
	return link;
}

void
table_free(struct table *t)
{
	free(t->slots);
	*t = (struct table){ 0 };
}
