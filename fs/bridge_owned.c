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

/* An index that has no answer in its time is asked again so long after. */
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

/* The actors of a namespace whose ownership has changed, each with its NUL, and before it '+' or '-'. Nothing of that if it is not all of them. */
static int
changed_actors(struct bridge *b, const char *ns, const uint64_t *changed, const uint64_t *owned, struct buf *out)
{
	struct index_entry e;
	struct index *x;
	uint64_t at = 0;
	int got, err = index_get(b->env->store, ns, &x);

	if (err != 0)
		return err;
	while ((got = index_next(x, &at, &e)) == 1) {
		unsigned shard = b->env->options.cluster.shard_of(ns, e.name);
		if (!has(changed, shard) || name_check_actor(span_of(e.name)) != 0)
			continue;
		buf_putc(out, has(owned, shard) ? '+' : '-');
		buf_put(out, e.name, strlen(e.name) + 1);
	}
	/* What was made while it lagged is not in it yet. */
	if (got == 0 && !index_is_live(x))
		got = -EAGAIN;
	index_put(x);
	return got < 0 ? got : out->failed ? -ENOMEM : 0;
}

/* False: it has to be done again, for there is no answer just now, as while servers elect a leader. */
static bool
tell_namespace(struct bridge *b, const char *ns, const uint64_t *changed, const uint64_t *owned)
{
	char place[POKER_NAMES_MAX];
	struct buf actors = { 0 };

	int err = put_place(place, ns) ? changed_actors(b, ns, changed, owned, &actors) : -ENAMETOOLONG;
	lock_take(&b->lock);
	bool known = bridge_find_locked(b, ns) != NULL;
	for (size_t at = 0; known && err == 0 && at < actors.len; at += strlen(actors.p + at) + 1)
		note_locked(b, place, actors.p + at + 1, actors.p[at] == '+');
	lock_give(&b->lock);
	buf_free(&actors);
	bridge_wake(b);
	if (err == -EACCES || err == -ENAMETOOLONG)
		log_warn(b->env->lg, "namespace %s: that this node owns other actors will not show in inotify: %s", ns, strerror(-err));
	return !known || err == 0 || err == -ENOENT || err == -EACCES || err == -ENAMETOOLONG;
}

/* The same for several, until all of them are told. */
static void
tell_all(struct bridge *b, struct buf *names, const uint64_t *changed, const uint64_t *owned)
{
	while (names->len > 0 && !names->failed) {
		struct buf again = { 0 };
		for (size_t at = 0; at < names->len && !is_over(b); at += strlen(names->p + at) + 1)
			if (!tell_namespace(b, names->p + at, changed, owned))
				buf_put(&again, names->p + at, strlen(names->p + at) + 1);
		buf_free(names);
		*names = again;
		if (names->len > 0 && !pause_unless_over(b))
			return;
	}
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
	tell_all(b, &names, changed, owned);
	buf_free(&names);
}

void
bridge_owned_changed(struct bridge *b)
{
	if (b->worker != NULL && !atomic_exchange(&b->owned_due, true) && timer_at(b->worker, 0, tell, b) != 0)
		atomic_store(&b->owned_due, false);
}
