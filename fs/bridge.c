#include "bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xxhash.h>

#include "../store/name.h"
#include "bridge_state.h"

/* For so long nobody must have looked a namespace up before it is tried whether anybody uses it. */
#define UNUSED_NS (3 * NS_PER_SEC)
/* The consumer is made so long after the first lookup, for the server would be busy with it when what the lookup was for is read. */
#define BEGIN_NS (20 * NS_PER_MS)

void
bridge_wake(const struct bridge *b)
{
	const uint64_t one = 1;

	/* It fails only if it has been woken very often already. */
	if (write(b->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* Something was noted: does the thread have to be woken for it? */
static bool
stir_locked(struct bridge *b)
{
	bool idle = b->idle;

	b->idle = false;
	return idle;
}

/* What comes from the store */

static void
on_record(void *arg, const char *actor, const struct record *r)
{
	struct known *k = arg;
	struct bridge *b = k->bridge;
	struct poke_news news = { .own = r->node == store_node(b->env->store) && !r->foreign };

	if (name_check_actor(span_of(actor)) != 0)
		return;
	news.made = record_is_first(r);
	news.gone = r->erased;
	news.changed = r->foreign || r->payload.len > 0;
	if (!r->foreign)
		news.head = record_head(r);
	if (news.made || news.gone)
		bridge_owned_record(b, k->ns, actor, news.made);
	lock_take(&b->lock);
	/* For want of memory it goes untold; so would a local change (IN_Q_OVERFLOW). */
	(void)pokes_record(&b->pokes, k->ns, actor, &news, bridge_now(b));
	bool full = pokes_waiting(&b->pokes) > BRIDGE_NAMES_MAX;
	bool stir = (full && !b->full) || stir_locked(b);
	b->full = b->full || full;
	lock_give(&b->lock);
	if (stir)
		bridge_wake(b);
}

static void
note_namespace(struct bridge *b, const char *ns, bool gone, bool made)
{
	lock_take(&b->lock);
	if (gone)
		(void)pokes_namespace(&b->pokes, ns, false, bridge_now(b));
	if (made)
		(void)pokes_namespace(&b->pokes, ns, true, bridge_now(b));
	bool stir = stir_locked(b);
	lock_give(&b->lock);
	if (stir)
		bridge_wake(b);
}

static void
on_anew(void *arg)
{
	struct known *k = arg;

	note_namespace(k->bridge, k->ns, true, true);
}

static void
on_gone(void *arg)
{
	struct known *k = arg;

	lock_take(&k->bridge->lock);
	k->ended = true;
	lock_give(&k->bridge->lock);
}

static const struct follow_fns follow_fns = { on_record, on_anew, on_gone };

static void
on_name(void *arg, const char *ns, bool is_there, bool own)
{
	struct bridge *b = arg;

	if (name_check_namespace(span_of(ns)) != 0)
		return;
	if (!own) {
		note_namespace(b, ns, !is_there, is_there);
		return;
	}
	lock_take(&b->lock);
	if (is_there)
		pokes_made_here(&b->pokes, ns, NULL, false, bridge_now(b));
	else
		pokes_gone_here(&b->pokes, ns, NULL, bridge_now(b));
	lock_give(&b->lock);
}

/* Namespaces that the kernel knows */

static bool
known_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct known, link)->ns, key) == 0;
}

struct known *
bridge_find_locked(struct bridge *b, const char *ns)
{
	struct table_link *link = table_find(&b->known, XXH3_64bits(ns, strlen(ns)), known_match, ns);

	return link != NULL ? container_of(link, struct known, link) : NULL;
}

void
bridge_used_locked(struct known *k)
{
	k->told = 0;
	k->unused_ns = bridge_now(k->bridge) + UNUSED_NS;
}

static struct known *
find_or_add_locked(struct bridge *b, const char *ns)
{
	struct known *k = bridge_find_locked(b, ns);
	size_t size = strlen(ns) + 1;

	if (k != NULL || (k = calloc(1, sizeof(*k) + size)) == NULL)
		return k;
	k->bridge = b;
	memcpy(k->ns, ns, size);
	if (table_add(&b->known, XXH3_64bits(ns, size - 1), &k->link) == 0)
		return k;
	free(k);
	return NULL;
}

/* Begin to follow it, from what the store last heard of it on. Whoever calls has set beginning. */
static void
begin(struct bridge *b, struct known *k, struct follow *old)
{
	struct follow *fresh = NULL;
	struct ns_info info;

	follow_free(old);
	int err = store_ns_info(b->env->store, k->ns, ENV_NAMESPACE_AGE_NS, true, &info);
	if (err == 0)
		err = follow_new(b->env->store, k->ns, info.last_seq, info.epoch, bridge_now(b) + BEGIN_NS, false, &follow_fns, k, &fresh);
	if (err != 0 && err != -ENOENT)
		log_warn(b->env->lg, "namespace %s: changes of other nodes will not show in inotify: %s", k->ns, strerror(-err));
	lock_take(&b->lock);
	/* Before anybody else can get at it, who might free it, or say otherwise meanwhile. */
	for (bool is = false; fresh != NULL && is != b->held;) {
		is = b->held;
		lock_give(&b->lock);
		follow_hold(fresh, is);
		lock_take(&b->lock);
	}
	k->follow = fresh;
	k->beginning = false;
	bool over = k->lookups == 0;
	lock_give(&b->lock);
	if (over) {
		follow_free(fresh);
		free(k);
	}
}

