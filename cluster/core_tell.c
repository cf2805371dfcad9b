/* What a node tells of the cluster: the events of core.h. */
#include "core_state.h"

void
core_tell(struct core *c, enum core_event_kind kind, const char *node, uint64_t number)
{
	const struct core_event ev = { kind, node, number };

	if (c->options.io->event != NULL)
		c->options.io->event(c->options.arg, &ev);
}

/* Whose node it is: another life under the same id is another node. */
static bool
is_same_node(const struct view_node *a, const struct view_node *b)
{
	return a->boot == b->boot && strcmp(a->id, b->id) == 0;
}

static void
tell_node(struct core *c, const struct view_node *was, const struct view_node *is)
{
	static const enum core_event_kind kinds[] = {
		[NODE_ACTIVE] = CORE_EVENT_JOINED, [NODE_DRAINING] = CORE_EVENT_DRAINING, [NODE_FAILED] = CORE_EVENT_FAILED
	};
	bool same = was != NULL && is != NULL && is_same_node(was, is);

	if (was != NULL && !same && was->state != NODE_FAILED)
		core_tell(c, CORE_EVENT_LEFT, was->id, 0);
	if (is != NULL && !(same && was->state == is->state) && !(was == NULL && is->state == NODE_FAILED))
		core_tell(c, kinds[is->state], is->id, 0);
}

/* Both lists are in the order of ids. */
static void
tell_nodes(struct core *c, const struct view *was, const struct view *is)
{
	size_t a = 0, b = 0;

	while (a < was->count || b < is->count) {
		int order = a == was->count ? 1 : b == is->count ? -1 : strcmp(was->nodes[a].id, is->nodes[b].id);
		tell_node(c, order <= 0 ? &was->nodes[a] : NULL, order >= 0 ? &is->nodes[b] : NULL);
		a += order <= 0;
		b += order >= 0;
	}
}

static const char *
id_at(const struct view *v, uint32_t index)
{
	return index != RING_NONE ? v->nodes[index].id : "";
}

static void
tell_shards(struct core *c, const struct view *was, const struct view *is)
{
	uint64_t moved = 0;

	for (size_t s = 0; s < is->shards; s++) {
		const char *before = s < was->shards ? id_at(was, was->owner[s]) : "";
		const char *next = s < was->shards ? id_at(was, was->next[s]) : "";
		const char *after = id_at(is, is->owner[s]);
		moved += (strcmp(before, after) != 0 && strcmp(next, after) != 0) || (is->next[s] != RING_NONE && next[0] == '\0');
	}
	if (moved > 0)
		core_tell(c, CORE_EVENT_SHARDS, "", moved);
}

void
core_tell_view(struct core *c, const struct view *was, const struct view *is)
{
	tell_nodes(c, was, is);
	tell_shards(c, was, is);
}
