#include "cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/json.h"
#include "cluster_state.h"

/* What comes in */

void
cluster_post(struct cluster *c, const struct post *p, struct span text, const char *from)
{
	size_t from_size = from != NULL ? strlen(from) + 1 : 0;
	struct post *copy = malloc(sizeof(*copy) + text.len + from_size);

	if (copy == NULL && (text.len == 0 || p->kind == POST_BEAT || p->kind == POST_NEWS))
		return;
	if (copy == NULL) {
		struct post failed = *p;
		failed.err = -ENOMEM;
		cluster_post(c, &failed, (struct span){ NULL, 0 }, NULL);
		return;
	}
	*copy = *p;
	copy->next = NULL;
	copy->len = text.len;
	if (text.len > 0)
		memcpy(copy->text, text.p, text.len);
	copy->from = from != NULL ? memcpy(copy->text + text.len, from, from_size) : NULL;
	lock_take(&c->lock);
	*c->tail = copy;
	c->tail = &copy->next;
	pthread_cond_signal(&c->wake);
	lock_give(&c->lock);
}

void
cluster_denied(struct cluster *c, const char *what)
{
	lock_take(&c->lock);
	bool first = !c->denied;
	c->denied = true;
	pthread_cond_broadcast(&c->moved);
	lock_give(&c->lock);
	if (first)
		log_warn(c->lg, "this node takes no part in the cluster: NATS refuses %s", what);
}

/* What is shown */

static void
show(struct cluster *c)
{
	struct shown s = { .view = view_get(core_view(c->core)), .holds_until_ns = core_holds_until(c->core) };

	s.standing = core_standing(c->core);
	s.taken = *core_taken_by(c->core);
	snprintf(s.leader, sizeof(s.leader), "%s", core_leader(c->core, &s.term));
	lock_take(&c->lock);
	struct view *was = c->shown.view;
	c->shown = s;
	pthread_cond_broadcast(&c->moved);
	lock_give(&c->lock);
	view_put(was);
}

static void
on_changed(void *arg)
{
	struct cluster *c = arg;

	show(c);
	if (c->changed != NULL)
		c->changed(c->arg);
}

static void
log_event(struct cluster *c, const struct core_event *ev)
{
	switch (ev->kind) {
	case CORE_EVENT_LEADER:
		log_info(c->lg, "cluster: %s%s, term %" PRIu64, ev->node[0] != '\0' ? "the leader is " : "there is no leader", ev->node,
		    ev->number);
		return;
	case CORE_EVENT_JOINED:
		log_info(c->lg, "cluster: node %s has joined", ev->node);
		return;
	case CORE_EVENT_DRAINING:
		log_info(c->lg, "cluster: node %s gives up its shards", ev->node);
		return;
	case CORE_EVENT_FAILED:
		log_warn(c->lg, "cluster: node %s has failed", ev->node);
		return;
	case CORE_EVENT_LEFT:
		log_info(c->lg, "cluster: node %s has left", ev->node);
		return;
	case CORE_EVENT_SHARDS:
		return;
	case CORE_EVENT_TAKEN:
		log_error(c->lg, "cluster: there is another node with the id %s: this one takes no part as long as that is there", ev->node);
		return;
	}
}

static void
on_event(void *arg, const struct core_event *ev)
{
	static const char *const names[] = { [CORE_EVENT_LEADER] = "leader",
		[CORE_EVENT_JOINED] = "joined",
		[CORE_EVENT_DRAINING] = "draining",
		[CORE_EVENT_FAILED] = "failed",
		[CORE_EVENT_LEFT] = "left",
		[CORE_EVENT_SHARDS] = "shards",
		[CORE_EVENT_TAKEN] = "refused" };
	struct cluster *c = arg;
	char time[CLOCK_RFC3339_LEN + 1];
	struct buf line = { 0 };

	log_event(c, ev);
	if (c->event == NULL)
		return;
	clock_rfc3339(clock_wall(c->clock), time);
	buf_printf(&line, "{\"timestamp\":\"%s\",\"event\":\"%s\"", time, names[ev->kind]);
	if (ev->kind != CORE_EVENT_SHARDS) {
		buf_puts(&line, ",\"node\":");
		json_put_string(&line, span_of(ev->node));
	}
	if (ev->kind == CORE_EVENT_LEADER)
		buf_printf(&line, ",\"term\":%" PRIu64, ev->number);
	else if (ev->kind == CORE_EVENT_SHARDS)
		buf_printf(&line, ",\"moved\":%" PRIu64, ev->number);
	buf_puts(&line, "}\n");
	if (!line.failed)
		c->event(c->arg, (struct span){ line.p, line.len });
	buf_free(&line);
}

