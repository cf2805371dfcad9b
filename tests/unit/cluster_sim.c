#include "cluster_sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster_sim_state.h"

/* When a request to the store is given up. */
#define GIVE_UP_NS (1000 * NS_PER_MS)
/* How long after a write a replica may lag. */
#define LAG_NS (100 * NS_PER_MS)

uint64_t
sim_random(struct sim *s, uint64_t below)
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	z ^= z >> 31;
	return below != 0 ? z % below : z;
}

static bool
happens(struct sim *s, unsigned of_thousand)
{
	return of_thousand != 0 && sim_random(s, 1000) < of_thousand;
}

static int64_t
delay(struct sim *s)
{
	const struct sim_faults *f = &s->options.faults;

	return f->delay_min_ns + (int64_t)sim_random(s, (uint64_t)(f->delay_max_ns - f->delay_min_ns + 1));
}

static void
count(struct sim *s, enum sim_traffic what, size_t bytes)
{
	s->traffic[what].messages++;
	s->traffic[what].bytes += bytes;
}

/* Clocks */

int64_t
sim_local(const struct sim_node *n, int64_t ns)
{
	return n->offset_ns + ns + ns / 1000 * n->drift_ppm / 1000;
}

/* When the node's clock will show that. */
static int64_t
global(const struct sim_node *n, int64_t local_ns)
{
	int64_t ns = local_ns - n->offset_ns;

	ns -= ns / 1000 * n->drift_ppm / 1000;
	while (sim_local(n, ns) < local_ns)
		ns += local_ns - sim_local(n, ns);
	return ns;
}

static int64_t
wall_us(const struct clock *c)
{
	const struct sim_node *n = (const struct sim_node *)(const void *)c;

	return 1700000000000000 + n->sim->now_ns / 1000;
}

static int64_t
mono_ns(const struct clock *c)
{
	(void)c;
	abort(); /* the core is told the time */
}

static void
random_bytes(const struct clock *c, void *buf, size_t n)
{
	const struct sim_node *node = (const struct sim_node *)(const void *)c;

	for (size_t i = 0; i < n; i++)
		((unsigned char *)buf)[i] = (unsigned char)sim_random(node->sim, 256);
}

/* What nodes ask for */

/* Nothing will come of it: the node hears so by and by, or at once. */
static void
fail(struct sim *s, struct sim_event e, enum sim_kind kind, int64_t after_ns)
{
	const struct sim_node *n = s->nodes[e.node];

	blob_put(e.body);
	e.body = NULL;
	e.kind = kind;
	e.err = n->cut && n->aware ? -ENOTCONN : -ETIMEDOUT;
	e.at_ns = n->cut && n->aware ? s->now_ns : e.sent_ns + after_ns;
	queue_push(&s->queue, &e);
}

static struct sim_event
request(const struct sim_node *n, enum sim_kind kind)
{
	return (struct sim_event){ .kind = kind, .node = n->index, .sent_ns = n->sim->now_ns };
}

static void
io_read(void *arg, enum core_key key)
{
	struct sim_node *n = arg;
	struct sim *s = n->sim;
	struct sim_event e = request(n, SIM_READ);

	e.key = key;
	if (n->cut || happens(s, s->options.faults.lost)) {
		fail(s, e, SIM_READ_DONE, GIVE_UP_NS);
		return;
	}
	e.at_ns = s->now_ns + delay(s);
	queue_push(&s->queue, &e);
}

static void
io_write(void *arg, enum core_key key, uint64_t id, uint64_t revision, struct span value)
{
	struct sim_node *n = arg;
	struct sim *s = n->sim;
	struct sim_event e = request(n, SIM_WRITE);

	e.key = key;
	e.id = id;
	e.revision = revision;
	if (n->cut || happens(s, s->options.faults.lost)) {
		fail(s, e, SIM_WRITTEN, GIVE_UP_NS);
		return;
	}
	if (s->options.faults.value_max != 0 && value.len > s->options.faults.value_max) {
		e.err = -EMSGSIZE;
		e.kind = SIM_WRITTEN;
		e.at_ns = s->now_ns + delay(s);
		queue_push(&s->queue, &e);
		return;
	}
	count(s, SIM_WRITES, value.len);
	e.at_ns = s->now_ns + delay(s);
	if (happens(s, s->options.faults.late)) {
		fail(s, e, SIM_WRITTEN, GIVE_UP_NS);
		e.mute = true;
		e.at_ns += (int64_t)sim_random(s, SIM_LATE_NS);
	}
	e.body = blob_new(value);
	queue_push(&s->queue, &e);
}

