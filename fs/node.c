#include "node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../store/lock.h"
#include "entries.h"

#define ROOT_NODEID 1 /* FUSE_ROOT_ID, without including libfuse for it */
#define ROOT_INO 1

struct node_table {
	struct store *store;
	struct node *root;
	struct lock lock;
	/* Guarded by lock. The root is in neither. */
	struct table nodes;
	struct table removed; /* those that still have counts */
};

struct key {
	const struct node *parent;
	const char *name;
};

int
node_table_new(struct node_table **out, struct store *store)
{
	struct node_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return -ENOMEM;
	t->root = calloc(1, sizeof(*t->root) + 1);
	if (t->root == NULL) {
		free(t);
		return -ENOMEM;
	}
	t->root->kind = NODE_ROOT;
	t->root->link.hash = ROOT_INO;
	t->store = store;
	lock_init(&t->lock, LOCK_NODES);
	*out = t;
	return 0;
}

static void
free_node(struct node *n)
{
	if (n->kind == NODE_ACTOR && n->actor != NULL)
		actor_put(n->actor);
	if (n->kind == NODE_CONTROL)
		entry_free(atomic_load(&n->entry));
	free(n);
}

static void
free_nodes(struct table *nodes)
{
	struct table_link *link, *next;

	/* One after the other as they are in the table: to take the first out again and again would look through what is empty already. */
	for (link = table_next(nodes, NULL); link != NULL; link = next) {
		next = table_next(nodes, link);
		free_node(container_of(link, struct node, link));
	}
	table_free(nodes);
}

void
node_table_free(struct node_table *t)
{
	if (t == NULL)
		return;
	free_nodes(&t->nodes);
	free_nodes(&t->removed);
	lock_destroy(&t->lock);
	free(t->root);
	free(t);
}

struct node *
node_root(struct node_table *t)
{
	return t->root;
}

struct node *
node_of(struct node_table *t, uint64_t nodeid)
{
	if (nodeid == ROOT_NODEID)
		return t->root;
	struct node *n = (struct node *)(uintptr_t)nodeid;
	/* The id went through the kernel from the thread that made the node to this one: what that thread wrote into it must be
	 * seen. */
	(void)atomic_load_explicit(&n->made, memory_order_acquire);
	return n;
}

uint64_t
node_id(const struct node_table *t, const struct node *n)
{
	return n == t->root ? ROOT_NODEID : (uint64_t)(uintptr_t)n;
}

uint64_t
node_child_ino(const struct node *parent, const char *name)
{
	uint64_t ino = XXH3_64bits_withSeed(name, strlen(name), node_ino(parent));

	/* 0 means "no inode" to some programs, and 1 is the root. */
	return ino > ROOT_INO ? ino : ino + 2;
}

static bool
matches(const struct table_link *link, const void *arg)
{
	const struct node *n = container_of(link, const struct node, link);
	const struct key *key = arg;

	return n->parent == key->parent && strcmp(n->name, key->name) == 0;
}

static struct node *
find_locked(struct node_table *t, const struct node *parent, const char *name, uint64_t ino)
{
	struct key key = { parent, name };
	struct table_link *link = table_find(&t->nodes, ino, matches, &key);

	if (link == NULL)
		return NULL;
	struct node *n = container_of(link, struct node, link);
	n->refs++;
	return n;
}

static struct node *
make(struct node *parent, enum node_kind kind, const struct control_entry *control, const char *name)
{
	size_t size = strlen(name) + 1;
	/* Not sizeof, whose padding would go to waste a million times. */
	struct node *n = calloc(1, offsetof(struct node, name) + size);

	if (n == NULL)
		return NULL;
	n->refs = 1;
	n->kind = kind;
	n->parent = parent;
	if (kind == NODE_CONTROL)
		n->control = control;
	memcpy(n->name, name, size);
	return n;
}

int
node_get(struct node_table *t, struct node *parent, enum node_kind kind, const struct control_entry *control,
    const char *name, struct node **out)
{
	uint64_t ino = node_child_ino(parent, name);
	int err = 0;

	lock_take(&t->lock);
	*out = find_locked(t, parent, name, ino);
	if (*out == NULL) {
		struct node *fresh = make(parent, kind, control, name);
		err = fresh == NULL ? -ENOMEM : table_add(&t->nodes, ino, &fresh->link);
		if (err != 0) {
			free(fresh);
		} else {
			parent->refs++;
			atomic_store_explicit(&fresh->made, true, memory_order_release);
			*out = fresh;
		}
	}
	lock_give(&t->lock);
	return err;
}

