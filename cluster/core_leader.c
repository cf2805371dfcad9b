#include <errno.h>
#include <stdlib.h>

#include "core_state.h"

static void
set_state(const struct core *c, struct member *m, enum node_state state)
{
	if (m->node.since_us != 0 && m->node.state == state)
		return;
	m->node.state = state;
	m->node.since_us = clock_wall(c->options.clock);
}

/* Something is to be published. */
static void
touch(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;

	if (!l->dirty)
		l->dirty_ns = now_ns + CORE_SETTLE_NS;
	l->dirty = true;
}

/* Its word: it is there, and what it is. */
static void
hear(struct core *c, struct member *m, const struct view_node *node, uint64_t applied, int64_t now_ns)
{
	const struct leader *l = &c->leader;
	char *id = m->node.id;
	int64_t since_us = m->node.since_us;
	enum node_state state = m->node.state;
	bool is_new = m->node.boot != node->boot || since_us == 0;

	/* Another life has none of the shards of the one before. */
	if (m->node.boot != node->boot)
		m->told = 0;
	if (is_new || state != node->state || m->node.capacity != node->capacity)
		touch(c, now_ns);
	m->node = *node;
	m->node.id = id;
	m->node.state = state;
	m->node.since_us = is_new ? 0 : since_us;
	set_state(c, m, node->state);
	m->heard_ns = now_ns;
	/* A number that was not given yet is of views that were deleted. */
	m->applied = applied <= c->view->number || applied <= l->number ? applied : 0;
}

/* Beginning and end */

void
leader_begin(struct core *c, uint64_t term, int64_t now_ns)
{
	struct leader *l = &c->leader;

	l->term = term;
	l->number = 0;
	l->room = CORE_NODES_MAX;
	l->former = c->former;
	l->former_ns = c->former_ns;
	c->former = (struct lease){ .node = "" };
	l->begun = false;
	l->reading = true;
	l->read_ns = now_ns;
	l->dirty = false;
	c->beat_id = 0;
	core_set_standing(c, STANDING_OUTSIDE);
	c->options.io->listen(c->options.arg, term);
}

void
leader_end(struct core *c)
{
	struct leader *l = &c->leader;

	if (l->term == 0)
		return;
	l->term = 0;
	l->reading = false;
	view_put(l->writing);
	l->writing = NULL;
	member_drop_all(l);
	c->options.io->listen(c->options.arg, 0);
}

/* Who was there by the view of the leader before is there until it is found otherwise. */
static int
take_over(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;
	const struct view *v = c->view;

	member_drop_all(l);
	for (size_t i = 0; i < v->count; i++) {
		struct member *m = member_add(l, &v->nodes[i], i);
		if (m == NULL)
			return -ENOMEM;
		bool former = strcmp(m->node.id, l->former.node) == 0 && m->node.boot == l->former.boot;
		m->heard_ns = former ? l->former_ns - (CORE_FAIL_NS - CORE_FORMER_NS) : now_ns;
		/* It has to say anew what it goes by. */
		m->told = v->number + 1;
	}
	return 0;
}

/* Publishing */

/* For the nodes that are to have shards: the indexes among the members, and back. */
struct takers {
	struct ring_node *nodes;
	uint32_t *member_of;
	uint32_t *taker_of;
	size_t count;
};

static void
takers_free(struct takers *t)
{
	free(t->nodes);
	free(t->member_of);
	free(t->taker_of);
}

static int
takers_make(struct takers *t, const struct leader *l)
{
	size_t n = l->count > 0 ? l->count : 1;

	*t = (struct takers){ .nodes = malloc(n * sizeof(*t->nodes)),
		.member_of = malloc(n * sizeof(*t->member_of)),
		.taker_of = malloc(n * sizeof(*t->taker_of)) };
	if (t->nodes == NULL || t->member_of == NULL || t->taker_of == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < l->count; i++) {
		const struct view_node *n_i = &l->members[i].node;
		t->taker_of[i] = RING_NONE;
		if (n_i->state != NODE_ACTIVE)
			continue;
		t->taker_of[i] = (uint32_t)t->count;
		t->member_of[t->count] = (uint32_t)i;
		t->nodes[t->count++] = (struct ring_node){ n_i->id, n_i->capacity };
	}
	return 0;
}

