#include "actor.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "index.h"
#include "readahead.h"
#include "state.h"
#include "types.h"

static bool
match(const struct table_link *link, const void *key)
{
	const struct actor *a = container_of(link, struct actor, link);
	const struct actor_name *name = key;

	return strcmp(a->name, name->actor) == 0 && strcmp(a->ns, name->ns) == 0;
}

static struct actor *
new_actor(struct store *s, struct actor_name name)
{
	size_t name_size = strlen(name.actor) + 1, ns_size = strlen(name.ns) + 1;
	struct actor *a = calloc(1, sizeof(*a) + name_size + ns_size);

	if (a == NULL)
		return NULL;
	memcpy(a->name, name.actor, name_size);
	memcpy(a->name + name_size, name.ns, ns_size);
	a->ns = a->name + name_size;
	a->store = s;
	a->refs = 1;
	lock_init(&a->lock, LOCK_ACTOR);
	cache_file_init(&a->file);
	return a;
}

static void
free_actor(struct actor *a)
{
	cache_file_destroy(a->store->cache, &a->file);
	dedup_free(a->dedup);
	free(a->queue);
	lock_destroy(&a->lock);
	free(a);
}

static uint64_t
name_hash(const struct actor_name *name)
{
	return XXH3_64bits_withSeed(name->actor, strlen(name->actor), XXH3_64bits(name->ns, strlen(name->ns)));
}

int
actor_get(struct store *s, const char *ns, const char *name, struct actor **out)
{
	struct actor_name full = { ns, name };
	uint64_t hash = name_hash(&full);
	int err = 0;

	lock_take(&s->lock);
	struct table_link *link = table_find(&s->actors, hash, match, &full);
	if (link != NULL) {
		*out = container_of(link, struct actor, link);
		(*out)->refs++;
	} else {
		*out = new_actor(s, full);
		err = *out == NULL ? -ENOMEM : table_add(&s->actors, hash, &(*out)->link);
		if (err != 0 && *out != NULL)
			free_actor(*out);
	}
	lock_give(&s->lock);
	return err;
}

void
actor_put(struct actor *a)
{
	struct store *s = a->store;
	bool last;

	lock_take(&s->lock);
	last = --a->refs == 0;
	if (last)
		table_remove(&s->actors, &a->link);
	lock_give(&s->lock);
	if (last)
		free_actor(a);
}

static void
forget_content_locked(struct actor *a)
{
	a->read_to = 0;
	readahead_drop_locked(a);
	cache_file_drop(a->store->cache, &a->file);
}

void
actor_set_head_locked(struct actor *a, const struct head *head)
{
	if (head->life != a->head.life)
		forget_content_locked(a);
	a->head = *head;
}

static void
reset_locked(struct actor *a, int64_t asked_ns)
{
	a->head = (struct head){ 0 };
	a->known = true;
	a->broken = false;
	a->head_at_ns = asked_ns;
	forget_content_locked(a);
}

bool
actor_learn_locked(struct actor *a, const struct record *r, bool fresh, int64_t asked_ns, uint64_t seen_seq)
{
	const char *why;

	if (r != NULL && r->foreign) {
		if (a->known && a->broken && a->broken_seq == r->seq && asked_ns > a->head_at_ns)
			a->head_at_ns = asked_ns;
		return !a->known || !a->broken || a->broken_seq != r->seq;
	}
	uint64_t seq = r != NULL ? r->seq : 0;
	if (a->known && seq < a->head.seq) {
		/* Overtaken by an append of our own, or late; or else the actor was erased since, and what we know is void. */
		if (!fresh || a->head.seq != seen_seq)
			return false;
		reset_locked(a, asked_ns);
	}
	if (r != NULL && seq > a->head.seq) {
		struct head head = record_head(r);
		if (record_follows(&a->head, r, &why))
			cache_put(a->store->cache, &a->file, &a->head, r);
		actor_set_head_locked(a, &head);
	}
	a->known = true;
	a->broken = false;
	if (asked_ns > a->head_at_ns)
		a->head_at_ns = asked_ns;
	return false;
}

/* Is what we know good enough? Returns 1 and the head, -ENOENT if we know that it does not exist, else 0. */
static int
known_head(struct actor *a, int64_t now, int64_t max_age_ns, bool stale_ok, bool is_away, struct head *head, uint64_t *seen_seq)
{
	int answer = 0;

	lock_take(&a->lock);
	*seen_seq = a->head.seq;
	bool at_all = a->known || a->head.seq != 0;
	if ((a->known && now - a->head_at_ns < max_age_ns) || (at_all && stale_ok && is_away)) {
		*head = a->head;
		answer = head_is_there(&a->head) || a->broken ? 1 : -ENOENT;
	}
	lock_give(&a->lock);
	return answer;
}

/*
 * What a live index says, which is right but for the delay of its watch, and for what this node has done since. False: it does not know. That it
 * does not have the actor does not mean that there is none: a name that another node has just made must be found at once.
 */
static bool
indexed_head(struct actor *a, struct head *head)
{
	if (index_ask(a->store, a->ns, a->name, head) != 0)
		return false;
	lock_take(&a->lock);
	if (a->head.seq > head->seq)
		*head = a->head;
	lock_give(&a->lock);
	return head_is_there(head);
}

