#include <errno.h>
#include <stdlib.h>

#include "core_state.h"

/* Up to how long a node waits before its first heartbeat to a new leader, so that not all come at once. */
#define SPREAD_NS (100 * NS_PER_MS)
/* A node that is not taken in asks again. */
#define TAKEN_RETRY_NS (500 * NS_PER_MS)
/* So often in a row must an older revision be read until it is believed that the key begins anew: another replica may lag. */
#define BEHIND_MAX 8

int64_t
core_random(const struct core *c, int64_t below_ns)
{
	uint32_t random;

	c->options.clock->random(c->options.clock, &random, sizeof(random));
	return (int64_t)((uint64_t)below_ns * random >> 32);
}

static void
changed(struct core *c)
{
	c->options.io->changed(c->options.arg);
}

void
core_set_standing(struct core *c, enum standing standing)
{
	if (c->standing == standing)
		return;
	c->standing = standing;
	changed(c);
}

void
core_put_self(const struct core *c, struct view_node *n)
{
	*n = c->options.self;
	n->state = c->draining ? NODE_DRAINING : NODE_ACTIVE;
}

static int64_t
retry_ns(int err)
{
	return err == -EACCES ? CORE_DENIED_NS : CORE_RETRY_NS;
}

/* Views */

static uint32_t
own_index(const struct core *c, const struct view *v)
{
	uint32_t at = view_find(v, c->options.self.id);

	return at != RING_NONE && v->nodes[at].boot == c->options.self.boot ? at : RING_NONE;
}

/* Does somebody wait for this node to say that it goes by the view? */
static bool
is_awaited(const struct core *c, const struct view *v)
{
	uint32_t self = own_index(c, v);

	for (size_t s = 0; self != RING_NONE && s < v->shards; s++)
		if (v->owner[s] == self && v->next[s] != RING_NONE)
			return true;
	return false;
}

void
core_take_view(struct core *c, struct view *v, int64_t now_ns)
{
	struct view *was = c->view;

	/* Whatever its term: each view replaces the one before, and a new leader begins from the last one of the former. */
	if (v->revision <= was->revision) {
		view_put(v);
		return;
	}
	c->view = v;
	c->moving = 0;
	for (size_t s = 0; s < v->shards; s++)
		c->moving += v->next[s] != RING_NONE;
	core_tell_view(c, was, v);
	view_put(was);
	/* Before the heartbeat: who hears that it goes by the view may count on it. */
	changed(c);
	if (is_awaited(c, v) || now_ns >= core_holds_until(c))
		c->beat_ns = now_ns;
}

/* Whatever it holds, a leader replaces it; there are no nodes by it. */
static struct view *
unreadable(const struct core *c)
{
	struct view *v = view_new(0, c->options.shards);

	if (v != NULL)
		v->term = election_term(&c->election);
	return v;
}

/* There is a view with that number, which the leader of that term knows; 0: it knows none yet. The number falls again where it was of a view that
 * could not be published. */
static void
want_view(struct core *c, uint64_t term, uint64_t number)
{
	if (number == 0)
		return;
	c->wanted_term = term;
	c->view_wanted = number;
}

static bool
is_behind(const struct core *c)
{
	return c->view->term != c->wanted_term ? c->view->term < c->wanted_term : c->view->number < c->view_wanted;
}

static void
on_view(struct core *c, int err, uint64_t revision, struct span value, int64_t now_ns)
{
	struct view *v = NULL;

	c->view_asked = false;
	int bad = err == 0 ? view_decode(value, &v) : 0;
	if (bad == -EINVAL)
		v = unreadable(c);
	if (err == 0 && v == NULL)
		err = -ENOMEM; /* whatever it is, it was not read */
	if (v != NULL) {
		v->revision = revision;
		core_take_view(c, v, now_ns);
	}
	if (err == 0 || err == -ENOENT)
		c->view_revision = revision;
	/* A replica may lag. */
	if (is_behind(c))
		c->view_ns = now_ns + (err == -EACCES ? CORE_DENIED_NS : CORE_RETRY_NS / 5);
	leader_on_view(c, err, now_ns);
}