/* Where the nodes of a view are among the members now: RING_NONE for who is gone, or is another by now. */
static uint32_t *
member_indexes(const struct leader *l, const struct view *v)
{
	uint32_t *at = malloc((v->count > 0 ? v->count : 1) * sizeof(*at));
	size_t index;

	for (size_t i = 0; at != NULL && i < v->count; i++) {
		const struct member *m = member_find(l, v->nodes[i].id, &index);
		bool there = m != NULL && m->node.boot == v->nodes[i].boot && m->node.state != NODE_FAILED;
		at[i] = there ? (uint32_t)index : RING_NONE;
	}
	return at;
}

static uint32_t
translate(const uint32_t *to, uint32_t index)
{
	return index == RING_NONE ? RING_NONE : to[index];
}

/* Who was to have each shard by the view, as far as it still can: among those that take. */
static void
targets_before(const struct view *v, const uint32_t *members, const struct takers *t, uint32_t *before, size_t shards)
{
	for (size_t s = 0; s < shards; s++) {
		before[s] = RING_NONE;
		if (s >= v->shards)
			continue;
		uint32_t next = translate(t->taker_of, translate(members, v->next[s]));
		uint32_t owner = translate(t->taker_of, translate(members, v->owner[s]));
		before[s] = next != RING_NONE ? next : owner;
	}
}

static bool
has_let_go(const struct leader *l, const struct member *m, const struct view *v)
{
	return m->applied >= m->told && m->told <= v->number && l->begun;
}

/* Fill in owners: before is who has each shard, target who is to have it. */
static void
hand_out(struct leader *l, const struct view *was, const uint32_t *members, const struct takers *t, const uint32_t *target, struct view *is)
{
	for (size_t s = 0; s < is->shards; s++) {
		uint32_t holder = s < was->shards ? translate(members, was->owner[s]) : RING_NONE;
		uint32_t to = target[s] != RING_NONE ? t->member_of[target[s]] : RING_NONE;
		bool moving = s < was->shards && was->next[s] != RING_NONE;
		is->owner[s] = to;
		if (holder == RING_NONE || holder == to)
			continue;
		if (to == RING_NONE) {
			/* Nobody takes it: who has it keeps it, unless it is on its way out, and then it drains until somebody comes. */
			is->owner[s] = holder;
			continue;
		}
		struct member *m = &l->members[holder];
		if (moving && has_let_go(l, m, was))
			continue;
		is->owner[s] = holder;
		is->next[s] = to;
	}
}

/* Who has shards in handover in this view that were not in the view before must say that it goes by this one. */
static void
note_told(struct leader *l, const struct view *was, const uint32_t *members, const struct view *is)
{
	for (size_t s = 0; s < is->shards; s++) {
		if (is->next[s] == RING_NONE)
			continue;
		struct member *m = &l->members[is->owner[s]];
		bool moving = s < was->shards && was->next[s] != RING_NONE && translate(members, was->owner[s]) == is->owner[s];
		if (!moving || m->told > was->number)
			m->told = is->number;
	}
}

static int
copy_nodes(const struct leader *l, struct view *v)
{
	for (size_t i = 0; i < l->count; i++) {
		v->nodes[i] = l->members[i].node;
		v->nodes[i].id = strdup(l->members[i].node.id);
		if (v->nodes[i].id == NULL)
			return -ENOMEM;
	}
	return 0;
}

/* The view that follows from the one before and what the members are. NULL for want of memory. */
static struct view *
next_view(struct core *c)
{
	struct leader *l = &c->leader;
	const struct view *was = c->view;
	size_t shards = c->options.shards;
	struct view *v = view_new(l->count, shards);
	uint32_t *target = malloc(shards * sizeof(*target)), *members = member_indexes(l, was);
	struct takers t;

	int err = takers_make(&t, l);
	if (v == NULL || target == NULL || members == NULL)
		err = -ENOMEM;
	if (err == 0)
		err = copy_nodes(l, v);
	if (err == 0) {
		targets_before(was, members, &t, target, shards);
		err = ring_assign(t.nodes, t.count, target, target, shards);
	}
	if (err == 0) {
		v->term = l->term;
		v->number = c->view_wanted > l->number ? c->view_wanted : l->number;
		v->number = (was->number > v->number ? was->number : v->number) + 1;
		hand_out(l, was, members, &t, target, v);
		note_told(l, was, members, v);
	}
	takers_free(&t);
	free(target);
	free(members);
	if (err == 0)
		return v;
	view_put(v);
	return NULL;
}

