#include "entries.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../store/event.h"
#include "../store/locate.h"
#include "control.h"

#define NAME_DIGITS_MAX 19 /* of EVENT_VERSION_MAX */

/* Does not change once its node has it; one of a later life may take its place. */
struct entry {
	struct actor *actor; /* counted, so that what was found stays in the cache */
	uint64_t offset;     /* where it begins in the actor's file */
	uint64_t size;       /* of an event: bytes */
	int64_t time_us;     /* of an event: its timestamp */
	uint64_t life;       /* of the actor */
	uint64_t seq;        /* of a time: what was stored up to it */
	uint64_t epoch;      /* and in which namespace of that name */
	struct head at;      /* of an actor at a time: its end then */
	struct entry *older; /* what was found in an earlier life, which somebody may be looking at; owned */
};

static int
parse(const char *name, uint64_t *number)
{
	uint64_t v = 0;
	size_t len = strlen(name);

	if (len == 0 || len > NAME_DIGITS_MAX || (name[0] == '0' && len > 1))
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(name[i] - '0');
	}
	if (v > EVENT_VERSION_MAX)
		return -EINVAL;
	*number = v;
	return 0;
}

int
entries_check_name(const char *name)
{
	uint64_t number;

	return parse(name, &number);
}

int
entries_check_time(const char *name)
{
	return clock_parse_rfc3339_ns(name, strlen(name), &(int64_t){ 0 });
}

void
entry_free(struct entry *e)
{
	while (e != NULL) {
		struct entry *older = e->older;
		if (e->actor != NULL)
			actor_put(e->actor);
		free(e);
		e = older;
	}
}

/* The actor of `actors/<actor>/events`, `from` or `at`. */
static int
actor_of(const struct fs_env *env, const struct node *dir, struct actor **out)
{
	return actor_get(env->store, node_namespace(dir), dir->parent->name, out);
}

/* What the actor's newest head is asked for at every open. */
static int
newest_head(const struct fs_env *env, struct actor *a, struct head *head)
{
	bool eventual = store_get_options(env->store)->eventual;

	return actor_head(a, eventual ? INT64_MAX : 0, eventual, head);
}

/* A head up to which version can be: events stay what they are while the actor lives, so that one that was true a moment ago will do if
 * it is high enough. */
static int
head_reaching(const struct fs_env *env, struct actor *a, uint64_t version, struct head *head)
{
	int err = actor_head(a, ENV_ACTOR_AGE_NS, true, head);

	if ((err == 0 && head->version < version) || err == -ENOENT)
		err = newest_head(env, a, head);
	return err;
}

static int
find_from(const struct fs_env *env, struct entry *e, uint64_t version)
{
	struct actor *a = e->actor;
	struct event_place p;
	struct head head;
	int err = head_reaching(env, a, version, &head);

	if (err != 0)
		return err;
	e->offset = head.size;
	e->life = head.life;
	if (head.count == 0 || version > head.version)
		return version > head.version + 1 ? -ENOENT : 0;
	err = actor_locate(a, &head, HEAD_VERSION, version, &p);
	if (err == 0)
		e->offset = p.offset;
	return err;
}

static int
find_event(struct actor *a, uint64_t version, const struct head *head, struct event_place *p)
{
	int err = actor_locate(a, head, HEAD_VERSION, version, p);

	return err == 0 && p->version != version ? -ENOENT : err;
}

static int
read_event(struct actor *a, const struct head *head, const struct event_place *p, struct buf *out)
{
	if (buf_reserve(out, p->size) == NULL)
		return -ENOMEM;
	while (out->len < p->size) {
		ssize_t n = actor_read(a, head, p->offset + out->len, p->size - out->len, out->p + out->len);
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		out->len += (size_t)n;
	}
	return 0;
}

static int64_t
time_of(const struct buf *line)
{
	struct arena arena = { 0 };
	struct event ev;
	const char *why;
	int64_t us = 0;

	if (event_parse((struct span){ line->p, line->len - 1 }, &arena, &ev, &why) == 0 && ev.timestamp.p != NULL)
		clock_parse_rfc3339(ev.timestamp.p, ev.timestamp.len, &us);
	arena_free(&arena);
	return us;
}

static int
settle_event(const struct fs_env *env, struct entry *e, uint64_t version)
{
	struct event_place p;
	struct head head;
	struct buf line = { 0 };
	int err = head_reaching(env, e->actor, version, &head);

	if (err == 0)
		err = find_event(e->actor, version, &head, &p);
	if (err == 0)
		err = read_event(e->actor, &head, &p, &line);
	if (err == 0) {
		e->life = head.life;
		e->offset = p.offset;
		e->size = p.size;
		e->time_us = time_of(&line);
	}
	buf_free(&line);
	return err;
}

