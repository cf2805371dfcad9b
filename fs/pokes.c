#include "pokes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PACE_NS (NS_PER_SEC / POKES_RATE)
#define PACE_AGAIN_NS (NS_PER_SEC / POKES_RATE_AGAIN)

struct key {
	const char *ns;
	const char *actor;
};

static uint64_t
hash_of(const char *ns, const char *actor)
{
	uint64_t hash = XXH3_64bits(ns, strlen(ns));

	return actor != NULL ? XXH3_64bits_withSeed(actor, strlen(actor), hash) : hash;
}

static bool
matches(const struct table_link *link, const void *arg)
{
	const struct poke *k = container_of(link, const struct poke, link);
	const struct key *key = arg;

	if ((k->actor == NULL) != (key->actor == NULL) || strcmp(k->ns, key->ns) != 0)
		return false;
	return k->actor == NULL || strcmp(k->actor, key->actor) == 0;
}

void
pokes_init(struct pokes *p)
{
	*p = (struct pokes){ 0 };
	TAILQ_INIT(&p->hatching);
	TAILQ_INIT(&p->ready);
	TAILQ_INIT(&p->again);
	TAILQ_INIT(&p->resting);
	TAILQ_INIT(&p->kept);
}

void
pokes_free(struct pokes *p)
{
	struct table_link *link;

	while ((link = table_pop(&p->names)) != NULL)
		free(container_of(link, struct poke, link));
	table_free(&p->names);
	pokes_init(p);
}

struct poke *
pokes_find(struct pokes *p, const char *ns, const char *actor)
{
	struct key key = { ns, actor };
	struct table_link *link = table_find(&p->names, hash_of(ns, actor), matches, &key);

	return link != NULL ? container_of(link, struct poke, link) : NULL;
}

static bool
any(struct poke_marks m)
{
	return m.gone_first || m.made || m.changed || m.gone_last;
}

/* A new name is KEPT, with nothing to keep, until the caller has settled it. */
static struct poke *
get(struct pokes *p, const char *ns, const char *actor)
{
	size_t ns_size = strlen(ns) + 1, actor_size = actor != NULL ? strlen(actor) + 1 : 0;
	struct poke *k = pokes_find(p, ns, actor);

	if (k != NULL)
		return k;
	k = calloc(1, sizeof(*k) + ns_size + actor_size);
	if (k == NULL)
		return NULL;
	memcpy(k->ns, ns, ns_size);
	if (actor != NULL)
		k->actor = memcpy(k->ns + ns_size, actor, actor_size);
	if (table_add(&p->names, hash_of(ns, actor), &k->link) != 0) {
		free(k);
		return NULL;
	}
	k->state = POKE_KEPT;
	TAILQ_INSERT_TAIL(&p->kept, k, queue);
	return k;
}

static struct poke_queue *
queue_of(struct pokes *p, enum poke_state state, bool again)
{
	switch (state) {
	case POKE_HATCHING:
		return &p->hatching;
	case POKE_READY:
		return again ? &p->again : &p->ready;
	case POKE_RESTING:
		return &p->resting;
	case POKE_KEPT:
		return &p->kept;
	case POKE_TELLING:
		return NULL;
	}
	return NULL;
}

static bool
waits(const struct poke *k)
{
	return k->state == POKE_HATCHING || k->state == POKE_READY || (k->state == POKE_RESTING && any(k->marks));
}

/* Into another state, at the end of its queue. was: did it wait before its marks were changed? */
static void
move(struct pokes *p, struct poke *k, enum poke_state state, int64_t due_ns, bool was)
{
	struct poke_queue *from = queue_of(p, k->state, k->again), *to = queue_of(p, state, k->again);

	if (from != NULL)
		TAILQ_REMOVE(from, k, queue);
	k->state = state;
	k->due_ns = due_ns;
	if (to != NULL)
		TAILQ_INSERT_TAIL(to, k, queue);
	p->waiting += waits(k);
	p->waiting -= was;
}

static void
drop(struct pokes *p, struct poke *k)
{
	struct poke_queue *from = queue_of(p, k->state, k->again);

	p->waiting -= waits(k);
	if (from != NULL)
		TAILQ_REMOVE(from, k, queue);
	table_remove(&p->names, &k->link);
	free(k);
}