static void
io_beat(void *arg, uint64_t id, uint64_t term, struct span body)
{
	struct sim_node *n = arg;
	struct sim *s = n->sim;
	struct sim_event e = request(n, SIM_BEAT);

	e.id = id;
	e.revision = term;
	fail(s, e, SIM_ANSWER, CORE_BEAT_NS);
	if (n->cut || happens(s, s->options.faults.lost))
		return;
	count(s, SIM_BEATS, body.len);
	e.at_ns = s->now_ns + delay(s);
	e.body = blob_new(body);
	queue_push(&s->queue, &e);
}

static void
io_answer(void *arg, void *from, struct span body)
{
	struct sim_node *n = arg;
	struct sim *s = n->sim;
	const struct sim_event *beat = from;
	struct sim_event e = { .kind = SIM_ANSWER, .node = beat->node, .id = beat->id, .sent_ns = beat->sent_ns };

	if (s->answering != n)
		abort();
	s->answering = NULL;
	if (n->cut || happens(s, s->options.faults.unanswered))
		return;
	count(s, SIM_ANSWERS, body.len);
	e.at_ns = s->now_ns + delay(s);
	e.body = blob_new(body);
	queue_push(&s->queue, &e);
}

static void
io_listen(void *arg, uint64_t term)
{
	struct sim_node *n = arg;

	n->listens = term;
}

static void
io_news(void *arg, struct span body)
{
	struct sim_node *n = arg;
	struct sim *s = n->sim;
	struct blob *b = blob_new(body);

	for (size_t i = 0; !n->cut && i < s->count; i++) {
		if (s->nodes[i]->core == NULL || happens(s, s->options.faults.lost))
			continue;
		count(s, SIM_NEWS, body.len);
		struct sim_event e = { .kind = SIM_NEWS_COMES, .node = i, .at_ns = s->now_ns + delay(s), .body = blob_get(b) };
		queue_push(&s->queue, &e);
	}
	blob_put(b);
}

static void
io_changed(void *arg)
{
	struct sim_node *n = arg;

	n->changed = true;
}

static void
io_event(void *arg, const struct core_event *ev)
{
	struct sim_node *n = arg;

	if (n->sim->options.unchecked)
		return;
	if (n->told_count == n->told_cap) {
		n->told_cap = n->told_cap > 0 ? 2 * n->told_cap : 16;
		n->told = realloc(n->told, n->told_cap * sizeof(*n->told));
		if (n->told == NULL)
			abort();
	}
	struct told *t = &n->told[n->told_count++];
	*t = (struct told){ .kind = ev->kind, .number = ev->number };
	snprintf(t->node, sizeof(t->node), "%s", ev->node);
}

static const struct core_io io = {
	.read = io_read,
	.write = io_write,
	.beat = io_beat,
	.answer = io_answer,
	.listen = io_listen,
	.news = io_news,
	.changed = io_changed,
	.event = io_event,
};

/* The store */

static void
change(struct sim *s, enum core_key key, struct blob *value, uint64_t revision)
{
	struct sim_key *k = &s->keys[key];

	blob_put(k->before);
	k->before = k->now;
	k->revision_before = k->revision;
	k->now = value;
	k->revision = revision;
	k->changed_ns = s->now_ns;
}

