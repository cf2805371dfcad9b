#include "faulty.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../store/timer.h"
#include "faulty_state.h"

/* What is called later comes so much later than it could, as on a busy machine. */
#define AFTER_NS NS_PER_MS

/* Who waits for the connection. In the list until called; freed by the timer's call. */
struct waiter {
	struct faulty *faulty;
	struct waiter *next;
	bool called;
	void (*fn)(void *arg);
	void *arg;
};

/* A publish or get that outlives its call. */
struct op {
	struct faulty *faulty;
	struct fault fault;
	struct backend_get get;
	struct record record; /* the payload is owned */
	char *ns;
	char *actor;
	char *msg_id;
	int64_t deadline_ns;
	backend_publish_fn publish_fn; /* NULL: nobody waits for it */
	backend_get_fn get_fn;
	void *arg;
};

/* splitmix64, by S. Vigna. */
uint64_t
faulty_random_locked(struct faulty *f)
{
	uint64_t z = f->random += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

void
faulty_later(struct faulty *f, int64_t delay_ns, void (*fn)(void *arg), void *arg)
{
	if (atomic_load(&f->closing) || timer_at(f->timer, clock_mono(f->clock) + delay_ns, fn, arg) != 0)
		fn(arg);
}

/* Choosing */

static struct fault
random_fault_locked(struct faulty *f, enum fault_op op)
{
	static const enum fault_kind of_publish[] = { FAULT_DROP, FAULT_DELAY, FAULT_LOSE_ACK, FAULT_STRAY,
		FAULT_DUPLICATE, FAULT_REFUSE };
	static const enum fault_kind of_get[] = { FAULT_REFUSE, FAULT_DROP, FAULT_DELAY, FAULT_LAG };
	static const int definite[] = { -EACCES, -ENOSPC, -EIO };
	uint64_t r = faulty_random_locked(f);
	struct fault fault = { .err = r & 1 ? -ETIMEDOUT : -ENOTCONN };

	fault.delay_ns =
	    f->options.delay_max_ns > 0 ? (int64_t)(faulty_random_locked(f) % (uint64_t)f->options.delay_max_ns) : 0;
	if (op == FAULT_PURGE)
		fault.kind = r & 2 ? FAULT_REFUSE : FAULT_LOSE_ACK;
	else if (op == FAULT_SCAN)
		fault.kind = r & 2 ? FAULT_REFUSE : FAULT_LAG;
	else if (op == FAULT_WATCH || op == FAULT_FOLLOW)
		fault.kind = r & 2 ? FAULT_REFUSE : FAULT_CUT;
	else if (op == FAULT_GET)
		fault.kind = of_get[(r >> 8) % 4];
	else
		fault.kind = of_publish[(r >> 8) % (f->options.refusals ? 6 : 5)];
	if (op == FAULT_PUBLISH && fault.kind == FAULT_REFUSE)
		fault.err = definite[(r >> 16) % 3];
	if (fault.err == -ENOTCONN && (r >> 24) % 4 == 0)
		f->away_until_ns = clock_mono(f->clock) + fault.delay_ns;
	return fault;
}

static bool
applies(const struct fault_rule *rule, enum fault_op op, uint64_t number)
{
	return rule->op == op && number >= rule->nth && (rule->count == 0 || number - rule->nth < rule->count);
}

struct fault
faulty_choose(struct faulty *f, enum fault_op op)
{
	uint64_t number = atomic_fetch_add(&f->calls[op], 1) + 1;
	struct fault fault = { .kind = FAULT_NONE };

	pthread_mutex_lock(&f->lock);
	if (clock_mono(f->clock) < f->away_until_ns)
		fault = (struct fault){ .kind = FAULT_REFUSE, .err = -ENOTCONN };
	for (size_t i = 0; fault.kind == FAULT_NONE && i < f->options.rule_count; i++) {
		const struct fault_rule *rule = &f->options.rules[i];
		if (applies(rule, op, number))
			fault = (struct fault){ rule->kind, rule->err, rule->delay_ns };
	}
	if (fault.kind == FAULT_NONE && f->options.per_mille > 0 && faulty_random_locked(f) % 1000 < f->options.per_mille)
		fault = random_fault_locked(f, op);
	pthread_mutex_unlock(&f->lock);
	atomic_fetch_add(&f->made[fault.kind], 1);
	return fault;
}

/* Operations kept for later */

static void
op_free(struct op *op)
{
	if (op == NULL)
		return;
	free(op->ns);
	free(op->actor);
	free(op->msg_id);
	free((char *)op->record.payload.p);
	free(op);
}

static struct op *
op_new(struct faulty *f, struct fault fault, struct actor_name name, int64_t deadline_ns, void *arg)
{
	struct op *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return NULL;
	*op = (struct op){ .faulty = f, .fault = fault, .deadline_ns = deadline_ns, .arg = arg };
	op->ns = strdup(name.ns);
	op->actor = name.actor != NULL ? strdup(name.actor) : NULL;
	if (op->ns == NULL || (name.actor != NULL && op->actor == NULL)) {
		op_free(op);
		return NULL;
	}
	return op;
}

static bool
op_keep_record(struct op *op, const struct record *r, const char *msg_id)
{
	char *payload = malloc(r->payload.len + 1);

	if (payload != NULL && r->payload.len > 0)
		memcpy(payload, r->payload.p, r->payload.len);
	op->record = *r;
	op->record.payload.p = payload;
	op->msg_id = strdup(msg_id);
	return payload != NULL && op->msg_id != NULL;
}

/* Publish */

static void
publish_answer(void *arg)
{
	struct op *op = arg;

	if (op->publish_fn != NULL)
		op->publish_fn(op->arg, op->fault.err, 0, false);
	op_free(op);
}

static void
on_published(void *arg, int err, uint64_t seq, bool duplicate)
{
	struct op *op = arg;

	if (op->fault.kind == FAULT_LOSE_ACK) {
		faulty_later(op->faulty, op->fault.delay_ns, publish_answer, op);
		return;
	}
	if (op->publish_fn != NULL)
		op->publish_fn(op->arg, err, seq, duplicate || (err == 0 && op->fault.kind == FAULT_DUPLICATE));
	op_free(op);
}

static void
pass_publish(void *arg)
{
	struct op *op = arg;
	struct backend *inner = op->faulty->inner;
	struct actor_name name = { op->ns, op->actor };

	inner->ops->publish(inner, name, &op->record, op->msg_id, op->deadline_ns, on_published, op);
}

static void
faulty_publish(struct backend *b, struct actor_name name, const struct record *r, const char *msg_id,
    int64_t deadline_ns, backend_publish_fn fn, void *arg)
{
	struct faulty *f = faulty_of(b);
	struct fault fault = faulty_choose(f, FAULT_PUBLISH);

	if (fault.kind == FAULT_REFUSE) {
		fn(arg, fault.err, 0, false);
		return;
	}
	if (fault.kind == FAULT_NONE || fault.kind == FAULT_LAG) {
		f->inner->ops->publish(f->inner, name, r, msg_id, deadline_ns, fn, arg);
		return;
	}
	struct op *op = op_new(f, fault, name, deadline_ns, arg);
	if (op == NULL || !op_keep_record(op, r, msg_id)) {
		op_free(op);
		fn(arg, -ENOMEM, 0, false);
		return;
	}
	op->publish_fn = fault.kind == FAULT_STRAY ? NULL : fn;
	if (fault.kind == FAULT_DROP)
		faulty_later(f, fault.delay_ns, publish_answer, op);
	else if (fault.kind == FAULT_DELAY || fault.kind == FAULT_STRAY)
		faulty_later(f, fault.delay_ns, pass_publish, op);
	else
		pass_publish(op);
	if (fault.kind == FAULT_STRAY)
		fn(arg, fault.err, 0, false);
}

/* Get */

static void
get_answer(void *arg)
{
	struct op *op = arg;

	op->get_fn(op->arg, op->fault.err, NULL);
	op_free(op);
}

static void pass_get(void *arg);

static void
on_got(void *arg, int err, const struct record *r)
{
	struct op *op = arg;
	uint64_t hidden = atomic_load(&op->faulty->hidden_seq);

	if (err == 0 && r->seq == hidden && op->get.kind != GET_SEQ) {
		op->get.seq = op->get.kind == GET_LAST ? r->prev_seq : r->seq + 1;
		op->get.kind = op->get.kind == GET_LAST ? GET_SEQ : GET_NEXT;
		if (op->get.seq != 0) {
			pass_get(op);
			return;
		}
	}
	if (err == 0 && r->seq == hidden)
		err = -ENOENT;
	if (err == 0 && op->fault.kind == FAULT_LAG && !op->get.fresh) {
		/* A replica without the newest record: the last one is then the one before it. */
		if (op->get.kind == GET_LAST && r->prev_seq != 0) {
			op->get = (struct backend_get){ .kind = GET_SEQ, .seq = r->prev_seq };
			op->fault.kind = FAULT_NONE;
			pass_get(op);
			return;
		}
		err = -ENOENT;
	}
	op->get_fn(op->arg, err, err == 0 ? r : NULL);
	op_free(op);
}

static void
pass_get(void *arg)
{
	struct op *op = arg;
	struct backend *inner = op->faulty->inner;

	inner->ops->get(inner, (struct actor_name){ op->ns, op->actor }, op->get, op->deadline_ns, on_got, op);
}

static void
faulty_get(
    struct backend *b, struct actor_name name, struct backend_get g, int64_t deadline_ns, backend_get_fn fn, void *arg)
{
	struct faulty *f = faulty_of(b);
	struct fault fault = faulty_choose(f, FAULT_GET);

	if (fault.kind == FAULT_REFUSE) {
		fn(arg, fault.err, NULL);
		return;
	}
	if (fault.kind == FAULT_NONE && atomic_load(&f->hidden_seq) == 0) {
		f->inner->ops->get(f->inner, name, g, deadline_ns, fn, arg);
		return;
	}
	struct op *op = op_new(f, fault, name, deadline_ns, arg);
	if (op == NULL) {
		fn(arg, -ENOMEM, NULL);
		return;
	}
	op->get = g;
	op->get_fn = fn;
	if (fault.kind == FAULT_DROP)
		faulty_later(f, fault.delay_ns, get_answer, op);
	else if (fault.kind == FAULT_DELAY)
		faulty_later(f, fault.delay_ns, pass_get, op);
	else
		pass_get(op);
}

/* Scan */

struct scan {
	backend_scan_fn fn;
	void *arg;
	uint64_t hidden_seq;
	unsigned left;
};

static int
on_scanned(void *arg, const struct scanned *m)
{
	struct scan *scan = arg;

	if (m != NULL && m->seq == scan->hidden_seq)
		return 0;
	if (m != NULL && scan->left-- == 0)
		return 1;
	return scan->fn(scan->arg, m);
}

/* One that lags ends after a few records, and so does one whose connection is lost on the way. */
static int
faulty_scan(struct backend *b, struct actor_name name, struct backend_range range, int64_t idle_ns, backend_scan_fn fn, void *arg)
{
	struct faulty *f = faulty_of(b);
	struct fault fault = faulty_choose(f, FAULT_SCAN);
	struct scan scan = { fn, arg, atomic_load(&f->hidden_seq), UINT32_MAX };

	if (fault.kind == FAULT_LAG || fault.kind == FAULT_REFUSE)
		scan.left = 3;
	int err = f->inner->ops->scan(f->inner, name, range, idle_ns, on_scanned, &scan);
	return err == 0 && fault.kind == FAULT_REFUSE ? fault.err : err;
}

/* What passes through */

static int
faulty_purge(struct backend *b, struct actor_name name, uint64_t before_seq, int64_t deadline_ns)
{
	struct backend *inner = faulty_of(b)->inner;
	struct fault fault = faulty_choose(faulty_of(b), FAULT_PURGE);

	if (fault.kind == FAULT_REFUSE)
		return fault.err;
	int err = inner->ops->purge(inner, name, before_seq, deadline_ns);
	return fault.kind == FAULT_LOSE_ACK && err == 0 ? fault.err : err;
}

static int
faulty_ns_create(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->ns_create(inner, ns, attr, deadline_ns);
}

static int
faulty_ns_remove(struct backend *b, const char *ns, int64_t deadline_ns)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->ns_remove(inner, ns, deadline_ns);
}

