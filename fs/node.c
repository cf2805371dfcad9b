#include "node.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "entries.h"

#define ROOT_NODEID 1 /* FUSE_ROOT_ID, without including libfuse for it */
#define ROOT_INO 1

struct node_table {
	struct store *store;
	struct node *root;
	pthread_mutex_t lock;
	struct table nodes; /* guarded by lock; the root is not in it */
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
	t->root->ino = ROOT_INO;
	t->store = store;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

static void
free_node(struct node *n)
{
	if (n->actor != NULL)
		actor_put(n->actor);
	entry_free(atomic_load(&n->entry));
	free(n);
}

void
node_table_free(struct node_table *t)
{
	struct table_link *link;

	if (t == NULL)
		return;
	while ((link = table_pop(&t->nodes)) != NULL)
		free_node(container_of(link, struct node, link));
	table_free(&t->nodes);
	pthread_mutex_destroy(&t->lock);
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
	return nodeid == ROOT_NODEID ? t->root : (struct node *)(uintptr_t)nodeid;
}

uint64_t
node_id(const struct node_table *t, const struct node *n)
{
	return n == t->root ? ROOT_NODEID : (uint64_t)(uintptr_t)n;
}

uint64_t
node_child_ino(const struct node *parent, const char *name)
{
	uint64_t ino = XXH3_64bits_withSeed(name, strlen(name), parent->ino);

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

static int
make(struct node_table *t, struct node *parent, enum node_kind kind, const struct control_entry *control,
    const char *name, struct node **out)
{
	size_t len = strlen(name);
	struct node *n = calloc(1, sizeof(*n) + len + 1);

	if (n == NULL)
		return -ENOMEM;
	if (kind == NODE_ACTOR && actor_get(t->store, parent->name, name, &n->actor) != 0) {
		free(n);
		return -ENOMEM;
	}
	n->refs = 1;
	n->kind = kind;
	n->ino = node_child_ino(parent, name);
	n->parent = parent;
	n->control = control;
	memcpy(n->name, name, len);
	*out = n;
	return 0;
}

int
node_get(struct node_table *t, struct node *parent, enum node_kind kind, const struct control_entry *control,
    const char *name, struct node **out)
{
	uint64_t ino = node_child_ino(parent, name);
	struct node *fresh, *there;
	int err;

	pthread_mutex_lock(&t->lock);
	there = find_locked(t, parent, name, ino);
	pthread_mutex_unlock(&t->lock);
	if (there != NULL) {
		*out = there;
		return 0;
	}
	/* Made without the lock, since that calls the store; another thread may be quicker meanwhile. */
	err = make(t, parent, kind, control, name, &fresh);
	if (err != 0)
		return err;
	pthread_mutex_lock(&t->lock);
	there = find_locked(t, parent, name, ino);
	if (there == NULL) {
		err = table_add(&t->nodes, ino, &fresh->link);
		if (err == 0)
			parent->refs++;
	}
	pthread_mutex_unlock(&t->lock);
	if (there != NULL || err != 0)
		free_node(fresh);
	*out = there != NULL ? there : fresh;
	return err;
}

void
node_ref(struct node_table *t, struct node *n)
{
	pthread_mutex_lock(&t->lock);
	n->refs++;
	pthread_mutex_unlock(&t->lock);
}

void
node_put(struct node_table *t, struct node *n, uint64_t count)
{
	struct node *dead = NULL;

	pthread_mutex_lock(&t->lock);
	while (n != t->root) {
		n->refs -= count < n->refs ? count : n->refs;
		if (n->refs > 0)
			break;
		table_remove(&t->nodes, &n->link);
		/* The dead are strung together by the links that the table has given up, to be freed without the lock.
		 */
		n->link.next = dead != NULL ? &dead->link : NULL;
		dead = n;
		n = n->parent;
		count = 1;
	}
	pthread_mutex_unlock(&t->lock);
	while (dead != NULL) {
		struct table_link *next = dead->link.next;
		free_node(dead);
		dead = next != NULL ? container_of(next, struct node, link) : NULL;
	}
}

size_t
node_count(struct node_table *t)
{
	pthread_mutex_lock(&t->lock);
	size_t n = t->nodes.count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

const char *
node_namespace(const struct node *n)
{
	while (n != NULL && n->kind != NODE_NAMESPACE)
		n = n->parent;
	return n != NULL ? n->name : NULL;
}
