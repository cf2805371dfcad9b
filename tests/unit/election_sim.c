#include "election_sim.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { NODES_MAX = 7, QUEUE_MAX = 8192, HISTORY_MAX = 4096, EVENTS_MAX = 100000, NOBODY = -1, NONE = -2 };

/* A lease as it is kept here: the node is a number, NOBODY (vacant) or NONE (no lease). */
struct entry {
	int node;
	uint64_t boot;
	uint64_t term;
	uint64_t revision;
};

enum kind { STEP, APPLY, ANSWER, WATCH, LOST, LOOK, DIE, START, RESIGN, FAULT };

struct item {
	int64_t at_ns;
	uint64_t seq; /* of two at one time the first goes first */
	enum kind kind;
	int node;
	unsigned life;  /* STEP and what is for a node: nothing if it died since */
	unsigned watch; /* WATCH: nothing if it broke since */
	size_t index;   /* WATCH: in the history */
	uint64_t id;
	int err;
	int64_t sent_ns;
	struct entry entry; /* APPLY: revision is the one that it replaces */
};

struct machine {
	struct election e;
	bool up;
	bool leaves; /* it has resigned, and ends as soon as that is done */
	unsigned life;
	unsigned watch;
	size_t watched;       /* what was sent to it last */
	int64_t delivered_ns; /* when that comes */
	int64_t paused_ns;    /* it does nothing until then */
	int64_t step_ns;      /* when its next STEP is queued for */
	int64_t offset_ns;
	int64_t ppm;
};

struct sim {
	uint64_t random;
	int64_t now_ns;
	struct item queue[QUEUE_MAX]; /* a heap */
	size_t queued;
	uint64_t seq;
	struct machine nodes[NODES_MAX];
	int n;
	struct entry history[HISTORY_MAX]; /* of the register; the last one is what is in it */
	size_t writes;
	/* How bad this schedule is: of a thousand messages each, and the time between other faults. */
	unsigned slow, lost, mute;
	int64_t latency_ns, fault_ns;
	uint64_t led; /* the last term somebody led in, and who */
	uint64_t led_boot;
	int led_by;
	int leader; /* at this time, NOBODY if there is none */
	int settled;
	const char *wrong;
	struct election_sim_sums *sums;
};

static uint64_t
draw(struct sim *s, uint64_t below)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return (s->random * 0x2545f4914f6cdd1dU >> 16) % below;
}

static bool
calm(const struct sim *s)
{
	return s->now_ns >= ELECTION_SIM_CALM_NS;
}

static bool
chance(struct sim *s, unsigned per_mille)
{
	return !calm(s) && draw(s, 1000) < per_mille;
}

static int64_t
delay(struct sim *s)
{
	int64_t most_ns = chance(s, s->slow) ? 4 * NS_PER_SEC : calm(s) ? 20 * NS_PER_MS : s->latency_ns;

	return (int64_t)draw(s, (uint64_t)most_ns);
}

/* A fault lasts until the calm comes at the latest. */
static int64_t
until(const struct sim *s, int64_t at_ns)
{
	int64_t last_ns = s->now_ns > ELECTION_SIM_CALM_NS ? s->now_ns : ELECTION_SIM_CALM_NS;

	return at_ns < last_ns ? at_ns : last_ns;
}

static bool
before(const struct item *a, const struct item *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static void
push(struct sim *s, struct item item)
{
	size_t i = s->queued++;

	assert(s->queued <= QUEUE_MAX);
	item.seq = s->seq++;
	for (; i > 0 && before(&item, &s->queue[(i - 1) / 2]); i = (i - 1) / 2)
		s->queue[i] = s->queue[(i - 1) / 2];
	s->queue[i] = item;
}

static struct item
pop(struct sim *s)
{
	struct item first = s->queue[0], last = s->queue[--s->queued];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < s->queued; i = child) {
		if (child + 1 < s->queued && before(&s->queue[child + 1], &s->queue[child]))
			child++;
		if (!before(&s->queue[child], &last))
			break;
		s->queue[i] = s->queue[child];
	}
	s->queue[i] = last;
	return first;
}

static int64_t
local_ns(const struct sim *s, const struct machine *m)
{
	return m->offset_ns + s->now_ns + s->now_ns / 1000000 * m->ppm;
}