static int
faulty_ns_info(struct backend *b, const char *ns, int64_t deadline_ns, struct ns_info *info)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->ns_info(inner, ns, deadline_ns, info);
}

static int
faulty_ns_set(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->ns_set(inner, ns, attr, deadline_ns);
}

static int
faulty_ns_list(struct backend *b, int64_t deadline_ns, backend_name_fn fn, void *arg)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->ns_list(inner, deadline_ns, fn, arg);
}

static int
faulty_seq_at(struct backend *b, const char *ns, int64_t time_ns, int64_t deadline_ns, uint64_t *seq, int64_t *wait_ns)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->seq_at(inner, ns, time_ns, deadline_ns, seq, wait_ns);
}

static int
faulty_doc_put(struct backend *b, const struct doc_name *name, const uint64_t *behind, struct span text, int64_t deadline_ns,
    uint64_t *seq)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->doc_put(inner, name, behind, text, deadline_ns, seq);
}

static int
faulty_doc_get(struct backend *b, const struct doc_name *name, uint64_t from_seq, int64_t deadline_ns, struct buf *text, uint64_t *seq)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->doc_get(inner, name, from_seq, deadline_ns, text, seq);
}

static int
faulty_doc_list(struct backend *b, enum doc_kind kind, int64_t deadline_ns, uint64_t *last_seq, backend_name_fn fn, void *arg)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->doc_list(inner, kind, deadline_ns, last_seq, fn, arg);
}

