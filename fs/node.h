/*
 * The nodes: one object for each file or directory that the kernel knows of, or that is in use.
 *
 * Owns the table of nodes and their counts. Any thread may call; nothing here asks the backend.
 *
 * Two ids. The nodeid, by which the kernel names a node in requests, is the node's address, FUSE_ROOT_ID for the root:
 * good from the reply that tells the kernel until the forget that takes the last count away. The inode number, which
 * users see, is XXH3 of the name, seeded with the parent's inode number, and so of the whole path: the same on every
 * mount and in every listing, for ever.
 *
 * There may be a million nodes of actors: what only some of them need is not in each. The store's object of an actor, with what
 * was read of it, is made when somebody opens it or it has to be asked for.
 */
#ifndef AETHER_FS_NODE_H
#define AETHER_FS_NODE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../store/actor.h"
#include "../store/buf.h"
#include "../store/store.h"
#include "../store/table.h"

struct control_entry;
struct entry;
struct held;
struct node_table;

enum node_kind { NODE_ROOT, NODE_NAMESPACE, NODE_ACTOR, NODE_CONTROL };

/* Nothing in it changes as long as it is counted, but for refs and what says so. */
struct node {
	struct table_link link; /* its hash is the inode number, see node_ino */
	uint64_t refs;          /* guarded by the table's lock: the kernel's lookups, and ours */
	struct node *parent;    /* counted; NULL for the root */
	union {
		struct actor *_Atomic actor;         /* NODE_ACTOR: counted; NULL until node_actor was called */
		const struct control_entry *control; /* NODE_CONTROL */
		struct held *held;                   /* NODE_NAMESPACE: notify.c's, guarded by its lock */
	};
	union {
		/* NODE_ACTOR, and notify.c's: the sequence of the head whose attributes the kernel may believe for long. */
		_Atomic uint64_t told;
		/* NODE_CONTROL: of a numbered entry, set once it is known to exist; owned (entries.c). */
		_Atomic(struct entry *) entry;
		/* NODE_NAMESPACE: the kernel's lookups of it, its actors and its `owned`, guarded by the table's lock. */
		uint64_t lookups;
	};
	_Atomic bool made; /* set last; whoever gets the node from the kernel reads it first */
	enum node_kind kind : 8;
	bool pending; /* in the queue of notify.c, guarded by its lock */
	bool removed; /* guarded by the table's lock: see node_remove */
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

/*
 * The name is no more, as the kernel is just told, or was a moment ago: whoever gets the name from here on gets another node. For the kernel marks
 * what was removed, and who still uses that must not spoil what is made anew. Returns the lookups that were counted.
 */
uint64_t node_remove(struct node_table *t, struct node *parent, const char *name);

/*
 * Count lookups of a namespace, or of what is in it, by the kernel, or its forgetting of them: what is watched keeps itself, and not
 * the directories above. False: the namespace was removed, and nobody counts.
 */
bool node_count_lookups(struct node_table *t, struct node *ns, int64_t change);

/* That node if it is there, counted once more; else NULL. */
struct node *node_find(struct node_table *t, const struct node *parent, const char *name);

/*
 * Appends the nodes (struct node *, each counted once more) of a namespace's actors of whose attributes the kernel was
 * told, some at a time. *cursor is 0 at first. Returns 1 if there may be more, 0 at the end: every such node that was there all
 * the time has been appended once or twice then; -ENOMEM: go on with the same cursor later.
 */
int node_walk_told(struct node_table *t, const struct node *ns, size_t *cursor, struct buf *nodes);

/* The store's object of an actor's node, which lives as long as the node. 0 or -ENOMEM. */
int node_actor(struct node_table *t, struct node *n, struct actor **out);

/* How many nodes there are, the root not counted. */
size_t node_count(struct node_table *t);

static inline uint64_t
node_ino(const struct node *n)
{
	return n->link.hash;
}

/* The inode number of a child, whether it has a node or not. */
uint64_t node_child_ino(const struct node *parent, const char *name);

/* The namespace that the node is, or is in; NULL at the root and in its control tree. */
const char *node_namespace(const struct node *n);

#endif
