#include "names.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#include "lock.h"
#include "state.h"

/* At most one look in this time, however many hints there are. */
#define LOOK_NS (5 * NS_PER_MS)
/* A hint may have been lost. */
#define UNHINTED_NS (60 * NS_PER_SEC)
/* So long after a look that was hinted at and saw nothing new there is another, and up to as much later, so that not all nodes look at once:
 * the server that told may have been ahead of the one that was asked. */
#define AGAIN_NS (1 * NS_PER_SEC)
/* After a lost connection, an election or a failed look, that a name is gone is believed when it is said twice, so far apart: servers that
 * have just elected a leader may not know all of their streams yet. */
#define GONE_NS (300 * NS_PER_MS)
/* How long a try waits for a connection before it looks again. */
#define CONNECTION_NS (30 * NS_PER_SEC)

/*
 * Moments are counted: each look has one, from when it begins, and each change. What a look has seen holds for a name that changed
 * before that moment, and says nothing of one that changed later.
 */
struct known {
	struct table_link link;
	bool is_there;    /* as was told, or as it was at first */
	uint64_t changed; /* when it became so */
	uint64_t seen;    /* the last look that saw it */
	unsigned doing;   /* makings and removals by this node under way */
	char ns[];
};

struct names_listener {
	struct names_listener *next;
	names_fn fn;
	void *arg;
};

struct names {
	struct store *store;
	pthread_t thread;
	bool has_thread; /* names_start's and names_stop's */

	struct lock lock;
	/* Guarded by lock. */
	struct table table;
	uint64_t now; /* the last moment */
	bool started;
	bool based; /* a look has succeeded */
	bool stopping;
	bool hinted;
	bool away; /* will be hinted when there is a connection */
	bool elected; /* since the last look began */
	bool shaken; /* what is said to be gone may be there all the same */
	bool news;   /* the last look saw some */
	unsigned tries;
	uint64_t reconnects; /* of the backend, at the last look */
	struct names_listener *listeners; /* changed only while nobody is telling */
	bool telling;
	pthread_cond_t told; /* telling has ended */
	pthread_cond_t wake; /* for the thread */
};

static bool
known_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct known, link)->ns, key) == 0;
}

static struct known *
find_locked(struct names *n, const char *ns)
{
	struct table_link *link = table_find(&n->table, XXH3_64bits(ns, strlen(ns)), known_match, ns);

	return link == NULL ? NULL : container_of(link, struct known, link);
}

/* The entry of ns, made if there is none; NULL for want of memory. */
static struct known *
entry_locked(struct names *n, const char *ns)
{
	size_t size = strlen(ns) + 1;
	struct known *k = find_locked(n, ns);

	if (k != NULL)
		return k;
	k = calloc(1, sizeof(*k) + size);
	if (k == NULL)
		return NULL;
	memcpy(k->ns, ns, size);
	if (table_add(&n->table, XXH3_64bits(ns, size - 1), &k->link) != 0) {
		free(k);
		return NULL;
	}
	return k;
}

/* Telling, one at a time, so that what is decided on and what is told have the same order */

static void
turn_begin_locked(struct names *n)
{
	while (n->telling)
		lock_wait(&n->lock, &n->told);
	n->telling = true;
}

static void
turn_end_locked(struct names *n)
{
	n->telling = false;
	pthread_cond_broadcast(&n->told);
}

static void
tell_locked(struct names *n, const char *ns, bool is_there, bool own)
{
	lock_give(&n->lock);
	for (struct names_listener *l = n->listeners; l != NULL; l = l->next)
		l->fn(l->arg, ns, is_there, own);
	lock_take(&n->lock);
}

/* A look of that moment found that the name has come or gone. Is that news still? */
static bool
is_news_locked(const struct known *k, bool is_there, uint64_t moment)
{
	if (k == NULL)
		return is_there;
	return k->is_there != is_there && k->changed < moment && k->doing == 0;
}

