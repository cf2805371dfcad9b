/*
 * Reading ahead: a thread that follows the chain of an actor that is read from one end to the other, so that its bytes
 * are in the cache when the reader comes.
 *
 * It keeps one scan open and stays within a window ahead of the reader, which grows as long as the reader has to wait. It
 * ends with the part of the chain that was known when it began, when the chain breaks, when NATS is away (whoever
 * needs the bytes then asks for them himself and waits), when nobody has read for READAHEAD_IDLE_NS, and with the store.
 * An actor has one at most; it counts as a user of the actor.
 *
 * Any thread may call.
 */
#ifndef AETHER_STORE_READAHEAD_H
#define AETHER_STORE_READAHEAD_H

#include "state.h"

/* What is left of a file must be this large. */
#define READAHEAD_LEFT_MIN (512 * 1024)
#define READAHEAD_IDLE_NS (2 * NS_PER_SEC)
/* So many a store; who comes later reads by himself. */
#define READAHEAD_MAX 16

/* Begin at base, a head of the chain, for a reader at offset, up to until. False if there is no room for one more, or another
 * reader keeps the actor's busy. generation as in fetch.h. */
bool readahead_start(
    struct actor *a, const struct head *base, const struct head *until, uint64_t generation, uint64_t offset);

/*
 * Wait until the bytes from offset to end have come. False if they are not on their way, or did not come, which sets *failed: the
 * cache need not have the byte at offset then.
 */
bool readahead_wait(struct actor *a, uint64_t offset, uint64_t end, bool *failed);

/* A reader has got the bytes up to offset. Does not block. */
void readahead_advance(struct actor *a, uint64_t offset);

/* The actor was erased; with actor.lock. */
void readahead_drop_locked(struct actor *a);

/* End all, and wait for that. None may be started meanwhile. */
void readahead_end_all(struct store *s);

#endif
