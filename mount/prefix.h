/*
 * Is what one file holds the beginning of another, where one of them is an actor? Actors only grow at the end, and no two events of one are alike,
 * so the beginning and the end of the common part say so without reading what is between. Keeps nothing; any thread.
 */
#ifndef AETHER_MOUNT_PREFIX_H
#define AETHER_MOUNT_PREFIX_H

#include <stdint.h>

/* Do the first len bytes agree, as far as can be told cheaply? 1, 0 (also if one has fewer), or -errno of pread(2). */
int prefix_matches(int a, int b, uint64_t len);

/* Do all bytes from at to end agree? Likewise. */
int prefix_compare(int a, int b, uint64_t at, uint64_t end);

#endif