static void
change(struct names *n, const char *ns, bool is_there, uint64_t moment)
{
	lock_take(&n->lock);
	turn_begin_locked(n);
	struct known *k = find_locked(n, ns);
	if (is_news_locked(k, is_there, moment) && (k = entry_locked(n, ns)) != NULL) {
		k->is_there = is_there;
		k->changed = ++n->now;
		if (n->based)
			tell_locked(n, ns, is_there, false);
	}
	turn_end_locked(n);
	lock_give(&n->lock);
}

void
names_note(struct store *s, const char *ns, bool is_there)
{
	struct names *n = s->names;

	lock_take(&n->lock);
	turn_begin_locked(n);
	/* Who has never looked remembers nothing. */
	struct known *k = n->started ? entry_locked(n, ns) : NULL;
	bool news = k == NULL || k->is_there != is_there;
	if (k != NULL) {
		k->is_there = is_there;
		k->changed = ++n->now;
	}
	if (news)
		tell_locked(n, ns, is_there, true);
	turn_end_locked(n);
	lock_give(&n->lock);
}

void
names_doing(struct store *s, const char *ns)
{
	struct names *n = s->names;

	lock_take(&n->lock);
	struct known *k = entry_locked(n, ns);
	if (k != NULL)
		k->doing++;
	lock_give(&n->lock);
}

void
names_done(struct store *s, const char *ns)
{
	struct names *n = s->names;

	lock_take(&n->lock);
	struct known *k = find_locked(n, ns);
	if (k != NULL && k->doing > 0)
		k->doing--;
	if (k != NULL && !n->started && k->doing == 0) {
		table_remove(&n->table, &k->link);
		free(k);
	}
	/* What others did to it meanwhile was passed over. */
	n->hinted = true;
	pthread_cond_signal(&n->wake);
	lock_give(&n->lock);
}

/* Looking */

static int
put_name(void *arg, const char *name)
{
	struct buf *names = arg;

	buf_put(names, name, strlen(name) + 1);
	return names->failed ? -ENOMEM : 0;
}

/* What the look of that moment, which saw the names in list, says has come and gone. */
static void
compare(struct names *n, uint64_t moment, const struct buf *list, struct buf *come, struct buf *gone)
{
	lock_take(&n->lock);
	for (size_t at = 0; at < list->len; at += strlen(list->p + at) + 1) {
		struct known *k = find_locked(n, list->p + at);
		if (k != NULL)
			k->seen = moment;
		if (is_news_locked(k, true, moment))
			put_name(come, list->p + at);
	}
	for (struct table_link *l = NULL; (l = table_next(&n->table, l)) != NULL;) {
		const struct known *k = container_of(l, struct known, link);
		if (k->seen != moment && is_news_locked(k, false, moment))
			put_name(gone, k->ns);
	}
	lock_give(&n->lock);
}

/* Names that are not there and that no look under way can know of: none is, but the one that has just ended. */
static void
forget_gone(struct names *n, uint64_t moment)
{
	struct table_link *next;

	lock_take(&n->lock);
	for (struct table_link *l = table_next(&n->table, NULL); l != NULL; l = next) {
		struct known *k = container_of(l, struct known, link);
		next = table_next(&n->table, l);
		if (!k->is_there && k->changed < moment && k->doing == 0) {
			table_remove(&n->table, l);
			free(k);
		}
	}
	lock_give(&n->lock);
}

/* In a cluster a list may be of some time ago, so each name in which it differs is asked for. */
static int
settle(struct names *n, uint64_t moment, const struct buf *names)
{
	int result = names->failed ? -ENOMEM : 0;

	for (size_t at = 0; at < names->len; at += strlen(names->p + at) + 1) {
		struct ns_info info;
		lock_take(&n->lock);
		bool stopping = n->stopping;
		lock_give(&n->lock);
		if (stopping)
			return -EINTR;
		int err = store_ns_info(n->store, names->p + at, 0, false, &info);
		if (err == 0 || err == -ENOENT)
			change(n, names->p + at, err == 0, moment);
		else
			result = err;
	}
	return result;
}