static void
store_read(struct sim *s, struct sim_event e)
{
	const struct sim_key *k = &s->keys[e.key];
	bool lags = s->now_ns < k->changed_ns + LAG_NS && happens(s, s->options.faults.stale);

	if (happens(s, s->options.faults.unanswered)) {
		fail(s, e, SIM_READ_DONE, GIVE_UP_NS);
		return;
	}
	e.kind = SIM_READ_DONE;
	e.at_ns = s->now_ns + delay(s);
	e.body = blob_get(lags ? k->before : k->now);
	e.revision = lags ? k->revision_before : k->revision;
	e.err = e.body != NULL ? 0 : -ENOENT;
	count(s, SIM_READS, e.body != NULL ? e.body->len : 0);
	queue_push(&s->queue, &e);
}

static void
store_write(struct sim *s, struct sim_event e)
{
	const struct sim_key *k = &s->keys[e.key];

	e.err = e.revision == k->revision ? 0 : -ESTALE;
	if (e.err == 0) {
		e.revision = ++s->revision;
		change(s, e.key, blob_get(e.body), e.revision);
	}
	if (e.mute) {
		blob_put(e.body);
		return;
	}
	if (happens(s, s->options.faults.unanswered)) {
		fail(s, e, SIM_WRITTEN, GIVE_UP_NS);
		return;
	}
	blob_put(e.body);
	e.body = NULL;
	e.kind = SIM_WRITTEN;
	e.at_ns = s->now_ns + delay(s);
	queue_push(&s->queue, &e);
}

void
sim_delete_keys(struct sim *s, bool anew)
{
	change(s, CORE_LEASE, NULL, 0);
	change(s, CORE_VIEW, NULL, 0);
	if (anew)
		s->revision = 0;
	s->forgives = true;
}

void
sim_forgive(struct sim *s)
{
	s->forgives = false;
}

/* What comes to nodes */

static void
end(struct sim_node *n)
{
	core_free(n->core);
	n->core = NULL;
	n->listens = 0;
	for (size_t i = 0; i < n->inbox_count; i++)
		blob_put(n->inbox[i].body);
	n->inbox_count = 0;
}

/* After every call of the core. */
static void
step(struct sim *s, struct sim_node *n)
{
	int64_t local_ns = sim_local(n, s->now_ns);

	core_step(n->core, local_ns);
	s->events++;
	if (n->leaving && core_has_left(n->core, local_ns)) {
		end(n);
		return;
	}
	int64_t due_ns = core_due(n->core, local_ns);
	if (due_ns == INT64_MAX) {
		n->wake_ns = 0;
	} else {
		int64_t at_ns = due_ns <= local_ns ? s->now_ns : global(n, due_ns);
		if (at_ns <= s->now_ns)
			at_ns = s->now_ns + 1000;
		if (at_ns != n->wake_ns)
			queue_push(&s->queue, &(struct sim_event){ .kind = SIM_WAKE, .node = n->index, .at_ns = at_ns });
		n->wake_ns = at_ns;
	}
	sim_check(s, n);
}

static void
take_beat(struct sim *s, struct sim_node *n, struct sim_event *e)
{
	s->answering = n;
	core_on_beat(n->core, e, (struct span){ e->body->bytes, e->body->len }, sim_local(n, s->now_ns));
	s->answering = NULL;
}

static void
take_answer(struct sim *s, struct sim_node *n, const struct sim_event *e)
{
	struct span body = { e->body != NULL ? e->body->bytes : NULL, e->body != NULL ? e->body->len : 0 };
	uint64_t *answered = &n->answered[e->id % (sizeof(n->answered) / sizeof(n->answered[0]))];

	if (*answered == e->id)
		return;
	*answered = e->id;
	core_on_answer(n->core, e->id, e->err, body, sim_local(n, s->now_ns));
}

static void
queue_up(struct sim_node *n, const struct sim_event *e)
{
	if (n->inbox_count == n->inbox_cap) {
		n->inbox_cap = n->inbox_cap > 0 ? 2 * n->inbox_cap : 16;
		n->inbox = realloc(n->inbox, n->inbox_cap * sizeof(*n->inbox));
		if (n->inbox == NULL)
			abort();
	}
	n->inbox[n->inbox_count] = *e;
	n->inbox[n->inbox_count++].body = blob_get(e->body);
}

