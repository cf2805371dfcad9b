#include "store.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "append.h"
#include "erase.h"
#include "index.h"
#include "json.h"
#include "models.h"
#include "names.h"
#include "readahead.h"
#include "snapshot.h"
#include "state.h"
#include "types.h"

#define LIMITS_MAX_AGE_NS NS_PER_SEC
/* A time that is over in so long counts as one that has come. */
#define SEQ_AT_WAIT_NS (150 * NS_PER_MS)
#define SILENT_ATTEMPT_NS (50 * NS_PER_MS)

struct known_ns {
	struct table_link link;
	struct ns_info info;
	int64_t at_ns; /* when the backend was asked */
	char name[];
};

struct conflict_entry {
	struct conflict conflict;
	char time[CLOCK_RFC3339_LEN + 1];
	char *ns;
	char *actor;  /* NULL: what was refused was no append */
	char *reason; /* NULL: a conflict of versions */
};

int
store_new(struct store **out, struct backend *backend, const struct clock *clock, struct logger *lg,
    const struct store_options *options)
{
	struct store *s = calloc(1, sizeof(*s));
	int err = -ENOMEM;

	if (s == NULL)
		goto fail_backend;
	*s = (struct store){ .backend = backend, .clock = clock, .lg = lg, .options = *options };
	clock->random(clock, &s->node, sizeof(s->node));
	s->node |= 1;
	err = cache_new(&s->cache, options->cache_bytes);
	if (err != 0)
		goto fail_store;
	err = indexes_new(&s->indexes, s);
	if (err != 0)
		goto fail_cache;
	err = names_new(&s->names, s);
	if (err != 0)
		goto fail_indexes;
	err = all_types_new(&s->types, s);
	if (err != 0)
		goto fail_names;
	err = timer_new(&s->worker, clock);
	if (err != 0)
		goto fail_types;
	err = timer_new(&s->pump, clock);
	if (err != 0)
		goto fail_worker;
	quota_init(&s->window, APPEND_WINDOW);
	quota_init(&s->room, APPEND_STORE_BYTES);
	atomic_init(&s->sweeping, false);
	atomic_init(&s->follows, 0);
	lock_init(&s->lock, LOCK_STORE);
	lock_cond_init(&s->idle);
	*out = s;
	return 0;
fail_worker:
	timer_free(s->worker);
fail_types:
	all_types_free(s->types);
fail_names:
	names_free(s->names);
fail_indexes:
	indexes_free(s->indexes);
fail_cache:
	cache_free(s->cache);
fail_store:
	free(s);
fail_backend:
	backend->ops->free(backend);
	return err;
}

static void
free_conflict(struct conflict_entry *c)
{
	if (c == NULL)
		return;
	free(c->ns);
	free(c->actor);
	free(c->reason);
	free(c);
}

void
store_free(struct store *s)
{
	struct table_link *link;

	if (s == NULL)
		return;
	lock_take(&s->lock);
	while (s->appends > 0)
		lock_wait(&s->lock, &s->idle);
	lock_give(&s->lock);
	if (atomic_load(&s->follows) > 0)
		log_error(s->lg, "the store is closed under %zu that follow a namespace", atomic_load(&s->follows));
	names_stop(s->names);
	indexes_stop(s->indexes);
	all_types_stop(s->types);
	readahead_end_all(s);
	timer_free(s->pump);
	timer_free(s->worker);
	s->backend->ops->free(s->backend);
	indexes_free(s->indexes);
	names_free(s->names);
	all_types_free(s->types);
	quota_destroy(&s->window);
	quota_destroy(&s->room);
	cache_free(s->cache);
	while ((link = table_pop(&s->namespaces)) != NULL)
		free(container_of(link, struct known_ns, link));
	table_free(&s->namespaces);
	table_free(&s->actors);
	for (size_t i = 0; i < STORE_CONFLICTS; i++)
		free_conflict(s->conflicts[i]);
	pthread_cond_destroy(&s->idle);
	lock_destroy(&s->lock);
	free(s);
}

