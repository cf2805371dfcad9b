#include "follow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "lock.h"
#include "state.h"

/* How long a try to go on waits for a connection before it looks again. */
#define CONNECTION_NS (30 * NS_PER_SEC)
/* That a namespace is gone is believed when it is said twice, so far apart: a cluster that is starting may not know its streams yet. */
#define MISSING_NS (300 * NS_PER_MS)
/* That its sequences have gone back is believed when it has been so for that long. */
#define BEHIND_NS (3 * NS_PER_SEC)
/* One that lasted so long was no failed try. */
#define LASTED_NS (1 * NS_PER_SEC)
/* The longest pause before a try where it was refused: that is not over by itself, and every try may give a line in the log. */
#define REFUSED_NS (60 * NS_PER_SEC)

struct follow {
	struct store *store;
	struct follow_fns fns;
	void *arg;
	bool payload;

	struct lock lock;
	pthread_cond_t changed; /* moving or holding has ended */
	/* Guarded by lock. */
	size_t refs; /* the user's, and one for each call to come */
	bool closed; /* no follow of the backend any more */
	bool held;
	bool missing; /* it was said that the namespace is gone */
	int64_t behind_ns; /* since when its sequences seem to have gone back; 0: they do not */
	bool logged; /* why it cannot go on */
	unsigned tries;
	int64_t begun_ns; /* 0: not since the last end */
	uint64_t epoch;   /* the namespace's; 0: whichever there is */
	uint64_t last_seq;
	struct backend_follow *inner;
	bool moving;      /* somebody is ending or beginning it */
	unsigned holding; /* those who are telling it whether it is held */

	char ns[];
};

static void step(void *arg);

static void
unref(struct follow *f)
{
	lock_take(&f->lock);
	bool last = --f->refs == 0;
	lock_give(&f->lock);
	if (!last)
		return;
	pthread_cond_destroy(&f->changed);
	lock_destroy(&f->lock);
	free(f);
}

/* What the backend tells */

static void
on_begin(void *arg, uint64_t epoch)
{
	struct follow *f = arg;
	int64_t now = clock_mono(f->store->clock);

	lock_take(&f->lock);
	f->epoch = epoch;
	f->begun_ns = now;
	f->behind_ns = 0;
	f->missing = false;
	bool was_logged = f->logged;
	f->logged = false;
	lock_give(&f->lock);
	if (was_logged)
		log_info(f->store->lg, "namespace %s: following it again", f->ns);
}

static void
on_record(void *arg, const char *actor, const struct record *r)
{
	struct follow *f = arg;

	lock_take(&f->lock);
	f->last_seq = r->seq;
	f->tries = 0;
	lock_give(&f->lock);
	f->fns.record(f->arg, actor, r);
}

static bool
passes(int err)
{
	return err == -ENOTCONN || err == -ETIMEDOUT || err == -ESTALE || err == -EAGAIN || err == -ENOENT;
}

/* Before the next try. The first one comes at once. */
static int64_t
pause_ns(int err, unsigned tries)
{
	if (err == -ENOENT || err == -EAGAIN)
		return MISSING_NS;
	if (tries == 0)
		return 0;
	if (passes(err))
		return wait_backoff_ns(tries);
	int64_t ns = (100 * NS_PER_MS) << (tries < 10 ? tries : 10);
	return ns < REFUSED_NS ? ns : REFUSED_NS;
}

/* What cannot be helped by waiting for a connection is worth a line. */
static void
report_locked(struct follow *f, int err)
{
	if (passes(err) || f->logged)
		return;
	f->logged = true;
	log_warn(f->store->lg, "namespace %s: cannot be followed: %s; trying again", f->ns, strerror(-err));
}

static void
on_end(void *arg, int err)
{
	struct follow *f = arg;
	struct backend *b = f->store->backend;
	int64_t now = clock_mono(f->store->clock);

	lock_take(&f->lock);
	bool gone = err == -ENOENT && f->missing;
	f->missing = err == -ENOENT;
	if (gone) {
		lock_give(&f->lock);
		if (f->fns.gone != NULL)
			f->fns.gone(f->arg);
		return;
	}
	if (err != -EAGAIN)
		f->behind_ns = 0;
	else if (f->behind_ns == 0)
		f->behind_ns = now;
	if (err == -EAGAIN && now - f->behind_ns >= BEHIND_NS)
		err = -ESTALE;
	if (err == -ESTALE) {
		f->epoch = 0;
		f->last_seq = 0;
	}
	if (f->begun_ns != 0 && now - f->begun_ns >= LASTED_NS)
		f->tries = 0;
	f->begun_ns = 0;
	int64_t at_ns = now + pause_ns(err, f->tries++);
	report_locked(f, err);
	f->refs++;
	lock_give(&f->lock);
	if (err == -ESTALE && f->fns.anew != NULL)
		f->fns.anew(f->arg);
	b->ops->after(b, at_ns, step, f);
}

