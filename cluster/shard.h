/*
 * Which shard an actor belongs to. A pure function of its name, the same on every node for ever; any thread.
 */
#ifndef AETHER_CLUSTER_SHARD_H
#define AETHER_CLUSTER_SHARD_H

#define SHARD_COUNT 1024

/* XXH3 (64 bits, seed 0) of "<namespace>/<actor>", names as users see them, modulo SHARD_COUNT. */
unsigned shard_of(const char *ns, const char *actor);

#endif
