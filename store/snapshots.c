/* Taking snapshots in the background: which are due, and the thread that takes them. */
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "snapshot_state.h"
#include "state.h"
#include "timer.h"

/* Who has heard that one is due is the only one: while the store has no answer he tries again, so often. */
#define TRIES 10
#define AGAIN_NS (2 * NS_PER_SEC)

struct snapshots {
	struct store *store;
	uint64_t every;
	snapshots_due_fn due;
	void *arg;
	struct timer *thread;
	atomic_bool ending;
	atomic_uint_fast64_t taken;

	struct lock lock;
	struct table actors; /* struct due; guarded by lock */
};

/* An actor of which one is to be taken, or that has too much state for one. */
struct due {
	struct table_link link;
	struct snapshots *owner;
	bool waits;         /* for the thread */
	unsigned tries;     /* how often in a row the store had no answer */
	uint64_t not_below; /* it was too large with so many events: not before there are twice as many */
	const char *actor;  /* behind ns */
	char ns[];
};

static bool
due_match(const struct table_link *link, const void *key)
{
	const struct due *d = container_of(link, struct due, link);
	const struct actor_name *name = key;

	return strcmp(d->ns, name->ns) == 0 && strcmp(d->actor, name->actor) == 0;
}

static uint64_t
due_hash(const char *ns, const char *actor)
{
	return XXH3_64bits_withSeed(actor, strlen(actor), XXH3_64bits(ns, strlen(ns)));
}

static struct due *
due_of_locked(struct snapshots *sn, const char *ns, const char *actor)
{
	struct actor_name name = { ns, actor };
	uint64_t hash = due_hash(ns, actor);
	struct table_link *link = table_find(&sn->actors, hash, due_match, &name);
	size_t ns_size = strlen(ns) + 1, actor_size = strlen(actor) + 1;

	if (link != NULL)
		return container_of(link, struct due, link);
	struct due *d = calloc(1, sizeof(*d) + ns_size + actor_size);
	if (d == NULL)
		return NULL;
	d->owner = sn;
	memcpy(d->ns, ns, ns_size);
	d->actor = memcpy(d->ns + ns_size, actor, actor_size);
	if (table_add(&sn->actors, hash, &d->link) == 0)
		return d;
	free(d);
	return NULL;
}

/* 0: no more of it until it is due again. *large: with so many events it is too large. */
static int
take_one(struct snapshots *sn, const char *ns, const char *name, uint64_t not_below, uint64_t *large)
{
	struct folded folded = { 0 };
	struct head head;
	struct actor *a;
	int err = actor_get(sn->store, ns, name, &a);

	if (err != 0)
		return err;
	err = actor_head(a, 0, false, &head);
	if (err == 0 && head.count >= not_below)
		err = snapshot_fold(a, (sn->every + 1) / 2, &folded); /* one may have been taken late */
	else if (err == 0)
		err = -EALREADY;
	if (err == 0 && (err = snapshot_keep(a, &folded)) == 0)
		atomic_fetch_add(&sn->taken, 1);
	if (err == -EMSGSIZE)
		*large = folded.head.count;
	fold_free(folded.fold);
	actor_put(a);
	/* Somebody else has, or there is nothing to take one of. */
	return err == -EALREADY || err == -ESTALE || err == -ENOENT ? 0 : err;
}

/* On the thread. */
static void
take(void *arg)
{
	struct due *d = arg;
	struct snapshots *sn = d->owner;
	uint64_t large = 0;
	int err = 0;

	lock_take(&sn->lock);
	d->waits = false; /* what comes from here on is not in it */
	uint64_t not_below = d->not_below;
	lock_give(&sn->lock);
	if (!atomic_load(&sn->ending))
		err = take_one(sn, d->ns, d->actor, not_below, &large);
	if (err == -EMSGSIZE)
		log_warn(sn->store->lg, "%s/%s: its state is larger than a message may be: it is read without a snapshot", d->ns, d->actor);
	bool away = (err == -ETIMEDOUT || err == -ENOTCONN) && d->tries < TRIES;
	if (err != 0 && err != -EMSGSIZE && !away)
		log_warn(sn->store->lg, "%s/%s: no snapshot was taken: %s", d->ns, d->actor, strerror(-err));
	lock_take(&sn->lock);
	d->tries = away ? d->tries + 1 : 0;
	if (large > 0)
		d->not_below = 2 * large;
	if (away && !d->waits && !atomic_load(&sn->ending))
		d->waits = timer_at(sn->thread, clock_mono(sn->store->clock) + AGAIN_NS, take, d) == 0;
	bool done = !d->waits && d->not_below == 0;
	if (done)
		table_remove(&sn->actors, &d->link);
	lock_give(&sn->lock);
	if (done)
		free(d);
}

void
snapshots_later(struct snapshots *sn, const char *ns, const char *actor)
{
	lock_take(&sn->lock);
	struct due *d = atomic_load(&sn->ending) ? NULL : due_of_locked(sn, ns, actor);
	bool first = d != NULL && !d->waits;
	if (first)
		d->waits = timer_at(sn->thread, 0, take, d) == 0;
	lock_give(&sn->lock);
}

int
snapshots_new(struct snapshots **out, struct store *s, uint64_t every, snapshots_due_fn due, void *arg)
{
	struct snapshots *sn = calloc(1, sizeof(*sn));
	int err = sn == NULL ? -ENOMEM : timer_new(&sn->thread, s->clock);

	if (err != 0) {
		free(sn);
		return err;
	}
	sn->store = s;
	sn->every = every;
	sn->due = due;
	sn->arg = arg;
	atomic_init(&sn->ending, false);
	atomic_init(&sn->taken, 0);
	lock_init(&sn->lock, LOCK_SNAPSHOTS);
	s->snapshots = sn;
	*out = sn;
	return 0;
}

uint64_t
snapshots_taken(const struct store *s)
{
	return s->snapshots != NULL ? atomic_load(&s->snapshots->taken) : 0;
}

void
snapshots_stop(struct snapshots *sn)
{
	if (sn == NULL)
		return;
	lock_take(&sn->lock);
	atomic_store(&sn->ending, true);
	lock_give(&sn->lock);
	timer_free(sn->thread);
	sn->thread = NULL;
}

void
snapshots_free(struct snapshots *sn)
{
	struct table_link *link;

	if (sn == NULL)
		return;
	while ((link = table_pop(&sn->actors)) != NULL)
		free(container_of(link, struct due, link));
	table_free(&sn->actors);
	lock_destroy(&sn->lock);
	free(sn);
}

void
snapshot_note(struct actor *a, uint64_t before, uint64_t after)
{
	struct snapshots *sn = a->store->snapshots;

	if (sn == NULL || before / sn->every == after / sn->every)
		return;
	if (sn->due != NULL)
		sn->due(sn->arg, a->ns, a->name);
	else
		snapshots_later(sn, a->ns, a->name);
}