/* The first time, about, at which the node's clock is at local or later. */
static int64_t
true_ns(const struct machine *m, int64_t local)
{
	return (int64_t)((double)(local - m->offset_ns) * 1e6 / (1e6 + (double)m->ppm)) + 1000;
}

static void
queue_watch(struct sim *s, int node, size_t index)
{
	struct machine *m = &s->nodes[node];
	int64_t at_ns = s->now_ns + delay(s);

	if (at_ns > m->delivered_ns)
		m->delivered_ns = at_ns;
	m->watched = index;
	push(s, (struct item){ .at_ns = m->delivered_ns,
		    .kind = WATCH,
		    .node = node,
		    .life = m->life,
		    .watch = m->watch,
		    .index = index });
}

static void
append(struct sim *s, struct entry entry)
{
	entry.revision = s->history[s->writes - 1].revision + 1 + draw(s, 3);
	assert(s->writes < HISTORY_MAX);
	s->history[s->writes++] = entry;
	for (int i = 0; i < s->n; i++)
		if (s->nodes[i].up && s->nodes[i].watched == s->writes - 2)
			queue_watch(s, i, s->writes - 1);
}

/* A watch starts with a read, which may tell what was true a while ago; then all the rest comes. */
static void
look(struct sim *s, int node)
{
	size_t back = chance(s, 200) ? (size_t)draw(s, 4) : 0, i = s->writes - 1;

	for (i -= back < i ? back : i; i < s->writes; i++)
		queue_watch(s, node, i);
}

/* Until it looks, it is told of nothing. */
static void
stop_watch(struct machine *m)
{
	m->watch++;
	m->watched = SIZE_MAX;
}

static void
start(struct sim *s, int node)
{
	struct machine *m = &s->nodes[node];
	char name[8];

	snprintf(name, sizeof(name), "n%d", node);
	election_init(&m->e, name, draw(s, UINT64_MAX >> 17) + 1);
	m->up = true;
	m->leaves = false;
	m->delivered_ns = m->paused_ns = s->now_ns;
	m->step_ns = INT64_MAX;
	m->offset_ns = (int64_t)draw(s, 1000000) * NS_PER_SEC;
	m->ppm = (int64_t)draw(s, 20001) - 10000;
	stop_watch(m);
	push(s, (struct item){ .at_ns = s->now_ns + delay(s), .kind = LOOK, .node = node, .life = m->life });
}

static void
die(struct sim *s, int node, int64_t down_ns)
{
	struct machine *m = &s->nodes[node];

	m->up = false;
	m->life++;
	push(s, (struct item){ .at_ns = until(s, s->now_ns + down_ns), .kind = START, .node = node, .life = m->life });
}

static void
send(struct sim *s, int node, const struct election_write *w)
{
	int64_t at_ns = s->now_ns + delay(s);
	struct entry entry = { w->lease.node[0] != '\0' ? node : NOBODY, w->lease.boot, w->lease.term, w->revision };
	struct item item = { .kind = APPLY, .node = node, .life = s->nodes[node].life, .id = w->id, .entry = entry };

	item.at_ns = at_ns;
	item.sent_ns = s->now_ns;
	if (!chance(s, s->lost)) {
		push(s, item);
	} else if (draw(s, 2) == 0) {
		item.kind = ANSWER;
		item.err = -EIO;
		push(s, item);
	}
}

/* After whatever was done with the node: it writes what is to be written, and looks again when it is due. */
static void
step(struct sim *s, int node)
{
	struct machine *m = &s->nodes[node];
	struct election_write w;
	int64_t local = local_ns(s, m);

	if (election_step(&m->e, local, &w)) {
		send(s, node, &w);
		if (election_step(&m->e, local, &w))
			s->wrong = "two writes at once";
	}
	if (m->leaves && m->e.state == ELECTION_FOLLOWING) {
		die(s, node, (int64_t)draw(s, 5 * NS_PER_SEC));
		return;
	}
	int64_t due_ns = election_due(&m->e, local);
	if (due_ns == INT64_MAX)
		return;
	int64_t at_ns = true_ns(m, due_ns);
	if (at_ns <= s->now_ns)
		at_ns = s->now_ns + 1000;
	if (at_ns >= m->step_ns)
		return;
	m->step_ns = at_ns;
	push(s, (struct item){ .at_ns = at_ns, .kind = STEP, .node = node, .life = m->life });
}