/* dispensable: whoever asks has something to say without an answer. */
static int
ask_head(struct actor *a, struct backend_get g, bool dispensable, struct owned_record *last)
{
	struct store *s = a->store;
	int err;

	if (!dispensable)
		return wait_get(s->backend, s->clock, actor_full_name(a), g, store_deadline(s), last);
	wait_get_many(s->backend, actor_full_name(a), &g, 1, store_short_deadline(s), last, &err);
	return err;
}

int
actor_head(struct actor *a, int64_t max_age_ns, bool stale_ok, struct head *head)
{
	struct store *s = a->store;
	struct backend_status status;
	struct owned_record last = { 0 };
	uint64_t seen_seq, indexed_seq = 0;
	bool find_end;

	/* What ends with an error is no reason not to answer; one that goes on for too long is. */
	if (append_settle(a, store_deadline(s)) != 0 && !stale_ok)
		return -ETIMEDOUT;
	if (max_age_ns > 0 && indexed_head(a, head))
		return 0;
	int64_t now = clock_mono(s->clock);
	s->backend->ops->status(s->backend, &status);
	int answer = known_head(a, now, max_age_ns, stale_ok, !status.connected, head, &seen_seq);
	if (answer != 0)
		return answer < 0 ? answer : 0;
	if (max_age_ns == 0)
		indexed_seq = index_seq(s, a->ns, a->name);
	struct backend_get g = { .kind = GET_LAST, .fresh = max_age_ns == 0 };
	int err = ask_head(a, g, stale_ok && seen_seq != 0, &last);
	if (err == 0 || err == -ENOENT) {
		lock_take(&a->lock);
		find_end = actor_learn_locked(a, err == 0 ? &last.record : NULL, g.fresh, now, seen_seq);
		*head = a->head;
		lock_give(&a->lock);
		if ((err == 0 ? last.record.seq : 0) < indexed_seq)
			index_unlearn(s, a->ns, a->name, indexed_seq);
		if (head->seq != 0 && !find_end)
			index_learn(s, a->ns, a->name, head);
		if (err == 0 && find_end) {
			err = actor_find_end(a, last.record.seq);
			lock_take(&a->lock);
			*head = a->head;
			lock_give(&a->lock);
		} else if (err != 0 || !last.record.foreign) {
			/* An append of ours may have come in between. */
			err = head_is_there(head) ? 0 : -ENOENT;
		}
	}
	if ((err == -ETIMEDOUT || err == -ENOTCONN) && stale_ok) {
		answer = known_head(a, now, max_age_ns, true, true, head, &seen_seq);
		err = answer > 0 ? 0 : err;
	}
	owned_record_free(&last);
	return err;
}

bool
actor_was_erased(struct actor *a, uint64_t life)
{
	struct store *s = a->store;
	struct backend_get g = { .kind = GET_LAST, .fresh = true };
	struct owned_record last = { 0 };
	struct head head = { 0 };

	lock_take(&a->lock);
	uint64_t seen_seq = a->head.seq;
	bool erased = a->known && a->head.life > life;
	lock_give(&a->lock);
	if (erased)
		return true;
	int64_t now = clock_mono(s->clock);
	int err = wait_get(s->backend, s->clock, actor_full_name(a), g, store_deadline(s), &last);
	if (err == 0 && !last.record.foreign)
		head = record_head(&last.record);
	erased = err == -ENOENT || head.life > life;
	if (erased) {
		lock_take(&a->lock);
		(void)actor_learn_locked(a, err == 0 ? &last.record : NULL, true, now, seen_seq);
		lock_give(&a->lock);
		index_learn(s, a->ns, a->name, &head);
	}
	owned_record_free(&last);
	return erased;
}

/* The node's object for that actor, counted, if there is one. */
static struct actor *
find_actor(struct store *s, const char *ns, const char *name)
{
	struct actor_name full = { ns, name };
	struct actor *a = NULL;

	lock_take(&s->lock);
	struct table_link *link = table_find(&s->actors, name_hash(&full), match, &full);
	if (link != NULL) {
		a = container_of(link, struct actor, link);
		a->refs++;
	}
	lock_give(&s->lock);
	return a;
}

void
actor_see_tombstone(struct store *s, const char *ns, const char *name, const struct record *r)
{
	struct actor *a = find_actor(s, ns, name);

	types_erased(s, ns);
	if (a == NULL)
		return;
	lock_take(&a->lock);
	/* Of one that nothing is known of the end stays unknown. */
	if (a->known)
		(void)actor_learn_locked(a, r, false, a->head_at_ns, a->head.seq);
	lock_give(&a->lock);
	actor_put(a);
}

int
store_settle(struct store *s, const char *ns, const char *name)
{
	struct actor *a = quota_is_idle(&s->room) ? NULL : find_actor(s, ns, name);

	if (a == NULL)
		return 0;
	int err = append_settle(a, store_deadline(s));
	actor_put(a);
	return err;
}

int
store_head(struct store *s, const char *ns, const char *name, int64_t max_age_ns, bool stale_ok, struct head *head)
{
	struct actor *a;

	if (max_age_ns > 0 && store_settle(s, ns, name) == 0 && index_ask(s, ns, name, head) == 0)
		return 0;
	int err = actor_get(s, ns, name, &a);
	if (err != 0)
		return err;
	err = actor_head(a, max_age_ns, stale_ok, head);
	actor_put(a);
	return err;
}
