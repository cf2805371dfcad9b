#include "memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#include "table.h"
#include "timer.h"

/* What is promised, as for JetStream; ids are in fact kept as long as the records. */
#define DEDUP_WINDOW_NS (120 * NS_PER_SEC)

struct mem_id {
	struct table_link link;
	uint64_t seq;
	char id[];
};

struct mem_actor {
	struct table_link link;
	char *name;
	struct table ids;
	struct record *records; /* payloads are owned */
	size_t count;
	size_t cap;
};

struct mem_ns {
	struct table_link link;
	char *name;
	struct ns_info info;
	uint64_t seq;
	struct table actors;
};

struct memory {
	struct backend base;
	const struct clock *clock;
	struct timer *timer;
	pthread_mutex_t lock; /* guards the tree below; callbacks run without it */
	struct table namespaces;
	uint64_t used_bytes;
};

static bool
ns_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct mem_ns, link)->name, key) == 0;
}

static bool
actor_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct mem_actor, link)->name, key) == 0;
}

static bool
id_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct mem_id, link)->id, key) == 0;
}

static uint64_t
hash_of(const char *text)
{
	return XXH3_64bits(text, strlen(text));
}

static struct mem_ns *
find_ns_locked(struct memory *m, const char *ns)
{
	struct table_link *link = table_find(&m->namespaces, hash_of(ns), ns_match, ns);

	return link == NULL ? NULL : container_of(link, struct mem_ns, link);
}

static struct mem_actor *
find_actor_locked(struct mem_ns *ns, const char *actor)
{
	struct table_link *link = table_find(&ns->actors, hash_of(actor), actor_match, actor);

	return link == NULL ? NULL : container_of(link, struct mem_actor, link);
}

static struct mem_actor *
add_actor_locked(struct mem_ns *ns, const char *name)
{
	struct mem_actor *actor = calloc(1, sizeof(*actor));

	if (actor == NULL)
		return NULL;
	actor->name = strdup(name);
	if (actor->name == NULL || table_add(&ns->actors, hash_of(name), &actor->link) != 0) {
		free(actor->name);
		free(actor);
		return NULL;
	}
	ns->info.actors++;
	return actor;
}

static int
add_id_locked(struct mem_actor *actor, const char *msg_id, uint64_t seq)
{
	size_t size = strlen(msg_id) + 1;
	struct mem_id *id = malloc(sizeof(*id) + size);

	if (id == NULL)
		return -ENOMEM;
	id->seq = seq;
	memcpy(id->id, msg_id, size);
	int err = table_add(&actor->ids, hash_of(msg_id), &id->link);
	if (err != 0)
		free(id);
	return err;
}

static int
store_record_locked(struct memory *m, struct mem_ns *ns, const char *name, const struct record *r, const char *msg_id,
    uint64_t *seq)
{
	struct mem_actor *actor = find_actor_locked(ns, name);

	if (actor == NULL && (actor = add_actor_locked(ns, name)) == NULL)
		return -ENOMEM;
	if (actor->count == actor->cap) {
		size_t cap = actor->cap == 0 ? 4 : actor->cap * 2;
		struct record *records = realloc(actor->records, cap * sizeof(*records));
		if (records == NULL)
			return -ENOMEM;
		actor->records = records;
		actor->cap = cap;
	}
	char *payload = malloc(r->payload.len + 1);
	if (payload == NULL || add_id_locked(actor, msg_id, ns->seq + 1) != 0) {
		free(payload);
		return -ENOMEM;
	}
	if (r->payload.len > 0)
		memcpy(payload, r->payload.p, r->payload.len);
	struct record *stored = &actor->records[actor->count++];
	*stored = *r;
	stored->payload.p = payload;
	stored->seq = *seq = ++ns->seq;
	ns->info.changed_us = r->time_us;
	m->used_bytes += r->payload.len;
	return 0;
}

static int
publish_locked(struct memory *m, struct actor_name name, const struct record *r, const char *msg_id, uint64_t *seq,
    bool *duplicate)
{
	struct mem_ns *ns = find_ns_locked(m, name.ns);

	if (ns == NULL)
		return -ENOENT;
	if (r->payload.len > MEMORY_PAYLOAD_MAX)
		return -EMSGSIZE;
	struct mem_actor *actor = find_actor_locked(ns, name.actor);
	struct table_link *link = actor == NULL ? NULL : table_find(&actor->ids, hash_of(msg_id), id_match, msg_id);
	if (link != NULL) {
		*seq = container_of(link, struct mem_id, link)->seq;
		*duplicate = true;
		return 0;
	}
	uint64_t last = actor != NULL && actor->count > 0 ? actor->records[actor->count - 1].seq : 0;
	if (last != r->prev_seq)
		return -ESTALE;
	return store_record_locked(m, ns, name.actor, r, msg_id, seq);
}

