/*
 * This process as a node of the cluster: finds the others, elects a leader, knows who owns which shard.
 *
 * Owns a connection to NATS, the bucket <prefix>_cluster, and one thread, which runs the core (core.h) and nothing else. Knows no FUSE. Any thread may call;
 * nothing blocks but where it says so. store/FORMAT.md has subjects, keys and formats.
 *
 * Without NATS a node is a cluster of its own, with the same rules.
 */
#ifndef AETHER_CLUSTER_CLUSTER_H
#define AETHER_CLUSTER_CLUSTER_H

#include <stdbool.h>

#include "../store/buf.h"
#include "../store/clock.h"
#include "../store/jetstream.h"
#include "../store/logger.h"
#include "shard.h"

#define CLUSTER_ID_MAX 128

struct cluster;

struct cluster_options {
	const char *node_id; /* at most CLUSTER_ID_MAX bytes */
	const char *version; /* of Aether; shown */
	unsigned capacity;   /* shares of the shards, from 1 */
	const struct jetstream_options *nats; /* NULL: without. Texts as in jetstream.h */
	const struct clock *clock; /* borrowed until cluster_free, as lg */
	struct logger *lg;
	/*
	 * Called on the cluster's thread, which waits for it: something that can be asked for below has changed; and, as one line of JSON with its
	 * newline, what happened. Must not block for long, nor call cluster_stop. May be NULL.
	 */
	void (*changed)(void *arg);
	void (*event)(void *arg, struct span line);
	void *arg;
};

/* Connect. Blocks, as jetstream_new. 0; or -errno with a line in why. */
int cluster_new(struct cluster **out, const struct cluster_options *options, struct buf *why);

/* Begin to be a node. 0 or -errno. */
int cluster_start(struct cluster *c);

/*
 * Wait until this node has been taken in, or refused. Blocks, timeout_ns at most. 0; -EEXIST with a line in why: another node of that id is there;
 * -ETIMEDOUT: nobody has said, which will be tried on; -EACCES: NATS refuses.
 */
int cluster_await(struct cluster *c, int64_t timeout_ns, struct buf *why);

/* Own no shards from now on, and wait until others have them, or there is nobody else. Blocks, timeout_ns at most. 0 or -ETIMEDOUT. */
int cluster_drain(struct cluster *c, int64_t timeout_ns);

/* Leave: tell the others, wait a second for that at most, stop. No changed and no event is called afterwards. NULL is fine. Blocks. */
void cluster_stop(struct cluster *c);

/* Closes the connection. NULL is fine. Blocks. */
void cluster_free(struct cluster *c);

/* Does this node own the shard? */
bool cluster_owns(struct cluster *c, unsigned shard);

/* The id of the node that owns it; empty if nobody does just now. */
void cluster_owner(struct cluster *c, unsigned shard, char out[CLUSTER_ID_MAX + 1]);

/* The shards that this node owns: one bit each, in words of 64. Returns how many. */
#define CLUSTER_WORDS (SHARD_COUNT / 64)
unsigned cluster_owned(struct cluster *c, uint64_t out[CLUSTER_WORDS]);

/* Texts for people: a line with the id of this node; of the leader, nothing if there is none; a line for each shard: number, owner or "-", and if it
 * is in handover from whom and to whom. A failure shows in out. */
void cluster_put_self(struct cluster *c, struct buf *out);
void cluster_put_leader(struct cluster *c, struct buf *out);
void cluster_put_shards(struct cluster *c, struct buf *out);

/* One node as a JSON object and a newline; false: there is none of that id. */
bool cluster_put_node(struct cluster *c, const char *id, struct buf *out);

/* Call fn for each node's id, until it returns something else than 0, which is returned. */
int cluster_each_node(struct cluster *c, int (*fn)(void *arg, const char *id), void *arg);

#endif