/* Where a name belongs that is neither being told nor resting, and waited before or not. */
static void
settle(struct pokes *p, struct poke *k, bool was, int64_t now_ns)
{
	bool young = k->marks.made && !k->marks.changed && !k->marks.gone_last && !k->marks.gone_first;

	if (k->state == POKE_TELLING || k->state == POKE_RESTING) {
		p->waiting += waits(k);
		p->waiting -= was;
	} else if (any(k->marks)) {
		bool hatch = young && k->actor != NULL;
		if (hatch && k->state == POKE_HATCHING)
			return;
		if (k->state != POKE_READY)
			move(p, k, hatch ? POKE_HATCHING : POKE_READY, now_ns + POKES_HATCH_NS, was);
	} else if (k->doubtful || k->made_here) {
		move(p, k, POKE_KEPT, now_ns + POKES_KEEP_NS, was);
	} else {
		move(p, k, POKE_KEPT, now_ns, was);
		drop(p, k);
	}
}

static void
mark(struct poke_marks *m, enum poke_step what)
{
	if (m->gone_last && what != POKE_GONE) {
		/* What came and went untold is left out; what was there before must go first. */
		m->gone_first |= !m->made;
		m->made = true;
		m->changed = false;
		m->gone_last = false;
	}
	switch (what) {
	case POKE_GONE:
		if (m->made || m->changed)
			m->gone_last = true;
		else
			m->gone_first = true;
		break;
	case POKE_MADE:
		m->made = true;
		break;
	case POKE_CHANGED:
		m->changed = true;
		break;
	case POKE_NONE:
		break;
	}
}

static void
mark_all(struct poke_marks *m, struct poke_marks later)
{
	if (later.gone_first)
		mark(m, POKE_GONE);
	if (later.made)
		mark(m, POKE_MADE);
	if (later.changed)
		mark(m, POKE_CHANGED);
	if (later.gone_last)
		mark(m, POKE_GONE);
}

int
pokes_record(struct pokes *p, const char *ns, const char *actor, const struct poke_news *news, int64_t now_ns)
{
	struct poke *k = pokes_find(p, ns, actor);
	bool changed = news->changed, made = news->made, gone = news->gone;

	if (k != NULL && news->head.seq > k->head.seq)
		k->head = news->head;
	if (news->own) {
		if (k == NULL || !k->doubtful)
			return 0;
		/* What of it the kernel has seen is not known. */
		changed = !gone;
	}
	if (k == NULL && (k = get(p, ns, actor)) == NULL)
		return -ENOMEM;
	bool was = waits(k);
	if (news->own)
		k->doubtful = false;
	if (made && k->made_here) {
		k->made_here = false;
		made = false;
	}
	if (gone)
		mark(&k->marks, POKE_GONE);
	if (made)
		mark(&k->marks, POKE_MADE);
	if (changed)
		mark(&k->marks, POKE_CHANGED);
	if (news->head.seq > k->head.seq)
		k->head = news->head;
	settle(p, k, was, now_ns);
	return 0;
}

int
pokes_namespace(struct pokes *p, const char *ns, bool made, int64_t now_ns)
{
	struct poke *k = get(p, ns, NULL);

	if (k == NULL)
		return -ENOMEM;
	bool was = waits(k);
	if (made && k->made_here)
		k->made_here = false;
	else
		mark(&k->marks, made ? POKE_MADE : POKE_GONE);
	settle(p, k, was, now_ns);
	return 0;
}

void
pokes_doubt(struct pokes *p, const char *ns, const char *actor, int64_t now_ns)
{
	struct poke *k = get(p, ns, actor);

	if (k == NULL)
		return;
	bool was = waits(k);
	mark(&k->marks, POKE_CHANGED);
	k->doubtful = true;
	settle(p, k, was, now_ns);
}

/* What is being done, and what is left to do, is over; what is being done is told so when it asks. */
static void
call_off(struct poke *k)
{
	k->left = (struct poke_marks){ 0 };
	k->step = POKE_NONE;
	k->with_change = false;
}

void
pokes_made_here(struct pokes *p, const char *ns, const char *actor, bool existed, int64_t now_ns)
{
	struct poke *k = existed ? get(p, ns, actor) : pokes_find(p, ns, actor);

	if (k == NULL)
		return;
	bool was = waits(k), telling = k->state == POKE_TELLING;
	bool known = k->marks.made || (telling && (k->left.made || k->step == POKE_MADE));
	/* What others have appended since is news all the same. */
	bool changed = existed && (k->marks.changed || (telling && (k->left.changed || k->with_change)));
	k->marks = (struct poke_marks){ .changed = changed };
	if (telling)
		call_off(k);
	k->made_here = existed && !known;
	settle(p, k, was, now_ns);
}

void
pokes_gone_here(struct pokes *p, const char *ns, const char *actor, int64_t now_ns)
{
	struct poke *k = pokes_find(p, ns, actor);

	if (k == NULL)
		return;
	bool was = waits(k);
	k->marks = (struct poke_marks){ 0 };
	if (k->state == POKE_TELLING)
		call_off(k);
	settle(p, k, was, now_ns);
}