/* The lease */

/* Somebody has deleted the keys: revisions, terms and numbers begin anew. */
static void
begin_anew(struct core *c)
{
	struct view *none = view_new(0, c->options.shards);

	if (none == NULL)
		return;
	election_reset(&c->election);
	leader_end(c);
	view_put(c->view);
	c->view = none;
	c->view_revision = c->view_wanted = c->wanted_term = 0;
	c->moving = 0;
	c->held_ns = 0;
	c->lease_behind = 0;
	c->beat_id = 0;
	changed(c);
}

/* Terms rise with revisions, and each has one holder: else the keys were deleted long ago, and their revisions have overtaken what was known. */
static bool
is_of_another_store(const struct core *c, const struct lease *lease, uint64_t revision)
{
	uint64_t known = election_term(&c->election), term = lease->term != 0 ? lease->term : revision;
	const struct lease *was = &c->election.lease;

	return term < known || (term == known && lease->node[0] != '\0' && was->node[0] != '\0' && lease->boot != was->boot);
}

static void
on_lease(struct core *c, int err, uint64_t revision, struct span value, int64_t now_ns)
{
	struct lease lease = { .term = 0 };

	c->lease_asked = false;
	if (err != 0 && err != -ENOENT) {
		c->lease_ns = now_ns + retry_ns(err);
		return;
	}
	if (err == -ENOENT)
		revision = 0;
	else if (lease_decode(value, &lease) != 0)
		err = -ENOENT; /* nobody can hold what was deleted, or is not readable */
	if (revision < c->election.revision) {
		c->lease_ns = now_ns + CORE_RETRY_NS;
		if (++c->lease_behind < BEHIND_MAX)
			return;
		begin_anew(c);
	} else if (err == 0 && is_of_another_store(c, &lease, revision)) {
		begin_anew(c);
	}
	c->lease_behind = 0;
	c->lease_wanted = false;
	election_seen(&c->election, err == 0 ? &lease : NULL, revision, now_ns);
}

/* A new leader, or none, was seen. */
static void
note_leader(struct core *c, int64_t now_ns)
{
	uint64_t term = election_term(&c->election);
	/* A lease that was not seen to be renewed has no holder, as far as anybody can know here. */
	bool is_led = election_leader(&c->election)[0] != '\0' && (c->leader.term != 0 || now_ns < c->election.seen_ns + ELECTION_LEASE_NS);

	if (term == c->told_term && is_led == c->told_leader)
		return;
	if (term != c->told_term) {
		c->beat_id = 0;
		c->beat_ns = now_ns + core_random(c, SPREAD_NS);
	}
	c->told_term = term;
	c->told_leader = is_led;
	core_tell(c, CORE_EVENT_LEADER, is_led ? election_leader(&c->election) : "", term);
	changed(c);
}

/* Reads and writes */

void
core_on_read(struct core *c, enum core_key key, int err, uint64_t revision, struct span value, int64_t now_ns)
{
	switch (key) {
	case CORE_LEASE:
		on_lease(c, err, revision, value, now_ns);
		return;
	case CORE_VIEW:
		if (err == -EACCES)
			core_bar(c, false, now_ns);
		on_view(c, err, revision, value, now_ns);
		return;
	}
}

void
core_on_written(struct core *c, enum core_key key, uint64_t id, int err, uint64_t revision, int64_t now_ns)
{
	switch (key) {
	case CORE_LEASE:
		election_answer(&c->election, id, err, revision, now_ns);
		if (err == 0 && c->left)
			leader_tell_all(c);
		if (err != 0) {
			c->lease_wanted = true;
			if (err != -ESTALE)
				c->lease_ns = now_ns + CORE_RETRY_NS;
		}
		if (err == -EACCES)
			core_bar(c, false, now_ns);
		return;
	case CORE_VIEW:
		if (err == -EACCES)
			core_bar(c, false, now_ns);
		leader_on_written(c, id, err, revision, now_ns);
		return;
	}
}