struct node *
node_find(struct node_table *t, const struct node *parent, const char *name)
{
	uint64_t ino = node_child_ino(parent, name);

	lock_take(&t->lock);
	struct node *n = find_locked(t, parent, name, ino);
	lock_give(&t->lock);
	return n;
}

/* Slots that are looked at in one go, so that the lock is not held for long. */
#define WALK_SLOTS 4096

static int
take_slot_locked(struct table_link *link, const struct node *ns, struct buf *nodes)
{
	for (; link != NULL; link = link->next) {
		struct node *n = container_of(link, struct node, link);
		if (n->parent != ns || n->kind != NODE_ACTOR || n->told == 0)
			continue;
		buf_put(nodes, &n, sizeof(n));
		if (nodes->failed)
			return -ENOMEM;
		n->refs++;
	}
	return 0;
}

int
node_walk_told(struct node_table *t, const struct node *ns, size_t *cursor, struct buf *nodes)
{
	int more = 1;

	lock_take(&t->lock);
	/* When the table grows, what was in a slot goes into that one and into one behind the old end. */
	for (size_t i = 0; i < WALK_SLOTS && more == 1; i++) {
		if (t->nodes.slots == NULL || *cursor > t->nodes.mask)
			more = 0;
		else if (take_slot_locked(t->nodes.slots[*cursor], ns, nodes) != 0)
			more = -ENOMEM;
		else
			++*cursor;
	}
	lock_give(&t->lock);
	return more;
}

int
node_actor(struct node_table *t, struct node *n, struct actor **out)
{
	struct actor *there = NULL;

	*out = n->actor;
	if (*out != NULL)
		return 0;
	int err = actor_get(t->store, n->parent->name, n->name, out);
	if (err == 0 && !atomic_compare_exchange_strong(&n->actor, &there, *out)) {
		actor_put(*out);
		*out = there;
	}
	return err;
}

void
node_ref(struct node_table *t, struct node *n)
{
	lock_take(&t->lock);
	n->refs++;
	lock_give(&t->lock);
}

void
node_put(struct node_table *t, struct node *n, uint64_t count)
{
	struct node *dead = NULL;

	lock_take(&t->lock);
	while (n != t->root) {
		n->refs -= count < n->refs ? count : n->refs;
		if (n->refs > 0)
			break;
		table_remove(n->removed ? &t->removed : &t->nodes, &n->link);
		/* The dead are strung together by the links that the table has given up, to be freed without the lock.
		 */
		n->link.next = dead != NULL ? &dead->link : NULL;
		dead = n;
		n = n->parent;
		count = 1;
	}
	lock_give(&t->lock);
	while (dead != NULL) {
		struct table_link *next = dead->link.next;
		free_node(dead);
		dead = next != NULL ? container_of(next, struct node, link) : NULL;
	}
}

uint64_t
node_remove(struct node_table *t, struct node *parent, const char *name)
{
	struct key key = { parent, name };
	uint64_t lookups = 0;

	lock_take(&t->lock);
	struct table_link *link = table_find(&t->nodes, node_child_ino(parent, name), matches, &key);
	if (link != NULL) {
		struct node *n = container_of(link, struct node, link);
		table_remove(&t->nodes, link);
		n->removed = table_add(&t->removed, link->hash, link) == 0;
		/* For want of memory it stays where it was, where there is room. */
		if (!n->removed)
			(void)table_add(&t->nodes, link->hash, link);
		else if (n->kind == NODE_NAMESPACE)
			lookups = n->lookups;
	}
	lock_give(&t->lock);
	return lookups;
}

bool
node_count_lookups(struct node_table *t, struct node *ns, int64_t change)
{
	lock_take(&t->lock);
	bool counts = !ns->removed;
	if (counts)
		ns->lookups += (uint64_t)change;
	lock_give(&t->lock);
	return counts;
}

size_t
node_count(struct node_table *t)
{
	lock_take(&t->lock);
	size_t n = t->nodes.count;
	lock_give(&t->lock);
	return n;
}

const char *
node_namespace(const struct node *n)
{
	while (n != NULL && n->kind != NODE_NAMESPACE)
		n = n->parent;
	return n != NULL ? n->name : NULL;
}
