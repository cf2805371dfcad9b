/*
 * The open handles that are freed with their file system when their release never comes: an unmount may overtake the
 * releases of what was closed just before.
 *
 * Owns no memory: a handle's struct embeds an entry. Any thread may call.
 */
#ifndef AETHER_FS_HANDLES_H
#define AETHER_FS_HANDLES_H

#include "../store/lock.h"

struct handle {
	struct handle *next;
	struct handle **link; /* what points here */
	void (*free)(struct handle *h);
};

struct handles {
	struct lock lock; /* guards the list */
	struct handle *first;
};

void handles_init(struct handles *hs);

/* h->free is set by the caller; it must not call handles_remove. */
void handles_add(struct handles *hs, struct handle *h);

/* Its release has come: the caller frees it. */
void handles_remove(struct handles *hs, struct handle *h);

/* Free what is left. No request may be under way any more. */
void handles_destroy(struct handles *hs);

#endif
