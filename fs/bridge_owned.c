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
#define TELL_PAUSE_NS (1 * NS_PER_SEC)
/* So many names are noted without letting others take the lock. */
#define NOTE_AT_ONCE 256

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

/* Note them, with the lock in between, for there may be many, and users wait for it. */
static void
note_all(struct bridge *b, const char *ns, const char *place, const struct buf *actors)
{
	bool known = true;

	for (size_t at = 0; known && at < actors->len;) {
		lock_take(&b->lock);
		known = bridge_find_locked(b, ns) != NULL;
		for (int i = 0; known && i < NOTE_AT_ONCE && at < actors->len; i++, at += strlen(actors->p + at) + 1)
			note_locked(b, place, actors->p + at + 1, actors->p[at] == '+');
		lock_give(&b->lock);
	}
	bridge_wake(b);
}

/* False: it has to be done again, for there is no answer just now, as while servers elect a leader. */
static bool
tell_namespace(struct bridge *b, const char *ns, const uint64_t *changed, const uint64_t *owned)
{
	char place[POKER_NAMES_MAX];
	struct buf actors = { 0 };

	lock_take(&b->lock);
	bool known = bridge_find_locked(b, ns) != NULL;
	lock_give(&b->lock);
	if (!known)
		return true;
	int err = put_place(place, ns) ? changed_actors(b, ns, changed, owned, &actors) : -ENAMETOOLONG;
	if (err == 0)
		note_all(b, ns, place, &actors);
	buf_free(&actors);
	if (err == -EACCES || err == -ENAMETOOLONG)
		log_warn(b->env->lg, "namespace %s: that this node owns other actors will not show in inotify: %s", ns, strerror(-err));
	return err == 0 || err == -ENOENT || err == -EACCES || err == -ENAMETOOLONG;
}

static struct owed **
find_owed(struct bridge *b, const char *ns)
{
	struct owed **at = &b->owed;

	while (*at != NULL && strcmp((*at)->ns, ns) != 0)
		at = &(*at)->next;
	return at;
}

/* That namespace is to be told how it is by now with the shards that have changed, be it as it was: who looked meanwhile saw otherwise. */
static void
owe(struct bridge *b, const char *ns, const uint64_t changed[BRIDGE_OWNED_WORDS])
{
	struct owed **at = find_owed(b, ns);
	size_t size = strlen(ns) + 1;

	if (*at == NULL) {
		struct owed *o = calloc(1, sizeof(*o) + size);
		if (o == NULL) {
			log_warn(b->env->lg, "namespace %s: that this node owns other actors will not show in inotify: no memory", ns);
			return;
		}
		memcpy(o->ns, ns, size);
		*at = o;
	}
	for (unsigned i = 0; i < BRIDGE_OWNED_WORDS; i++)
		(*at)->changed[i] |= changed[i];
}

static void
owe_all(struct bridge *b, const uint64_t changed[BRIDGE_OWNED_WORDS])
{
	struct buf names = { 0 };
	struct table_link *link = NULL;

	lock_take(&b->lock);
	while ((link = table_next(&b->known, link)) != NULL) {
		const struct known *k = container_of(link, struct known, link);
		if (k->owned_known)
			buf_put(&names, k->ns, strlen(k->ns) + 1);
	}
	lock_give(&b->lock);
	for (size_t at = 0; !names.failed && at < names.len; at += strlen(names.p + at) + 1)
		owe(b, names.p + at, changed);
	buf_free(&names);
}

static void tell_again(void *arg);

/* Runs on the worker's thread. */
static void
tell(void *arg)
{
	struct bridge *b = arg;
	uint64_t changed[BRIDGE_OWNED_WORDS], owned[BRIDGE_OWNED_WORDS];

	atomic_store(&b->owned_due, false);
	if (is_over(b))
		return;
	if (compare(b, changed, owned))
		owe_all(b, changed);
	for (struct owed **at = &b->owed; *at != NULL && !is_over(b);) {
		struct owed *o = *at;
		if (tell_namespace(b, o->ns, o->changed, owned)) {
			*at = o->next;
			free(o);
		} else {
			at = &o->next;
		}
	}
	if (b->owed != NULL && !b->owed_again)
		b->owed_again = timer_at(b->worker, bridge_now(b) + TELL_PAUSE_NS, tell_again, b) == 0;
}

static void
tell_again(void *arg)
{
	struct bridge *b = arg;

	b->owed_again = false;
	tell(b);
}

void
bridge_owned_changed(struct bridge *b)
{
	if (b->worker != NULL && !atomic_exchange(&b->owned_due, true) && timer_at(b->worker, 0, tell, b) != 0)
		atomic_store(&b->owned_due, false);
}

void
bridge_owned_end(struct bridge *b)
{
	while (b->owed != NULL) {
		struct owed *o = b->owed;
		b->owed = o->next;
		free(o);
	}
}