/* The sequence that a time stands for in its namespace. */
static int
find_time(const struct fs_env *env, struct entry *e, const char *ns, const char *name)
{
	struct ns_info info;
	int64_t time_ns;
	int err = store_ns_info(env->store, ns, ENV_NAMESPACE_AGE_NS, true, &info);

	if (err == 0)
		err = clock_parse_rfc3339_ns(name, strlen(name), &time_ns);
	if (err == 0)
		err = store_seq_at(env->store, ns, time_ns, &e->seq);
	e->epoch = info.epoch;
	e->time_us = time_ns / 1000;
	return err;
}

/* The head that the actor had then. */
static int
find_past(struct actor *a, uint64_t seq, struct head *at)
{
	struct head head;
	int err = actor_head(a, ENV_ACTOR_AGE_NS, true, &head);

	/* One that reaches beyond has all that was there then. */
	if ((err == 0 && head.seq <= seq) || err == -ENOENT)
		err = actor_head(a, 0, false, &head);
	if (err == 0)
		err = actor_head_at(a, &head, seq, at);
	return err == 0 && !head_is_there(at) ? -ENOENT : err;
}

static int
settle_past(struct entry *e)
{
	int err = find_past(e->actor, e->seq, &e->at);

	e->life = e->at.life;
	e->time_us = e->at.time_us;
	return err;
}

/* The place of an entry whose actor is known, if it has one. */
static int
settle(const struct fs_env *env, const struct node *n, struct entry *e)
{
	const struct node *dir = n->parent;
	uint64_t version = 0;
	int err = 0;

	switch ((int)control_kind(n->control)) {
	case CONTROL_FROM:
		err = parse(n->name, &version);
		return err == 0 ? find_from(env, e, version) : err;
	case CONTROL_EVENT:
		err = parse(n->name, &version);
		return err == 0 ? settle_event(env, e, version) : err;
	case CONTROL_TIME:
		return find_time(env, e, node_namespace(n), n->name);
	case CONTROL_AT:
		err = find_time(env, e, node_namespace(n), n->name);
		return err == 0 ? settle_past(e) : err;
	case CONTROL_AT_TIME:
		e->seq = atomic_load(&dir->entry)->seq;
		return settle_past(e);
	}
	return -EIO;
}

/* Is what was found still true: in the actor's present life, and in the same namespace? 1, 0, or -errno. */
static int
is_current(const struct fs_env *env, const struct node *n, const struct entry *e)
{
	enum control_kind kind = control_kind(n->control);
	struct ns_info info;
	struct head head;
	int err = 0;

	if (kind == CONTROL_AT_TIME && e->seq != atomic_load(&n->parent->entry)->seq)
		return 0;
	if (kind == CONTROL_AT || kind == CONTROL_TIME) {
		err = store_ns_info(env->store, node_namespace(n), ENV_NAMESPACE_AGE_NS, true, &info);
		if (err != 0 || info.epoch != e->epoch)
			return err;
	}
	if (e->actor == NULL)
		return 1;
	err = actor_head(e->actor, ENV_ACTOR_AGE_NS, true, &head);
	return err != 0 ? err : head.life == e->life;
}

/* What is found of an entry is its node's. */
static int
find_actor(const struct fs_env *env, const struct node *n, struct actor **out)
{
	enum control_kind kind = control_kind(n->control);

	*out = NULL;
	if (kind == CONTROL_TIME)
		return 0;
	if (kind == CONTROL_AT_TIME)
		return actor_get(env->store, node_namespace(n), n->name, out);
	return actor_of(env, n->parent, out);
}

int
entries_actor(const struct fs_env *env, struct node *dir, struct actor **out)
{
	struct entry *none = NULL, *e = atomic_load(&dir->entry);

	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		int err = e != NULL ? actor_get(env->store, node_namespace(dir), dir->name, &e->actor) : -ENOMEM;
		if (err != 0) {
			free(e);
			return err;
		}
		if (!atomic_compare_exchange_strong(&dir->entry, &none, e)) {
			entry_free(e);
			e = none;
		}
	}
	*out = e->actor;
	return 0;
}

int
entries_settle(const struct fs_env *env, struct node *n)
{
	struct entry *e, *old = atomic_load(&n->entry);
	int current = old != NULL ? is_current(env, n, old) : 0;

	if (current != 0)
		return current < 0 ? current : 0;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -ENOMEM;
	int err = find_actor(env, n, &e->actor);
	if (err == 0)
		err = settle(env, n, e);
	e->older = old;
	/* Another thread may have found the same meanwhile. */
	if (err != 0 || !atomic_compare_exchange_strong(&n->entry, &old, e)) {
		e->older = NULL;
		entry_free(e);
	}
	return err;
}

