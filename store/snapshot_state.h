/* What snapshot.c and snapshots.c share. Nobody else includes this. */
#ifndef AETHER_STORE_SNAPSHOT_STATE_H
#define AETHER_STORE_SNAPSHOT_STATE_H

#include "fold.h"
#include "record.h"
#include "snapshot.h"

/* An actor's state, and what it was made from. All zeros is empty; fold is the owner's to free, also after an error. */
struct folded {
	struct fold *fold;
	struct head head;  /* the state is that of */
	struct head base;  /* of the snapshot that it was made from; the beginning of the life: none */
	uint64_t base_seq; /* of the last snapshot, whether it counts or not; 0: there is none */
};

/* Blocks. 0; -EALREADY: there are fewer events than that behind the last snapshot; or as snapshot_state. */
int snapshot_fold(struct actor *a, uint64_t least, struct folded *out);

/* Put it behind the snapshot that it was made from. Blocks. 0, -ESTALE (there is a newer one), -EMSGSIZE, or as snapshot_state. */
int snapshot_keep(struct actor *a, const struct folded *folded);

#endif