void
bridge_known(struct bridge *b, const char *ns, bool by_user)
{
	struct follow *old = NULL;
	bool first = false;

	lock_take(&b->lock);
	while (b->holding)
		lock_wait(&b->lock, &b->held_over);
	struct known *k = find_or_add_locked(b, ns);
	if (k != NULL) {
		k->lookups++;
		if (by_user)
			bridge_used_locked(k);
		first = !k->beginning && (k->follow == NULL || k->ended);
		if (first) {
			k->beginning = true;
			k->ended = false;
			old = k->follow;
			k->follow = NULL;
		}
	}
	lock_give(&b->lock);
	if (first)
		begin(b, k, old);
}

bool
bridge_forgotten(struct bridge *b, const char *ns, uint64_t count)
{
	struct follow *old = NULL;
	struct known *dead = NULL;
	bool over = false;

	lock_take(&b->lock);
	while (b->holding)
		lock_wait(&b->lock, &b->held_over);
	struct known *k = bridge_find_locked(b, ns);
	if (k != NULL) {
		k->lookups -= count < k->lookups ? count : k->lookups;
		over = k->lookups == 0;
		if (over) {
			table_remove(&b->known, &k->link);
			pokes_forget(&b->pokes, ns);
			bridge_owned_forget_locked(b, ns);
			old = k->follow;
			dead = k->beginning ? NULL : k;
		}
	}
	lock_give(&b->lock);
	follow_free(old);
	free(dead);
	return over;
}

void
bridge_made_here(struct bridge *b, const char *ns, const char *actor, bool existed)
{
	if (b == NULL)
		return;
	lock_take(&b->lock);
	/* Otherwise nothing is going to come of it. */
	if (bridge_find_locked(b, ns) != NULL)
		pokes_made_here(&b->pokes, ns, actor, existed, bridge_now(b));
	lock_give(&b->lock);
}

void
bridge_gone_here(struct bridge *b, const char *ns, const char *actor)
{
	if (b == NULL)
		return;
	lock_take(&b->lock);
	pokes_gone_here(&b->pokes, ns, actor, bridge_now(b));
	lock_give(&b->lock);
}

void
bridge_doubt(struct bridge *b, const char *ns, const char *actor)
{
	if (b == NULL)
		return;
	lock_take(&b->lock);
	if (bridge_find_locked(b, ns) != NULL)
		pokes_doubt(&b->pokes, ns, actor, bridge_now(b));
	bool stir = stir_locked(b);
	lock_give(&b->lock);
	if (stir)
		bridge_wake(b);
}

void
bridge_status(struct bridge *b, struct bridge_status *status)
{
	lock_take(&b->lock);
	*status = (struct bridge_status){ b->known.count, pokes_waiting(&b->pokes), b->told, b->held };
	lock_give(&b->lock);
}

/* The process's requests */

bool
bridge_is_helper(const struct bridge *b, pid_t tid)
{
	return helper_is(&b->helper, tid);
}

bool
bridge_hides(struct bridge *b, const char *ns)
{
	lock_take(&b->lock);
	bool hides = b->trial.state == TRIAL_HIDE && strcmp(b->trial.ns, ns) == 0;
	lock_give(&b->lock);
	return hides;
}

enum poke_step
bridge_step(struct bridge *b, const char *ns, const char *actor, struct head *head)
{
	enum poke_step step = POKE_NONE;

	*head = (struct head){ 0 };
	lock_take(&b->lock);
	const struct poke *k = pokes_find(&b->pokes, ns, actor);
	if (k != NULL) {
		step = k->state == POKE_TELLING ? k->step : POKE_NONE;
		*head = k->head;
	}
	lock_give(&b->lock);
	return step;
}

/* Life */

int
bridge_new(struct bridge **out, struct fs_env *env)
{
	struct bridge *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -ENOMEM;
	b->env = env;
	b->helper.fd = -1;
	b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->wake_fd < 0) {
		free(b);
		return -ENOMEM;
	}
	int err = timer_new(&b->worker, env->clock);
	if (err != 0) {
		close(b->wake_fd);
		free(b);
		return err;
	}
	pokes_init(&b->pokes);
	lock_init(&b->lock, LOCK_BRIDGE);
	lock_cond_init(&b->held_over);
	*out = b;
	return 0;
}

int
bridge_start(struct bridge *b)
{
	int err = names_listen(b->env->store, on_name, b, &b->names);

	if (err != 0)
		return err;
	err = names_start(b->env->store);
	if (err != 0)
		log_warn(b->env->lg, "cannot look at the names of namespaces now, so some that appear may not show in inotify: %s", strerror(-err));
	err = -pthread_create(&b->thread, NULL, bridge_tell, b);
	b->running = err == 0;
	return err;
}

/* Nobody looks names up any more. */
static void
end_follows(struct bridge *b)
{
	struct table_link *link;

	do {
		lock_take(&b->lock);
		link = table_pop(&b->known);
		lock_give(&b->lock);
		if (link != NULL) {
			struct known *k = container_of(link, struct known, link);
			follow_free(k->follow);
			free(k);
		}
	} while (link != NULL);
}

void
bridge_stop(struct bridge *b)
{
	if (b == NULL)
		return;
	names_ignore(b->env->store, b->names);
	b->names = NULL;
	lock_take(&b->lock);
	b->owned_over = true;
	lock_give(&b->lock);
	timer_free(b->worker);
	b->worker = NULL;
	if (b->running) {
		lock_take(&b->lock);
		b->stopping = true;
		lock_give(&b->lock);
		bridge_wake(b);
		pthread_join(b->thread, NULL);
		b->running = false;
	}
	end_follows(b);
}

void
bridge_free(struct bridge *b)
{
	if (b == NULL)
		return;
	helper_reap(&b->helper);
	bridge_owned_end(b);
	pokes_free(&b->pokes);
	table_free(&b->known);
	close(b->wake_fd);
	pthread_cond_destroy(&b->held_over);
	lock_destroy(&b->lock);
	free(b);
}
