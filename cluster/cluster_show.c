/* What others are shown of the cluster. */
#include <inttypes.h>

#include "../store/json.h"
#include "cluster_state.h"

/* The view, counted once more. */
static struct view *
take(struct cluster *c, bool *holds)
{
	lock_take(&c->lock);
	struct view *v = view_get(c->shown.view);
	if (holds != NULL)
		*holds = clock_mono(c->clock) < c->shown.holds_until_ns;
	lock_give(&c->lock);
	return v;
}

/* Is that node of the view this one, and does it own what the view says? */
static bool
is_self(const struct cluster *c, const struct view *v, uint32_t index)
{
	return index != RING_NONE && v->nodes[index].state == NODE_ACTIVE && v->nodes[index].boot == c->boot &&
	       strcmp(v->nodes[index].id, c->node) == 0;
}

bool
cluster_owns(struct cluster *c, unsigned shard)
{
	bool holds;
	struct view *v = take(c, &holds);
	bool owns = holds && shard < v->shards && is_self(c, v, view_owner(v, shard));

	view_put(v);
	return owns;
}

/* NULL: nobody. */
static const struct view_node *
owner_of(const struct cluster *c, const struct view *v, unsigned shard, bool holds)
{
	uint32_t owner = shard < v->shards ? view_owner(v, shard) : RING_NONE;
	const struct view_node *n = owner != RING_NONE ? &v->nodes[owner] : NULL;

	return n != NULL && n->state == NODE_ACTIVE && (holds || strcmp(n->id, c->node) != 0) ? n : NULL;
}

void
cluster_owner(struct cluster *c, unsigned shard, char out[CLUSTER_ID_MAX + 1])
{
	bool holds;
	struct view *v = take(c, &holds);
	const struct view_node *owner = owner_of(c, v, shard, holds);

	out[0] = '\0';
	if (owner != NULL && strlen(owner->id) <= CLUSTER_ID_MAX)
		strcpy(out, owner->id);
	view_put(v);
}

uint64_t
cluster_owner_boot(struct cluster *c, unsigned shard)
{
	bool holds;
	struct view *v = take(c, &holds);
	const struct view_node *owner = owner_of(c, v, shard, holds);
	uint64_t boot = owner != NULL ? owner->boot : 0;

	view_put(v);
	return boot;
}

unsigned
cluster_owned(struct cluster *c, uint64_t out[CLUSTER_WORDS])
{
	bool holds;
	struct view *v = take(c, &holds);
	uint32_t self = view_find(v, c->node);
	unsigned count = 0;

	memset(out, 0, CLUSTER_WORDS * sizeof(*out));
	for (unsigned s = 0; holds && is_self(c, v, self) && s < v->shards && s < SHARD_COUNT; s++) {
		if (view_owner(v, s) != self)
			continue;
		out[s / 64] |= UINT64_C(1) << s % 64;
		count++;
	}
	view_put(v);
	return count;
}

void
cluster_put_self(struct cluster *c, struct buf *out)
{
	buf_printf(out, "%s\n", c->node);
}

void
cluster_put_leader(struct cluster *c, struct buf *out)
{
	char leader[CLUSTER_ID_MAX + 1];

	lock_take(&c->lock);
	strcpy(leader, c->shown.leader);
	lock_give(&c->lock);
	if (leader[0] != '\0')
		buf_printf(out, "%s\n", leader);
}

void
cluster_put_shards(struct cluster *c, struct buf *out)
{
	struct view *v = take(c, NULL);

	for (size_t s = 0; s < v->shards; s++) {
		uint32_t owner = view_owner(v, s);
		buf_printf(out, "%zu %s", s, owner != RING_NONE ? v->nodes[owner].id : "-");
		if (v->next[s] != RING_NONE)
			buf_printf(out, " %s %s", v->nodes[v->owner[s]].id, v->nodes[v->next[s]].id);
		buf_putc(out, '\n');
	}
	view_put(v);
}

static void
put_time(struct buf *out, const char *key, int64_t time_us)
{
	char text[CLOCK_RFC3339_LEN + 1];

	clock_rfc3339(time_us, text);
	buf_printf(out, ",\"%s\":\"%s\"", key, text);
}

bool
cluster_put_node(struct cluster *c, const char *id, struct buf *out)
{
	struct view *v = take(c, NULL);
	uint32_t at = view_find(v, id);
	char leader[CLUSTER_ID_MAX + 1];
	size_t shards = 0;

	lock_take(&c->lock);
	strcpy(leader, c->shown.leader);
	lock_give(&c->lock);
	for (size_t s = 0; at != RING_NONE && s < v->shards; s++)
		shards += view_owner(v, s) == at;
	if (at != RING_NONE) {
		const struct view_node *n = &v->nodes[at];
		buf_puts(out, "{\"id\":");
		json_put_string(out, span_of(n->id));
		buf_printf(out, ",\"state\":\"%s\"", view_state_name(n->state));
		put_time(out, "since", n->since_us);
		buf_printf(out, ",\"leader\":%s,\"self\":%s,\"shards\":%zu,\"capacity\":%u,\"host\":", strcmp(leader, id) == 0 ? "true" : "false",
		    strcmp(c->node, id) == 0 ? "true" : "false", shards, n->capacity);
		json_put_string(out, span_of(n->about.host));
		buf_printf(out, ",\"pid\":%" PRId64 ",\"version\":", n->about.pid);
		json_put_string(out, span_of(n->about.version));
		put_time(out, "started", n->about.started_us);
		buf_puts(out, "}\n");
	}
	view_put(v);
	return at != RING_NONE;
}

int
cluster_each_node(struct cluster *c, int (*fn)(void *arg, const char *id), void *arg)
{
	struct view *v = take(c, NULL);
	int err = 0;

	for (size_t i = 0; i < v->count && err == 0; i++)
		err = fn(arg, v->nodes[i].id);
	view_put(v);
	return err;
}