/* Before what seems to be gone is asked for. False: it is over. */
static bool
pause_if_shaken(struct names *n)
{
	int64_t until_ns = clock_mono(n->store->clock) + GONE_NS;

	lock_take(&n->lock);
	while ((n->shaken || n->elected) && !n->stopping && lock_wait_until(&n->lock, &n->wake, until_ns))
		;
	bool go = !n->stopping;
	lock_give(&n->lock);
	return go;
}

/* The first one takes what is there for what was. */
static void
take_all(struct names *n, uint64_t moment, const struct buf *names)
{
	for (size_t at = 0; at < names->len; at += strlen(names->p + at) + 1)
		change(n, names->p + at, true, moment);
	lock_take(&n->lock);
	n->based = true;
	lock_give(&n->lock);
}

/* by: store_ns_list, or one try of the backend's. */
static int
look(struct names *n, int (*list_names)(struct store *s, backend_name_fn fn, void *arg))
{
	struct buf list = { 0 }, come = { 0 }, gone = { 0 };
	struct backend_status status;

	n->store->backend->ops->status(n->store->backend, &status);
	lock_take(&n->lock);
	n->shaken = n->shaken || n->elected || status.reconnects != n->reconnects;
	n->elected = false;
	n->reconnects = status.reconnects;
	n->hinted = false;
	uint64_t moment = ++n->now;
	bool based = n->based;
	lock_give(&n->lock);
	int err = list_names(n->store, put_name, &list);
	if (err == 0) {
		compare(n, moment, &list, &come, &gone);
		if (!based && !come.failed)
			take_all(n, moment, &come);
		else
			err = settle(n, moment, &come);
		int also = gone.len == 0 ? 0 : pause_if_shaken(n) ? settle(n, moment, &gone) : -EINTR;
		err = err == 0 ? also : err;
	}
	if (err == 0)
		forget_gone(n, moment);
	lock_take(&n->lock);
	n->shaken = err != 0;
	n->news = come.len > 0 || gone.len > 0;
	lock_give(&n->lock);
	buf_free(&list);
	buf_free(&come);
	buf_free(&gone);
	return err;
}

static int
list_once(struct store *s, backend_name_fn fn, void *arg)
{
	return s->backend->ops->ns_list(s->backend, store_deadline(s), fn, arg);
}

static void
on_hint(void *arg, bool elected)
{
	struct names *n = arg;

	lock_take(&n->lock);
	n->hinted = true;
	n->elected |= elected;
	pthread_cond_signal(&n->wake);
	lock_give(&n->lock);
}

static void
on_connected(void *arg)
{
	struct names *n = arg;

	lock_take(&n->lock);
	n->away = false;
	n->hinted = true;
	pthread_cond_signal(&n->wake);
	lock_give(&n->lock);
}

/* A look has failed. When the next one is due: after a pause, unless there is no connection, which will be told. */
static int64_t
after_failure(struct names *n)
{
	struct backend *b = n->store->backend;
	int64_t now = clock_mono(n->store->clock);

	lock_take(&n->lock);
	n->away = true;
	n->hinted = true;
	unsigned tries = n->tries++;
	lock_give(&n->lock);
	if (!b->ops->wait(b, now + CONNECTION_NS, on_connected, n))
		return now;
	lock_take(&n->lock);
	n->away = false;
	lock_give(&n->lock);
	return now + wait_backoff_ns(tries);
}

/* Wait for a hint, or until unhinted_ns, and until next_ns. *hinted: it was one. False: it is over. */
static bool
wait_for_hint(struct names *n, int64_t next_ns, int64_t unhinted_ns, bool *hinted)
{
	*hinted = true;
	lock_take(&n->lock);
	while (!n->stopping && (!n->hinted || n->away)) {
		if (!lock_wait_until(&n->lock, &n->wake, n->away ? INT64_MAX : unhinted_ns)) {
			n->hinted = true;
			*hinted = false;
		}
	}
	while (!n->stopping && lock_wait_until(&n->lock, &n->wake, next_ns))
		;
	bool go = !n->stopping;
	lock_give(&n->lock);
	return go;
}

