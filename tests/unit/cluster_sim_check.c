#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster_sim_state.h"

/* The index of the node in the view that it goes by; RING_NONE: it is not there, or has failed by it, or holds nothing any more. */
static uint32_t
owner_index(const struct sim_node *n, int64_t now_ns)
{
	if (n->core == NULL || sim_local(n, now_ns) >= core_holds_until(n->core))
		return RING_NONE;
	return n->self;
}

static void
count_owned(struct sim_node *n)
{
	const struct view *v = core_view(n->core);
	uint32_t at = view_find(v, n->id);

	n->owned = n->moving = 0;
	if (at != RING_NONE && v->nodes[at].boot != n->boot)
		at = RING_NONE;
	n->self = at != RING_NONE && v->nodes[at].state != NODE_FAILED ? at : RING_NONE;
	for (size_t s = 0; s < v->shards; s++) {
		n->moving += v->next[s] != RING_NONE;
		n->owned += at != RING_NONE && view_owner(v, s) == at;
	}
}

static void
violate(struct sim *s, const struct sim_node *a, const struct sim_node *b, const char *what, size_t shard)
{
	if (s->violations++ == 0)
		snprintf(s->violation, sizeof(s->violation), "%.3f s: %s/%zu (view %" PRIu64 ") and %s/%zu (view %" PRIu64 ") %s %zu",
		    (double)s->now_ns / 1e9, a->id, a->index, core_view(a->core)->number, b->id, b->index, core_view(b->core)->number,
		    what, shard);
}

static void
check_owners(struct sim *s, const struct sim_node *n)
{
	uint32_t self = owner_index(n, s->now_ns);

	for (size_t i = 0; self != RING_NONE && !s->forgives && i < s->count; i++) {
		const struct sim_node *m = s->nodes[i];
		uint32_t other = m != n ? owner_index(m, s->now_ns) : RING_NONE;
		if (other == RING_NONE)
			continue;
		const struct view *a = core_view(n->core), *b = core_view(m->core);
		for (size_t k = 0; k < s->options.shards; k++)
			if (k < a->shards && k < b->shards && view_owner(a, k) == self && view_owner(b, k) == other) {
				violate(s, n, m, "own shard", k);
				return;
			}
	}
}

static bool
leads(const struct sim *s, const struct sim_node *n)
{
	return n->core != NULL && !n->paused && core_leads(n->core, sim_local(n, s->now_ns));
}

static void
check_leaders(struct sim *s, const struct sim_node *n)
{
	if (!leads(s, n))
		return;
	for (size_t i = 0; i < s->count; i++)
		if (s->nodes[i] != n && leads(s, s->nodes[i]))
			violate(s, n, s->nodes[i], "lead: node", i);
}

/* Whoever uses the core must be told of whatever it then asks for. */
static void
check_told(struct sim *s, struct sim_node *n, bool is_new)
{
	enum standing standing = core_standing(n->core);
	bool held = sim_local(n, s->now_ns) < core_holds_until(n->core);

	if (!n->changed && (is_new || standing != n->standing || held != n->held))
		violate(s, n, n, "were not told: standing", standing);
	n->standing = standing;
	n->held = held;
	n->changed = false;
}

/* A node begins to own something when it goes by another view, or holds it again; only then is there something to be looked for. */
void
sim_check(struct sim *s, struct sim_node *n)
{
	const struct view *v = core_view(n->core);
	bool is_new = v->revision != n->view_revision || v->number != n->view_number;
	bool lapsed = n->until_ns <= sim_local(n, s->now_ns);

	if (is_new)
		count_owned(n);
	n->view_revision = v->revision;
	n->view_number = v->number;
	n->until_ns = core_holds_until(n->core);
	if (s->options.unchecked)
		return;
	check_told(s, n, is_new);
	if (is_new || lapsed)
		check_owners(s, n);
	check_leaders(s, n);
}

size_t
sim_owned(const struct sim *s, size_t node)
{
	const struct sim_node *n = s->nodes[node];

	return owner_index(n, s->now_ns) != RING_NONE ? n->owned : 0;
}

size_t
sim_leader(struct sim *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (leads(s, s->nodes[i]))
			return i;
	return SIZE_MAX;
}

/* No two own the same: that is checked otherwise. */
bool
sim_is_whole(struct sim *s)
{
	size_t owned = 0, moving = 0;

	for (size_t i = 0; i < s->count; i++) {
		owned += sim_owned(s, i);
		if (s->nodes[i]->core != NULL)
			moving += s->nodes[i]->moving;
	}
	return owned == s->options.shards && moving == 0;
}

#define WRONG(...) (snprintf(text, size, __VA_ARGS__), false)

