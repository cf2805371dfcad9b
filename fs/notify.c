#include "notify.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "../store/lock.h"

/* What node.told is while it is being decided; 0: the kernel was told nothing that it may keep. */
#define TELLING UINT64_MAX

#define VALID_NS ((int64_t)NOTIFY_VALID_S * NS_PER_SEC)

/* Each index is a watch on the server: who walks through many namespaces must not leave all of them behind. */
#define HELD_MAX 64

/* A node that the kernel does not know will either be known soon, by a reply that is on its way, or is being forgotten by it. */
#define RETRY_NS (5 * NS_PER_MS)
#define RETRIES_MAX 100

/* A node whose attributes the kernel must forget. */
struct pending {
	struct pending *next;
	struct node *node; /* counted */
	unsigned tries;
};

/* What is remembered of a namespace of which the kernel was told something. */
struct held {
	struct held *next;
	struct node *ns;      /* counted */
	struct index *index;  /* counted; NULL until something was told */
	int64_t until_ns;     /* by then the kernel believes nothing any more */
	bool owned;           /* attr is set */
	struct ns_attr attr;  /* what the attributes told follow from */
	bool all;             /* to do: all nodes */
	bool listing_changed; /* to do: the listing */

	/*
	 * The listing that the kernel may have. One that was begun before the index was live, or is so old that the kernel must ask
	 * for its actors again, is not worth keeping.
	 */
	bool listed;
	bool complete;     /* up to end */
	bool begun_live;
	uint64_t end;
	int64_t begun_ns;
	uint64_t begun_changes;
	uint64_t changes; /* of the names, that came from the index */
};

struct notify {
	struct store *store;
	struct node_table *nodes;
	const struct clock *clock;
	struct notify_kernel kernel;
	pthread_t thread;
	bool running;

	struct lock lock;
	/* Guarded by lock, as node.held and node.pending. */
	pthread_cond_t changed;
	bool stop;
	bool work; /* some held has something to do */
	struct held *held;
	size_t held_count;
	struct pending *queue; /* first come first told */
	struct pending **queue_tail;
	struct pending *retries;
	int64_t retry_ns;
};

int
notify_new(struct notify **out, struct store *store, struct node_table *nodes, const struct clock *clock,
    const struct notify_kernel *kernel)
{
	struct notify *nt = calloc(1, sizeof(*nt));

	if (nt == NULL)
		return -ENOMEM;
	nt->store = store;
	nt->nodes = nodes;
	nt->clock = clock;
	nt->kernel = *kernel;
	nt->queue_tail = &nt->queue;
	lock_init(&nt->lock, LOCK_NOTIFY);
	lock_cond_init(&nt->changed);
	*out = nt;
	return 0;
}

static void
free_pending(struct notify *nt, struct pending *p)
{
	while (p != NULL) {
		struct pending *next = p->next;
		node_put(nt->nodes, p->node, 1);
		free(p);
		p = next;
	}
}

static void
free_held(struct notify *nt, struct held *h)
{
	if (h->index != NULL)
		index_put(h->index);
	node_put(nt->nodes, h->ns, 1);
	free(h);
}

void
notify_free(struct notify *nt)
{
	if (nt == NULL)
		return;
	free_pending(nt, nt->queue);
	free_pending(nt, nt->retries);
	while (nt->held != NULL) {
		struct held *h = nt->held;
		nt->held = h->next;
		h->ns->held = NULL;
		free_held(nt, h);
	}
	pthread_cond_destroy(&nt->changed);
	lock_destroy(&nt->lock);
	free(nt);
}

static void
to_do_locked(struct notify *nt)
{
	nt->work = true;
	pthread_cond_signal(&nt->changed);
}

/* What is remembered of a namespace; made if it is not there, NULL for want of memory. */
static struct held *
hold_locked(struct notify *nt, struct node *ns)
{
	struct held *h = ns->held;

	if (h != NULL)
		return h;
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return NULL;
	node_ref(nt->nodes, ns);
	h->ns = ns;
	h->next = nt->held;
	nt->held = h;
	ns->held = h;
	if (++nt->held_count > HELD_MAX)
		to_do_locked(nt);
	return h;
}