/* The thread */

static void
feed(struct cluster *c, const struct post *p)
{
	int64_t now_ns = clock_mono(c->clock);
	struct span text = { p->text, p->len };

	switch (p->kind) {
	case POST_READ:
		core_on_read(c->core, p->key, p->err, p->revision, text, now_ns);
		break;
	case POST_WRITTEN:
		core_on_written(c->core, p->key, p->id, p->err, p->revision, now_ns);
		break;
	case POST_ANSWER:
		core_on_answer(c->core, p->id, p->err, text, now_ns);
		break;
	case POST_BEAT:
		core_on_beat(c->core, p->from, text, now_ns);
		break;
	case POST_NEWS:
		core_on_news(c->core, text, now_ns);
		break;
	case POST_RECONNECT:
		core_on_reconnect(c->core, now_ns);
		break;
	case POST_UNHEARD:
	case POST_DEAF:
		core_bar(c->core, p->kind == POST_DEAF, now_ns);
		break;
	}
	core_step(c->core, clock_mono(c->clock));
}

/* A hold that was renewed is shown without a call of changed. */
static void
show_hold(struct cluster *c)
{
	int64_t until_ns = core_holds_until(c->core);

	lock_take(&c->lock);
	c->shown.holds_until_ns = until_ns;
	lock_give(&c->lock);
}

static void *
run(void *arg)
{
	struct cluster *c = arg;
	bool leaving = false, draining = false;

	show(c);
	for (;;) {
		core_step(c->core, clock_mono(c->clock));
		show_hold(c);
		int64_t due_ns = core_due(c->core, clock_mono(c->clock));
		lock_take(&c->lock);
		if (c->first == NULL && c->stopping == leaving && c->draining == draining && due_ns > clock_mono(c->clock))
			lock_wait_until(&c->lock, &c->wake, due_ns);
		struct post *posts = c->first;
		c->first = NULL;
		c->tail = &c->first;
		bool leave = c->stopping && !leaving, drain = c->draining;
		lock_give(&c->lock);
		for (struct post *p = posts, *next; p != NULL; p = next) {
			next = p->next;
			feed(c, p);
			free(p);
		}
		if (drain != draining)
			core_drain(c->core, draining = drain);
		if (leave) {
			core_leave(c->core, clock_mono(c->clock));
			core_step(c->core, clock_mono(c->clock)); /* the others are told, whether or not there is an answer */
			leaving = true;
		}
		if (leaving && core_has_left(c->core, clock_mono(c->clock)))
			return NULL;
	}
}

/* Life */

static void
describe_self(struct node_about *about, const struct cluster_options *options)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (gethostname(host, sizeof(host) - 1) != 0)
		host[0] = '\0';
	*about = (struct node_about){ .pid = getpid(), .started_us = clock_wall(options->clock) };
	snprintf(about->host, sizeof(about->host), "%.*s", (int)sizeof(about->host) - 1, host);
	snprintf(about->version, sizeof(about->version), "%s", options->version);
}

static int
make_core(struct cluster *c, const struct cluster_options *options)
{
	struct core_options o = { .shards = SHARD_COUNT, .clock = options->clock, .io = &c->io, .arg = c };

	c->io = c->link->io;
	c->io.changed = on_changed;
	c->io.event = on_event;
	o.self.id = c->node;
	o.self.capacity = options->capacity;
	while (c->boot == 0)
		options->clock->random(options->clock, &c->boot, sizeof(c->boot));
	o.self.boot = c->boot;
	describe_self(&o.self.about, options);
	return core_new(&c->core, &o);
}

