#include <errno.h>
#include <stdlib.h>

#include "memory_state.h"

/* It is drained on the timer's thread only, so no two calls for it meet. */
struct backend_follow {
	struct backend_follow *next;
	struct memory *memory;
	const struct mem_ns *ns; /* NULL: removed */
	struct backend_follow_fns fns;
	void *arg;
	uint64_t next_seq;
	bool payload;
	unsigned refs;  /* the user's, and one for a drain to come */
	int refused;    /* told at once as the end */
	bool held;
	bool draining;  /* a drain is to come, or under way */
	bool begun;
	bool calling;
	bool stopped;
};

static void drain(void *arg);

static void
wake_locked(struct backend_follow *f)
{
	if (f->draining)
		return;
	f->draining = true;
	f->refs++;
	/* Without memory for that it waits for the next record. */
	if (timer_at(f->memory->timer, 0, drain, f) != 0) {
		f->draining = false;
		f->refs--;
	}
}

void
memory_wake_follows_locked(struct memory *m, const struct mem_ns *ns)
{
	for (struct backend_follow *f = m->follows; f != NULL; f = f->next)
		if (f->ns == ns)
			wake_locked(f);
}

void
memory_leave_follows_locked(struct memory *m, const struct mem_ns *ns)
{
	for (struct backend_follow *f = m->follows; f != NULL; f = f->next) {
		if (f->ns == ns) {
			f->ns = NULL;
			wake_locked(f);
		}
	}
}

/* The next record to tell, if there is one. The actor's name lives as long as the backend. */
static bool
next_record_locked(struct backend_follow *f, struct record *r, const char **name)
{
	while (!f->held && f->next_seq <= f->ns->info.last_seq) {
		const struct mem_place *place = &f->ns->places[f->next_seq++ - 1];
		bool last;
		const struct record *at = memory_record_at(place, &last);
		if (at == NULL)
			continue;
		*r = *at;
		if (!f->payload)
			r->payload.p = NULL;
		*name = place->actor->name;
		return true;
	}
	return false;
}

/* Make one call that is due; false if none is. */
static bool
call_locked(struct backend_follow *f)
{
	struct memory *m = f->memory;
	struct record r;
	const char *name = NULL;
	int end = f->refused != 0 ? f->refused : f->ns == NULL ? -ENOENT : 0;
	bool begin = end == 0 && !f->begun;
	uint64_t epoch = begin ? f->ns->info.epoch : 0;

	if (f->stopped || (end == 0 && !begin && !next_record_locked(f, &r, &name)))
		return false;
	f->begun = true;
	f->stopped = end != 0;
	f->calling = true;
	memory_lend_locked(m);
	lock_give(&m->lock);
	if (end != 0)
		f->fns.end(f->arg, end);
	else if (begin)
		f->fns.begin(f->arg, epoch);
	else
		f->fns.record(f->arg, name, &r);
	memory_give_back(m);
	lock_take(&m->lock);
	f->calling = false;
	pthread_cond_broadcast(&m->called);
	return true;
}

static void
unref_locked(struct backend_follow *f)
{
	if (--f->refs == 0)
		free(f);
}

static void
drain(void *arg)
{
	struct backend_follow *f = arg;
	struct memory *m = f->memory;

	lock_take(&m->lock);
	while (call_locked(f))
		;
	f->draining = false;
	unref_locked(f);
	lock_give(&m->lock);
}

int
memory_follow(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, bool payload, const struct backend_follow_fns *fns,
    void *arg, struct backend_follow **out)
{
	struct memory *m = container_of(b, struct memory, base);
	struct backend_follow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	*f = (struct backend_follow){ .memory = m, .fns = *fns, .arg = arg, .next_seq = from_seq, .payload = payload, .refs = 1 };
	lock_take(&m->lock);
	f->ns = memory_find_ns_locked(m, ns);
	if (f->ns == NULL)
		f->refused = -ENOENT;
	else if (epoch != 0 && epoch != f->ns->info.epoch)
		f->refused = -ESTALE;
	else if (from_seq > f->ns->info.last_seq + 1)
		f->refused = -EAGAIN;
	f->next = m->follows;
	m->follows = f;
	*out = f;
	wake_locked(f);
	lock_give(&m->lock);
	return 0;
}

void
memory_follow_hold(struct backend *b, struct backend_follow *f, bool hold)
{
	struct memory *m = container_of(b, struct memory, base);

	lock_take(&m->lock);
	f->held = hold;
	if (!hold)
		wake_locked(f);
	lock_give(&m->lock);
}

void
memory_follow_stop(struct backend *b, struct backend_follow *f)
{
	struct memory *m = container_of(b, struct memory, base);

	lock_take(&m->lock);
	f->stopped = true;
	for (struct backend_follow **at = &m->follows; *at != NULL; at = &(*at)->next) {
		if (*at == f) {
			*at = f->next;
			break;
		}
	}
	while (f->calling)
		lock_wait(&m->lock, &m->called);
	unref_locked(f);
	lock_give(&m->lock);
}

/* Names */

static void
tell_changed(void *arg)
{
	struct memory *m = arg;

	lock_take(&m->lock);
	void (*changed)(void *, bool) = m->changed;
	void *changed_arg = m->changed_arg;
	m->hinting += changed != NULL;
	lock_give(&m->lock);
	if (changed == NULL)
		return;
	changed(changed_arg, false);
	lock_take(&m->lock);
	m->hinting--;
	pthread_cond_broadcast(&m->called);
	lock_give(&m->lock);
}

void
memory_names_changed(struct memory *m)
{
	if (timer_at(m->timer, 0, tell_changed, m) != 0)
		tell_changed(m);
}

void
memory_names_listen(struct backend *b, void (*changed)(void *arg, bool elected), void *arg)
{
	struct memory *m = container_of(b, struct memory, base);

	lock_take(&m->lock);
	m->changed = changed;
	m->changed_arg = arg;
	while (changed == NULL && m->hinting > 0)
		lock_wait(&m->lock, &m->called);
	lock_give(&m->lock);
}