/* e's body stays the caller's. */
static void
deliver(struct sim *s, struct sim_node *n, struct sim_event *e)
{
	int64_t local_ns = sim_local(n, s->now_ns);
	struct span body = { e->body != NULL ? e->body->bytes : NULL, e->body != NULL ? e->body->len : 0 };

	if (n->core == NULL)
		return;
	if (n->paused) {
		queue_up(n, e);
		return;
	}
	switch (e->kind) {
	case SIM_READ_DONE:
		core_on_read(n->core, e->key, e->err, e->revision, body, local_ns);
		break;
	case SIM_WRITTEN:
		core_on_written(n->core, e->key, e->id, e->err, e->revision, local_ns);
		break;
	case SIM_ANSWER:
		take_answer(s, n, e);
		break;
	case SIM_NEWS_COMES:
		core_on_news(n->core, body, local_ns);
		break;
	case SIM_BEAT:
		take_beat(s, n, e);
		break;
	case SIM_WAKE:
	case SIM_RESUME:
	case SIM_READ:
	case SIM_WRITE:
		abort();
	}
	step(s, n);
}

static void
wake(struct sim *s, struct sim_node *n, const struct sim_event *e)
{
	if (n->core == NULL || n->paused || n->wake_ns != e->at_ns)
		return;
	s->wakes++;
	n->wake_ns = 0;
	step(s, n);
}

static void
resume(struct sim *s, struct sim_node *n)
{
	struct sim_event *inbox = n->inbox;
	size_t waiting = n->inbox_count;

	n->paused = false;
	if (n->core == NULL)
		return;
	n->inbox = NULL;
	n->inbox_count = n->inbox_cap = 0;
	/* The thread may look at the time first, or at its messages. */
	if (waiting == 0 || sim_random(s, 2) == 0)
		step(s, n);
	for (size_t i = 0; i < waiting; i++) {
		deliver(s, n, &inbox[i]);
		blob_put(inbox[i].body);
	}
	free(inbox);
}

/* To whoever listens for the term. */
static void
route_beat(struct sim *s, struct sim_event *e)
{
	for (size_t i = 0; i < s->count; i++) {
		struct sim_node *n = s->nodes[i];
		if (n->core == NULL || n->listens != e->revision)
			continue;
		if (!n->cut)
			deliver(s, n, e);
		return;
	}
	struct sim_event none = { .kind = SIM_ANSWER, .node = e->node, .id = e->id, .err = -EHOSTUNREACH, .sent_ns = e->sent_ns };
	none.at_ns = s->now_ns + delay(s);
	queue_push(&s->queue, &none);
}

/* To the node that it is for; what cannot reach it is lost, and what it waits for is given up. */
static void
route(struct sim *s, struct sim_event *e)
{
	struct sim_node *n = s->nodes[e->node];
	bool is_own = e->err == -ETIMEDOUT || e->err == -ENOTCONN;

	if (!n->cut || is_own) {
		deliver(s, n, e);
		return;
	}
	if (e->kind != SIM_READ_DONE && e->kind != SIM_WRITTEN)
		return;
	struct sim_event lost = *e;
	lost.body = NULL;
	fail(s, lost, e->kind, s->now_ns + GIVE_UP_NS - e->sent_ns);
}

static void
happen(struct sim *s, struct sim_event *e)
{
	switch (e->kind) {
	case SIM_WAKE:
		wake(s, s->nodes[e->node], e);
		return;
	case SIM_RESUME:
		resume(s, s->nodes[e->node]);
		return;
	case SIM_READ:
		store_read(s, *e);
		return;
	case SIM_WRITE:
		store_write(s, *e);
		return;
	case SIM_BEAT:
		route_beat(s, e);
		break;
	case SIM_NEWS_COMES:
	case SIM_READ_DONE:
	case SIM_WRITTEN:
	case SIM_ANSWER:
		route(s, e);
		break;
	}
	blob_put(e->body);
}

