#include "memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lock.h"
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

/* Where the record of a sequence is. */
struct mem_place {
	struct mem_actor *actor;
	size_t index;
};

struct mem_ns {
	struct table_link link;
	char *name;
	struct ns_info info;
	uint64_t epoch;
	uint64_t seq;
	struct table actors;
	struct mem_place *places; /* of sequence i + 1 */
	size_t places_cap;
};

/* It is drained on the timer's thread only, so no two calls for it meet. */
struct backend_watch {
	struct backend_watch *next;
	struct memory *memory;
	struct mem_ns *ns; /* NULL: removed */
	struct backend_watch_fns fns;
	void *arg;
	uint64_t next_seq;
	uint64_t first_all; /* from this sequence on every record is told, before it an actor's last one */
	unsigned refs;      /* the user's, and one for a drain to come */
	int refused;        /* told at once as the end */
	bool draining;      /* a drain is to come, or under way */
	bool begun;
	bool live;
	bool calling;
	bool stopped;
};

struct memory {
	struct backend base;
	const struct clock *clock;
	struct timer *timer;
	struct lock lock; /* guards the tree below; callbacks run without it */
	struct table namespaces;
	uint64_t used_bytes;
	uint64_t made; /* namespaces so far */
	struct backend_watch *watches;
	pthread_cond_t called; /* a watch's call has returned */
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
add_place_locked(struct mem_ns *ns, struct mem_actor *actor)
{
	if (ns->seq == ns->places_cap) {
		size_t cap = ns->places_cap == 0 ? 16 : ns->places_cap * 2;
		struct mem_place *places = realloc(ns->places, cap * sizeof(*places));
		if (places == NULL)
			return -ENOMEM;
		ns->places = places;
		ns->places_cap = cap;
	}
	ns->places[ns->seq] = (struct mem_place){ actor, actor->count };
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
	if (payload == NULL || add_place_locked(ns, actor) != 0 || add_id_locked(actor, msg_id, ns->seq + 1) != 0) {
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

static void drain(void *arg);

static void
wake_locked(struct backend_watch *w)
{
	if (w->draining)
		return;
	w->draining = true;
	w->refs++;
	/* Without memory for that it waits for the next record. */
	if (timer_at(w->memory->timer, 0, drain, w) != 0) {
		w->draining = false;
		w->refs--;
	}
}

static void
wake_watches_locked(struct memory *m, const char *ns)
{
	for (struct backend_watch *w = m->watches; w != NULL; w = w->next)
		if (w->ns != NULL && strcmp(w->ns->name, ns) == 0)
			wake_locked(w);
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
	if (err == 0 && !duplicate)
		wake_watches_locked(m, name.ns);
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
	lock_take(&m->lock);
	const struct record *r = get_locked(m, name, g);
	if (r != NULL)
		copy = *r;
	lock_give(&m->lock);
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
memory_scan(struct backend *b, struct actor_name name, struct backend_range range, int64_t idle_ns, backend_scan_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)idle_ns;
	while (range.from_seq <= range.to_seq) {
		struct mem_scanned one = { .base.decode = decode };
		lock_take(&m->lock);
		const struct record *r = get_locked(m, name, (struct backend_get){ .kind = GET_NEXT, .seq = range.from_seq });
		if (r != NULL) {
			one.record = *r;
			one.base.seq = r->seq;
			one.base.payload = r->payload;
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
	ns->epoch = ++m->made;
	if (find_ns_locked(m, name) != NULL)
		err = -EEXIST;
	else if (ns->name != NULL)
		err = table_add(&m->namespaces, hash_of(name), &ns->link);
	lock_give(&m->lock);
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
	free(ns->places);
	free(ns->name);
	free(ns);
}

static int
memory_ns_remove(struct backend *b, const char *name, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);
	int err = 0;

	(void)deadline_ns;
	lock_take(&m->lock);
	struct mem_ns *ns = find_ns_locked(m, name);
	if (ns == NULL)
		err = -ENOENT;
	else if (ns->info.actors > 0)
		err = -ENOTEMPTY;
	else
		table_remove(&m->namespaces, &ns->link);
	for (struct backend_watch *w = err == 0 ? m->watches : NULL; w != NULL; w = w->next) {
		if (w->ns == ns) {
			w->ns = NULL;
			wake_locked(w);
		}
	}
	lock_give(&m->lock);
	if (err == 0)
		free_ns(ns);
	return err;
}

static int
memory_ns_info(struct backend *b, const char *name, int64_t deadline_ns, struct ns_info *info)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	lock_take(&m->lock);
	struct mem_ns *ns = find_ns_locked(m, name);
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
	struct mem_ns *ns = find_ns_locked(m, name);
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
		const char *name = container_of(l, struct mem_ns, link)->name;
		buf_put(&names, name, strlen(name) + 1);
	}
	lock_give(&m->lock);
	return call_with_names(&names, fn, arg);
}

/* Watching */

/* The next record to tell, if there is one. The actor's name lives as long as the namespace, which has an actor then. */
static bool
next_record_locked(struct backend_watch *w, struct record *r, const char **name)
{
	while (w->ns != NULL && w->next_seq <= w->ns->seq) {
		uint64_t seq = w->next_seq++;
		const struct mem_place *place = &w->ns->places[seq - 1];
		if (seq < w->first_all && place->index + 1 < place->actor->count)
			continue;
		*r = place->actor->records[place->index];
		r->payload.p = NULL;
		*name = place->actor->name;
		return true;
	}
	return false;
}

/* Make one call that is due; false if none is. */
static bool
call_locked(struct backend_watch *w)
{
	struct memory *m = w->memory;
	struct record r;
	const char *name = NULL;
	int end = w->refused != 0 ? w->refused : w->ns == NULL ? -ENOENT : 0;
	bool begin = end == 0 && !w->begun;
	uint64_t epoch = begin ? w->ns->epoch : 0;

	if (w->stopped)
		return false;
	if (!begin && end == 0 && !next_record_locked(w, &r, &name) && w->live)
		return false;
	w->begun = true;
	w->live = w->live || (!begin && name == NULL);
	w->stopped = end != 0;
	w->calling = true;
	lock_give(&m->lock);
	if (end != 0)
		w->fns.end(w->arg, end);
	else if (begin)
		w->fns.begin(w->arg, epoch);
	else if (name != NULL)
		w->fns.record(w->arg, name, &r);
	else
		w->fns.live(w->arg);
	lock_take(&m->lock);
	w->calling = false;
	pthread_cond_broadcast(&m->called);
	return true;
}

static void
watch_unref_locked(struct backend_watch *w)
{
	if (--w->refs == 0)
		free(w);
}

static void
drain(void *arg)
{
	struct backend_watch *w = arg;
	struct memory *m = w->memory;

	lock_take(&m->lock);
	while (call_locked(w))
		;
	w->draining = false;
	watch_unref_locked(w);
	lock_give(&m->lock);
}

static int
memory_watch(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns, void *arg,
    struct backend_watch **out)
{
	struct memory *m = container_of(b, struct memory, base);
	struct backend_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	*w = (struct backend_watch){ .memory = m, .fns = *fns, .arg = arg, .refs = 1 };
	lock_take(&m->lock);
	w->ns = find_ns_locked(m, ns);
	if (w->ns == NULL)
		w->refused = -ENOENT;
	else if (from_seq != 0 && (epoch != w->ns->epoch || from_seq > w->ns->seq + 1))
		w->refused = -ESTALE;
	else
		w->first_all = w->ns->seq + 1;
	w->next_seq = from_seq != 0 ? from_seq : 1;
	if (from_seq != 0)
		w->first_all = 0;
	w->next = m->watches;
	m->watches = w;
	wake_locked(w);
	lock_give(&m->lock);
	*out = w;
	return 0;
}

static void
memory_watch_stop(struct backend *b, struct backend_watch *w)
{
	struct memory *m = container_of(b, struct memory, base);

	lock_take(&m->lock);
	w->stopped = true;
	for (struct backend_watch **at = &m->watches; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	while (w->calling)
		lock_wait(&m->lock, &m->called);
	watch_unref_locked(w);
	lock_give(&m->lock);
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
	pthread_cond_destroy(&m->called);
	lock_destroy(&m->lock);
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
	.watch = memory_watch,
	.watch_stop = memory_watch_stop,
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
	lock_cond_init(&m->called);
	int err = timer_new(&m->timer, clock);
	if (err != 0) {
		pthread_cond_destroy(&m->called);
		lock_destroy(&m->lock);
		free(m);
		return err;
	}
	*out = &m->base;
	return 0;
}
