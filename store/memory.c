#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "memory_state.h"

/* What is promised, as for JetStream; ids are in fact kept for good. */
#define DEDUP_WINDOW_NS (120 * NS_PER_SEC)

struct mem_id {
	struct table_link link;
	uint64_t seq;
	char id[];
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
find_any_ns_locked(struct memory *m, const char *ns)
{
	struct table_link *link = table_find(&m->namespaces, hash_of(ns), ns_match, ns);

	return link == NULL ? NULL : container_of(link, struct mem_ns, link);
}

struct mem_ns *
memory_find_ns_locked(struct memory *m, const char *name)
{
	struct mem_ns *ns = find_any_ns_locked(m, name);

	return ns != NULL && !ns->removed ? ns : NULL;
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
add_place_locked(struct mem_ns *ns, struct mem_actor *actor, int64_t now_us)
{
	if (ns->info.last_seq == ns->places_cap) {
		size_t cap = ns->places_cap == 0 ? 16 : ns->places_cap * 2;
		struct mem_place *places = realloc(ns->places, cap * sizeof(*places));
		if (places == NULL)
			return -ENOMEM;
		ns->places = places;
		ns->places_cap = cap;
	}
	int64_t before_us = ns->info.last_seq > 0 ? ns->places[ns->info.last_seq - 1].at_us : INT64_MIN;
	ns->places[ns->info.last_seq] =
	    (struct mem_place){ actor, actor->purged + actor->count, now_us > before_us ? now_us : before_us };
	return 0;
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
	if (payload == NULL || add_place_locked(ns, actor, clock_wall(m->clock)) != 0 || add_id_locked(actor, msg_id, ns->info.last_seq + 1) != 0) {
		free(payload);
		return -ENOMEM;
	}
	if (r->payload.len > 0)
		memcpy(payload, r->payload.p, r->payload.len);
	bool there = actor->count > 0 && !actor->records[actor->count - 1].erased;
	if (there == r->erased)
		ns->info.actors += r->erased ? -(uint64_t)1 : 1;
	struct record *stored = &actor->records[actor->count++];
	*stored = *r;
	stored->payload.p = payload;
	stored->seq = *seq = ++ns->info.last_seq;
	ns->info.changed_us = r->time_us;
	m->used_bytes += r->payload.len;
	return 0;
}

static int
publish_locked(struct memory *m, struct actor_name name, const struct record *r, const char *msg_id, uint64_t *seq,
    bool *duplicate)
{
	struct mem_ns *ns = memory_find_ns_locked(m, name.ns);

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
	lock_take(&m->lock);
	int err = publish_locked(m, name, r, msg_id, &seq, &duplicate);
	if (err == 0 && !duplicate) {
		const struct mem_ns *ns = memory_find_ns_locked(m, name.ns);
		memory_wake_watches_locked(m, ns);
		memory_wake_follows_locked(m, ns);
	}
	lock_give(&m->lock);
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

static const struct mem_place *
any_place_locked(const struct mem_ns *ns, struct backend_get g)
{
	bool last;

	for (uint64_t seq = g.seq; ns != NULL && seq != 0 && seq <= ns->info.last_seq; seq++) {
		if (memory_record_at(&ns->places[seq - 1], &last) != NULL)
			return &ns->places[seq - 1];
		if (g.kind == GET_SEQ)
			break;
	}
	return NULL;
}

static const struct record *
get_locked(struct memory *m, struct actor_name name, struct backend_get g)
{
	struct mem_ns *ns = memory_find_ns_locked(m, name.ns);
	const struct mem_place *place;
	bool last;

	if (name.actor == NULL) {
		place = any_place_locked(ns, g);
		return place != NULL ? memory_record_at(place, &last) : NULL;
	}
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

const struct record *
memory_record_at(const struct mem_place *place, bool *last)
{
	const struct mem_actor *actor = place->actor;

	*last = place->index + 1 == actor->purged + actor->count;
	return place->index < actor->purged ? NULL : &actor->records[place->index - actor->purged];
}

void
memory_lend_locked(struct memory *m)
{
	m->lent++;
}

void
memory_give_back(struct memory *m)
{
	struct mem_rest *rest = NULL;

	lock_take(&m->lock);
	if (--m->lent == 0) {
		rest = m->rests;
		m->rests = NULL;
	}
	lock_give(&m->lock);
	while (rest != NULL) {
		struct mem_rest *next = rest->next;
		free(rest->payload);
		free(rest);
		rest = next;
	}
}

/* What cannot be taken away for want of memory stays. */
static int
purge_locked(struct memory *m, struct mem_actor *actor, uint64_t before_seq)
{
	size_t all = lower_bound(actor, before_seq), count = 0;

	for (; count < all; count++) {
		struct record *r = &actor->records[count];
		struct mem_rest *rest = malloc(sizeof(*rest));
		if (rest == NULL)
			break;
		*rest = (struct mem_rest){ m->rests, (char *)(uintptr_t)r->payload.p };
		m->rests = rest;
		m->used_bytes -= r->payload.len;
	}
	actor->count -= count;
	actor->purged += count;
	memmove(actor->records, actor->records + count, actor->count * sizeof(actor->records[0]));
	return count == all ? 0 : -ENOMEM;
}

static int
memory_purge(struct backend *b, struct actor_name name, uint64_t before_seq, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	lock_take(&m->lock);
	struct mem_ns *ns = memory_find_ns_locked(m, name.ns);
	struct mem_actor *actor = ns == NULL ? NULL : find_actor_locked(ns, name.actor);
	int err = actor == NULL ? -ENOENT : purge_locked(m, actor, before_seq);
	memory_lend_locked(m);
	lock_give(&m->lock);
	memory_give_back(m);
	return err;
}

static void
memory_get(struct backend *b, struct actor_name name, struct backend_get g, int64_t deadline_ns, backend_get_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);
	struct record copy;

	(void)deadline_ns;
	lock_take(&m->lock);
	const struct record *r = get_locked(m, name, g);
	if (r != NULL)
		copy = *r;
	memory_lend_locked(m);
	lock_give(&m->lock);
	fn(arg, r != NULL ? 0 : -ENOENT, r != NULL ? &copy : NULL);
	memory_give_back(m);
}

struct mem_scanned {
	struct scanned base;
	struct record record;
	const char *actor; /* lives as long as the backend */
};

static void
decode(const struct scanned *m, struct record *r)
{
	*r = container_of(m, const struct mem_scanned, base)->record;
}

static int
scanned_actor(const struct scanned *m, struct buf *name)
{
	buf_puts(name, container_of(m, const struct mem_scanned, base)->actor);
	return 0;
}

static int
scan(struct memory *m, struct actor_name name, struct backend_range range, backend_scan_fn fn, void *arg)
{
	while (range.from_seq <= range.to_seq) {
		struct mem_scanned one = { .base.decode = decode, .base.actor = scanned_actor };
		lock_take(&m->lock);
		const struct record *r = get_locked(m, name, (struct backend_get){ .kind = GET_NEXT, .seq = range.from_seq });
		if (r != NULL) {
			one.record = *r;
			one.base.seq = r->seq;
			one.base.payload = r->payload;
			one.actor = memory_find_ns_locked(m, name.ns)->places[r->seq - 1].actor->name;
			r = get_locked(m, name, (struct backend_get){ .kind = GET_NEXT, .seq = r->seq + 1 });
			one.base.last = r == NULL || r->seq > range.to_seq;
		}
		lock_give(&m->lock);
		if (one.base.seq == 0 || one.base.seq > range.to_seq)
			return 0;
		int stop = fn(arg, &one.base);
		if (stop != 0)
			return stop < 0 ? stop : 0;
		range.from_seq = one.base.seq + 1;
	}
	return 0;
}

static int
memory_scan(struct backend *b, struct actor_name name, struct backend_range range, int64_t idle_ns, backend_scan_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)idle_ns;
	lock_take(&m->lock);
	memory_lend_locked(m);
	lock_give(&m->lock);
	int err = scan(m, name, range, fn, arg);
	memory_give_back(m);
	return err;
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
	lock_take(&m->lock);
	ns->info.epoch = ++m->made;
	struct mem_ns *old = find_any_ns_locked(m, name);
	bool again = old != NULL && old->removed;
	if (again) {
		ns->info.last_seq = old->info.last_seq;
		old->info = ns->info;
		old->removed = false;
		err = 0;
	} else if (old != NULL) {
		err = -EEXIST;
	} else if (ns->name != NULL) {
		err = table_add(&m->namespaces, hash_of(name), &ns->link);
	}
	lock_give(&m->lock);
	if (err == 0)
		memory_names_changed(m);
	if (err != 0 || again) {
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
	free(ns->places);
	free(ns->name);
	free(ns);
}

/* It stays, with its tombstones; what may be left before them goes. */
static void
remove_locked(struct memory *m, struct mem_ns *ns)
{
	ns->removed = true;
	for (struct table_link *l = NULL; (l = table_next(&ns->actors, l)) != NULL;) {
		struct mem_actor *actor = container_of(l, struct mem_actor, link);
		(void)purge_locked(m, actor, actor->records[actor->count - 1].seq);
	}
}

static int
memory_ns_remove(struct backend *b, const char *name, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);
	int err = 0;

	(void)deadline_ns;
	lock_take(&m->lock);
	struct mem_ns *ns = memory_find_ns_locked(m, name);
	if (ns == NULL)
		err = -ENOENT;
	else if (ns->info.actors > 0)
		err = -ENOTEMPTY;
	else if (ns->info.last_seq == 0)
		table_remove(&m->namespaces, &ns->link);
	else
		remove_locked(m, ns);
	if (err == 0) {
		memory_leave_watches_locked(m, ns);
		memory_leave_follows_locked(m, ns);
	}
	bool gone = err == 0 && !ns->removed;
	lock_give(&m->lock);
	if (gone)
		free_ns(ns);
	if (err == 0)
		memory_names_changed(m);
	return err;
}

static int
memory_ns_info(struct backend *b, const char *name, int64_t deadline_ns, struct ns_info *info)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	lock_take(&m->lock);
	struct mem_ns *ns = memory_find_ns_locked(m, name);
	if (ns != NULL)
		*info = ns->info;
	lock_give(&m->lock);
	return ns != NULL ? 0 : -ENOENT;
}

static int
memory_ns_set(struct backend *b, const char *name, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	lock_take(&m->lock);
	struct mem_ns *ns = memory_find_ns_locked(m, name);
	if (ns != NULL)
		ns->info.attr = *attr;
	lock_give(&m->lock);
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
	lock_take(&m->lock);
	for (struct table_link *l = NULL; (l = table_next(&m->namespaces, l)) != NULL;) {
		const struct mem_ns *ns = container_of(l, struct mem_ns, link);
		if (!ns->removed)
			buf_put(&names, ns->name, strlen(ns->name) + 1);
	}
	lock_give(&m->lock);
	return call_with_names(&names, fn, arg);
}

static int
memory_seq_at(struct backend *b, const char *name, int64_t time_ns, int64_t deadline_ns, uint64_t *seq, int64_t *wait_ns)
{
	struct memory *m = container_of(b, struct memory, base);
	int64_t us = time_ns / 1000, now_us = clock_wall(m->clock);

	(void)deadline_ns;
	if (us >= now_us) {
		*wait_ns = time_ns - now_us * 1000 + 1000;
		return -EAGAIN;
	}
	lock_take(&m->lock);
	const struct mem_ns *ns = memory_find_ns_locked(m, name);
	uint64_t lo = 0, hi = ns != NULL ? ns->info.last_seq : 0;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (ns->places[mid].at_us <= us)
			lo = mid + 1;
		else
			hi = mid;
	}
	*seq = lo;
	lock_give(&m->lock);
	return ns != NULL ? 0 : -ENOENT;
}