static void
faulty_models_listen(struct backend *b, void (*changed)(void *arg, const char *ns), void *arg)
{
	struct backend *inner = faulty_of(b)->inner;

	inner->ops->models_listen(inner, changed, arg);
}

static int
faulty_doc_drop(struct backend *b, const char *ns, const char *actor, int64_t deadline_ns)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->doc_drop(inner, ns, actor, deadline_ns);
}

static int
faulty_limits(struct backend *b, int64_t deadline_ns, struct backend_limits *limits)
{
	struct backend *inner = faulty_of(b)->inner;

	return inner->ops->limits(inner, deadline_ns, limits);
}

/* The connection */

static bool
is_away(struct faulty *f, int64_t *until_ns)
{
	pthread_mutex_lock(&f->lock);
	*until_ns = f->away_until_ns;
	pthread_mutex_unlock(&f->lock);
	return clock_mono(f->clock) < *until_ns;
}

static void
faulty_status(struct backend *b, struct backend_status *status)
{
	struct faulty *f = faulty_of(b);
	int64_t until_ns;

	f->inner->ops->status(f->inner, status);
	if (is_away(f, &until_ns))
		status->connected = false;
}

/* Take a waiter out of the list and call it, if nobody has done so. */
static void
waiter_call(struct waiter *w)
{
	struct faulty *f = w->faulty;

	pthread_mutex_lock(&f->lock);
	bool call = !w->called;
	w->called = true;
	for (struct waiter **at = &f->waiters; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	void (*fn)(void *) = w->fn;
	void *fn_arg = w->arg;
	pthread_mutex_unlock(&f->lock);
	if (call)
		fn(fn_arg);
}

static void
waiter_due(void *arg)
{
	waiter_call(arg);
	free(arg);
}

static bool
faulty_wait(struct backend *b, int64_t deadline_ns, void (*fn)(void *arg), void *arg)
{
	struct faulty *f = faulty_of(b);
	int64_t until_ns;

	if (!is_away(f, &until_ns))
		return f->inner->ops->wait(f->inner, deadline_ns, fn, arg);
	struct waiter *w = fn == NULL ? NULL : malloc(sizeof(*w));
	if (w == NULL)
		return fn != NULL; /* the caller tries again after a pause */
	*w = (struct waiter){ .faulty = f, .fn = fn, .arg = arg };
	pthread_mutex_lock(&f->lock);
	w->next = f->waiters;
	f->waiters = w;
	pthread_mutex_unlock(&f->lock);
	if (timer_at(f->timer, until_ns < deadline_ns ? until_ns : deadline_ns, waiter_due, w) != 0)
		waiter_due(w);
	return false;
}

void
faulty_disconnect(struct backend *b, int64_t for_ns)
{
	struct faulty *f = faulty_of(b);

	pthread_mutex_lock(&f->lock);
	f->away_until_ns = for_ns > 0 ? clock_mono(f->clock) + for_ns : 0;
	while (for_ns <= 0 && f->waiters != NULL) {
		struct waiter *w = f->waiters;
		f->waiters = w->next;
		void (*fn)(void *) = w->fn;
		void *arg = w->arg;
		w->called = true;
		pthread_mutex_unlock(&f->lock);
		fn(arg);
		pthread_mutex_lock(&f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	if (for_ns > 0) {
		faulty_cut_watches(f);
		faulty_cut_follows(f);
	}
	faulty_names_lost(f, for_ns);
}

static void
faulty_after(struct backend *b, int64_t at_ns, void (*fn)(void *arg), void *arg)
{
	struct faulty *f = faulty_of(b);
	int64_t soonest_ns = clock_mono(f->clock) + AFTER_NS;

	/* Not on the wrapped backend's thread: that may outlive this wrapper and whoever sits on it. */
	if (timer_at(f->timer, at_ns > soonest_ns ? at_ns : soonest_ns, fn, arg) != 0)
		fn(arg);
}

/* What it counts */

void
faulty_hide(struct backend *b, uint64_t seq)
{
	atomic_store(&faulty_of(b)->hidden_seq, seq);
}

uint64_t
faulty_calls(struct backend *b, enum fault_op op)
{
	return atomic_load(&faulty_of(b)->calls[op]);
}

uint64_t
faulty_made(struct backend *b, enum fault_kind kind)
{
	return atomic_load(&faulty_of(b)->made[kind]);
}

/* Life */

static void
faulty_free(struct backend *b)
{
	struct faulty *f = faulty_of(b);

	/* Who stops one later does it to memory that was freed. */
	if (f->watches != NULL || f->follows != NULL) {
		fputs("faulty: a watch or a follow was not stopped before its backend is freed\n", stderr);
		abort();
	}
	atomic_store(&f->closing, true);
	timer_free(f->timer);
	if (f->owns)
		f->inner->ops->free(f->inner);
	pthread_mutex_destroy(&f->hearing);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static const struct backend_ops faulty_ops = {
	.name = "faulty",
	.publish = faulty_publish,
	.get = faulty_get,
	.purge = faulty_purge,
	.scan = faulty_scan,
	.ns_create = faulty_ns_create,
	.ns_remove = faulty_ns_remove,
	.ns_info = faulty_ns_info,
	.seq_at = faulty_seq_at,
	.doc_put = faulty_doc_put,
	.doc_get = faulty_doc_get,
	.doc_list = faulty_doc_list,
	.models_listen = faulty_models_listen,
	.doc_drop = faulty_doc_drop,
	.ns_set = faulty_ns_set,
	.ns_list = faulty_ns_list,
	.watch = faulty_watch,
	.watch_stop = faulty_watch_stop,
	.follow = faulty_follow,
	.follow_hold = faulty_follow_hold,
	.follow_stop = faulty_follow_stop,
	.names_listen = faulty_names_listen,
	.limits = faulty_limits,
	.status = faulty_status,
	.wait = faulty_wait,
	.after = faulty_after,
	.free = faulty_free,
};

int
faulty_new(struct backend **out, struct backend *inner, bool owns, const struct clock *clock,
    const struct faulty_options *options)
{
	struct faulty *f = calloc(1, sizeof(*f));
	int err = f == NULL ? -ENOMEM : timer_new(&f->timer, clock);

	if (err != 0) {
		free(f);
		if (owns)
			inner->ops->free(inner);
		return err;
	}
	f->base = (struct backend){ .ops = &faulty_ops, .dedup_window_ns = inner->dedup_window_ns };
	f->inner = inner;
	f->owns = owns;
	f->clock = clock;
	if (options != NULL)
		f->options = *options;
	f->random = f->options.seed;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->hearing, NULL);
	*out = &f->base;
	return 0;
}