void
sim_run(struct sim *s, int64_t ns)
{
	int64_t end_ns = s->now_ns + ns;

	while (s->queue.count > 0 && s->queue.events[0].at_ns <= end_ns) {
		struct sim_event e = queue_pop(&s->queue);
		s->now_ns = e.at_ns;
		happen(s, &e);
	}
	s->now_ns = end_ns;
}

int64_t
sim_run_until(struct sim *s, bool (*check)(struct sim *s), int64_t step_ns, int64_t ns)
{
	int64_t start_ns = s->now_ns;

	while (!check(s)) {
		if (s->now_ns - start_ns >= ns)
			return -1;
		sim_run(s, step_ns);
	}
	return s->now_ns - start_ns;
}

/* What is done to nodes */

static struct sim_node *
new_node(struct sim *s)
{
	struct sim_node *n = calloc(1, sizeof(*n));

	if (s->count == s->cap) {
		s->cap = s->cap > 0 ? 2 * s->cap : 16;
		s->nodes = realloc(s->nodes, s->cap * sizeof(struct sim_node *));
	}
	if (n == NULL || s->nodes == NULL)
		abort();
	n->index = s->count;
	n->self = RING_NONE;
	s->nodes[s->count++] = n;
	return n;
}

size_t
sim_start(struct sim *s, const char *id, unsigned capacity)
{
	struct sim_node *n = new_node(s);
	unsigned drift = s->options.drift_ppm;

	n->sim = s;
	n->clock = (struct clock){ wall_us, mono_ns, random_bytes };
	snprintf(n->id, sizeof(n->id), "%s", id);
	n->boot = sim_random(s, 0) | 1;
	n->offset_ns = NS_PER_SEC + (int64_t)sim_random(s, 1000 * NS_PER_SEC);
	n->drift_ppm = (int64_t)sim_random(s, 2 * drift + 1) - drift;
	struct core_options options = { .shards = s->options.shards, .clock = &n->clock, .io = &io, .arg = n };
	options.self = (struct view_node){ .id = n->id, .boot = n->boot, .capacity = capacity };
	snprintf(options.self.about.host, sizeof(options.self.about.host), "host-%zu", n->index);
	options.self.about.pid = (int64_t)n->index;
	if (core_new(&n->core, &options) != 0)
		abort();
	step(s, n);
	return n->index;
}

void
sim_crash(struct sim *s, size_t node)
{
	end(s->nodes[node]);
}

void
sim_leave(struct sim *s, size_t node)
{
	struct sim_node *n = s->nodes[node];

	n->leaving = true;
	core_leave(n->core, sim_local(n, s->now_ns));
	step(s, n);
}

void
sim_drain(struct sim *s, size_t node, bool drain)
{
	core_drain(s->nodes[node]->core, drain);
	step(s, s->nodes[node]);
}

void
sim_pause(struct sim *s, size_t node, int64_t ns)
{
	s->nodes[node]->paused = true;
	queue_push(&s->queue, &(struct sim_event){ .kind = SIM_RESUME, .node = node, .at_ns = s->now_ns + ns });
}

void
sim_cut(struct sim *s, size_t node, bool aware)
{
	s->nodes[node]->cut = true;
	s->nodes[node]->aware = aware;
}

void
sim_heal(struct sim *s, size_t node)
{
	struct sim_node *n = s->nodes[node];

	n->cut = false;
	if (n->core == NULL || n->paused)
		return;
	core_on_reconnect(n->core, sim_local(n, s->now_ns));
	step(s, n);
}

/* Life */

struct sim *
sim_new(const struct sim_options *options)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	s->options = *options;
	s->random = options->seed;
	return s;
}

void
sim_free(struct sim *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->count; i++) {
		end(s->nodes[i]);
		free(s->nodes[i]->inbox);
		free(s->nodes[i]->told);
		free(s->nodes[i]);
	}
	for (size_t k = 0; k < 2; k++) {
		blob_put(s->keys[k].now);
		blob_put(s->keys[k].before);
	}
	queue_free(&s->queue);
	free(s->nodes);
	free(s);
}