static bool
says_the_same(const struct view *a, const struct view *b)
{
	if (a->term != b->term || a->count != b->count || a->shards != b->shards)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct view_node *n = &a->nodes[i], *m = &b->nodes[i];
		if (strcmp(n->id, m->id) != 0 || n->boot != m->boot || n->state != m->state || n->capacity != m->capacity)
			return false;
	}
	return memcmp(a->owner, b->owner, a->shards * sizeof(*a->owner)) == 0 && memcmp(a->next, b->next, a->shards * sizeof(*a->next)) == 0;
}

void
leader_tell_all(struct core *c)
{
	struct news n = { .lease = c->election.lease, .revision = c->election.revision };
	struct buf body = { 0 };

	if (c->view->term == n.lease.term)
		n.number = c->view->number;
	news_encode(&n, &body);
	if (!body.failed)
		c->options.io->news(c->options.arg, (struct span){ body.p, body.len });
	buf_free(&body);
}

static void
publish(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;
	struct buf value = { 0 };
	struct view *v = next_view(c);

	if (v == NULL) {
		l->dirty_ns = now_ns + CORE_RETRY_NS;
		return;
	}
	l->dirty = false;
	/* What became of the write before is known only when another has replaced what it would have. */
	if (says_the_same(c->view, v) && l->number <= c->view->number) {
		view_put(v);
		return;
	}
	view_encode(v, &value);
	if (value.failed) {
		view_put(v);
		touch(c, now_ns);
	} else {
		l->writing = v;
		l->former_number = l->number;
		l->number = v->number;
		l->write_id = ++c->ids;
		c->options.io->write(c->options.arg, CORE_VIEW, l->write_id, c->view_revision, (struct span){ value.p, value.len });
	}
	buf_free(&value);
}

/* Is somebody waited for, who has let go since? */
static bool
has_finished_handover(const struct core *c)
{
	const struct leader *l = &c->leader;
	const struct view *v = c->view;
	size_t index;

	for (size_t s = 0, left = c->moving; left > 0 && s < v->shards; s++) {
		if (v->next[s] == RING_NONE)
			continue;
		left--;
		const struct member *m = member_find(l, v->nodes[v->owner[s]].id, &index);
		if (m == NULL || has_let_go(l, m, v))
			return true;
	}
	return false;
}

/* What was read while this leader wrote: was it our write of unknown outcome? False: it was a late one of a leader before. */
static bool
resolve(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;
	bool ours = l->writing != NULL && c->view->term == l->term && c->view->number == l->writing->number;

	view_put(l->writing);
	l->writing = NULL;
	if (ours)
		leader_tell_all(c);
	else
		touch(c, now_ns);
	return c->view->term == l->term || c->view->revision == l->base;
}

void
leader_on_view(struct core *c, int err, int64_t now_ns)
{
	struct leader *l = &c->leader;

	if (l->term == 0 || !l->reading)
		return;
	if (err != 0 && err != -ENOENT) {
		l->read_ns = now_ns + CORE_RETRY_NS;
		return;
	}
	l->reading = false;
	if (c->view->term > l->term) {
		/* Somebody leads after us, though it cannot be yet, by our clock. */
		c->lease_wanted = true;
		leader_end(c);
		return;
	}
	if (l->begun && resolve(c, now_ns))
		return;
	l->begun = false;
	if (take_over(c, now_ns) != 0) {
		l->reading = true;
		l->read_ns = now_ns + CORE_RETRY_NS;
		return;
	}
	l->begun = true;
	l->base = c->view->revision;
	l->dirty = true;
	l->dirty_ns = now_ns;
}

