#include <errno.h>
#include <stdlib.h>

#include "faulty_state.h"

/* A follow of the wrapped backend. */
struct backend_follow {
	struct backend_follow *next; /* guarded by faulty.lock */
	struct faulty *faulty;
	struct backend_follow_fns fns;
	void *arg;

	/* Guarded by faulty.lock. */
	unsigned refs; /* the user's, and those who are about to end it */
	struct backend_follow *inner; /* NULL: refused, or just being made */
	bool held;
	bool cut; /* ended by a lost connection */

	/* Held during its calls, so that an end from elsewhere does not meet another. */
	pthread_mutex_t calling;
	uint64_t left; /* records until it ends with err */
	int err;
	bool ended;
};

static void
follow_unref(struct backend_follow *w)
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
follow_end(struct backend_follow *w, int err)
{
	pthread_mutex_lock(&w->calling);
	bool first = !w->ended;
	w->ended = true;
	if (first)
		w->fns.end(w->arg, err);
	pthread_mutex_unlock(&w->calling);
}

static void
follow_refused(void *arg)
{
	struct backend_follow *w = arg;

	follow_end(w, w->err);
	follow_unref(w);
}

static void
on_follow_begin(void *arg, uint64_t epoch)
{
	struct backend_follow *w = arg;

	pthread_mutex_lock(&w->calling);
	if (!w->ended)
		w->fns.begin(w->arg, epoch);
	pthread_mutex_unlock(&w->calling);
}

static void
on_follow_record(void *arg, const char *actor, const struct record *r)
{
	struct backend_follow *w = arg;

	pthread_mutex_lock(&w->calling);
	bool end = !w->ended && w->left == 0;
	if (!w->ended && !end) {
		w->left--;
		w->fns.record(w->arg, actor, r);
	}
	pthread_mutex_unlock(&w->calling);
	if (end)
		follow_end(w, w->err);
}

static void
on_follow_end(void *arg, int err)
{
	follow_end(arg, err);
}

/* Say to the wrapped one what is wanted last. */
static void
pass_hold(struct backend_follow *w)
{
	struct faulty *f = w->faulty;

	pthread_mutex_lock(&f->lock);
	for (bool done = w->inner == NULL; !done;) {
		struct backend_follow *inner = w->inner;
		bool held = w->held;
		pthread_mutex_unlock(&f->lock);
		f->inner->ops->follow_hold(f->inner, inner, held);
		pthread_mutex_lock(&f->lock);
		done = w->held == held;
	}
	pthread_mutex_unlock(&f->lock);
}

/* One whose connection is lost ends after some records; one that is refused, before any. */
int
faulty_follow(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, bool payload,
    const struct backend_follow_fns *fns, void *arg, struct backend_follow **out)
{
	static const struct backend_follow_fns ours = { on_follow_begin, on_follow_record, on_follow_end };
	struct faulty *f = faulty_of(b);
	struct fault fault = faulty_choose(f, FAULT_FOLLOW);
	struct backend_follow *w = calloc(1, sizeof(*w)), *inner = NULL;

	if (w == NULL)
		return -ENOMEM;
	*w = (struct backend_follow){ .faulty = f, .fns = *fns, .arg = arg, .refs = 1, .left = UINT64_MAX };
	w->err = fault.err;
	pthread_mutex_init(&w->calling, NULL);
	pthread_mutex_lock(&f->lock);
	w->next = f->follows;
	f->follows = w;
	if (fault.kind == FAULT_CUT)
		w->left = faulty_random_locked(f) % 50;
	else if (fault.kind != FAULT_NONE)
		w->refs++;
	pthread_mutex_unlock(&f->lock);
	*out = w;
	if (fault.kind != FAULT_NONE && fault.kind != FAULT_CUT) {
		faulty_later(f, fault.delay_ns, follow_refused, w);
		return 0;
	}
	int err = f->inner->ops->follow(f->inner, ns, from_seq, epoch, payload, &ours, w, &inner);
	pthread_mutex_lock(&f->lock);
	w->inner = inner;
	pthread_mutex_unlock(&f->lock);
	if (err != 0)
		faulty_follow_stop(b, w);
	else
		pass_hold(w);
	return err;
}