static void
ask(struct core *c, int64_t now_ns)
{
	bool reads_view = is_behind(c) && now_ns >= c->view_ns;

	if (c->lease_wanted && !c->lease_asked && now_ns >= c->lease_ns) {
		c->lease_asked = true;
		c->options.io->read(c->options.arg, CORE_LEASE);
	}
	reads_view |= c->leader.reading && now_ns >= c->leader.read_ns;
	if (reads_view && !c->view_asked) {
		c->view_asked = true;
		c->options.io->read(c->options.arg, CORE_VIEW);
	}
}

/* Heartbeats */

void
core_on_answer(struct core *c, uint64_t id, int err, struct span body, int64_t now_ns)
{
	struct beat_answer a;

	/* To say twice that it leaves is to say it: any answer will do. */
	if (id != c->beat_id && (!c->leaving || id < c->leave_id || err != 0))
		return;
	c->beat_id = 0;
	if (err == 0)
		err = beat_answer_decode(body, &a);
	if (err != 0 || a.term != c->beat_term || a.term != election_term(&c->election)) {
		c->lease_wanted = true;
		if (c->standing == STANDING_TAKEN)
			core_set_standing(c, STANDING_OUTSIDE);
		if (err == -EHOSTUNREACH || err == -EACCES || err == -ENOTCONN)
			c->is_heard = c->was_heard;
		c->beat_ns = now_ns + retry_ns(err) / 2 + core_random(c, retry_ns(err) / 2);
		return;
	}
	c->left = c->leaving && a.standing == STANDING_MEMBER;
	c->is_heard = a.standing != STANDING_TAKEN;
	enum standing before = c->standing;
	struct lease lease = c->election.lease;
	election_seen(&c->election, &lease, a.revision, now_ns);
	c->beat_ns = c->beat_sent_ns + CORE_BEAT_NS;
	if (a.standing == STANDING_TAKEN) {
		c->taken = a;
		c->beat_ns = now_ns + TAKEN_RETRY_NS;
		if (before != STANDING_TAKEN)
			core_tell(c, CORE_EVENT_TAKEN, c->options.self.id, 0);
	} else if (a.standing == STANDING_OUTSIDE) {
		c->beat_ns = now_ns + 2 * CORE_SETTLE_NS;
	} else if (a.number != 0 && a.number == c->view->number && c->view->term == a.term) {
		c->held_ns = c->beat_sent_ns;
	}
	want_view(c, a.term, a.number);
	core_set_standing(c, a.standing);
	/* When the other was heard is news each time. */
	if (a.standing == STANDING_TAKEN && before == STANDING_TAKEN)
		changed(c);
}

/* Nothing that others say would be heard. */
static bool
is_deaf(const struct core *c)
{
	return c->barred_ns == INT64_MAX;
}

/* Is one to be sent at some time? Who leads hears itself; who leaves says so again before there is an answer. */
static bool
beats(const struct core *c)
{
	bool is_led = election_term(&c->election) != 0 && election_leader(&c->election)[0] != '\0';

	return c->leader.term == 0 && is_led && !is_deaf(c) && !c->left && (c->beat_id == 0 || c->leaving);
}

static void
beat(struct core *c, int64_t now_ns)
{
	uint64_t term = election_term(&c->election);
	struct beat b = { .applied = c->view->number, .leaves = c->leaving };
	struct buf body = { 0 };

	if (!beats(c) || now_ns < c->beat_ns)
		return;
	core_put_self(c, &b.node);
	beat_encode(&b, &body);
	c->beat_ns = now_ns + (c->leaving ? CORE_LEAVE_AGAIN_NS : CORE_BEAT_NS);
	if (!body.failed) {
		c->beat_id = ++c->ids;
		c->beat_term = term;
		c->was_heard = c->is_heard;
		c->is_heard = true;
		c->beat_sent_ns = now_ns;
		c->options.io->beat(c->options.arg, c->beat_id, term, (struct span){ body.p, body.len });
	}
	buf_free(&body);
}

