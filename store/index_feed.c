#include <errno.h>

#include "index_state.h"

/* How long a try to get the watch back waits for a connection before it looks again. */
#define CONNECTION_NS (30 * NS_PER_SEC)

static void
on_begin(void *arg, uint64_t epoch)
{
	struct index *x = arg;

	lock_take(&x->lock);
	x->epoch = epoch;
	x->progress_ns = clock_mono(x->all->store->clock);
	lock_give(&x->lock);
}

static void
on_record(void *arg, const char *actor, const struct record *r)
{
	struct index *x = arg;
	struct head head = { .seq = r->seq, .size = INDEX_FOREIGN };

	if (!r->foreign)
		head = record_head(r);
	int64_t now = clock_mono(x->all->store->clock);
	lock_take(&x->lock);
	x->progress_ns = now;
	if (x->state != GONE) {
		x->last_seq = r->seq;
		index_learn_locked(x, actor, &head);
	}
	bool loaded = x->state == LIVE || x->state == LAGGING;
	lock_give(&x->lock);
	if (r->foreign)
		head.size = 0;
	if (r->erased)
		actor_see_tombstone(x->all->store, x->ns, actor, r);
	if (loaded)
		index_tell(x->all, x->ns, actor, r->erased ? NULL : &head, record_is_first(r));
}

static void
on_live(void *arg)
{
	struct index *x = arg;

	lock_take(&x->lock);
	bool anew = x->anew;
	x->state = LIVE;
	x->anew = false;
	x->tries = 0;
	x->err = 0;
	index_wake_locked(x);
	lock_give(&x->lock);
	if (anew)
		index_tell(x->all, x->ns, NULL, NULL, false);
}

static void
on_busy(void *arg)
{
	struct index *x = arg;

	lock_take(&x->lock);
	x->progress_ns = clock_mono(x->all->store->clock);
	lock_give(&x->lock);
}

void
index_set_gone(struct index *x)
{
	/* First, so that whoever sees it gone gets another. */
	lock_take(&x->all->lock);
	bool drop = index_unlist_locked(x);
	lock_give(&x->all->lock);
	lock_take(&x->lock);
	bool first = x->state != GONE;
	x->state = GONE;
	x->closed = true;
	index_forget_locked(x);
	index_wake_locked(x);
	lock_give(&x->lock);
	if (first)
		index_tell(x->all, x->ns, NULL, NULL, false);
	if (drop)
		index_close_later(x);
}

static void
on_end(void *arg, int err)
{
	struct index *x = arg;
	int64_t now = clock_mono(x->all->store->clock), at_ns = now;

	if (err == -ENOENT) {
		index_set_gone(x);
		return;
	}
	lock_take(&x->lock);
	x->err = err;
	if (err == -ESTALE) {
		x->anew = x->anew || x->state != LOADING;
		x->state = LOADING;
		x->progress_ns = now;
		index_forget_locked(x);
	} else if (x->state == LIVE) {
		x->state = LAGGING;
		x->interrupted_ns = now;
	}
	if (x->tries++ > 0)
		at_ns += wait_backoff_ns(x->tries);
	index_wake_locked(x);
	lock_give(&x->lock);
	index_call_at(x, at_ns, index_step);
}

static const struct backend_watch_fns watch_fns = { on_begin, on_record, on_live, on_busy, on_end };

/* The watch's life */

/* End the watch that is there, and begin another unless the index is closed. On a thread that is not in a call of the watch. */
void
index_move(struct index *x)
{
	struct backend *b = x->all->store->backend;
	struct backend_watch *old, *fresh = NULL;

	lock_take(&x->lock);
	while (x->moving)
		lock_wait(&x->lock, &x->changed);
	x->moving = true;
	old = x->watch;
	x->watch = NULL;
	uint64_t from_seq = x->last_seq != 0 ? x->last_seq + 1 : 0, epoch = x->epoch;
	bool closed = x->closed;
	lock_give(&x->lock);
	if (old != NULL)
		b->ops->watch_stop(b, old);
	int err = closed ? 0 : b->ops->watch(b, x->ns, from_seq, epoch, &watch_fns, x, &fresh);
	lock_take(&x->lock);
	x->watch = fresh;
	x->moving = false;
	pthread_cond_broadcast(&x->changed);
	lock_give(&x->lock);
	if (err != 0)
		on_end(x, err);
}

void
index_step(void *arg)
{
	struct index *x = arg;
	struct store *s = x->all->store;

	lock_take(&x->lock);
	bool closed = x->closed;
	lock_give(&x->lock);
	if (!closed && !s->backend->ops->wait(s->backend, clock_mono(s->clock) + CONNECTION_NS, index_step, x))
		return; /* called again, with our count */
	index_move(x);
	index_unref(x);
}