int64_t
store_short_deadline(struct store *s)
{
	struct backend_status status;

	s->backend->ops->status(s->backend, &status);
	if (status.silent)
		return clock_mono(s->clock) + SILENT_ATTEMPT_NS;
	return wait_attempt_deadline(s->clock, store_deadline(s));
}

bool
attempt_again(struct attempt *at, int *err)
{
	if (*err != -ENOTCONN)
		return false;
	at->again = true;
	*err = wait_retry(at->store->backend, at->store->clock, at->deadline_ns, &at->tries);
	return *err == 0;
}

/* Namespaces */

static bool
ns_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct known_ns, link)->name, key) == 0;
}

static struct known_ns *
known_ns_locked(struct store *s, const char *ns)
{
	struct table_link *link = table_find(&s->namespaces, XXH3_64bits(ns, strlen(ns)), ns_match, ns);

	return link == NULL ? NULL : container_of(link, struct known_ns, link);
}

static void
forget_ns(struct store *s, const char *ns)
{
	lock_take(&s->lock);
	struct known_ns *known = known_ns_locked(s, ns);
	if (known != NULL) {
		table_remove(&s->namespaces, &known->link);
		free(known);
	}
	lock_give(&s->lock);
}

static void
learn_ns(struct store *s, const char *ns, const struct ns_info *info, int64_t asked_ns)
{
	size_t size = strlen(ns) + 1;

	lock_take(&s->lock);
	struct known_ns *known = known_ns_locked(s, ns);
	if (known == NULL && (known = malloc(sizeof(*known) + size)) != NULL) {
		memcpy(known->name, ns, size);
		known->at_ns = INT64_MIN;
		if (table_add(&s->namespaces, XXH3_64bits(ns, size - 1), &known->link) != 0) {
			free(known);
			known = NULL;
		}
	}
	if (known != NULL && known->at_ns <= asked_ns) {
		known->info = *info;
		known->at_ns = asked_ns;
	}
	lock_give(&s->lock);
}

int
store_ns_create(struct store *s, const char *ns, const struct ns_attr *attr)
{
	struct attempt at = attempt_begin(s);
	int err;

	names_doing(s, ns);
	do
		err = s->backend->ops->ns_create(s->backend, ns, attr, at.deadline_ns);
	while (attempt_again(&at, &err));
	forget_ns(s, ns);
	if (err == 0)
		names_note(s, ns, true);
	names_done(s, ns);
	return err;
}

static int
remove_ns(struct store *s, const char *ns)
{
	struct attempt at = attempt_begin(s);
	int err;

	names_doing(s, ns);
	do
		err = s->backend->ops->ns_remove(s->backend, ns, at.deadline_ns);
	while (attempt_again(&at, &err));
	if (err == -ENOENT && at.again)
		err = 0; /* it was the answer that was lost */
	forget_ns(s, ns);
	if (err == 0 || err == -ENOENT)
		index_gone(s, ns);
	if (err == 0)
		names_note(s, ns, false);
	if (err == 0) {
		snapshot_drop(s, ns, NULL);
		models_removed(s, ns);
	}
	names_done(s, ns);
	return err;
}

int
store_ns_remove(struct store *s, const char *ns, bool all)
{
	int64_t give_up_ns = INT64_MAX;
	int err;

	while ((err = remove_ns(s, ns)) == -ENOTEMPTY && all) {
		int64_t now = clock_mono(s->clock);
		if (now >= give_up_ns)
			break;
		int erased = erase_all(s, ns);
		if (erased != 0)
			return erased;
		/* From here on it is a race with who appends. */
		if (give_up_ns == INT64_MAX)
			give_up_ns = store_deadline(s);
	}
	return err;
}

