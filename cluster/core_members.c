/* The members that a leader knows, in the order of their ids. */
#include <stdlib.h>

#include "core_state.h"

struct member *
member_find(const struct leader *l, const char *id, size_t *at)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(l->members[middle].node.id, id);
		if (order == 0) {
			*at = middle;
			return &l->members[middle];
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*at = low;
	return NULL;
}

struct member *
member_add(struct leader *l, const struct view_node *node, size_t at)
{
	char *id = strdup(node->id);

	if (id != NULL && l->count == l->cap) {
		size_t cap = l->cap > 0 ? 2 * l->cap : 16;
		struct member *more = realloc(l->members, cap * sizeof(*more));
		if (more != NULL) {
			l->members = more;
			l->cap = cap;
		}
	}
	if (id == NULL || l->count == l->cap) {
		free(id);
		return NULL;
	}
	memmove(&l->members[at + 1], &l->members[at], (l->count - at) * sizeof(*l->members));
	l->count++;
	l->members[at] = (struct member){ .node = *node };
	l->members[at].node.id = id;
	return &l->members[at];
}

void
member_drop(struct leader *l, size_t at)
{
	free(l->members[at].node.id);
	l->count--;
	memmove(&l->members[at], &l->members[at + 1], (l->count - at) * sizeof(*l->members));
}

void
member_drop_all(struct leader *l)
{
	while (l->count > 0)
		member_drop(l, l->count - 1);
}