static const struct backend_follow_fns inner_fns = { on_begin, on_record, on_end };

/* Its life */

/* Tell the backend's follow what is wanted last. Whoever is moving it does so afterwards. */
static void
pass_hold(struct follow *f)
{
	struct backend *b = f->store->backend;

	lock_take(&f->lock);
	bool done = f->moving || f->inner == NULL;
	f->holding++;
	while (!done) {
		struct backend_follow *inner = f->inner;
		bool held = f->held;
		lock_give(&f->lock);
		b->ops->follow_hold(b, inner, held);
		lock_take(&f->lock);
		done = f->held == held;
	}
	f->holding--;
	pthread_cond_broadcast(&f->changed);
	lock_give(&f->lock);
}

/* End the follow that is there, and begin another unless it is closed. On a thread that is not in a call of the follow. */
static void
move(struct follow *f)
{
	struct backend *b = f->store->backend;
	struct backend_follow *old, *fresh = NULL;

	lock_take(&f->lock);
	while (f->moving)
		lock_wait(&f->lock, &f->changed);
	f->moving = true;
	while (f->holding > 0)
		lock_wait(&f->lock, &f->changed);
	old = f->inner;
	f->inner = NULL;
	lock_give(&f->lock);
	if (old != NULL)
		b->ops->follow_stop(b, old);
	/* Only now: what it told last counts. */
	lock_take(&f->lock);
	uint64_t from_seq = f->last_seq + 1, epoch = f->epoch;
	bool closed = f->closed;
	lock_give(&f->lock);
	int err = closed ? 0 : b->ops->follow(b, f->ns, from_seq, epoch, f->payload, &inner_fns, f, &fresh);
	lock_take(&f->lock);
	f->inner = err == 0 ? fresh : NULL;
	f->moving = false;
	pthread_cond_broadcast(&f->changed);
	bool held = f->held && f->inner != NULL;
	lock_give(&f->lock);
	if (held)
		pass_hold(f);
	if (err != 0)
		on_end(f, err);
}

/* On a thread of the backend; owns a count. */
static void
step(void *arg)
{
	struct follow *f = arg;
	struct store *s = f->store;

	lock_take(&f->lock);
	bool closed = f->closed;
	lock_give(&f->lock);
	if (!closed && !s->backend->ops->wait(s->backend, clock_mono(s->clock) + CONNECTION_NS, step, f))
		return; /* called again, with our count */
	if (!closed)
		move(f);
	unref(f);
}

int
follow_new(struct store *s, const char *ns, uint64_t after_seq, uint64_t epoch, int64_t at_ns, bool payload, const struct follow_fns *fns,
    void *arg, struct follow **out)
{
	size_t size = strlen(ns) + 1;
	struct follow *f = calloc(1, sizeof(*f) + size);

	if (f == NULL)
		return -ENOMEM;
	memcpy(f->ns, ns, size);
	f->store = s;
	f->fns = *fns;
	f->arg = arg;
	f->payload = payload;
	f->refs = at_ns != 0 ? 2 : 1;
	f->last_seq = after_seq;
	f->epoch = epoch;
	lock_init(&f->lock, LOCK_FOLLOW);
	lock_cond_init(&f->changed);
	atomic_fetch_add(&s->follows, 1);
	*out = f;
	if (at_ns != 0)
		s->backend->ops->after(s->backend, at_ns, step, f);
	else
		move(f);
	return 0;
}

void
follow_hold(struct follow *f, bool hold)
{
	lock_take(&f->lock);
	f->held = hold;
	lock_give(&f->lock);
	pass_hold(f);
}

void
follow_free(struct follow *f)
{
	if (f == NULL)
		return;
	struct store *s = f->store;
	lock_take(&f->lock);
	f->closed = true;
	lock_give(&f->lock);
	move(f);
	unref(f);
	atomic_fetch_sub(&s->follows, 1);
}