static void
memory_publish(struct backend *b, struct actor_name name, const struct record *r, const char *msg_id, int64_t deadline_ns,
    backend_publish_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);
	uint64_t seq = 0;
	bool duplicate = false;

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	int err = publish_locked(m, name, r, msg_id, &seq, &duplicate);
	pthread_mutex_unlock(&m->lock);
	fn(arg, err, seq, duplicate);
}

/* The first index whose sequence is at least seq. */
static size_t
lower_bound(const struct mem_actor *actor, uint64_t seq)
{
	size_t lo = 0, hi = actor->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (actor->records[mid].seq < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct record *
get_locked(struct memory *m, struct actor_name name, struct backend_get g)
{
	struct mem_ns *ns = find_ns_locked(m, name.ns);
	struct mem_actor *actor = ns == NULL ? NULL : find_actor_locked(ns, name.actor);

	if (actor == NULL || actor->count == 0)
		return NULL;
	if (g.kind == GET_LAST)
		return &actor->records[actor->count - 1];
	size_t i = lower_bound(actor, g.seq);
	if (i == actor->count || (g.kind == GET_SEQ && actor->records[i].seq != g.seq))
		return NULL;
	return &actor->records[i];
}

/* Records are never changed nor removed while their namespace lives, so the payload may be lent out without the lock. */
static void
memory_get(struct backend *b, struct actor_name name, struct backend_get g, int64_t deadline_ns, backend_get_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);
	struct record copy;

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	const struct record *r = get_locked(m, name, g);
	if (r != NULL)
		copy = *r;
	pthread_mutex_unlock(&m->lock);
	fn(arg, r != NULL ? 0 : -ENOENT, r != NULL ? &copy : NULL);
}

struct mem_scanned {
	struct scanned base;
	struct record record;
};

static void
decode(const struct scanned *m, struct record *r)
{
	*r = container_of(m, const struct mem_scanned, base)->record;
}

static int
memory_scan(struct backend *b, struct actor_name name, uint64_t from_seq, uint64_t to_seq, int64_t idle_ns, backend_scan_fn fn,
    void *arg)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)idle_ns;
	while (from_seq <= to_seq) {
		struct mem_scanned one = { .base.decode = decode };
		pthread_mutex_lock(&m->lock);
		const struct record *r = get_locked(m, name, (struct backend_get){ .kind = GET_NEXT, .seq = from_seq });
		if (r != NULL) {
			one.record = *r;
			one.base.seq = r->seq;
			one.base.payload = r->payload;
			r = get_locked(m, name, (struct backend_get){ .kind = GET_NEXT, .seq = r->seq + 1 });
			one.base.last = r == NULL || r->seq > to_seq;
		}
		pthread_mutex_unlock(&m->lock);
		if (one.base.seq == 0 || one.base.seq > to_seq)
			return 0;
		int stop = fn(arg, &one.base);
		if (stop != 0)
			return stop < 0 ? stop : 0;
		from_seq = one.base.seq + 1;
	}
	return 0;
}

static int
memory_ns_create(struct backend *b, const char *name, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);
	struct mem_ns *ns = calloc(1, sizeof(*ns));
	int err = -ENOMEM;

	(void)deadline_ns;
	if (ns == NULL)
		return -ENOMEM;
	ns->name = strdup(name);
	ns->info.attr = *attr;
	ns->info.created_us = ns->info.changed_us = clock_wall(m->clock);
	pthread_mutex_lock(&m->lock);
	if (find_ns_locked(m, name) != NULL)
		err = -EEXIST;
	else if (ns->name != NULL)
		err = table_add(&m->namespaces, hash_of(name), &ns->link);
	pthread_mutex_unlock(&m->lock);
	if (err != 0) {
		free(ns->name);
		free(ns);
	}
	return err;
}

static void
free_actor(struct mem_actor *actor)
{
	struct table_link *link;

	for (size_t i = 0; i < actor->count; i++)
		free((char *)actor->records[i].payload.p);
	while ((link = table_pop(&actor->ids)) != NULL)
		free(container_of(link, struct mem_id, link));
	table_free(&actor->ids);
	free(actor->records);
	free(actor->name);
	free(actor);
}

static void
free_ns(struct mem_ns *ns)
{
	struct table_link *link;

	while ((link = table_pop(&ns->actors)) != NULL)
		free_actor(container_of(link, struct mem_actor, link));
	table_free(&ns->actors);
	free(ns->name);
	free(ns);
}