static void
apply(struct sim *s, const struct item *item)
{
	struct item answer = *item;
	uint64_t latest = s->history[s->writes - 1].revision;

	answer.kind = ANSWER;
	answer.err = item->entry.revision == latest ? 0 : -ESTALE;
	if (answer.err == 0) {
		append(s, item->entry);
		answer.entry.revision = s->history[s->writes - 1].revision;
		s->sums->late += s->now_ns - item->sent_ns > ELECTION_ANSWER_NS;
	} else {
		s->sums->refused++;
	}
	if (chance(s, s->mute)) {
		if (draw(s, 2) == 0)
			return;
		answer.err = -ETIMEDOUT;
	}
	answer.at_ns = s->now_ns + delay(s);
	push(s, answer);
}

static void
see(struct sim *s, const struct item *item)
{
	struct machine *m = &s->nodes[item->node];
	const struct entry *entry = &s->history[item->index];
	struct lease lease = { .boot = entry->boot, .term = entry->term };

	if (item->watch != m->watch)
		return;
	if (entry->node >= 0)
		snprintf(lease.node, sizeof(lease.node), "n%d", entry->node);
	election_seen(&m->e, entry->node != NONE ? &lease : NULL, entry->revision, local_ns(s, m));
}

static void
fault(struct sim *s)
{
	int node = (int)draw(s, (uint64_t)s->n);
	struct machine *m = &s->nodes[node];
	/* Mostly it is the leader that it happens to. */
	bool aimed = s->leader != NOBODY && draw(s, 2) == 0;

	if (calm(s))
		return;
	push(s, (struct item){ .at_ns = s->now_ns + (int64_t)draw(s, (uint64_t)s->fault_ns), .kind = FAULT });
	if (aimed)
		m = &s->nodes[node = s->leader];
	if (!m->up)
		return;
	struct item item = { .at_ns = s->now_ns, .node = node, .life = m->life };
	switch (draw(s, 9)) {
	case 0:
		die(s, node, (int64_t)draw(s, 8 * NS_PER_SEC));
		return;
	case 1:
		item.kind = RESIGN;
		break;
	case 2:
	case 3:
	case 4:
		m->paused_ns =
		    until(s, s->now_ns + (int64_t)draw(s, draw(s, 3) == 0 ? 10 * NS_PER_SEC : 3 * NS_PER_SEC));
		return;
	case 5:
		if (draw(s, 5) == 0 && s->writes > 1)
			append(s, (struct entry){ .node = NONE });
		return;
	default:
		stop_watch(m);
		item.kind = LOST;
		push(s, item);
		item.at_ns = until(s, s->now_ns + (int64_t)draw(s, 5 * NS_PER_SEC));
		item.kind = LOOK;
	}
	push(s, item);
}

/* What happens to a node that is up and not stopped. */
static void
happen(struct sim *s, const struct item *item)
{
	struct machine *m = &s->nodes[item->node];

	switch (item->kind) {
	case STEP:
		if (item->at_ns >= m->step_ns)
			m->step_ns = INT64_MAX;
		break;
	case ANSWER:
		election_answer(&m->e, item->id, item->err, item->entry.revision, local_ns(s, m));
		break;
	case WATCH:
		see(s, item);
		break;
	case LOST:
		election_lost(&m->e);
		break;
	case LOOK:
		if (m->watched == SIZE_MAX)
			look(s, item->node);
		break;
	case RESIGN:
		election_resign(&m->e, local_ns(s, m));
		s->sums->resigned += !m->leaves;
		m->leaves = true;
		break;
	case APPLY:
	case DIE:
	case START:
	case FAULT:
		assert(0);
	}
	step(s, item->node);
}

static void
handle(struct sim *s, struct item *item)
{
	struct machine *m = &s->nodes[item->node];

	if (item->kind == FAULT) {
		fault(s);
	} else if (item->kind == APPLY) {
		apply(s, item);
	} else if (item->life != m->life) {
		return;
	} else if (item->kind == START) {
		start(s, item->node);
	} else if (m->paused_ns > s->now_ns) {
		item->at_ns = m->paused_ns;
		push(s, *item);
	} else {
		happen(s, item);
	}
}