static int
memory_limits(struct backend *b, int64_t deadline_ns, struct backend_limits *limits)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	lock_take(&m->lock);
	*limits = (struct backend_limits){
		.payload_max = MEMORY_PAYLOAD_MAX, .used_bytes = m->used_bytes, .max_bytes = UINT64_MAX
	};
	lock_give(&m->lock);
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
	memory_docs_free(m);
	listener_destroy(&m->models);
	pthread_cond_destroy(&m->called);
	lock_destroy(&m->lock);
	free(m);
}

static const struct backend_ops memory_ops = {
	.name = "memory",
	.publish = memory_publish,
	.get = memory_get,
	.purge = memory_purge,
	.scan = memory_scan,
	.ns_create = memory_ns_create,
	.ns_remove = memory_ns_remove,
	.ns_info = memory_ns_info,
	.ns_set = memory_ns_set,
	.ns_list = memory_ns_list,
	.seq_at = memory_seq_at,
	.doc_put = memory_doc_put,
	.doc_get = memory_doc_get,
	.doc_list = memory_doc_list,
	.models_listen = memory_models_listen,
	.doc_drop = memory_doc_drop,
	.watch = memory_watch,
	.watch_stop = memory_watch_stop,
	.follow = memory_follow,
	.follow_hold = memory_follow_hold,
	.follow_stop = memory_follow_stop,
	.names_listen = memory_names_listen,
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
	m->base = (struct backend){ .ops = &memory_ops, .dedup_window_ns = DEDUP_WINDOW_NS, .few_at_once = true };
	m->clock = clock;
	lock_init(&m->lock, LOCK_MEMORY);
	listener_init(&m->models);
	lock_cond_init(&m->called);
	int err = timer_new(&m->timer, clock);
	if (err != 0) {
		listener_destroy(&m->models);
		pthread_cond_destroy(&m->called);
		lock_destroy(&m->lock);
		free(m);
		return err;
	}
	*out = &m->base;
	return 0;
}