int
entries_stat(const struct node *n, uint64_t *size, int64_t *time_us)
{
	const struct entry *e = atomic_load(&n->entry);
	struct head head;
	int err;

	if (control_kind(n->control) != CONTROL_FROM) {
		*size = control_kind(n->control) == CONTROL_EVENT ? e->size : e->at.size;
		*time_us = e->time_us;
		return 0;
	}
	err = actor_head(e->actor, ENV_ACTOR_AGE_NS, true, &head);
	if (err == 0 && head.life != e->life)
		err = -ENOENT;
	if (err != 0)
		return err;
	*size = head.size > e->offset ? head.size - e->offset : 0;
	*time_us = head.time_us;
	return 0;
}

int
entries_text(struct fs_env *env, const struct node *n, struct buf *out)
{
	bool eventual = store_get_options(env->store)->eventual;
	const struct entry *e = atomic_load(&n->entry);
	struct event_place p;
	struct head head;
	uint64_t version;
	int err = parse(n->name, &version);

	/* It may have been erased. While NATS is away it is what it was. */
	if (err == 0)
		err = actor_head(e->actor, eventual ? INT64_MAX : 0, true, &head);
	if (err == 0)
		err = find_event(e->actor, version, &head, &p);
	return err == 0 ? read_event(e->actor, &head, &p, out) : err;
}

void
entries_part(const struct node *n, struct entry_part *part)
{
	const struct entry *e = atomic_load(&n->entry);

	*part = (struct entry_part){
		.actor = e->actor,
		.base = e->offset,
		.life = e->life,
		.past = control_kind(n->control) != CONTROL_FROM,
		.end = e->at,
	};
}

int
entries_was_there(const struct fs_env *env, const struct node *time, const char *actor, const struct head *known)
{
	uint64_t seq = atomic_load(&time->entry)->seq;
	struct actor *a;
	struct head at;

	/* What has been followed up to there is seen in the index, which never shows one that is gone. */
	if (known->seq <= seq || known->life >= seq)
		return known->seq <= seq;
	int err = actor_get(env->store, node_namespace(time), actor, &a);
	if (err != 0)
		return err;
	err = find_past(a, seq, &at);
	actor_put(a);
	return err == -ENOENT ? 0 : err < 0 ? err : 1;
}

struct event_list {
	const struct fs_env *env;
	struct actor *actor; /* counted */
	struct walk walk;
	struct event_place place; /* the event that was asked for last; zeros: none */
	char name[NAME_DIGITS_MAX + 2];
};

int
event_list_new(const struct fs_env *env, const struct node *dir, struct event_list **out)
{
	struct event_list *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	int err = actor_of(env, dir, &l->actor);
	if (err != 0) {
		free(l);
		return err;
	}
	l->env = env;
	err = event_list_rewind(l);
	if (err != 0) {
		event_list_free(l);
		return err;
	}
	*out = l;
	return 0;
}

int
event_list_rewind(struct event_list *l)
{
	struct head head;
	int err = newest_head(l->env, l->actor, &head);

	if (err != 0)
		return err;
	walk_end(&l->walk);
	walk_begin(&l->walk, l->actor, &head, 0, 0);
	l->place = (struct event_place){ 0 };
	return 0;
}

/* Somebody has jumped about with seekdir. */
static int
jump(struct event_list *l, uint64_t position)
{
	struct head head = l->walk.head;
	struct event_place p;
	int err = actor_locate(l->actor, &head, HEAD_COUNT, position + 1, &p);

	if (err == 0) {
		walk_end(&l->walk);
		walk_begin(&l->walk, l->actor, &head, p.offset, position);
	}
	return err;
}

int
event_list_at(struct event_list *l, uint64_t position, const char **name)
{
	int err = 1;

	if (position >= l->walk.head.count)
		/* The end, or the place from where on the chain does not hold. */
		return (int)actor_read(l->actor, &l->walk.head, l->walk.head.size, 0, NULL);
	if (l->place.count != position + 1) {
		err = l->walk.count == position ? 0 : jump(l, position);
		if (err == 0)
			err = walk_next(&l->walk, &l->place);
	}
	if (err <= 0)
		return err < 0 ? err : -EIO;
	snprintf(l->name, sizeof(l->name), "%" PRIu64, l->place.version);
	*name = l->name;
	return 1;
}

void
event_list_free(struct event_list *l)
{
	if (l == NULL)
		return;
	walk_end(&l->walk);
	actor_put(l->actor);
	free(l);
}
