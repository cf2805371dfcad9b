/*
 * inotify for the `owned` of namespaces: a link appears and goes with the actor, and with the ownership of its shard.
 *
 * To the pokes a link is a name of its own, in a place that is no namespace's name: OWNED_PATH behind it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../store/index.h"
#include "../store/name.h"
#include "bridge_state.h"
#include "cluster_files.h"

#define SHARDS (64 * BRIDGE_OWNED_WORDS)

/* How often an index that has no answer in its time is asked again, and how long after. */
#define TELL_TRIES 3
#define TELL_PAUSE_NS (500 * NS_PER_MS)

static bool
put_place(char place[POKER_NAMES_MAX], const char *ns)
{
	size_t len = strlen(ns);

	if (len + sizeof(OWNED_PATH) > POKER_NAMES_MAX)
		return false;
	memcpy(place, ns, len);
	memcpy(place + len, OWNED_PATH, sizeof(OWNED_PATH));
	return true;
}

static void
note_locked(struct bridge *b, const char *place, const char *actor, bool made)
{
	struct poke_news news = { .made = made, .gone = !made };

	(void)pokes_record(&b->pokes, place, actor, &news, bridge_now(b));
}

void
bridge_owned_record(struct bridge *b, const char *ns, const char *actor, bool made)
{
	char place[POKER_NAMES_MAX];

	lock_take(&b->lock);
	const struct known *k = bridge_find_locked(b, ns);
	bool known = k != NULL && k->owned_known;
	lock_give(&b->lock);
	if (!known || !put_place(place, ns) || !cluster_owns_actor(b->env, ns, actor))
		return;
	lock_take(&b->lock);
	note_locked(b, place, actor, made);
	lock_give(&b->lock);
}

void
bridge_owned_forget_locked(struct bridge *b, const char *ns)
{
	char place[POKER_NAMES_MAX];

	if (put_place(place, ns))
		pokes_forget(&b->pokes, place);
}

void
bridge_owned_known(struct bridge *b, const char *ns)
{
	lock_take(&b->lock);
	struct known *k = bridge_find_locked(b, ns);
	if (k != NULL)
		k->owned_known = true;
	lock_give(&b->lock);
}

/* What differs from what was owned before; that is replaced. */
static bool
compare(struct bridge *b, uint64_t changed[BRIDGE_OWNED_WORDS], uint64_t owned[BRIDGE_OWNED_WORDS])
{
	const struct fs_cluster *c = &b->env->options.cluster;
	bool any = false;

	memset(owned, 0, BRIDGE_OWNED_WORDS * sizeof(*owned));
	for (unsigned s = 0; s < SHARDS; s++)
		if (c->owns(c->arg, s))
			owned[s / 64] |= UINT64_C(1) << s % 64;
	for (unsigned i = 0; i < BRIDGE_OWNED_WORDS; i++) {
		changed[i] = owned[i] ^ b->owned[i];
		b->owned[i] = owned[i];
		any |= changed[i] != 0;
	}
	return any;
}

static bool
has(const uint64_t words[BRIDGE_OWNED_WORDS], unsigned shard)
{
	return shard < SHARDS && (words[shard / 64] >> shard % 64 & 1) != 0;
}

/* False: the worker is to come to an end. */
static bool
pause_unless_over(struct bridge *b)
{
	int64_t until_ns = bridge_now(b) + TELL_PAUSE_NS;

	lock_take(&b->lock);
	while (!b->owned_over && lock_wait_until(&b->lock, &b->owned_wake, until_ns))
		;
	bool go = !b->owned_over;
	lock_give(&b->lock);
	return go;
}

static bool
is_over(struct bridge *b)
{
	lock_take(&b->lock);
	bool over = b->owned_over;
	lock_give(&b->lock);
	return over;
}

/* False at the end. Where the index has no answer, as while servers elect a leader, it is asked again. */
static bool
next_actor(struct bridge *b, const char *ns, struct index *x, uint64_t *at, struct index_entry *e)
{
	int got = index_next(x, at, e);

	for (unsigned tries = 0; got == -ETIMEDOUT && tries < TELL_TRIES && pause_unless_over(b); tries++)
		got = index_next(x, at, e);
	if (got < 0 && got != -ENOENT)
		log_warn(b->env->lg, "namespace %s: not all actors that this node owns now show in inotify: %s", ns, strerror(-got));
	return got == 1;
}

/* Go through the actors of a namespace. */
static void
tell_namespace(struct bridge *b, const char *ns, const uint64_t *changed, const uint64_t *owned)
{
	char place[POKER_NAMES_MAX];
	struct index_entry e;
	struct index *x;
	uint64_t at = 0;

	int err = put_place(place, ns) ? index_get(b->env->store, ns, &x) : -ENAMETOOLONG;
	if (err != 0) {
		if (err != -ENOENT)
			log_warn(b->env->lg, "namespace %s: that this node owns other actors will not show in inotify: %s", ns, strerror(-err));
		return;
	}
	while (next_actor(b, ns, x, &at, &e)) {
		unsigned shard = b->env->options.cluster.shard_of(ns, e.name);
		if (!has(changed, shard) || name_check_actor(span_of(e.name)) != 0)
			continue;
		lock_take(&b->lock);
		note_locked(b, place, e.name, has(owned, shard));
		lock_give(&b->lock);
	}
	index_put(x);
	bridge_wake(b);
}

/* Runs on the worker's thread. */
static void
tell(void *arg)
{
	struct bridge *b = arg;
	uint64_t changed[BRIDGE_OWNED_WORDS], owned[BRIDGE_OWNED_WORDS];
	struct buf names = { 0 };
	struct table_link *link = NULL;

	atomic_store(&b->owned_due, false);
	if (is_over(b) || !compare(b, changed, owned))
		return;
	lock_take(&b->lock);
	while ((link = table_next(&b->known, link)) != NULL) {
		const struct known *k = container_of(link, struct known, link);
		if (k->owned_known)
			buf_put(&names, k->ns, strlen(k->ns) + 1);
	}
	lock_give(&b->lock);
	for (size_t at = 0; !names.failed && at < names.len && !is_over(b); at += strlen(names.p + at) + 1)
		tell_namespace(b, names.p + at, changed, owned);
	buf_free(&names);
}

void
bridge_owned_changed(struct bridge *b)
{
	if (b->worker != NULL && !atomic_exchange(&b->owned_due, true))
		(void)timer_at(b->worker, 0, tell, b);
}
