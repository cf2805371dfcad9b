#include "index.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#include "index_state.h"

/* Long enough that a loop of ls, or a shell in the directory, loads it once; what is left alone for that long is not in use. */
#define IDLE_NS (60 * NS_PER_SEC)
/* Walking through many namespaces (find, du) asks for each once: of those only so many are kept. */
#define IDLE_MAX 64
/* A reader is woken after the first entry, and then in ever larger steps: waking it for each would cost more than loading. */
#define WAKE_STEP_MAX 1024

/* Counts */

static void
free_index(struct index *x)
{
	index_table_free(&x->table);
	pthread_cond_destroy(&x->changed);
	lock_destroy(&x->lock);
	free(x);
}

void
index_unref(struct index *x)
{
	struct indexes *all = x->all;

	lock_take(&all->lock);
	bool last = --x->refs == 0;
	lock_give(&all->lock);
	if (last)
		free_index(x);
}

void
index_call_at(struct index *x, int64_t at_ns, void (*fn)(void *arg))
{
	struct backend *b = x->all->store->backend;

	lock_take(&x->all->lock);
	x->refs++;
	lock_give(&x->all->lock);
	b->ops->after(b, at_ns, fn, x);
}

static bool
ns_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct index, link)->ns, key) == 0;
}

static struct index *
find_locked(struct indexes *all, const char *ns)
{
	struct table_link *link = table_find(&all->by_ns, XXH3_64bits(ns, strlen(ns)), ns_match, ns);

	return link == NULL ? NULL : container_of(link, struct index, link);
}

bool
index_unlist_locked(struct index *x)
{
	if (!x->listed)
		return false;
	table_remove(&x->all->by_ns, &x->link);
	x->listed = false;
	x->all->closing++;
	if (x->holders == 0)
		x->all->idle--;
	return true;
}

static void
hold_locked(struct index *x)
{
	x->refs++;
	if (x->holders++ == 0 && x->listed)
		x->all->idle--;
}

/* The watch of an index that was unlisted ends here. Takes the table's count. */
static void
close_index(void *arg)
{
	struct index *x = arg;
	struct indexes *all = x->all;

	index_move(x);
	index_unref(x);
	lock_take(&all->lock);
	if (--all->closing == 0)
		pthread_cond_broadcast(&all->told);
	lock_give(&all->lock);
}

void
index_close_later(struct index *x)
{
	struct store *s = x->all->store;

	lock_take(&x->lock);
	x->closed = true;
	lock_give(&x->lock);
	s->backend->ops->after(s->backend, clock_mono(s->clock), close_index, x);
}

static void
expire(void *arg)
{
	struct index *x = arg;
	struct indexes *all = x->all;
	int64_t now = clock_mono(all->store->clock), at_ns;
	bool drop = false;

	lock_take(&all->lock);
	at_ns = x->idle_since_ns + IDLE_NS;
	x->expiring = x->listed && x->holders == 0 && at_ns > now && !all->stopped;
	bool again = x->expiring;
	if (!again && x->holders == 0)
		drop = index_unlist_locked(x);
	lock_give(&all->lock);
	if (again)
		index_call_at(x, at_ns, expire);
	if (drop)
		index_close_later(x);
	index_unref(x);
}

static struct index *
idle_longest_locked(struct indexes *all)
{
	struct index *longest = NULL;

	for (struct table_link *l = NULL; (l = table_next(&all->by_ns, l)) != NULL;) {
		struct index *x = container_of(l, struct index, link);
		if (x->holders == 0 && (longest == NULL || x->idle_since_ns < longest->idle_since_ns))
			longest = x;
	}
	return longest;
}

void
index_put(struct index *x)
{
	struct index *surplus = NULL;

	if (x == NULL)
		return;
	struct indexes *all = x->all;
	int64_t now = clock_mono(all->store->clock);
	bool arm = false;
	lock_take(&all->lock);
	if (--x->holders == 0 && x->listed) {
		x->idle_since_ns = now;
		arm = !x->expiring;
		x->expiring = true;
		if (++all->idle > IDLE_MAX && (surplus = idle_longest_locked(all)) != NULL)
			index_unlist_locked(surplus);
	}
	lock_give(&all->lock);
	if (arm)
		index_call_at(x, now + IDLE_NS, expire);
	if (surplus != NULL)
		index_close_later(surplus);
	index_unref(x);
}

/* The listener */

void
store_listen(struct store *s, store_listen_fn fn, void *arg)
{
	struct indexes *all = s->indexes;

	lock_take(&all->lock);
	all->listener = fn;
	all->listener_arg = arg;
	while (fn == NULL && all->telling > 0)
		lock_wait(&all->lock, &all->told);
	lock_give(&all->lock);
}

