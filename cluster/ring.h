/*
 * Which node owns which shard: consistent hashing with bounded loads.
 *
 * The ring is the usual one: RING_POINTS points per unit of capacity for each node, and each shard belongs, if it can, to the node whose
 * point is the next one clockwise from the shard's. A plain ring loads the fullest of 100 nodes with more than twice the mean; here no
 * node gets more shards than its fair share, rounded up (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads",
 * 2018, with no slack at all), and none less than it rounded down. What is over goes on clockwise. So that this costs no more moves than it
 * must, an assignment begins from the one before: who has no more than its share keeps all that it has.
 *
 * Points: XXH3 (64 bits, seed 0) of "<node id>/<n>", n in decimal from 0; a shard's is XXH3 of "shard/<n>". Clockwise is upwards, and from
 * the top to 0; a point that equals the shard's is no way at all. Points that are equal are in the order of node ids (bytes).
 *
 * The steps; a node's share is shards * its capacity / everybody's capacity, lo is that rounded down, hi rounded up:
 *
 *	1. Shards that nobody has are the pool.
 *	2. Who has more than hi gives what is over to the pool: those of its shards that have the longest way clockwise to a point of its own.
 *	3. If the pool is less than what nodes are short of lo together, the difference comes from the nodes that have more than lo. Each gives
 *	   one at most, and of all their shards those go first that have the longest way to a point of their owner's.
 *	4. The shards in the pool, lowest number first, go to the first node clockwise that is short of lo, and once there is none, to the first
 *	   that has less than hi.
 *
 * Where ways are equally long, the shard with the lower number goes first. Fewer moves cannot lead to shares between lo and hi, and an
 * assignment that has them stays as it is. Which shards a node has depends on the history, not on the members alone: whoever computes
 * an assignment must begin from the same one.
 *
 * Pure functions of their arguments, the same on every machine for ever. Any thread.
 */
#ifndef AETHER_CLUSTER_RING_H
#define AETHER_CLUSTER_RING_H

#include <stddef.h>
#include <stdint.h>

#define RING_POINTS 150
#define RING_CAPACITY_MAX 100

/* No node. */
#define RING_NONE UINT32_MAX

struct ring_node {
	const char *id;    /* no two nodes have the same; borrowed for the call */
	unsigned capacity; /* 1 to RING_CAPACITY_MAX; the caller has checked it */
};

/*
 * Assign shards 0 to shards-1 (fewer than 2^32). before[s]: the index in nodes of the node that has shard s; RING_NONE, or any other that is
 * not below count, if nobody has; NULL: nobody has any. after[s] receives the index of the node that is to have it, RING_NONE only if count
 * is 0; after may be before. The order of nodes does not matter but for the indexes. Does not block; 16384 shards on 1000 nodes take some
 * 10 ms, nearly all of it for the points. 0, or -ENOMEM with after as it was.
 */
int ring_assign(const struct ring_node *nodes, size_t count, const uint32_t *before, uint32_t *after, size_t shards);

#endif