/*
 * Keep that index alive, and remember the namespace. Called, and returns, with the lock; NULL for want of memory, or if the
 * store has another index for that name by now.
 */
static struct held *
keep_locked(struct notify *nt, struct node *ns, struct index *x)
{
	struct held *h = hold_locked(nt, ns);

	if (h != NULL && h->index != x) {
		lock_give(&nt->lock);
		struct index *drop = index_peek(nt->store, ns->name);
		lock_take(&nt->lock);
		h = hold_locked(nt, ns);
		bool taken = h != NULL && drop == x && h->index != x;
		if (taken) {
			drop = h->index;
			h->index = x;
			h->complete = false;
		}
		lock_give(&nt->lock);
		if (drop != NULL)
			index_put(drop);
		lock_take(&nt->lock);
		h = ns->held;
	}
	if (h == NULL || h->index != x)
		return NULL;
	h->until_ns = clock_mono(nt->clock) + VALID_NS;
	return h;
}

bool
notify_tell(struct notify *nt, struct node *n, struct index *x)
{
	atomic_store(&n->told, TELLING);
	if (!index_is_live(x))
		return false;
	lock_take(&nt->lock);
	bool kept = keep_locked(nt, n->parent, x) != NULL;
	lock_give(&nt->lock);
	return kept;
}

void
notify_told(struct node *n, const struct head *head)
{
	atomic_store(&n->told, head->seq);
}

bool
notify_owner(struct notify *nt, struct node *ns, const struct ns_attr *attr)
{
	bool changed = false;

	lock_take(&nt->lock);
	struct held *h = ns->held;
	if (h != NULL) {
		changed = h->owned &&
		    (h->attr.mode != attr->mode || h->attr.uid != attr->uid || h->attr.gid != attr->gid);
		if (changed) {
			h->all = true;
			to_do_locked(nt);
		}
		h->owned = true;
		h->attr = *attr;
	}
	lock_give(&nt->lock);
	return changed;
}

void
notify_forgotten(struct notify *nt, struct node *ns)
{
	lock_take(&nt->lock);
	if (ns->held != NULL) {
		ns->held->until_ns = 0;
		to_do_locked(nt);
	}
	lock_give(&nt->lock);
}

bool
notify_list(struct notify *nt, struct node *ns, struct index *x)
{
	bool live = index_is_live(x), keep = false;
	uint64_t count = index_count(x);
	/* A listing read anew tells of the actors along with their names; from its own the kernel would have to ask for each. */
	bool mostly_known = node_count(nt->nodes) >= count / 2;

	lock_take(&nt->lock);
	struct held *h = keep_locked(nt, ns, x);
	if (h != NULL) {
		int64_t now = clock_mono(nt->clock);
		keep = live && mostly_known && h->complete && h->end == count && h->begun_live && h->begun_changes == h->changes &&
		    now - h->begun_ns < VALID_NS;
		if (!keep) {
			h->complete = false;
			h->begun_live = live;
			h->begun_ns = now;
			h->begun_changes = h->changes;
		}
		h->listed = true;
	}
	lock_give(&nt->lock);
	return keep;
}

void
notify_listed(struct notify *nt, struct node *ns, struct index *x, uint64_t end)
{
	lock_take(&nt->lock);
	struct held *h = ns->held;
	if (h != NULL && h->index == x) {
		h->complete = true;
		h->end = end;
		h->listed = true;
	}
	lock_give(&nt->lock);
}

static void
mark_locked(struct notify *nt, struct node *n)
{
	struct held *h = n->parent->held;

	if (n->pending)
		return;
	struct pending *p = calloc(1, sizeof(*p));
	if (p != NULL) {
		node_ref(nt->nodes, n);
		p->node = n;
		n->pending = true;
		*nt->queue_tail = p;
		nt->queue_tail = &p->next;
		pthread_cond_signal(&nt->changed);
	} else if (h != NULL) {
		h->all = true;
		to_do_locked(nt);
	}
}

static void
listing_changed_locked(struct notify *nt, struct held *h)
{
	h->changes++;
	if (!h->listed)
		return;
	h->listing_changed = true;
	to_do_locked(nt);
}