int
store_ns_set(struct store *s, const char *ns, const struct ns_attr *attr)
{
	struct attempt at = attempt_begin(s);
	int err;

	do
		err = s->backend->ops->ns_set(s->backend, ns, attr, at.deadline_ns);
	while (attempt_again(&at, &err));
	forget_ns(s, ns);
	return err;
}

static bool
away(struct store *s)
{
	struct backend_status status;

	s->backend->ops->status(s->backend, &status);
	return !status.connected;
}

int
store_ns_info(struct store *s, const char *ns, int64_t max_age_ns, bool stale_ok, struct ns_info *info)
{
	int64_t now = clock_mono(s->clock);
	struct attempt at = attempt_begin(s);
	bool fresh_enough = false, known_at_all;
	struct ns_info before = { 0 };
	int err;

	lock_take(&s->lock);
	struct known_ns *known = known_ns_locked(s, ns);
	known_at_all = known != NULL;
	if (known_at_all) {
		before = known->info;
		fresh_enough = now - known->at_ns < max_age_ns;
	}
	lock_give(&s->lock);
	if (known_at_all && (fresh_enough || (stale_ok && away(s)))) {
		*info = before;
		return 0;
	}
	bool dispensable = known_at_all && stale_ok;
	do
		err = s->backend->ops->ns_info(s->backend, ns, dispensable ? store_short_deadline(s) : at.deadline_ns, info);
	while (!dispensable && attempt_again(&at, &err));
	if ((err == 0 && known_at_all && info->created_us != before.created_us) || err == -ENOENT)
		index_gone(s, ns);
	if (err == 0) {
		learn_ns(s, ns, info, now);
	} else if (err == -ENOENT) {
		forget_ns(s, ns);
	} else if ((err == -ETIMEDOUT || err == -ENOTCONN) && dispensable) {
		*info = before;
		err = 0;
	}
	return err;
}

int
store_seq_at(struct store *s, const char *ns, int64_t time_ns, uint64_t *seq)
{
	struct attempt at = attempt_begin(s);
	int64_t wait_ns = 0;
	int err;

	do {
		err = s->backend->ops->seq_at(s->backend, ns, time_ns, at.deadline_ns, seq, &wait_ns);
		if (err == -EAGAIN && wait_ns <= SEQ_AT_WAIT_NS) {
			wait_moment(s->backend, clock_mono(s->clock) + wait_ns);
			err = s->backend->ops->seq_at(s->backend, ns, time_ns, at.deadline_ns, seq, &wait_ns);
		}
	} while (attempt_again(&at, &err));
	return err == -EAGAIN ? -ENOENT : err;
}

int
store_ns_list(struct store *s, backend_name_fn fn, void *arg)
{
	struct attempt at = attempt_begin(s);
	int err;

	do
		err = s->backend->ops->ns_list(s->backend, at.deadline_ns, fn, arg);
	while (attempt_again(&at, &err));
	return err;
}

int
store_limits(struct store *s, struct backend_limits *limits)
{
	int64_t now = clock_mono(s->clock);
	struct attempt at = attempt_begin(s);
	bool is_away = away(s), good;
	int err;

	lock_take(&s->lock);
	*limits = s->limits;
	good = s->limits_at_ns != 0 && (is_away || now - s->limits_at_ns < LIMITS_MAX_AGE_NS);
	lock_give(&s->lock);
	if (good)
		return 0;
	do
		err = s->backend->ops->limits(s->backend, at.deadline_ns, limits);
	while (attempt_again(&at, &err));
	if (err == 0) {
		lock_take(&s->lock);
		s->limits = *limits;
		s->limits_at_ns = now;
		lock_give(&s->lock);
	}
	return err;
}

void
store_status(struct store *s, struct backend_status *status)
{
	s->backend->ops->status(s->backend, status);
}

void
store_url(struct store *s, char *out, size_t size)
{
	out[0] = '\0';
	if (s->backend->ops->url != NULL)
		s->backend->ops->url(s->backend, out, size);
}

