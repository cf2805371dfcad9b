#include <errno.h>
#include <stdlib.h>

#include "faulty_state.h"

/* A watch of the wrapped backend. */
struct backend_watch {
	struct backend_watch *next; /* guarded by faulty.lock */
	struct faulty *faulty;
	struct backend_watch *inner; /* NULL: refused */
	struct backend_watch_fns fns;
	void *arg;

	/* Held during its calls, so that an end from elsewhere does not meet another. */
	pthread_mutex_t calling;
	unsigned refs;    /* guarded by faulty.lock: the user's, and those who are about to end it */
	uint64_t left;    /* records until it ends with err */
	int err;
	bool ended;
};

static void
watch_unref(struct backend_watch *w)
{
	pthread_mutex_lock(&w->faulty->lock);
	bool last = --w->refs == 0;
	pthread_mutex_unlock(&w->faulty->lock);
	if (!last)
		return;
	pthread_mutex_destroy(&w->calling);
	free(w);
}

static void
watch_end(struct backend_watch *w, int err)
{
	pthread_mutex_lock(&w->calling);
	bool first = !w->ended;
	w->ended = true;
	if (first)
		w->fns.end(w->arg, err);
	pthread_mutex_unlock(&w->calling);
}

static void
watch_refused(void *arg)
{
	struct backend_watch *w = arg;

	watch_end(w, w->err);
	watch_unref(w);
}

static void
on_watch_begin(void *arg, uint64_t epoch)
{
	struct backend_watch *w = arg;

	pthread_mutex_lock(&w->calling);
	if (!w->ended)
		w->fns.begin(w->arg, epoch);
	pthread_mutex_unlock(&w->calling);
}

static void
on_watch_record(void *arg, const char *actor, const struct record *r)
{
	struct backend_watch *w = arg;

	pthread_mutex_lock(&w->calling);
	bool end = !w->ended && w->left == 0;
	if (!w->ended && !end) {
		w->left--;
		w->fns.record(w->arg, actor, r);
	}
	pthread_mutex_unlock(&w->calling);
	if (end)
		watch_end(w, w->err);
}

static void
on_watch_live(void *arg)
{
	struct backend_watch *w = arg;

	pthread_mutex_lock(&w->calling);
	if (!w->ended)
		w->fns.live(w->arg);
	pthread_mutex_unlock(&w->calling);
}

static void
on_watch_busy(void *arg)
{
	struct backend_watch *w = arg;

	pthread_mutex_lock(&w->calling);
	if (!w->ended)
		w->fns.busy(w->arg);
	pthread_mutex_unlock(&w->calling);
}

static void
on_watch_end(void *arg, int err)
{
	watch_end(arg, err);
}

/* One whose connection is lost ends after some records; one that is refused, before any. */
int
faulty_watch(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns,
    void *arg, struct backend_watch **out)
{
	static const struct backend_watch_fns ours = { on_watch_begin, on_watch_record, on_watch_live, on_watch_busy,
		on_watch_end };
	struct faulty *f = faulty_of(b);
	struct fault fault = faulty_choose(f, FAULT_WATCH);
	struct backend_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	*w = (struct backend_watch){ .faulty = f, .fns = *fns, .arg = arg, .refs = 1, .left = UINT64_MAX };
	w->err = fault.err;
	pthread_mutex_init(&w->calling, NULL);
	pthread_mutex_lock(&f->lock);
	w->next = f->watches;
	f->watches = w;
	if (fault.kind == FAULT_CUT)
		w->left = faulty_random_locked(f) % 50;
	else if (fault.kind != FAULT_NONE)
		w->refs++;
	pthread_mutex_unlock(&f->lock);
	*out = w;
	if (fault.kind == FAULT_NONE || fault.kind == FAULT_CUT)
		return f->inner->ops->watch(f->inner, ns, from_seq, epoch, &ours, w, &w->inner);
	faulty_later(f, fault.delay_ns, watch_refused, w);
	return 0;
}

void
faulty_watch_stop(struct backend *b, struct backend_watch *w)
{
	struct faulty *f = faulty_of(b);

	if (w->inner != NULL)
		f->inner->ops->watch_stop(f->inner, w->inner);
	pthread_mutex_lock(&w->calling);
	w->ended = true;
	pthread_mutex_unlock(&w->calling);
	pthread_mutex_lock(&f->lock);
	for (struct backend_watch **at = &f->watches; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	pthread_mutex_unlock(&f->lock);
	watch_unref(w);
}

void
faulty_cut_watches(struct faulty *f)
{
	for (;;) {
		pthread_mutex_lock(&f->lock);
		struct backend_watch *w = f->watches;
		if (w != NULL) {
			f->watches = w->next;
			w->refs++;
		}
		pthread_mutex_unlock(&f->lock);
		if (w == NULL)
			return;
		watch_end(w, -ENOTCONN);
		watch_unref(w);
	}
}