static void
all_changed(struct notify *nt, const struct node *ns)
{
	lock_take(&nt->lock);
	struct held *h = ns->held;
	if (h != NULL) {
		h->all = true;
		listing_changed_locked(nt, h);
		to_do_locked(nt);
	}
	lock_give(&nt->lock);
}

static void
actor_changed(struct notify *nt, const struct node *ns, const char *name, const struct head *head, bool is_new)
{
	struct node *n = node_find(nt->nodes, ns, name);
	uint64_t told = n != NULL && n->kind == NODE_ACTOR ? atomic_load(&n->told) : 0;
	bool changed = told != 0 && (head == NULL || told != head->seq);

	if (changed || is_new || head == NULL) {
		lock_take(&nt->lock);
		if (changed)
			mark_locked(nt, n);
		if ((is_new || head == NULL) && ns->held != NULL)
			listing_changed_locked(nt, ns->held);
		lock_give(&nt->lock);
	}
	if (n != NULL)
		node_put(nt->nodes, n, 1);
}

void
notify_changed(void *arg, const char *ns, const char *name, const struct head *head, bool is_new)
{
	struct notify *nt = arg;
	struct node *dir = node_find(nt->nodes, node_root(nt->nodes), ns);

	if (dir == NULL)
		return;
	if (name == NULL)
		all_changed(nt, dir);
	else
		actor_changed(nt, dir, name, head, is_new);
	node_put(nt->nodes, dir, 1);
}

void
notify_opened(struct notify *nt, struct node *n, const struct head *head)
{
	uint64_t told = atomic_load(&n->told);

	/* It stays told: another open that comes meanwhile must not find that there is nothing to do before this is done. */
	if (told != 0 && told != head->seq)
		(void)nt->kernel.forget(nt->kernel.arg, node_id(nt->nodes, n), false);
}

/* Have the kernel forget. False: it does not know the node, try again. */
static bool
forget(struct notify *nt, struct node *n)
{
	uint64_t told = atomic_load(&n->told);

	if (told == 0)
		return true;
	int err = nt->kernel.forget(nt->kernel.arg, node_id(nt->nodes, n), false);
	/* Unless it was told again meanwhile. */
	if (err != -ENOENT && told != TELLING)
		atomic_compare_exchange_strong(&n->told, &told, 0);
	return err != -ENOENT;
}

static void
forget_later(struct notify *nt, struct pending *p)
{
	lock_take(&nt->lock);
	bool again = !p->node->pending && p->tries < RETRIES_MAX;
	if (again) {
		p->tries++;
		p->node->pending = true;
		if (nt->retries == NULL)
			nt->retry_ns = clock_mono(nt->clock) + RETRY_NS;
		p->next = nt->retries;
		nt->retries = p;
	}
	lock_give(&nt->lock);
	if (!again) {
		p->next = NULL;
		free_pending(nt, p);
	}
}

/* All actors of a namespace. The nodes that the kernel does not know are put off. */
static void
forget_all(struct notify *nt, const struct node *ns)
{
	struct buf nodes = { 0 };
	size_t cursor = 0;
	int more = 1;

	while (more != 0) {
		more = node_walk_told(nt->nodes, ns, &cursor, &nodes);
		for (size_t at = 0; at < nodes.len; at += sizeof(struct node *)) {
			struct node *n;
			memcpy(&n, nodes.p + at, sizeof(n));
			if (!forget(nt, n)) {
				lock_take(&nt->lock);
				mark_locked(nt, n);
				lock_give(&nt->lock);
			}
			node_put(nt->nodes, n, 1);
		}
		if (nodes.len == 0 && more == -ENOMEM)
			break;
		buf_clear(&nodes);
	}
	buf_free(&nodes);
}

void
notify_namespace(struct notify *nt, struct node *ns)
{
	forget_all(nt, ns);
}

static void
run_queue(struct notify *nt)
{
	struct pending *p, *due = NULL;

	lock_take(&nt->lock);
	if (nt->retries != NULL && clock_mono(nt->clock) >= nt->retry_ns) {
		due = nt->retries;
		nt->retries = NULL;
	}
	*nt->queue_tail = due;
	due = nt->queue;
	nt->queue = NULL;
	nt->queue_tail = &nt->queue;
	/* What changes from here on has to be told again. */
	for (p = due; p != NULL; p = p->next)
		p->node->pending = false;
	lock_give(&nt->lock);
	while ((p = due) != NULL) {
		due = p->next;
		p->next = NULL;
		if (forget(nt, p->node))
			free_pending(nt, p);
		else
			forget_later(nt, p);
	}
}