/* Each of those that take shards has its part, rounded up or down. */
static bool
is_balanced(const struct view *v, char *text, size_t size)
{
	uint64_t capacity = 0;

	for (size_t i = 0; i < v->count; i++)
		capacity += v->nodes[i].state == NODE_ACTIVE ? v->nodes[i].capacity : 0;
	for (size_t i = 0; i < v->count && capacity > 0; i++) {
		size_t load = 0, part = v->nodes[i].state == NODE_ACTIVE ? v->shards * v->nodes[i].capacity : 0;
		for (size_t k = 0; k < v->shards; k++)
			load += v->owner[k] == i;
		if (load < part / capacity || load > (part + capacity - 1) / capacity)
			return WRONG("%s has %zu of %zu shards", v->nodes[i].id, load, v->shards);
	}
	return true;
}

/* There is another of its id. */
static bool
is_double(const struct sim *s, const struct sim_node *n)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->nodes[i] != n && s->nodes[i]->core != NULL && strcmp(s->nodes[i]->id, n->id) == 0)
			return true;
	return false;
}

static bool
is_there(const struct sim *s, const struct view_node *v)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->nodes[i]->core != NULL && s->nodes[i]->boot == v->boot && strcmp(s->nodes[i]->id, v->id) == 0)
			return core_standing(s->nodes[i]->core) == STANDING_MEMBER;
	return false;
}

static bool
is_node_settled(const struct sim *s, const struct sim_node *n, const struct view *v, char *text, size_t size)
{
	const struct view *own = core_view(n->core);
	enum standing standing = core_standing(n->core);

	if (own->revision != v->revision || own->number != v->number)
		return WRONG("%s/%zu goes by view %" PRIu64 ", not %" PRIu64, n->id, n->index, own->number, v->number);
	if (standing == STANDING_MEMBER) {
		if (sim_local(n, s->now_ns) >= core_holds_until(n->core))
			return WRONG("%s/%zu holds nothing", n->id, n->index);
	} else if (!(standing == STANDING_TAKEN && is_double(s, n))) {
		return WRONG("%s/%zu has standing %d", n->id, n->index, standing);
	}
	return true;
}

bool
sim_is_settled(struct sim *s, char *text, size_t size)
{
	size_t leaders = 0, live = 0, active = 0;
	const struct view *v = NULL;

	for (size_t i = 0; i < s->count; i++) {
		live += s->nodes[i]->core != NULL;
		if (!leads(s, s->nodes[i]))
			continue;
		leaders++;
		v = core_view(s->nodes[i]->core);
	}
	if (live == 0)
		return true;
	if (leaders != 1)
		return WRONG("%zu of %zu nodes lead", leaders, live);
	for (size_t i = 0; i < s->count; i++)
		if (s->nodes[i]->core != NULL && !is_node_settled(s, s->nodes[i], v, text, size))
			return false;
	for (size_t i = 0; i < v->count; i++) {
		active += v->nodes[i].state == NODE_ACTIVE;
		if (v->nodes[i].state != NODE_FAILED && !is_there(s, &v->nodes[i]))
			return WRONG("%s is a ghost", v->nodes[i].id);
	}
	if (active > 0 && !sim_is_whole(s))
		return WRONG("not every shard has an owner");
	return is_balanced(v, text, size);
}

unsigned
sim_violations(const struct sim *s, const char **text)
{
	if (text != NULL)
		*text = s->violation;
	return s->violations;
}

unsigned
sim_told(const struct sim *s, size_t node, enum core_event_kind kind, const char *id)
{
	const struct sim_node *n = s->nodes[node];
	unsigned count = 0;

	for (size_t i = 0; i < n->told_count; i++)
		count += n->told[i].kind == kind && (id == NULL || strcmp(n->told[i].node, id) == 0);
	return count;
}

/* What is asked for */

struct sim_faults *
sim_faults(struct sim *s)
{
	return &s->options.faults;
}

int64_t
sim_now(const struct sim *s)
{
	return s->now_ns;
}

size_t
sim_count(const struct sim *s)
{
	return s->count;
}

struct core *
sim_core(const struct sim *s, size_t node)
{
	return s->nodes[node]->core;
}

const char *
sim_id(const struct sim *s, size_t node)
{
	return s->nodes[node]->id;
}

bool
sim_is_paused(const struct sim *s, size_t node)
{
	return s->nodes[node]->paused;
}

bool
sim_is_cut(const struct sim *s, size_t node)
{
	return s->nodes[node]->cut;
}

int64_t
sim_local_ns(const struct sim *s, size_t node)
{
	return sim_local(s->nodes[node], s->now_ns);
}

const struct sim_count *
sim_traffic(const struct sim *s)
{
	return s->traffic;
}

uint64_t
sim_wakes(const struct sim *s)
{
	return s->wakes;
}

uint64_t
sim_events(const struct sim *s)
{
	return s->events;
}
