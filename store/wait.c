#include "wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "lock.h"

struct waiter {
	struct lock lock;
	pthread_cond_t wake;
	bool done;
	int err;
	struct owned_record *out;
};

static void
waiter_init(struct waiter *w)
{
	lock_init(&w->lock, LOCK_WAITER);
	lock_cond_init(&w->wake);
}

static void
waiter_done(struct waiter *w, int err)
{
	/* Signalled under the lock: the waiter lies on the other thread's stack and goes away once that thread can go on. */
	lock_take(&w->lock);
	w->err = err;
	w->done = true;
	pthread_cond_signal(&w->wake);
	lock_give(&w->lock);
}

static int
waiter_wait(struct waiter *w)
{
	lock_take(&w->lock);
	while (!w->done)
		lock_wait(&w->lock, &w->wake);
	lock_give(&w->lock);
	pthread_cond_destroy(&w->wake);
	lock_destroy(&w->lock);
	return w->err;
}

void
owned_record_free(struct owned_record *r)
{
	buf_free(&r->bytes);
	*r = (struct owned_record){ 0 };
}

int64_t
wait_backoff_ns(unsigned tries)
{
	return tries < 6 ? (10 * NS_PER_MS) << tries : 500 * NS_PER_MS;
}

int64_t
wait_attempt_deadline(const struct clock *clock, int64_t deadline_ns)
{
	int64_t attempt_ns = clock_mono(clock) + WAIT_ATTEMPT_NS;

	return attempt_ns < deadline_ns ? attempt_ns : deadline_ns;
}

static void
wake(void *arg)
{
	waiter_done(arg, 0);
}

int
wait_retry(struct backend *b, const struct clock *clock, int64_t deadline_ns, unsigned *tries)
{
	int64_t now = clock_mono(clock);

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	struct waiter w = { .done = false };
	waiter_init(&w);
	if (!b->ops->wait(b, deadline_ns, wake, &w)) {
		waiter_wait(&w);
		return clock_mono(clock) >= deadline_ns ? -ETIMEDOUT : 0;
	}
	/* Connected, but JetStream does not answer yet; nothing tells when it will. */
	int64_t at = now + wait_backoff_ns((*tries)++);
	at = at < deadline_ns ? at : deadline_ns;
	b->ops->after(b, at, wake, &w);
	waiter_wait(&w);
	return 0;
}

void
wait_moment(struct backend *b, int64_t at_ns)
{
	struct waiter w = { .done = false };

	waiter_init(&w);
	b->ops->after(b, at_ns, wake, &w);
	waiter_wait(&w);
}

static int
own(struct owned_record *out, const struct record *r)
{
	out->record = *r;
	buf_clear(&out->bytes);
	buf_put_span(&out->bytes, r->payload);
	out->record.payload = (struct span){ out->bytes.p, out->bytes.len };
	return out->bytes.failed ? -ENOMEM : 0;
}

static void
on_record(void *arg, int err, const struct record *r)
{
	struct waiter *w = arg;

	waiter_done(w, err == 0 ? own(w->out, r) : err);
}

int
wait_get(struct backend *b, const struct clock *clock, struct actor_name name, struct backend_get g, int64_t deadline_ns,
    struct owned_record *out)
{
	unsigned tries = 0;

	for (;;) {
		struct waiter w = { .out = out };
		waiter_init(&w);
		b->ops->get(b, name, g, wait_attempt_deadline(clock, deadline_ns), on_record, &w);
		int err = waiter_wait(&w);
		if (err != -ENOTCONN && err != -ETIMEDOUT)
			return err;
		err = wait_retry(b, clock, deadline_ns, &tries);
		if (err != 0)
			return err;
	}
}

int
wait_get_sure(struct backend *b, const struct clock *clock, struct actor_name name, struct backend_get g, int64_t deadline_ns,
    struct owned_record *out)
{
	int err = wait_get(b, clock, name, g, deadline_ns, out);

	if (err != -ENOENT || g.fresh)
		return err;
	g.fresh = true;
	return wait_get(b, clock, name, g, deadline_ns, out);
}

/* One of several, which all have the last one's waiter. */
struct part {
	struct waiter *all;
	atomic_size_t *left;
	struct owned_record *out;
	int *err;
};

static void
on_part(void *arg, int err, const struct record *r)
{
	struct part *p = arg;

	*p->err = err == 0 ? own(p->out, r) : err;
	if (atomic_fetch_sub(p->left, 1) == 1)
		waiter_done(p->all, 0);
}

void
wait_get_many(struct backend *b, struct actor_name name, const struct backend_get *gets, size_t count,
    int64_t deadline_ns, struct owned_record *out, int *errs)
{
	struct part parts[WAIT_MANY];
	struct waiter all = { .done = false };
	atomic_size_t left;

	if (count == 0)
		return;
	atomic_init(&left, count);
	waiter_init(&all);
	for (size_t i = 0; i < count; i++) {
		parts[i] = (struct part){ &all, &left, &out[i], &errs[i] };
		b->ops->get(b, name, gets[i], deadline_ns, on_part, &parts[i]);
	}
	waiter_wait(&all);
}