/* Drop at most so many members: those that are not in the view, or all that have failed and own nothing any more. */
static size_t
drop_some(struct core *c, bool failed, size_t most)
{
	struct leader *l = &c->leader;
	size_t dropped = 0;

	for (size_t i = l->count; i-- > 0 && dropped < most;) {
		const struct view_node *n = &l->members[i].node;
		if (failed ? n->state != NODE_FAILED : view_find(c->view, n->id) != RING_NONE)
			continue;
		member_drop(l, i);
		dropped++;
	}
	return dropped;
}

/* What was to be written is larger than a message may be, and was not even sent: with half as many newcomers it may do. */
static void
turn_away(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;
	size_t come = 0;

	view_put(l->writing);
	l->writing = NULL;
	l->number = l->former_number;
	for (size_t i = 0; i < l->count; i++)
		come += view_find(c->view, l->members[i].node.id) == RING_NONE;
	size_t dropped = drop_some(c, come == 0, come > 0 ? (come + 1) / 2 : SIZE_MAX);
	l->room = l->count;
	l->room_ns = now_ns + CORE_DENIED_NS;
	touch(c, now_ns);
	l->dirty_ns = dropped > 0 ? now_ns : now_ns + CORE_BEAT_NS;
}

void
leader_on_written(struct core *c, uint64_t id, int err, uint64_t revision, int64_t now_ns)
{
	struct leader *l = &c->leader;
	struct view *v = l->writing;

	if (l->term == 0 || v == NULL || id != l->write_id)
		return;
	if (err == -EMSGSIZE) {
		turn_away(c, now_ns);
		return;
	}
	if (err != 0) {
		/* It is there, or another is, or none. */
		l->reading = true;
		l->read_ns = err == -ESTALE ? now_ns : now_ns + CORE_RETRY_NS;
		return;
	}
	l->writing = NULL;
	v->revision = c->view_revision = revision;
	core_take_view(c, v, now_ns);
	leader_tell_all(c);
}

/* Heartbeats */

uint64_t
leader_number(const struct core *c)
{
	const struct leader *l = &c->leader;

	if (!l->begun || c->view->term != l->term)
		return 0;
	/* A write that was given up may be done still, until another is. */
	return l->number > c->view->number ? l->number : c->view->number;
}

static void
answer(struct core *c, void *from, const struct beat_answer *a)
{
	struct buf body = { 0 };

	beat_answer_encode(a, &body);
	if (!body.failed)
		c->options.io->answer(c->options.arg, from, (struct span){ body.p, body.len });
	buf_free(&body);
}

/* Is it in the view, as it is? */
static bool
is_taken_in(const struct core *c, const struct view_node *n)
{
	uint32_t at = view_find(c->view, n->id);

	return at != RING_NONE && c->view->nodes[at].boot == n->boot && c->view->nodes[at].state != NODE_FAILED;
}

void
leader_on_beat(struct core *c, void *from, const struct beat *b, int64_t now_ns)
{
	struct leader *l = &c->leader;
	struct beat_answer a = { .term = l->term, .revision = c->election.revision, .number = leader_number(c), .standing = STANDING_OUTSIDE };
	size_t at;

	if (!l->begun) {
		answer(c, from, &a);
		return;
	}
	struct member *m = member_find(l, b->node.id, &at);
	if (m != NULL && m->node.boot != b->node.boot && m->node.state != NODE_FAILED) {
		/* The other is there, or will be found to have failed. */
		a.standing = STANDING_TAKEN;
		a.heard_ms = (now_ns - m->heard_ns) / NS_PER_MS;
		a.other = m->node.about;
		answer(c, from, &a);
		return;
	}
	if (b->leaves) {
		if (m != NULL) {
			member_drop(l, at);
			touch(c, now_ns);
		}
		a.standing = STANDING_MEMBER;
		answer(c, from, &a);
		return;
	}
	bool returns = m == NULL || m->node.state == NODE_FAILED;
	if (m == NULL && l->count >= l->room) {
		answer(c, from, &a);
		return;
	}
	if (m == NULL)
		m = member_add(l, &b->node, at);
	if (m == NULL)
		return;
	if (returns)
		m->node.since_us = 0; /* whatever it was, or says */
	hear(c, m, &b->node, b->applied, now_ns);
	a.standing = is_taken_in(c, &m->node) ? STANDING_MEMBER : STANDING_OUTSIDE;
	answer(c, from, &a);
	if (!l->dirty && l->writing == NULL && m->applied >= m->told && has_finished_handover(c))
		touch(c, now_ns);
}