void
index_tell(struct indexes *all, const char *ns, const char *name, const struct head *head, bool is_new)
{
	lock_take(&all->lock);
	store_listen_fn fn = all->listener;
	void *arg = all->listener_arg;
	all->telling += fn != NULL;
	lock_give(&all->lock);
	if (fn == NULL)
		return;
	fn(arg, ns, name, head, is_new);
	lock_take(&all->lock);
	if (--all->telling == 0)
		pthread_cond_broadcast(&all->told);
	lock_give(&all->lock);
}

/* Entries */

void
index_wake_locked(struct index *x)
{
	x->wake_at = UINT64_MAX;
	pthread_cond_broadcast(&x->changed);
}

void
index_learn_locked(struct index *x, const char *name, const struct head *head)
{
	struct index_item *item = index_table_put(&x->table, name);

	if (item != NULL && head->seq > item->head.seq)
		item->head = *head;
	if (x->table.count >= x->wake_at)
		index_wake_locked(x);
}

void
index_forget_locked(struct index *x)
{
	for (uint32_t i = 0; i < x->table.count; i++)
		index_table_at(&x->table, i)->head = (struct head){ 0 };
	x->last_seq = 0;
	x->epoch = 0;
}

static struct index *
new_index(struct indexes *all, const char *ns)
{
	size_t size = strlen(ns) + 1;
	struct index *x = calloc(1, sizeof(*x) + size);

	if (x == NULL)
		return NULL;
	memcpy(x->ns, ns, size);
	x->all = all;
	x->wake_at = UINT64_MAX;
	x->progress_ns = clock_mono(all->store->clock);
	lock_init(&x->lock, LOCK_INDEX);
	lock_cond_init(&x->changed);
	return x;
}

int
index_get(struct store *s, const char *ns, struct index **out)
{
	struct indexes *all = s->indexes;
	bool made = false;

	lock_take(&all->lock);
	struct index *x = find_locked(all, ns);
	if (x == NULL && (x = new_index(all, ns)) != NULL) {
		made = table_add(&all->by_ns, XXH3_64bits(ns, strlen(ns)), &x->link) == 0;
		if (made) {
			x->listed = true;
			x->refs = 1;
			all->idle++;
		} else {
			free_index(x);
			x = NULL;
		}
	}
	if (x != NULL)
		hold_locked(x);
	lock_give(&all->lock);
	if (made)
		index_move(x);
	*out = x;
	return x != NULL ? 0 : -ENOMEM;
}

struct index *
index_peek(struct store *s, const char *ns)
{
	struct indexes *all = s->indexes;

	lock_take(&all->lock);
	struct index *x = find_locked(all, ns);
	if (x != NULL)
		hold_locked(x);
	lock_give(&all->lock);
	return x;
}

/* Asking */

bool
index_is_live(struct index *x)
{
	lock_take(&x->lock);
	bool live = x->state == LIVE;
	lock_give(&x->lock);
	return live;
}

uint64_t
index_count(struct index *x)
{
	lock_take(&x->lock);
	uint64_t count = x->table.count;
	lock_give(&x->lock);
	return count;
}

static bool
next_locked(const struct index *x, uint64_t *position, struct index_entry *e)
{
	while (*position < x->table.count) {
		const struct index_item *item = index_table_at(&x->table, (uint32_t)(*position)++);
		if (!index_is_there(item))
			continue;
		*e = (struct index_entry){ .name = item->name, .foreign = item->head.size == INDEX_FOREIGN };
		if (e->foreign)
			e->head.seq = item->head.seq;
		else
			e->head = item->head;
		return true;
	}
	return false;
}

/* Wait for entries behind position, or for any other change. */
static int
wait_locked(struct index *x, uint64_t position, int64_t since_ns)
{
	uint64_t step_size = position == 0 ? 1 : position > WAKE_STEP_MAX ? WAKE_STEP_MAX : position;
	int64_t from_ns = x->progress_ns > since_ns ? x->progress_ns : since_ns;
	int64_t at = from_ns + x->all->store->options.timeout_ns;

	if (position + step_size < x->wake_at)
		x->wake_at = position + step_size;
	if (lock_wait_until(&x->lock, &x->changed, at) || x->progress_ns > from_ns)
		return 0;
	return -ETIMEDOUT;
}

/* There is nothing more at the moment: 0 if that is all, 1 to wait, -errno. */
static int
at_end_locked(const struct index *x, int64_t now)
{
	switch (x->state) {
	case LOADING:
		return x->err == -EACCES ? -EACCES : 1;
	case LIVE:
		return 0;
	case LAGGING:
		return now - x->interrupted_ns < x->all->store->options.timeout_ns ? 0 :
		    x->err == -EACCES                                              ? -EACCES :
		                                                                     -ETIMEDOUT;
	case GONE:
		return -ENOENT;
	}
	return 0;
}