static void
note_leader(struct sim *s, int node, uint64_t term)
{
	uint64_t boot = s->nodes[node].e.boot;

	if (s->leader != NOBODY)
		s->wrong = "two lead at one time";
	s->leader = node;
	if (term == s->led && boot != s->led_boot)
		s->wrong = "two have led in one term";
	if (term < s->led)
		s->wrong = "a term that is led is below one before";
	if (term > s->led) {
		s->sums->elections++;
		s->sums->takeovers += s->led_by != node && s->led_by != NOBODY;
	}
	s->led = term;
	s->led_boot = boot;
	s->led_by = node;
}

/* The node itself must not learn from this what time it is, so a copy is asked. */
static void
check(struct sim *s)
{
	uint64_t term;

	s->leader = NOBODY;
	for (int i = 0; i < s->n; i++) {
		struct machine *m = &s->nodes[i];
		if (!m->up || m->e.state == ELECTION_FOLLOWING)
			continue;
		struct election copy = m->e;
		if (election_leads(&copy, local_ns(s, m), &term))
			note_leader(s, i, term);
	}
	if (s->now_ns < ELECTION_SIM_CALM_NS + ELECTION_SIM_SETTLE_NS || s->wrong != NULL)
		return;
	if (s->leader == NOBODY)
		s->wrong = "nobody leads";
	else if (s->settled != NOBODY && s->leader != s->settled)
		s->wrong = "another leads though there was no fault";
	s->settled = s->leader;
	for (int i = 0; i < s->n && s->wrong == NULL; i++)
		if (strcmp(election_leader(&s->nodes[i].e), s->nodes[s->leader].e.node) != 0)
			s->wrong = "not all name the leader";
}

static void
begin(struct sim *s, uint64_t seed)
{
	s->random = (seed + 1) * 0x9e3779b97f4a7c15U;
	for (int i = 0; i < 8; i++)
		draw(s, 2);
	s->now_ns = 0;
	s->queued = 0;
	s->n = 3 + (int)draw(s, NODES_MAX - 2);
	s->history[0] = (struct entry){ .node = NONE };
	s->writes = 1;
	s->slow = (unsigned)draw(s, draw(s, 2) == 0 ? 30 : 300);
	s->lost = (unsigned)draw(s, draw(s, 2) == 0 ? 10 : 200);
	s->mute = (unsigned)draw(s, draw(s, 2) == 0 ? 10 : 200);
	s->latency_ns = (1 + (int64_t)draw(s, draw(s, 4) == 0 ? 800 : 50)) * NS_PER_MS;
	s->fault_ns = (int64_t)(1 + draw(s, 8)) * NS_PER_SEC;
	s->led = 0;
	s->led_by = s->leader = s->settled = NOBODY;
	s->wrong = NULL;
	for (int i = 0; i < s->n; i++) {
		s->nodes[i] = (struct machine){ .up = false };
		push(s, (struct item){ .at_ns = (int64_t)draw(s, 2 * NS_PER_SEC), .kind = START, .node = i });
	}
	push(s, (struct item){ .at_ns = 0, .kind = FAULT });
}

const char *
election_sim(uint64_t seed, struct election_sim_sums *sums, int64_t *at_ns)
{
	static struct sim s;

	s.sums = sums;
	begin(&s, seed);
	for (int events = 0; s.queued > 0 && s.wrong == NULL; events++) {
		struct item item = pop(&s);
		if (item.at_ns > ELECTION_SIM_END_NS)
			break;
		if (s.leader != NOBODY)
			sums->led_ns += (uint64_t)(item.at_ns - s.now_ns);
		s.now_ns = item.at_ns;
		handle(&s, &item);
		check(&s);
		if (events == EVENTS_MAX)
			s.wrong = "it is busy with nothing";
		sums->events++;
	}
	sums->schedules++;
	sums->total_ns += (uint64_t)s.now_ns;
	*at_ns = s.now_ns;
	if (s.wrong == NULL && s.settled == NOBODY)
		s.wrong = "nothing happens any more";
	return s.wrong;
}