/* When the next look is due that nobody hints at. */
static int64_t
next_unhinted(struct names *n, int64_t now, bool hinted)
{
	uint16_t random;

	lock_take(&n->lock);
	bool again = hinted && !n->news;
	lock_give(&n->lock);
	n->store->clock->random(n->store->clock, &random, sizeof(random));
	return now + (again ? AGAIN_NS + AGAIN_NS * random / UINT16_MAX : UNHINTED_NS);
}

static void *
run(void *arg)
{
	struct names *n = arg;
	int64_t next_ns = 0, unhinted_ns = clock_mono(n->store->clock) + UNHINTED_NS;
	bool hinted;

	while (wait_for_hint(n, next_ns, unhinted_ns, &hinted)) {
		int err = look(n, list_once);
		int64_t now = clock_mono(n->store->clock);
		unhinted_ns = next_unhinted(n, now, hinted);
		if (err != 0) {
			next_ns = after_failure(n);
			continue;
		}
		n->tries = 0;
		next_ns = now + LOOK_NS;
	}
	return NULL;
}

int
names_start(struct store *s)
{
	struct names *n = s->names;

	lock_take(&n->lock);
	bool started = n->started;
	n->started = true;
	lock_give(&n->lock);
	if (started)
		return 0;
	s->backend->ops->names_listen(s->backend, on_hint, n);
	int err = look(n, store_ns_list);
	if (err != 0)
		on_hint(n, false);
	int made = pthread_create(&n->thread, NULL, run, n);
	n->has_thread = made == 0;
	return made != 0 ? -made : err;
}

/* Who listens */

int
names_listen(struct store *s, names_fn fn, void *arg, struct names_listener **out)
{
	struct names *n = s->names;
	struct names_listener *l = malloc(sizeof(*l));

	if (l == NULL)
		return -ENOMEM;
	lock_take(&n->lock);
	turn_begin_locked(n);
	*l = (struct names_listener){ n->listeners, fn, arg };
	n->listeners = l;
	turn_end_locked(n);
	lock_give(&n->lock);
	*out = l;
	return 0;
}

void
names_ignore(struct store *s, struct names_listener *l)
{
	struct names *n = s->names;

	if (l == NULL)
		return;
	lock_take(&n->lock);
	turn_begin_locked(n);
	for (struct names_listener **at = &n->listeners; *at != NULL; at = &(*at)->next) {
		if (*at == l) {
			*at = l->next;
			break;
		}
	}
	turn_end_locked(n);
	lock_give(&n->lock);
	free(l);
}

/* Life */

int
names_new(struct names **out, struct store *s)
{
	struct names *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return -ENOMEM;
	n->store = s;
	lock_init(&n->lock, LOCK_NAMES);
	lock_cond_init(&n->told);
	lock_cond_init(&n->wake);
	*out = n;
	return 0;
}

void
names_stop(struct names *n)
{
	struct backend *b = n->store->backend;

	lock_take(&n->lock);
	bool started = n->started;
	n->stopping = true;
	pthread_cond_signal(&n->wake);
	lock_give(&n->lock);
	if (started)
		b->ops->names_listen(b, NULL, NULL);
	if (n->has_thread)
		pthread_join(n->thread, NULL);
}

void
names_free(struct names *n)
{
	struct table_link *link;

	if (n == NULL)
		return;
	while ((link = table_pop(&n->table)) != NULL)
		free(container_of(link, struct known, link));
	table_free(&n->table);
	pthread_cond_destroy(&n->told);
	pthread_cond_destroy(&n->wake);
	lock_destroy(&n->lock);
	free(n);
}