int
index_next(struct index *x, uint64_t *position, struct index_entry *e)
{
	int64_t now = clock_mono(x->all->store->clock);
	int waited = 0, result;

	lock_take(&x->lock);
	for (;;) {
		/* What lags too long is not shown at all, rather than as if it were true. */
		result = at_end_locked(x, now);
		if (result >= 0 && next_locked(x, position, e)) {
			result = 1;
			break;
		}
		if (result <= 0)
			break;
		if (waited != 0) {
			result = waited;
			break;
		}
		waited = wait_locked(x, *position, now);
	}
	lock_give(&x->lock);
	return result;
}

static int
find(struct index *x, const char *name, bool only_live, struct head *head)
{
	int err = -EAGAIN;

	lock_take(&x->lock);
	const struct index_item *item = index_table_find(&x->table, name);
	bool there = item != NULL && index_is_there(item);
	if (only_live && x->state != LIVE) {
		err = -EAGAIN;
	} else if (!there) {
		err = x->state == LOADING ? -EAGAIN : -ENOENT;
	} else if (item->head.size != INDEX_FOREIGN) {
		*head = item->head;
		err = 0;
	}
	lock_give(&x->lock);
	return err;
}

int
index_find(struct index *x, const char *name, struct head *head)
{
	return find(x, name, false, head);
}

int
index_ask(struct store *s, const char *ns, const char *name, struct head *head)
{
	struct index *x = index_peek(s, ns);

	if (x == NULL)
		return -EAGAIN;
	int err = find(x, name, true, head);
	index_put(x);
	return err;
}

/* Learning */

/* As index_peek, but not a use that keeps it. */
static struct index *
glance(struct store *s, const char *ns)
{
	struct indexes *all = s->indexes;

	lock_take(&all->lock);
	struct index *x = find_locked(all, ns);
	if (x != NULL)
		x->refs++;
	lock_give(&all->lock);
	return x;
}

void
index_learn(struct store *s, const char *ns, const char *name, const struct head *head)
{
	struct index *x = head->seq != 0 ? glance(s, ns) : NULL;

	if (x == NULL)
		return;
	lock_take(&x->lock);
	if (x->state != GONE)
		index_learn_locked(x, name, head);
	lock_give(&x->lock);
	index_unref(x);
}

void
index_unlearn(struct store *s, const char *ns, const char *name, uint64_t seen_seq)
{
	struct index *x = seen_seq != 0 ? glance(s, ns) : NULL;

	if (x == NULL)
		return;
	lock_take(&x->lock);
	struct index_item *item = index_table_find(&x->table, name);
	bool gone = item != NULL && item->head.seq == seen_seq;
	if (gone)
		item->head = (struct head){ 0 };
	bool loaded = x->state == LIVE || x->state == LAGGING;
	lock_give(&x->lock);
	if (gone && loaded)
		index_tell(x->all, ns, name, NULL, false);
	index_unref(x);
}

uint64_t
index_seq(struct store *s, const char *ns, const char *name)
{
	struct index *x = glance(s, ns);
	uint64_t seq = 0;

	if (x == NULL)
		return 0;
	lock_take(&x->lock);
	const struct index_item *item = index_table_find(&x->table, name);
	if (item != NULL)
		seq = item->head.seq;
	lock_give(&x->lock);
	index_unref(x);
	return seq;
}

void
index_gone(struct store *s, const char *ns)
{
	struct index *x = glance(s, ns);

	if (x == NULL)
		return;
	index_set_gone(x);
	index_unref(x);
}

/* All of a store */

int
indexes_new(struct indexes **out, struct store *s)
{
	struct indexes *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	all->store = s;
	lock_init(&all->lock, LOCK_INDEXES);
	lock_cond_init(&all->told);
	*out = all;
	return 0;
}

void
indexes_stop(struct indexes *all)
{
	struct table_link *link;

	for (;;) {
		lock_take(&all->lock);
		all->stopped = true;
		link = table_next(&all->by_ns, NULL);
		struct index *x = link == NULL ? NULL : container_of(link, struct index, link);
		if (x != NULL)
			index_unlist_locked(x);
		/* The backend may be freed only when no watch is left for anybody to stop. */
		while (x == NULL && all->closing > 0)
			lock_wait(&all->lock, &all->told);
		lock_give(&all->lock);
		if (x == NULL)
			return;
		lock_take(&x->lock);
		x->closed = true;
		lock_give(&x->lock);
		close_index(x);
	}
}

void
indexes_free(struct indexes *all)
{
	if (all == NULL)
		return;
	table_free(&all->by_ns);
	pthread_cond_destroy(&all->told);
	lock_destroy(&all->lock);
	free(all);
}