/* Begin the next step of what is left. */
static void
take_step(struct poke *k)
{
	struct poke_marks *m = &k->left;

	k->step = POKE_NONE;
	k->with_change = false;
	if (m->gone_first) {
		k->step = POKE_GONE;
		m->gone_first = false;
	} else if (m->made) {
		k->step = POKE_MADE;
		k->with_change = m->changed;
		m->made = m->changed = false;
	} else if (m->changed) {
		k->step = POKE_CHANGED;
		m->changed = false;
	} else if (m->gone_last) {
		k->step = POKE_GONE;
		m->gone_last = false;
	}
}

/* Rested and hatched names become what they are due to be. */
static void
advance(struct pokes *p, int64_t now_ns)
{
	struct poke *k;

	while ((k = TAILQ_FIRST(&p->hatching)) != NULL && k->due_ns <= now_ns)
		move(p, k, POKE_READY, 0, true);
	while ((k = TAILQ_FIRST(&p->resting)) != NULL && k->due_ns <= now_ns) {
		bool was = waits(k);
		move(p, k, POKE_KEPT, now_ns, was);
		k->again = any(k->marks);
		settle(p, k, false, now_ns);
	}
	while ((k = TAILQ_FIRST(&p->kept)) != NULL && k->due_ns <= now_ns)
		drop(p, k);
}

/* The next one, if the pace allows it. */
static struct poke *
next_ready(struct pokes *p, int64_t now_ns)
{
	int64_t earliest = now_ns - POKES_BURST * PACE_NS;
	struct poke *k = TAILQ_FIRST(&p->ready);

	if (k != NULL && p->paced_ns <= now_ns) {
		p->paced_ns = (p->paced_ns > earliest ? p->paced_ns : earliest) + PACE_NS;
		return k;
	}
	k = TAILQ_FIRST(&p->again);
	if (k == NULL || p->paced_again_ns > now_ns)
		return NULL;
	p->paced_again_ns = now_ns + PACE_AGAIN_NS;
	return k;
}

struct poke *
pokes_take(struct pokes *p, int64_t now_ns)
{
	advance(p, now_ns);
	struct poke *k = next_ready(p, now_ns);
	if (k == NULL)
		return NULL;
	k->left = k->marks;
	k->marks = (struct poke_marks){ 0 };
	move(p, k, POKE_TELLING, 0, true);
	k->again = false;
	take_step(k);
	return k;
}

bool
pokes_next_step(struct pokes *p, struct poke *k, int64_t now_ns)
{
	take_step(k);
	if (k->step != POKE_NONE)
		return true;
	move(p, k, POKE_RESTING, now_ns + POKES_REST_NS, false);
	return false;
}

void
pokes_put_back(struct pokes *p, struct poke *k, int64_t now_ns)
{
	struct poke_marks all = { 0 };

	mark(&all, k->step);
	if (k->with_change)
		mark(&all, POKE_CHANGED);
	mark_all(&all, k->left);
	mark_all(&all, k->marks);
	k->marks = all;
	k->left = (struct poke_marks){ 0 };
	k->step = POKE_NONE;
	move(p, k, POKE_KEPT, now_ns, false);
	settle(p, k, false, now_ns);
}

int64_t
pokes_due(struct pokes *p, int64_t now_ns)
{
	int64_t due_ns = INT64_MAX;

	advance(p, now_ns);
	if (!TAILQ_EMPTY(&p->ready))
		due_ns = p->paced_ns;
	if (!TAILQ_EMPTY(&p->again) && p->paced_again_ns < due_ns)
		due_ns = p->paced_again_ns;
	const struct poke *firsts[] = { TAILQ_FIRST(&p->hatching), TAILQ_FIRST(&p->resting), TAILQ_FIRST(&p->kept) };
	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++)
		if (firsts[i] != NULL && firsts[i]->due_ns < due_ns)
			due_ns = firsts[i]->due_ns;
	return due_ns;
}

size_t
pokes_waiting(const struct pokes *p)
{
	return p->waiting;
}

void
pokes_forget(struct pokes *p, const char *ns)
{
	struct table_link *link = table_next(&p->names, NULL), *next;

	for (; link != NULL; link = next) {
		next = table_next(&p->names, link);
		struct poke *k = container_of(link, struct poke, link);
		if (k->actor == NULL || strcmp(k->ns, ns) != 0)
			continue;
		if (k->state == POKE_TELLING)
			k->marks = (struct poke_marks){ 0 };
		else
			drop(p, k);
	}
}