const char *
store_backend_name(const struct store *s)
{
	return s->backend->ops->name;
}

void
store_set_forward(struct store *s, store_forward_fn fn, void *arg)
{
	s->forward = fn;
	s->forward_arg = arg;
}

uint64_t
store_node(const struct store *s)
{
	return s->node;
}

const struct store_options *
store_get_options(const struct store *s)
{
	return &s->options;
}

/* Conflicts */

static void
add_entry(struct store *s, const char *ns, const char *actor, const struct conflict *c, const char *reason)
{
	struct conflict_entry *entry = calloc(1, sizeof(*entry));

	if (entry == NULL)
		return;
	if (c != NULL)
		entry->conflict = *c;
	clock_rfc3339(clock_wall(s->clock), entry->time);
	entry->ns = strdup(ns);
	entry->actor = actor != NULL ? strdup(actor) : NULL;
	entry->reason = reason != NULL ? strdup(reason) : NULL;
	if (entry->ns == NULL || (entry->actor == NULL) != (actor == NULL) || (entry->reason == NULL) != (reason == NULL)) {
		free_conflict(entry);
		return;
	}
	lock_take(&s->lock);
	struct conflict_entry **slot = &s->conflicts[s->conflicts_added++ % STORE_CONFLICTS];
	struct conflict_entry *oldest = *slot;
	*slot = entry;
	lock_give(&s->lock);
	free_conflict(oldest);
}

void
store_add_conflict(struct store *s, const struct actor *a, const struct conflict *c)
{
	add_entry(s, a->ns, a->name, c, NULL);
}

void
store_add_refusal(struct store *s, const char *ns, const char *actor, const char *reason)
{
	add_entry(s, ns, actor, NULL, reason);
}

static void
put_conflict(struct buf *out, const struct conflict_entry *c)
{
	buf_printf(out, "{\"timestamp\":\"%s\",\"namespace\":", c->time);
	json_put_string(out, span_of(c->ns));
	if (c->actor != NULL) {
		buf_puts(out, ",\"actorId\":");
		json_put_string(out, span_of(c->actor));
	}
	if (c->reason != NULL) {
		buf_puts(out, ",\"reason\":");
		json_put_string(out, span_of(c->reason));
		buf_putc(out, '}');
		return;
	}
	buf_printf(out, ",\"currentVersion\":%llu,\"attemptedVersion\":%llu", (unsigned long long)c->conflict.current,
	    (unsigned long long)c->conflict.attempted);
	if (c->conflict.id[0] != '\0') {
		buf_puts(out, ",\"id\":");
		json_put_string(out, span_of(c->conflict.id));
	}
	buf_putc(out, '}');
}

static bool
concerns(const struct conflict_entry *c, const char *ns, const char *actor)
{
	return c != NULL && (ns == NULL || strcmp(c->ns, ns) == 0) && (actor == NULL || (c->actor != NULL && strcmp(c->actor, actor) == 0));
}

void
store_conflicts(struct store *s, const char *ns, const char *actor, struct buf *out)
{
	lock_take(&s->lock);
	for (size_t i = 0; i < STORE_CONFLICTS; i++) {
		const struct conflict_entry *c = s->conflicts[(s->conflicts_added + i) % STORE_CONFLICTS];
		if (concerns(c, ns, actor)) {
			put_conflict(out, c);
			buf_putc(out, '\n');
		}
	}
	lock_give(&s->lock);
}

void
store_conflict_last(struct store *s, const char *ns, const char *actor, struct buf *out)
{
	lock_take(&s->lock);
	for (size_t i = 1; i <= STORE_CONFLICTS; i++) {
		const struct conflict_entry *c = s->conflicts[(s->conflicts_added - i) % STORE_CONFLICTS];
		if (concerns(c, ns, actor)) {
			put_conflict(out, c);
			break;
		}
	}
	lock_give(&s->lock);
}
