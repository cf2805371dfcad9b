#include "erase.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "index.h"
#include "snapshot.h"
#include "state.h"
#include "types.h"

/* So many at once: nearly all the time of each is waiting. */
#define THREADS 16

struct erasure {
	struct append append;
	sem_t done;
	int err;
};

static void
on_erased(struct append *ap, int err)
{
	struct erasure *e = ap->user;

	e->err = err;
	sem_post(&e->done);
}

static int
put_tombstone(struct actor *a, uint64_t *seq)
{
	struct erasure e = { .append = { .data = "", .erase = true, .done = on_erased } };

	e.append.user = &e;
	sem_init(&e.done, 0, 0);
	actor_append(a, &e.append);
	while (sem_wait(&e.done) != 0)
		;
	sem_destroy(&e.done);
	*seq = e.append.life;
	return e.err;
}

static int
purge(struct actor *a, uint64_t before_seq)
{
	struct store *s = a->store;
	struct backend *b = s->backend;
	int64_t deadline_ns = store_deadline(s);
	unsigned tries = 0;
	int err;

	do
		err = b->ops->purge(b, actor_full_name(a), before_seq, deadline_ns);
	while ((err == -ENOTCONN || err == -ETIMEDOUT) &&
	       (err = wait_retry(b, s->clock, deadline_ns, &tries)) == 0);
	/* No such namespace any more. */
	if (err == 0 || err == -ENOENT)
		return 0;
	log_error(s->lg, "%s/%s: is erased, but its old events are still in NATS: %s", a->ns, a->name, strerrorname_np(-err));
	return err;
}

int
actor_erase(struct actor *a)
{
	uint64_t seq;
	int err = put_tombstone(a, &seq);

	if (err != 0)
		return err;
	types_erased(a->store, a->ns);
	snapshot_drop(a->store, a->ns, a->name);
	return purge(a, seq);
}

/* All of a namespace */

struct all {
	struct store *store;
	const char *ns;
	struct index *index;
	atomic_int err; /* what went wrong first; ends it */
};

/* A part of them: every THREADSth position of the index, so that nobody has to be asked for the next one. */
struct part {
	struct all *all;
	uint64_t number;
	pthread_t thread;
};

static int
erase_named(struct store *s, const char *ns, const char *name)
{
	struct actor *a;
	int err = actor_get(s, ns, name, &a);

	if (err != 0)
		return err;
	err = actor_erase(a);
	actor_put(a);
	/* Somebody else was faster. */
	return err == -ENOENT ? 0 : err;
}

static void *
erase_part(void *arg)
{
	struct part *p = arg;
	struct all *all = p->all;
	struct index_entry e;
	uint64_t position = 0;
	int none = 0, more;

	while (atomic_load(&all->err) == 0 && (more = index_next(all->index, &position, &e)) != 0) {
		if (more > 0 && (position - 1) % THREADS == p->number)
			more = erase_named(all->store, all->ns, e.name);
		if (more < 0)
			atomic_compare_exchange_strong(&all->err, &none, more);
	}
	return NULL;
}

int
erase_all(struct store *s, const char *ns)
{
	struct all all = { .store = s, .ns = ns };
	struct part parts[THREADS];
	size_t started = 0;

	int err = index_get(s, ns, &all.index);
	if (err != 0)
		return err;
	for (size_t i = 0; i < THREADS; i++)
		parts[i] = (struct part){ .all = &all, .number = i };
	while (started < THREADS && pthread_create(&parts[started].thread, NULL, erase_part, &parts[started]) == 0)
		started++;
	for (size_t i = started; i < THREADS; i++)
		erase_part(&parts[i]);
	for (size_t i = 0; i < started; i++)
		pthread_join(parts[i].thread, NULL);
	index_put(all.index);
	return atomic_load(&all.err);
}
