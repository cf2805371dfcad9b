/*
 * The nodes: one object for each file or directory that the kernel knows of, or that is in use.
 *
 * Owns the table of nodes and their counts. Any thread may call; nothing here asks the backend.
 *
 * Two ids. The nodeid, by which the kernel names a node in requests, is the node's address, FUSE_ROOT_ID for the root:
 * good from the reply that tells the kernel until the forget that takes the last count away. The inode number, which
 * users see, is XXH3 of the name, seeded with the parent's inode number, and so of the whole path: the same on every
 * mount and in every listing, for ever.
 */
#ifndef AETHER_FS_NODE_H
#define AETHER_FS_NODE_H

#include <stdatomic.h>
#include <stdint.h>

#include "../store/actor.h"
#include "../store/store.h"
#include "../store/table.h"

struct control_entry;
struct entry;
struct node_table;

enum node_kind { NODE_ROOT, NODE_NAMESPACE, NODE_ACTOR, NODE_CONTROL };

/* Nothing in it changes as long as it is counted, but for refs and entry. */
struct node {
	struct table_link link;
	uint64_t refs; /* guarded by the table's lock: the kernel's lookups, and ours */
	enum node_kind kind;
	uint64_t ino;
	struct node *parent;                 /* counted; NULL for the root */
	struct actor *actor;                 /* NODE_ACTOR only; counted */
	const struct control_entry *control; /* NODE_CONTROL only */
	_Atomic(struct entry *) entry;       /* of a numbered entry, set once it is known to exist; owned (entries.c) */
	char name[];
};

/* store is borrowed for the table's life. 0 or -ENOMEM. */
int node_table_new(struct node_table **out, struct store *store);

/* Frees every node whatever its count, for the kernel need not forget them at the end. NULL is fine. */
void node_table_free(struct node_table *t);

/* Lives as long as the table; need not be counted. */
struct node *node_root(struct node_table *t);

/* The node that the kernel means by an id it was given, and the id of a node. */
struct node *node_of(struct node_table *t, uint64_t nodeid);
uint64_t node_id(const struct node_table *t, const struct node *n);

/*
 * The one node of that parent with that name, counted once more; made if it is not there. control is for NODE_CONTROL,
 * else NULL. Whether the thing exists is the caller's business. 0 or -ENOMEM.
 */
int node_get(struct node_table *t, struct node *parent, enum node_kind kind, const struct control_entry *control,
    const char *name, struct node **out);

void node_ref(struct node_table *t, struct node *n);

/* Take n counts away: an own one, or those of a forget. */
void node_put(struct node_table *t, struct node *n, uint64_t count);

/* How many nodes there are, the root not counted. */
size_t node_count(struct node_table *t);

/* The inode number of a child, whether it has a node or not. */
uint64_t node_child_ino(const struct node *parent, const char *name);

/* The namespace that the node is, or is in; NULL at the root and in its control tree. */
const char *node_namespace(const struct node *n);

#endif