/* Take one namespace that has something to do. */
static struct node *
next_work(struct notify *nt, bool *all, bool *listing)
{
	struct node *ns = NULL;

	lock_take(&nt->lock);
	for (struct held *h = nt->work ? nt->held : NULL; h != NULL && ns == NULL; h = h->next) {
		if (!h->all && !h->listing_changed)
			continue;
		ns = h->ns;
		node_ref(nt->nodes, ns);
		*all = h->all;
		*listing = h->listing_changed;
		h->all = false;
		h->listing_changed = false;
		h->listed = h->listed && !*listing;
	}
	nt->work = ns != NULL;
	lock_give(&nt->lock);
	return ns;
}

/* Take out a namespace of which the kernel believes nothing any more; if there are too many, the one that was used least lately. */
static struct held *
next_idle(struct notify *nt, int64_t now, int64_t *due_ns)
{
	struct held *idle = NULL;

	lock_take(&nt->lock);
	for (struct held *h = nt->held; h != NULL; h = h->next)
		if (idle == NULL || h->until_ns < idle->until_ns)
			idle = h;
	if (idle != NULL && idle->until_ns > now && nt->held_count <= HELD_MAX) {
		*due_ns = idle->until_ns;
		idle = NULL;
	}
	if (idle != NULL) {
		struct held **at = &nt->held;
		while (*at != idle)
			at = &(*at)->next;
		*at = idle->next;
		idle->ns->held = NULL;
		nt->held_count--;
	}
	lock_give(&nt->lock);
	return idle;
}

/* Changes go on coming until the index is let go, and by then the kernel must not believe anything. */
static void
let_go(struct notify *nt, struct held *h)
{
	forget_all(nt, h->ns);
	if (h->listed)
		(void)nt->kernel.forget(nt->kernel.arg, node_id(nt->nodes, h->ns), true);
	free_held(nt, h);
}

int64_t
notify_run(struct notify *nt)
{
	int64_t due_ns = INT64_MAX;
	bool all, listing;
	struct node *ns;
	struct held *idle;

	run_queue(nt);
	while ((ns = next_work(nt, &all, &listing)) != NULL) {
		if (listing)
			(void)nt->kernel.forget(nt->kernel.arg, node_id(nt->nodes, ns), true);
		if (all)
			forget_all(nt, ns);
		node_put(nt->nodes, ns, 1);
	}
	while ((idle = next_idle(nt, clock_mono(nt->clock), &due_ns)) != NULL)
		let_go(nt, idle);
	lock_take(&nt->lock);
	if (nt->retries != NULL && nt->retry_ns < due_ns)
		due_ns = nt->retry_ns;
	if (nt->queue != NULL || nt->work)
		due_ns = 0;
	lock_give(&nt->lock);
	return due_ns;
}

static void *
run(void *arg)
{
	struct notify *nt = arg;
	int64_t due_ns = 0;

	lock_take(&nt->lock);
	while (!nt->stop) {
		if (nt->queue == NULL && !nt->work && due_ns > clock_mono(nt->clock)) {
			(void)lock_wait_until(&nt->lock, &nt->changed, due_ns);
			due_ns = 0;
			continue;
		}
		lock_give(&nt->lock);
		due_ns = notify_run(nt);
		lock_take(&nt->lock);
	}
	lock_give(&nt->lock);
	return NULL;
}

int
notify_start(struct notify *nt)
{
	int err = pthread_create(&nt->thread, NULL, run, nt);

	nt->running = err == 0;
	return -err;
}

void
notify_stop(struct notify *nt)
{
	if (nt == NULL || !nt->running)
		return;
	lock_take(&nt->lock);
	nt->stop = true;
	pthread_cond_signal(&nt->changed);
	lock_give(&nt->lock);
	pthread_join(nt->thread, NULL);
	nt->running = false;
}