void
core_on_beat(struct core *c, void *from, struct span body, int64_t now_ns)
{
	struct beat b;

	if (!core_leads(c, now_ns) || c->leader.term == 0 || beat_decode(body, &b) != 0)
		return;
	leader_on_beat(c, from, &b, now_ns);
	beat_free(&b);
}

void
core_on_news(struct core *c, struct span body, int64_t now_ns)
{
	struct news n;

	/* Anybody may have sent it. What it says is looked for where only nodes write, and asked of who leads. */
	if (c->leader.term != 0 || news_decode(body, &n) != 0)
		return;
	if (n.lease.term != election_term(&c->election) || n.lease.node[0] == '\0')
		c->lease_wanted = true;
	else if (n.number > c->view->number)
		c->beat_ns = now_ns + core_random(c, SPREAD_NS / 10);
}

void
core_on_reconnect(struct core *c, int64_t now_ns)
{
	c->lease_wanted = true;
	c->lease_ns = c->view_ns = now_ns;
	c->beat_id = 0;
	c->beat_ns = now_ns;
	if (c->barred_ns != 0)
		c->barred_ns = now_ns;
}

void
core_bar(struct core *c, bool deaf, int64_t now_ns)
{
	if (deaf)
		c->barred_ns = INT64_MAX;
	else if (c->barred_ns < now_ns + CORE_DENIED_NS)
		c->barred_ns = now_ns + CORE_DENIED_NS;
	election_resign(&c->election, now_ns);
	leader_end(c);
	if (!deaf)
		return;
	c->held_ns = 0;
	core_set_standing(c, STANDING_OUTSIDE);
	changed(c);
}

/* Steps */

/* A node whose id is taken is not to lead if another does; if nobody does, or it does already, it has to. */
static bool
is_kept_out(const struct core *c)
{
	return c->standing == STANDING_TAKEN && c->leader.term == 0 && election_leader(&c->election)[0] != '\0';
}

/* A lease that is vacant, and has another term: somebody led meanwhile, and who did before may be anything by now. */
static void
note_former(struct core *c)
{
	const struct lease *lease = &c->election.lease;

	if (lease->node[0] != '\0' && lease->boot != c->options.self.boot) {
		c->former = *lease;
		c->former_ns = c->election.seen_ns;
	} else if (lease->node[0] == '\0' && lease->term != c->former.term) {
		c->former = (struct lease){ .node = "" };
	} else if (lease->node[0] == '\0') {
		/* It gave the lease up, and may own shards since a renewal that was not seen. */
		c->former_ns = c->election.seen_ns;
	}
}

static void
elect(struct core *c, int64_t now_ns)
{
	struct election_write w;
	struct buf value = { 0 };
	uint64_t term;

	note_former(c);
	if (c->barred_ns != 0 && now_ns >= c->barred_ns && !c->leaving) {
		c->barred_ns = 0;
		election_stand(&c->election);
	}
	if (is_kept_out(c))
		return;
	if (election_step(&c->election, now_ns, &w)) {
		lease_encode(&w.lease, &value);
		if (!value.failed)
			c->options.io->write(c->options.arg, CORE_LEASE, w.id, w.revision, (struct span){ value.p, value.len });
		buf_free(&value);
	}
	bool leads = election_leads(&c->election, now_ns, &term);
	if (c->leader.term != 0 && (!leads || term != c->leader.term))
		leader_end(c);
	if (leads && c->leader.term == 0)
		leader_begin(c, term, now_ns);
}

void
core_step(struct core *c, int64_t now_ns)
{
	elect(c, now_ns);
	note_leader(c, now_ns);
	if (c->leader.term != 0)
		leader_step(c, now_ns);
	ask(c, now_ns);
	beat(c, now_ns);
	bool held = now_ns < core_holds_until(c);
	if (held != c->held) {
		c->held = held;
		changed(c);
	}
}

/* How long it waits for somebody to know that it leaves: longer where somebody has not refused to hear it. */
static int64_t
leave_until(const struct core *c)
{
	return c->leave_ns + (c->beat_id != 0 ? CORE_LEAVE_MAX_NS : CORE_LEAVE_NS);
}

