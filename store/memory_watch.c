#include <errno.h>
#include <stdlib.h>

#include "memory_state.h"

/* It is drained on the timer's thread only, so no two calls for it meet. */
struct backend_watch {
	struct backend_watch *next;
	struct memory *memory;
	const struct mem_ns *ns; /* NULL: removed */
	struct backend_watch_fns fns;
	void *arg;
	uint64_t next_seq;
	uint64_t first_all; /* from this sequence on every record is told, before it an actor's last one */
	unsigned refs;      /* the user's, and one for a drain to come */
	int refused;        /* told at once as the end */
	bool draining;      /* a drain is to come, or under way */
	bool begun;
	bool live;
	bool calling;
	bool stopped;
};

static void drain(void *arg);

static void
wake_locked(struct backend_watch *w)
{
	if (w->draining)
		return;
	w->draining = true;
	w->refs++;
	/* Without memory for that it waits for the next record. */
	if (timer_at(w->memory->timer, 0, drain, w) != 0) {
		w->draining = false;
		w->refs--;
	}
}

void
memory_wake_watches_locked(struct memory *m, const struct mem_ns *ns)
{
	for (struct backend_watch *w = m->watches; w != NULL; w = w->next)
		if (w->ns == ns)
			wake_locked(w);
}

void
memory_leave_watches_locked(struct memory *m, const struct mem_ns *ns)
{
	for (struct backend_watch *w = m->watches; w != NULL; w = w->next) {
		if (w->ns == ns) {
			w->ns = NULL;
			wake_locked(w);
		}
	}
}

/* The next record to tell, if there is one. The actor's name lives as long as the backend. */
static bool
next_record_locked(struct backend_watch *w, struct record *r, const char **name)
{
	while (w->ns != NULL && w->next_seq <= w->ns->info.last_seq) {
		uint64_t seq = w->next_seq++;
		const struct mem_place *place = &w->ns->places[seq - 1];
		bool last;
		const struct record *at = memory_record_at(place, &last);
		if (at == NULL || (seq < w->first_all && !last))
			continue;
		*r = *at;
		r->payload.p = NULL;
		*name = place->actor->name;
		return true;
	}
	return false;
}

/* Make one call that is due; false if none is. */
static bool
call_locked(struct backend_watch *w)
{
	struct memory *m = w->memory;
	struct record r;
	const char *name = NULL;
	int end = w->refused != 0 ? w->refused : w->ns == NULL ? -ENOENT : 0;
	bool begin = end == 0 && !w->begun;
	uint64_t epoch = begin ? w->ns->info.epoch : 0;

	if (w->stopped)
		return false;
	if (!begin && end == 0 && !next_record_locked(w, &r, &name) && w->live)
		return false;
	w->begun = true;
	w->live = w->live || (!begin && name == NULL);
	w->stopped = end != 0;
	w->calling = true;
	lock_give(&m->lock);
	if (end != 0)
		w->fns.end(w->arg, end);
	else if (begin)
		w->fns.begin(w->arg, epoch);
	else if (name != NULL)
		w->fns.record(w->arg, name, &r);
	else
		w->fns.live(w->arg);
	lock_take(&m->lock);
	w->calling = false;
	pthread_cond_broadcast(&m->called);
	return true;
}

static void
watch_unref_locked(struct backend_watch *w)
{
	if (--w->refs == 0)
		free(w);
}

static void
drain(void *arg)
{
	struct backend_watch *w = arg;
	struct memory *m = w->memory;

	lock_take(&m->lock);
	while (call_locked(w))
		;
	w->draining = false;
	watch_unref_locked(w);
	lock_give(&m->lock);
}

int
memory_watch(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns, void *arg,
    struct backend_watch **out)
{
	struct memory *m = container_of(b, struct memory, base);
	struct backend_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	*w = (struct backend_watch){ .memory = m, .fns = *fns, .arg = arg, .refs = 1 };
	lock_take(&m->lock);
	w->ns = memory_find_ns_locked(m, ns);
	if (w->ns == NULL)
		w->refused = -ENOENT;
	else if (from_seq != 0 && (epoch != w->ns->info.epoch || from_seq > w->ns->info.last_seq + 1))
		w->refused = -ESTALE;
	else
		w->first_all = w->ns->info.last_seq + 1;
	w->next_seq = from_seq != 0 ? from_seq : 1;
	if (from_seq != 0)
		w->first_all = 0;
	w->next = m->watches;
	m->watches = w;
	wake_locked(w);
	lock_give(&m->lock);
	*out = w;
	return 0;
}

void
memory_watch_stop(struct backend *b, struct backend_watch *w)
{
	struct memory *m = container_of(b, struct memory, base);

	lock_take(&m->lock);
	w->stopped = true;
	for (struct backend_watch **at = &m->watches; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	while (w->calling)
		lock_wait(&m->lock, &m->called);
	watch_unref_locked(w);
	lock_give(&m->lock);
}
