/*
 * The bytes of actors that this node has read or written, bounded in memory, least recently used first out.
 *
 * Owns blocks: runs of whole records, one behind the other in the actor's file. Content of an actor never changes once stored,
 * so a block is valid as long as the actor is not erased. Of an actor only the latest life is kept that anything was put of, and who asks
 * says which one he means (struct head). Knows nothing of where bytes come from; who puts has verified the chain.
 *
 * Blocks are counted: what is borrowed stays where it is, also when the cache forgets it meanwhile. Bytes once put never
 * move nor change; more may be put behind them in the same block.
 *
 * Any thread may call.
 */
#ifndef AETHER_STORE_CACHE_H
#define AETHER_STORE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"
#include "record.h"

struct cache;
struct cache_block;

/* One actor's part, embedded in the actor. Private to cache.c. */
struct cache_file {
	struct lock lock;
	uint64_t generation;         /* how often it was dropped */
	uint64_t life;               /* of all blocks */
	struct cache_block **blocks; /* by offset, not overlapping */
	size_t count;
	size_t cap;
};

#define CACHE_MIN_BYTES (4 * 1024 * 1024)

/* max_bytes below CACHE_MIN_BYTES counts as that. 0 or -ENOMEM. */
int cache_new(struct cache **out, uint64_t max_bytes);
/* Every file must have been destroyed. */
void cache_free(struct cache *c);
uint64_t cache_max_bytes(const struct cache *c);

void cache_file_init(struct cache_file *f);
/* Forget the file's content; the file stays usable. */
void cache_file_drop(struct cache *c, struct cache_file *f);
void cache_file_destroy(struct cache *c, struct cache_file *f);

/*
 * Keep the payload of r, whose chain has been verified to continue base. Without effect if it is there already, or for want of
 * memory: a cache may forget.
 */
void cache_put(struct cache *c, struct cache_file *f, const struct head *base, const struct record *r);

/*
 * The same for who has been reading the chain for a while: without effect if the file has been dropped since
 * cache_generation gave that number.
 */
void cache_put_since(
    struct cache *c, struct cache_file *f, uint64_t generation, const struct head *base, const struct record *r);
uint64_t cache_generation(struct cache_file *f);

/*
 * Borrow bytes of that life from offset on, at most size: returns how many lie at *bytes, one behind the other in one block, 0 for
 * none. If there are some, *block must be given back with cache_return. Borrowed blocks do not count against the bound once
 * the cache has forgotten them.
 */
size_t cache_borrow(struct cache *c, struct cache_file *f, uint64_t life, uint64_t offset, size_t size, const char **bytes,
    struct cache_block **block);
void cache_return(struct cache_block *block);

/*
 * Where to start fetching to get at offset, which is not cached: *from is the head at the end of the last block at or before
 * offset (where the life begins if there is none), *before_seq the sequence of the record that the next block behind offset continues (UINT64_MAX if none).
 */
void cache_nearest(struct cache_file *f, uint64_t life, uint64_t offset, struct head *from, uint64_t *before_seq);

/*
 * Narrow the part of the chain, all of one life, that holds the first event whose key is value or more: on entry and on return that lies behind *lo and
 * not behind *hi. Returns whether all that is left of it is cached.
 */
bool cache_bracket(struct cache_file *f, enum head_key key, uint64_t value, struct head *lo, struct head *hi);

#endif