/* Steps */

/* This node leads, but there is another of its id, which may still own shards: until that has failed, it leads without being a member. */
static void
take_note_of_other(struct core *c, const struct member *m, int64_t now_ns)
{
	if (c->standing != STANDING_TAKEN)
		core_tell(c, CORE_EVENT_TAKEN, m->node.id, 0);
	c->held_ns = 0;
	c->taken = (struct beat_answer){ .term = c->leader.term, .standing = STANDING_TAKEN };
	c->taken.heard_ms = (now_ns - m->heard_ns) / NS_PER_MS;
	c->taken.other = m->node.about;
	core_set_standing(c, STANDING_TAKEN);
}

/* This node is a member like the others, but for its heartbeats. */
static void
hear_self(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;
	struct view_node self;
	size_t at;

	struct member *m = member_find(l, c->options.self.id, &at);
	core_put_self(c, &self);
	if (c->leaving) {
		if (m != NULL && m->node.boot == self.boot) {
			member_drop(l, at);
			touch(c, now_ns);
			l->dirty_ns = now_ns;
		} else if (!l->dirty && l->writing == NULL && !c->left) {
			/* The others know. */
			c->left = true;
			election_resign(&c->election, now_ns);
		}
		return;
	}
	if (m != NULL && m->node.boot != self.boot && m->node.state != NODE_FAILED) {
		take_note_of_other(c, m, now_ns);
		return;
	}
	bool returns = m == NULL || m->node.state == NODE_FAILED;
	if (m == NULL && l->count < l->room)
		m = member_add(l, &self, at);
	if (m == NULL)
		return;
	if (returns)
		m->node.since_us = 0;
	hear(c, m, &self, c->view->number, now_ns);
	if (leader_number(c) == c->view->number && is_taken_in(c, &self)) {
		c->held_ns = c->election.held_ns;
		core_set_standing(c, STANDING_MEMBER);
	} else if (c->standing == STANDING_TAKEN) {
		core_set_standing(c, STANDING_OUTSIDE);
	}
}

static void
look_for_failed(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;

	for (size_t i = l->count; i-- > 0;) {
		struct member *m = &l->members[i];
		if (m->node.state != NODE_FAILED && now_ns >= m->heard_ns + CORE_FAIL_NS) {
			set_state(c, m, NODE_FAILED);
			m->heard_ns = now_ns;
			touch(c, now_ns);
		} else if (m->node.state == NODE_FAILED && now_ns >= m->heard_ns + CORE_FORGET_NS) {
			member_drop(l, i);
			touch(c, now_ns);
		}
	}
}

void
leader_step(struct core *c, int64_t now_ns)
{
	struct leader *l = &c->leader;

	if (!l->begun)
		return;
	if (now_ns >= l->room_ns)
		l->room = CORE_NODES_MAX;
	hear_self(c, now_ns);
	look_for_failed(c, now_ns);
	if (!l->dirty && l->writing == NULL && has_finished_handover(c))
		touch(c, now_ns);
	if (l->dirty && l->writing == NULL && !l->reading && now_ns >= l->dirty_ns)
		publish(c, now_ns);
}

int64_t
leader_due(const struct core *c)
{
	const struct leader *l = &c->leader;
	int64_t due_ns = INT64_MAX;

	if (!l->begun)
		return due_ns;
	for (size_t i = 0; i < l->count; i++) {
		const struct member *m = &l->members[i];
		int64_t at_ns = m->heard_ns + (m->node.state == NODE_FAILED ? CORE_FORGET_NS : CORE_FAIL_NS);
		if (at_ns < due_ns)
			due_ns = at_ns;
	}
	if (l->dirty && l->writing == NULL && !l->reading && l->dirty_ns < due_ns)
		due_ns = l->dirty_ns;
	return due_ns;
}
