/*
 * The view: which nodes there are and which of them owns which shard, as the leader of some term has published it. One value,
 * written by leaders only, each time by compare-and-set, so that all nodes see the same views in the same order.
 *
 * A shard is settled (it has an owner and no next one), free (neither), or in handover (both): then nobody may own it, until a later view
 * says that the next one does, which is published when the owner has said that it has let go (core.h).
 *
 * Immutable once published, and counted: any thread may hold one.
 */
#ifndef AETHER_CLUSTER_VIEW_H
#define AETHER_CLUSTER_VIEW_H

#include <cjson/cJSON.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../store/buf.h"
#include "ring.h"

/* The version of the format that view_encode writes. */
#define VIEW_FORMAT 1

enum node_state { NODE_ACTIVE, NODE_DRAINING, NODE_FAILED };

/* What a node says of itself, for people. */
struct node_about {
	char host[65];
	char version[33]; /* of Aether */
	int64_t pid;
	int64_t started_us; /* Unix microseconds, by its own clock */
};

struct view_node {
	char *id;
	uint64_t boot; /* which life of a process */
	enum node_state state;
	unsigned capacity; /* shares of the shards, 1 to RING_CAPACITY_MAX */
	int64_t since_us;  /* when it came into this state, by the leader's clock */
	struct node_about about;
};

struct view {
	atomic_uint refs;
	uint64_t revision; /* of the store's key; 0: it was never published */
	uint64_t term;     /* of the leader that published it */
	uint64_t number;   /* rises with each one */
	size_t count;
	struct view_node *nodes; /* in the order of ids (bytes) */
	size_t shards;
	uint32_t *owner; /* indexes of nodes, RING_NONE: nobody */
	uint32_t *next;  /* in handover: who is to own it; else RING_NONE */
};

/* One without nodes, counted once: NULL for want of memory. Arrays for count nodes (all zeros) and for the shards (all RING_NONE). */
struct view *view_new(size_t count, size_t shards);
struct view *view_get(struct view *v);
/* NULL is fine. */
void view_put(struct view *v);

/* Its index, or RING_NONE. */
uint32_t view_find(const struct view *v, const char *id);

/* Who owns the shard by this view: RING_NONE while it is free or in handover. */
static inline uint32_t
view_owner(const struct view *v, size_t shard)
{
	return v->next[shard] == RING_NONE ? v->owner[shard] : RING_NONE;
}

/* "active", "draining" or "failed". */
const char *view_state_name(enum node_state state);

/* As JSON: store/FORMAT.md's chapter on the cluster. A failure shows in out. */
void view_encode(const struct view *v, struct buf *out);

/* 0 and *out is the caller's, with revision 0; -EINVAL (another format, or damaged) or -ENOMEM. */
int view_decode(struct span text, struct view **out);

/* One node's entry of the above, as JSON, in which a node also says what it is. */
void view_put_node(const struct view_node *n, struct buf *out);
/* 0 and n->id is the caller's; -EINVAL or -ENOMEM. */
int view_read_node(const cJSON *json, struct view_node *n);

#endif
