#include "quota.h"

void
quota_init(struct quota *q, size_t limit)
{
	*q = (struct quota){ .limit = limit };
	q->tail = &q->first;
	lock_init(&q->lock, LOCK_QUOTA);
}

void
quota_destroy(struct quota *q)
{
	lock_destroy(&q->lock);
}

static bool
fits_locked(const struct quota *q, size_t units)
{
	return q->used == 0 || (units <= q->limit && q->used <= q->limit - units);
}

static void
unlink_locked(struct quota *q, struct quota_wait **at)
{
	struct quota_wait *w = *at;

	*at = w->next;
	if (w->next == NULL)
		q->tail = at;
	w->next = NULL;
	w->waiting = false;
}

bool
quota_take(struct quota *q, struct quota_wait *w)
{
	lock_take(&q->lock);
	/* Nobody overtakes those who wait, however little it wants. */
	bool granted = q->first == NULL && fits_locked(q, w->units);
	if (granted) {
		q->used += w->units;
	} else {
		w->next = NULL;
		w->waiting = true;
		*q->tail = w;
		q->tail = &w->next;
	}
	lock_give(&q->lock);
	return granted;
}

/* Let in who is next for as long as there is room. Entered and left with the lock, which is not held meanwhile. */
static void
grant_locked(struct quota *q)
{
	if (q->granting)
		return; /* whoever does so sees what has become free */
	q->granting = true;
	while (q->first != NULL && fits_locked(q, q->first->units)) {
		struct quota_wait *w = q->first;
		void (*fn)(void *, bool) = w->fn;
		void *arg = w->arg;
		q->used += w->units;
		unlink_locked(q, &q->first);
		lock_give(&q->lock);
		fn(arg, true);
		lock_take(&q->lock);
	}
	q->granting = false;
}

bool
quota_drop(struct quota *q, struct quota_wait *w)
{
	lock_take(&q->lock);
	bool waited = w->waiting;
	for (struct quota_wait **at = &q->first; waited && *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			unlink_locked(q, at);
			break;
		}
	}
	/* The next may want less than this one did; but that is found out when units are given back, for the caller may hold a
	 * lock that fn takes. */
	lock_give(&q->lock);
	return waited;
}

void
quota_give(struct quota *q, size_t units)
{
	lock_take(&q->lock);
	q->used -= units;
	grant_locked(q);
	lock_give(&q->lock);
}

int64_t
quota_expire(struct quota *q, int64_t now_ns)
{
	int64_t next = INT64_MAX;

	lock_take(&q->lock);
	for (struct quota_wait **at = &q->first; *at != NULL;) {
		struct quota_wait *w = *at;
		if (w->deadline_ns > now_ns) {
			next = w->deadline_ns < next ? w->deadline_ns : next;
			at = &w->next;
			continue;
		}
		void (*fn)(void *, bool) = w->fn;
		void *arg = w->arg;
		unlink_locked(q, at);
		lock_give(&q->lock);
		fn(arg, false);
		lock_take(&q->lock);
		/* The list is another now. */
		at = &q->first;
		next = INT64_MAX;
	}
	/* What wanted too much for those behind it may be gone. */
	grant_locked(q);
	lock_give(&q->lock);
	return next;
}

bool
quota_is_idle(struct quota *q)
{
	lock_take(&q->lock);
	bool idle = q->used == 0;
	lock_give(&q->lock);
	return idle;
}