void
faulty_follow_hold(struct backend *b, struct backend_follow *w, bool hold)
{
	struct faulty *f = faulty_of(b);

	pthread_mutex_lock(&f->lock);
	w->held = hold;
	pthread_mutex_unlock(&f->lock);
	pass_hold(w);
}

static void
unlist(struct backend_follow *w)
{
	struct faulty *f = w->faulty;

	pthread_mutex_lock(&f->lock);
	for (struct backend_follow **at = &f->follows; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	pthread_mutex_unlock(&f->lock);
}

void
faulty_follow_stop(struct backend *b, struct backend_follow *w)
{
	struct faulty *f = faulty_of(b);

	if (w->inner != NULL)
		f->inner->ops->follow_stop(f->inner, w->inner);
	pthread_mutex_lock(&w->calling);
	w->ended = true;
	pthread_mutex_unlock(&w->calling);
	unlist(w);
	follow_unref(w);
}

void
faulty_cut_follows(struct faulty *f)
{
	for (;;) {
		pthread_mutex_lock(&f->lock);
		struct backend_follow *w = f->follows;
		while (w != NULL && w->cut)
			w = w->next;
		if (w != NULL) {
			w->cut = true;
			w->refs++;
		}
		pthread_mutex_unlock(&f->lock);
		if (w == NULL)
			return;
		follow_end(w, -ENOTCONN);
		follow_unref(w);
	}
}

/*
 * Names. Several wrappers share one backend, which has one listener: this one, for all of them.
 */
static pthread_mutex_t hearing_lock = PTHREAD_MUTEX_INITIALIZER;
static struct faulty *hearing; /* guarded by hearing_lock */

static void
tell_changed(void *arg)
{
	struct faulty *f = arg;

	pthread_mutex_lock(&f->hearing);
	if (f->changed != NULL)
		f->changed(f->changed_arg, false);
	pthread_mutex_unlock(&f->hearing);
}

/* A hint comes late, or when there is a connection again. */
static void
on_inner_changed(void *arg, bool elected)
{
	(void)elected;
	pthread_mutex_lock(&hearing_lock);
	for (struct faulty *f = hearing; f != NULL; f = f->next_hearing) {
		if (f->inner != arg)
			continue;
		pthread_mutex_lock(&f->lock);
		int64_t away_ns = f->away_until_ns - clock_mono(f->clock), delay_ns = 0;
		if (f->options.delay_max_ns > 0 && faulty_random_locked(f) % 1000 < f->options.per_mille)
			delay_ns = (int64_t)(faulty_random_locked(f) % (uint64_t)f->options.delay_max_ns);
		pthread_mutex_unlock(&f->lock);
		faulty_later(f, away_ns > delay_ns ? away_ns : delay_ns, tell_changed, f);
	}
	pthread_mutex_unlock(&hearing_lock);
}

void
faulty_names_lost(struct faulty *f, int64_t for_ns)
{
	faulty_later(f, for_ns > 0 ? for_ns : 0, tell_changed, f);
}

void
faulty_names_listen(struct backend *b, void (*changed)(void *arg, bool elected), void *arg)
{
	struct faulty *f = faulty_of(b);

	pthread_mutex_lock(&f->hearing);
	f->changed = changed;
	f->changed_arg = arg;
	pthread_mutex_unlock(&f->hearing);
	pthread_mutex_lock(&hearing_lock);
	for (struct faulty **at = &hearing; *at != NULL; at = &(*at)->next_hearing) {
		if (*at == f) {
			*at = f->next_hearing;
			break;
		}
	}
	if (changed != NULL) {
		f->next_hearing = hearing;
		hearing = f;
	}
	pthread_mutex_unlock(&hearing_lock);
	/* It stays: another may be beginning as this one ends. */
	if (changed != NULL)
		f->inner->ops->names_listen(f->inner, on_inner_changed, f->inner);
}