int
cluster_new(struct cluster **out, const struct cluster_options *options, struct buf *why)
{
	struct cluster *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->lg = options->lg;
	c->clock = options->clock;
	c->changed = options->changed;
	c->event = options->event;
	c->arg = options->arg;
	c->tail = &c->first;
	c->link = options->nats != NULL ? &link_nats : &link_local;
	snprintf(c->node, sizeof(c->node), "%s", options->node_id);
	lock_init(&c->lock, LOCK_CLUSTER);
	lock_cond_init(&c->wake);
	lock_cond_init(&c->moved);
	int err = make_core(c, options);
	if (err == 0) {
		c->shown.view = view_get(core_view(c->core));
		c->shown.holds_until_ns = INT64_MIN;
		err = c->link->open(c, options->nats, why);
	}
	if (err != 0) {
		cluster_free(c);
		return err;
	}
	*out = c;
	return 0;
}

int
cluster_start(struct cluster *c)
{
	int err = -pthread_create(&c->thread, NULL, run, c);

	c->running = err == 0;
	return err;
}

void
cluster_stop(struct cluster *c)
{
	if (c == NULL || !c->running)
		return;
	lock_take(&c->lock);
	c->stopping = true;
	pthread_cond_signal(&c->wake);
	lock_give(&c->lock);
	pthread_join(c->thread, NULL);
	c->running = false;
}

void
cluster_free(struct cluster *c)
{
	if (c == NULL)
		return;
	cluster_stop(c);
	core_free(c->core); /* which may still have to stop listening */
	c->link->close(c);
	for (struct post *p = c->first, *next; p != NULL; p = next) {
		next = p->next;
		free(p);
	}
	view_put(c->shown.view);
	pthread_cond_destroy(&c->wake);
	pthread_cond_destroy(&c->moved);
	lock_destroy(&c->lock);
	free(c);
}

/* Waiting */

/* Is the other of our name there, or may it have failed and only not been found to have? first: what the leader said of it before; one that has
 * just begun takes all for heard. */
static bool
is_refused_locked(const struct cluster *c, const struct beat_answer *first)
{
	const struct beat_answer *now = &c->shown.taken;

	return c->shown.standing == STANDING_TAKEN && first->term == now->term && now->heard_ms < first->heard_ms;
}

int
cluster_await(struct cluster *c, int64_t timeout_ns, struct buf *why)
{
	int64_t deadline_ns = clock_mono(c->clock) + timeout_ns;
	struct beat_answer first = { .term = 0 };
	bool in_time = true;
	int err = -ETIMEDOUT;

	lock_take(&c->lock);
	while (in_time && err == -ETIMEDOUT) {
		if (c->shown.standing == STANDING_MEMBER)
			err = 0;
		else if (c->denied)
			err = -EACCES;
		else if (is_refused_locked(c, &first))
			err = -EEXIST;
		if (c->shown.standing == STANDING_TAKEN)
			first = c->shown.taken;
		if (err == -ETIMEDOUT)
			in_time = lock_wait_until(&c->lock, &c->moved, deadline_ns);
	}
	if (err == -ETIMEDOUT && c->shown.standing == STANDING_TAKEN)
		err = -EEXIST;
	if (err == -EEXIST)
		buf_printf(why, "there is a node with the id %s already: process %" PRId64 " on %s", c->node, c->shown.taken.other.pid,
		    c->shown.taken.other.host);
	lock_give(&c->lock);
	return err;
}

static bool
is_drained(const struct view *v, const char *node)
{
	uint32_t self = view_find(v, node);
	bool others = false, has = false;

	for (uint32_t i = 0; i < v->count; i++)
		others |= i != self && v->nodes[i].state == NODE_ACTIVE;
	for (size_t s = 0; self != RING_NONE && s < v->shards; s++)
		has |= v->owner[s] == self;
	return !has || !others;
}

int
cluster_drain(struct cluster *c, int64_t timeout_ns)
{
	int64_t deadline_ns = clock_mono(c->clock) + timeout_ns;
	bool in_time = true;

	lock_take(&c->lock);
	c->draining = true;
	pthread_cond_signal(&c->wake);
	while (in_time && !is_drained(c->shown.view, c->node))
		in_time = lock_wait_until(&c->lock, &c->moved, deadline_ns);
	lock_give(&c->lock);
	return in_time ? 0 : -ETIMEDOUT;
}
