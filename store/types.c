#include "types.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "types_state.h"

static bool
ns_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct types, link)->ns, key) == 0;
}

static struct types *
find_locked(struct all_types *all, const char *ns)
{
	struct table_link *link = table_find(&all->by_ns, XXH3_64bits(ns, strlen(ns)), ns_match, ns);

	return link == NULL ? NULL : container_of(link, struct types, link);
}

static void
free_types(struct types *t)
{
	type_table_free(&t->table);
	pthread_cond_destroy(&t->changed);
	lock_destroy(&t->lock);
	free(t);
}

static struct types *
new_types(struct all_types *all, const char *ns)
{
	size_t size = strlen(ns) + 1;
	struct types *t = calloc(1, sizeof(*t) + size);

	if (t == NULL)
		return NULL;
	memcpy(t->ns, ns, size);
	t->all = all;
	atomic_init(&t->erased, 0);
	lock_init(&t->lock, LOCK_TYPES);
	lock_cond_init(&t->changed);
	if (table_add(&all->by_ns, XXH3_64bits(ns, size - 1), &t->link) == 0)
		return t;
	free_types(t);
	return NULL;
}

int
types_get(struct store *s, const char *ns, struct types **out)
{
	struct all_types *all = s->types;

	lock_take(&all->lock);
	struct types *t = find_locked(all, ns);
	if (t == NULL)
		t = new_types(all, ns);
	if (t != NULL)
		t->holders++;
	lock_give(&all->lock);
	*out = t;
	return t != NULL ? 0 : -ENOMEM;
}

/* Dropping */

static void
drop_locked(struct all_types *all, struct types *t)
{
	table_remove(&all->by_ns, &t->link);
	all->bytes -= t->bytes;
	free_types(t);
}

/* Of those that nobody holds, the one that was used longest ago. */
static struct types *
oldest_locked(struct all_types *all)
{
	struct types *oldest = NULL;

	for (struct table_link *l = NULL; (l = table_next(&all->by_ns, l)) != NULL;) {
		struct types *t = container_of(l, struct types, link);
		if (t->holders == 0 && (oldest == NULL || t->used_ns < oldest->used_ns))
			oldest = t;
	}
	return oldest;
}

/* All but one that is in use, or was last. */
static void
trim_locked(struct all_types *all, const struct types *but)
{
	struct types *t;

	while (all->bytes > TYPES_BYTES_MAX && (t = oldest_locked(all)) != NULL && t != but)
		drop_locked(all, t);
}

static void expire(void *arg);

static void
expire_at(struct all_types *all, int64_t at_ns)
{
	struct backend *b = all->store->backend;

	b->ops->after(b, at_ns, expire, all);
}

static void
expire(void *arg)
{
	struct all_types *all = arg;
	int64_t now = clock_mono(all->store->clock);
	struct types *t;

	lock_take(&all->lock);
	while ((t = oldest_locked(all)) != NULL && now - t->used_ns >= TYPES_IDLE_NS)
		drop_locked(all, t);
	bool again = t != NULL && !all->stopped;
	int64_t at_ns = t != NULL ? t->used_ns + TYPES_IDLE_NS : 0;
	all->expiring = again;
	lock_give(&all->lock);
	if (again)
		expire_at(all, at_ns);
}

void
types_put(struct types *t)
{
	if (t == NULL)
		return;
	struct all_types *all = t->all;
	int64_t now = clock_mono(all->store->clock);
	bool arm = false;
	lock_take(&all->lock);
	t->used_ns = now;
	if (--t->holders == 0) {
		arm = !all->expiring && !all->stopped;
		all->expiring = all->expiring || arm;
		trim_locked(all, t);
	}
	lock_give(&all->lock);
	if (arm)
		expire_at(all, now + TYPES_IDLE_NS);
}

void
types_account(struct types *t, uint64_t bytes)
{
	struct all_types *all = t->all;

	lock_take(&all->lock);
	all->bytes += bytes - t->bytes;
	t->bytes = bytes;
	trim_locked(all, t);
	bool report = all->bytes > TYPES_BYTES_MAX && !all->logged;
	all->logged = all->logged || report;
	uint64_t mib = all->bytes >> 20;
	lock_give(&all->lock);
	if (report)
		log_warn(all->store->lg, "namespace %s: the indexes of event types that are in use take %llu MiB, more than the %llu that they should",
		    t->ns, (unsigned long long)mib, TYPES_BYTES_MAX >> 20);
}

/* Asking */

struct type *
types_find(struct types *t, struct span name)
{
	lock_take(&t->lock);
	struct type *type = type_table_find(&t->table, name);
	if (type != NULL && type->shown_size == 0)
		type = NULL;
	lock_give(&t->lock);
	return type;
}

struct type *
types_next(struct types *t, struct type *after)
{
	lock_take(&t->lock);
	struct type *type = after != NULL ? after->next : t->table.first;
	while (type != NULL && type->shown_size == 0)
		type = type->next;
	lock_give(&t->lock);
	return type;
}

struct span
types_name(const struct type *type)
{
	return (struct span){ type->name, type->name_len };
}

void
types_stat(struct types *t, const struct type *type, uint64_t *size, int64_t *time_us)
{
	lock_take(&t->lock);
	*size = type->shown_size;
	*time_us = type->shown_time_us;
	lock_give(&t->lock);
}

void
types_erased(struct store *s, const char *ns)
{
	struct all_types *all = s->types;

	lock_take(&all->lock);
	struct types *t = find_locked(all, ns);
	if (t != NULL)
		atomic_fetch_add(&t->erased, 1);
	lock_give(&all->lock);
}

/* All of a store */

int
all_types_new(struct all_types **out, struct store *s)
{
	struct all_types *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	all->store = s;
	lock_init(&all->lock, LOCK_TYPES_ALL);
	*out = all;
	return 0;
}

void
all_types_stop(struct all_types *all)
{
	lock_take(&all->lock);
	all->stopped = true;
	lock_give(&all->lock);
}

void
all_types_free(struct all_types *all)
{
	struct table_link *link;

	if (all == NULL)
		return;
	while ((link = table_pop(&all->by_ns)) != NULL)
		free_types(container_of(link, struct types, link));
	table_free(&all->by_ns);
	lock_destroy(&all->lock);
	free(all);
}
