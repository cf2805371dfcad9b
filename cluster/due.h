/*
 * Snapshots follow ownership: the node whose append makes one due tells the owner of the actor's shard, who takes it.
 *
 * One request, `<prefix>.cluster.snapshot.<boot>.<namespace>.<actor>`, empty (names as on the wire); so is the answer, which says that it was
 * heard. It may reach one who is not the owner any more: he takes it all the same, for a snapshot is true whoever takes it, and of two the later
 * one is refused (../store/snapshot.h). Where nobody owns the shard now, or who does has no answer within DUE_ANSWER_NS (an owner counts as one
 * for some seconds after it died) or takes none, the node takes it itself. If the owner ends between its answer and the
 * snapshot, or the store has no answer for long, that is made up for by the next one that is due.
 *
 * Owns the subscription and the store's struct snapshots. Any thread.
 */
#ifndef AETHER_CLUSTER_DUE_H
#define AETHER_CLUSTER_DUE_H

#include <stdint.h>

#include "../store/store.h"
#include "cluster.h"

#define DUE_ANSWER_NS (5 * NS_PER_SEC)

struct due;

/* every: a snapshot each so many events of an actor; 0: none is taken by this node, nor asked for. c and s are borrowed until due_free. Before the first
 * append. 0 or -errno. */
int due_new(struct due **out, struct cluster *c, struct store *s, uint64_t every);

/* Take none any more; waits for the one that is being taken. Before store_free, under which appends may still end. NULL is fine. */
void due_stop(struct due *d);

/* After store_free, and before cluster_free. NULL is fine. */
void due_free(struct due *d);

#endif