static int
memory_ns_remove(struct backend *b, const char *name, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);
	int err = 0;

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	struct mem_ns *ns = find_ns_locked(m, name);
	if (ns == NULL)
		err = -ENOENT;
	else if (ns->info.actors > 0)
		err = -ENOTEMPTY;
	else
		table_remove(&m->namespaces, &ns->link);
	pthread_mutex_unlock(&m->lock);
	if (err == 0)
		free_ns(ns);
	return err;
}

static int
memory_ns_info(struct backend *b, const char *name, int64_t deadline_ns, struct ns_info *info)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	struct mem_ns *ns = find_ns_locked(m, name);
	if (ns != NULL)
		*info = ns->info;
	pthread_mutex_unlock(&m->lock);
	return ns != NULL ? 0 : -ENOENT;
}

static int
memory_ns_set(struct backend *b, const char *name, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	struct mem_ns *ns = find_ns_locked(m, name);
	if (ns != NULL)
		ns->info.attr = *attr;
	pthread_mutex_unlock(&m->lock);
	return ns != NULL ? 0 : -ENOENT;
}

/* Names gathered under the lock, so that the callback runs without it. */
static int
call_with_names(struct buf *names, backend_name_fn fn, void *arg)
{
	int stop = names->failed ? -ENOMEM : 0;

	for (size_t at = 0; stop == 0 && at < names->len; at += strlen(names->p + at) + 1)
		stop = fn(arg, names->p + at);
	buf_free(names);
	return stop;
}

static int
memory_ns_list(struct backend *b, int64_t deadline_ns, backend_name_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);
	struct buf names = { 0 };

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	for (struct table_link *l = NULL; (l = table_next(&m->namespaces, l)) != NULL;) {
		const char *name = container_of(l, struct mem_ns, link)->name;
		buf_put(&names, name, strlen(name) + 1);
	}
	pthread_mutex_unlock(&m->lock);
	return call_with_names(&names, fn, arg);
}

static int
memory_actor_list(struct backend *b, const char *ns_name, int64_t deadline_ns, backend_name_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);
	struct buf names = { 0 };

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	struct mem_ns *ns = find_ns_locked(m, ns_name);
	for (struct table_link *l = NULL; ns != NULL && (l = table_next(&ns->actors, l)) != NULL;) {
		const char *name = container_of(l, struct mem_actor, link)->name;
		buf_put(&names, name, strlen(name) + 1);
	}
	pthread_mutex_unlock(&m->lock);
	if (ns == NULL)
		return -ENOENT;
	return call_with_names(&names, fn, arg);
}

static int
memory_limits(struct backend *b, int64_t deadline_ns, struct backend_limits *limits)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	pthread_mutex_lock(&m->lock);
	*limits = (struct backend_limits){
		.payload_max = MEMORY_PAYLOAD_MAX, .used_bytes = m->used_bytes, .max_bytes = UINT64_MAX
	};
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void
memory_status(struct backend *b, struct backend_status *status)
{
	(void)b;
	*status = (struct backend_status){ .connected = true, .payload_max = MEMORY_PAYLOAD_MAX };
}

static bool
memory_wait(struct backend *b, int64_t deadline_ns, void (*fn)(void *arg), void *arg)
{
	(void)b, (void)deadline_ns, (void)fn, (void)arg;
	return true;
}

static void
memory_after(struct backend *b, int64_t at_ns, void (*fn)(void *arg), void *arg)
{
	struct memory *m = container_of(b, struct memory, base);

	if (timer_at(m->timer, at_ns, fn, arg) != 0)
		fn(arg);
}

static void
memory_free(struct backend *b)
{
	struct memory *m = container_of(b, struct memory, base);
	struct table_link *link;

	timer_free(m->timer);
	while ((link = table_pop(&m->namespaces)) != NULL)
		free_ns(container_of(link, struct mem_ns, link));
	table_free(&m->namespaces);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct backend_ops memory_ops = {
	.name = "memory",
	.publish = memory_publish,
	.get = memory_get,
	.scan = memory_scan,
	.ns_create = memory_ns_create,
	.ns_remove = memory_ns_remove,
	.ns_info = memory_ns_info,
	.ns_set = memory_ns_set,
	.ns_list = memory_ns_list,
	.actor_list = memory_actor_list,
	.limits = memory_limits,
	.status = memory_status,
	.wait = memory_wait,
	.after = memory_after,
	.free = memory_free,
};

int
memory_new(struct backend **out, const struct clock *clock)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->base = (struct backend){ .ops = &memory_ops, .dedup_window_ns = DEDUP_WINDOW_NS };
	m->clock = clock;
	pthread_mutex_init(&m->lock, NULL);
	int err = timer_new(&m->timer, clock);
	if (err != 0) {
		pthread_mutex_destroy(&m->lock);
		free(m);
		return err;
	}
	*out = &m->base;
	return 0;
}
