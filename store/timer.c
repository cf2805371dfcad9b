#include "timer.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lock.h"

struct due {
	int64_t at_ns;
	void (*fn)(void *arg);
	void *arg;
};

struct timer {
	const struct clock *clock;
	pthread_t thread;
	struct lock lock; /* guards all below; nothing is called with it held */
	pthread_cond_t wake;
	struct due *heap; /* heap[0] is due first */
	size_t count;
	size_t cap;
	bool stopping;
};

static void
sift_up(struct due *heap, size_t i)
{
	struct due moved = heap[i];

	for (; i > 0 && heap[(i - 1) / 2].at_ns > moved.at_ns; i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = moved;
}

static struct due
pop_first(struct timer *t)
{
	struct due first = t->heap[0];
	struct due moved = t->heap[--t->count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;
		if (child >= t->count)
			break;
		if (child + 1 < t->count && t->heap[child + 1].at_ns < t->heap[child].at_ns)
			child++;
		if (t->heap[child].at_ns >= moved.at_ns)
			break;
		t->heap[i] = t->heap[child];
		i = child;
	}
	t->heap[i] = moved;
	return first;
}

static void *
run(void *arg)
{
	struct timer *t = arg;

	lock_take(&t->lock);
	while (t->count > 0 || !t->stopping) {
		if (t->count == 0 || (!t->stopping && t->heap[0].at_ns > clock_mono(t->clock))) {
			(void)lock_wait_until(&t->lock, &t->wake, t->count == 0 ? INT64_MAX : t->heap[0].at_ns);
			continue;
		}
		struct due due = pop_first(t);
		lock_give(&t->lock);
		due.fn(due.arg);
		lock_take(&t->lock);
	}
	lock_give(&t->lock);
	return NULL;
}

int
timer_new(struct timer **out, const struct clock *clock)
{
	struct timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->clock = clock;
	lock_init(&t->lock, LOCK_TIMER);
	lock_cond_init(&t->wake);
	int err = pthread_create(&t->thread, NULL, run, t);
	if (err != 0) {
		pthread_cond_destroy(&t->wake);
		lock_destroy(&t->lock);
		free(t);
		return -err;
	}
	*out = t;
	return 0;
}

int
timer_at(struct timer *t, int64_t at_ns, void (*fn)(void *arg), void *arg)
{
	int err = 0;

	lock_take(&t->lock);
	if (t->count == t->cap) {
		size_t cap = t->cap == 0 ? 64 : t->cap * 2;
		struct due *heap = realloc(t->heap, cap * sizeof(*heap));
		if (heap == NULL) {
			err = -ENOMEM;
			goto out_unlock;
		}
		t->heap = heap;
		t->cap = cap;
	}
	t->heap[t->count] = (struct due){ .at_ns = at_ns, .fn = fn, .arg = arg };
	sift_up(t->heap, t->count++);
	if (t->heap[0].fn == fn && t->heap[0].arg == arg)
		pthread_cond_signal(&t->wake);
out_unlock:
	lock_give(&t->lock);
	return err;
}

void
timer_free(struct timer *t)
{
	if (t == NULL)
		return;
	lock_take(&t->lock);
	t->stopping = true;
	pthread_cond_signal(&t->wake);
	lock_give(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->wake);
	lock_destroy(&t->lock);
	free(t->heap);
	free(t);
}