static void
sooner(int64_t *due_ns, int64_t at_ns)
{
	if (at_ns < *due_ns)
		*due_ns = at_ns;
}

int64_t
core_due(const struct core *c, int64_t now_ns)
{
	int64_t due_ns = is_kept_out(c) ? INT64_MAX : election_due(&c->election, now_ns);

	if (c->leader.term != 0)
		sooner(&due_ns, leader_due(c));
	else if (beats(c))
		sooner(&due_ns, c->beat_ns);
	if (c->lease_wanted && !c->lease_asked)
		sooner(&due_ns, c->lease_ns);
	if (is_behind(c) && !c->view_asked)
		sooner(&due_ns, c->view_ns);
	if (c->leader.reading && !c->view_asked)
		sooner(&due_ns, c->leader.read_ns);
	if (c->held)
		sooner(&due_ns, core_holds_until(c));
	if (c->leaving)
		sooner(&due_ns, leave_until(c));
	else if (c->barred_ns != 0)
		sooner(&due_ns, c->barred_ns);
	if (c->told_leader && c->leader.term == 0)
		sooner(&due_ns, c->election.seen_ns + ELECTION_LEASE_NS);
	return due_ns;
}

void
core_drain(struct core *c, bool drain)
{
	c->draining = drain;
	c->beat_ns = 0;
}

void
core_leave(struct core *c, int64_t now_ns)
{
	if (c->leaving)
		return;
	c->leaving = true;
	c->leave_ns = now_ns;
	c->leave_id = c->ids + 1;
	c->held_ns = 0;
	c->beat_id = 0;
	c->beat_ns = now_ns;
	if (c->leader.term == 0)
		election_resign(&c->election, now_ns);
	changed(c);
}

/* Is there anybody who could want to know that this node has left? */
static bool
has_others(const struct core *c)
{
	if (c->told_leader && c->election.lease.boot != c->options.self.boot)
		return true;
	for (size_t i = 0; i < c->view->count; i++)
		if (c->view->nodes[i].state != NODE_FAILED && strcmp(c->view->nodes[i].id, c->options.self.id) != 0)
			return true;
	return false;
}

bool
core_has_left(const struct core *c, int64_t now_ns)
{
	bool is_known = c->standing == STANDING_MEMBER || c->leader.term != 0 || c->is_heard;
	bool resigns = c->election.state == ELECTION_RESIGNING || c->election.state == ELECTION_LEADING;

	return c->leaving && ((c->left && !resigns) || now_ns >= leave_until(c) || !is_known || (!resigns && !has_others(c)));
}

/* Life */

int
core_new(struct core **out, const struct core_options *options)
{
	struct core *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->options = *options;
	c->options.self.id = strdup(options->self.id);
	c->view = view_new(0, options->shards);
	if (c->options.self.id == NULL || c->view == NULL) {
		core_free(c);
		return -ENOMEM;
	}
	election_init(&c->election, options->self.id, options->self.boot);
	c->lease_wanted = true;
	*out = c;
	return 0;
}

void
core_free(struct core *c)
{
	if (c == NULL)
		return;
	leader_end(c);
	free(c->leader.members);
	view_put(c->view);
	free(c->options.self.id);
	free(c);
}

struct view *
core_view(const struct core *c)
{
	return c->view;
}

int64_t
core_holds_until(const struct core *c)
{
	return c->held_ns == 0 || c->leaving ? INT64_MIN : c->held_ns + CORE_HOLD_NS;
}

enum standing
core_standing(const struct core *c)
{
	return c->standing;
}

const struct beat_answer *
core_taken_by(const struct core *c)
{
	return &c->taken;
}

const char *
core_leader(const struct core *c, uint64_t *term)
{
	*term = election_term(&c->election);
	return c->told_leader ? election_leader(&c->election) : "";
}

bool
core_leads(struct core *c, int64_t now_ns)
{
	uint64_t term;

	return election_leads(&c->election, now_ns, &term);
}
