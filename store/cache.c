#include "cache.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MIN 256
#define BLOCK_MAX (256 * 1024)

struct cache_block {
	struct cache_block *newer, *older; /* the cache's lock guards these two and the list */
	struct cache_file *file;
	atomic_uint refs; /* one of the file's, while it is there, and one of each borrower */
	/* The file's lock guards what follows. */
	struct head base; /* before the first record */
	struct head end;  /* after the last one */
	size_t len;
	size_t cap;
	char data[];
};

struct cache {
	struct lock lock; /* guards the list and the sum */
	struct cache_block *newest, *oldest;
	uint64_t bytes;
	uint64_t max_bytes;
};

int
cache_new(struct cache **out, uint64_t max_bytes)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	lock_init(&c->lock, LOCK_CACHE);
	c->max_bytes = max_bytes < CACHE_MIN_BYTES ? CACHE_MIN_BYTES : max_bytes;
	*out = c;
	return 0;
}

void
cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	lock_destroy(&c->lock);
	free(c);
}

uint64_t
cache_max_bytes(const struct cache *c)
{
	return c->max_bytes;
}

void
cache_file_init(struct cache_file *f)
{
	*f = (struct cache_file){ 0 };
	lock_init(&f->lock, LOCK_CACHE_FILE);
}

static size_t
block_cost(const struct cache_block *b)
{
	return sizeof(*b) + sizeof(b) + b->cap;
}

void
cache_return(struct cache_block *block)
{
	if (atomic_fetch_sub(&block->refs, 1) == 1)
		free(block);
}

static void
unlink_locked(struct cache *c, struct cache_block *b)
{
	*(b->newer != NULL ? &b->newer->older : &c->newest) = b->older;
	*(b->older != NULL ? &b->older->newer : &c->oldest) = b->newer;
	c->bytes -= block_cost(b);
}

static void
link_newest_locked(struct cache *c, struct cache_block *b)
{
	b->newer = NULL;
	b->older = c->newest;
	*(c->newest != NULL ? &c->newest->newer : &c->oldest) = b;
	c->newest = b;
	c->bytes += block_cost(b);
}

static void
touch(struct cache *c, struct cache_block *b)
{
	lock_take(&c->lock);
	if (c->newest != b) {
		unlink_locked(c, b);
		link_newest_locked(c, b);
	}
	lock_give(&c->lock);
}

/* The number of blocks that begin at or before offset. */
static size_t
blocks_upto(const struct cache_file *f, uint64_t offset)
{
	size_t lo = 0, hi = f->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (f->blocks[mid]->base.size <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
file_remove(struct cache_file *f, struct cache_block *b)
{
	size_t at = blocks_upto(f, b->base.size) - 1;

	memmove(&f->blocks[at], &f->blocks[at + 1], (f->count - at - 1) * sizeof(f->blocks[0]));
	f->count--;
}

/*
 * Called with held's lock. Other files' locks rank beside it, so they are only tried: a block whose file is busy is
 * in use and may stay for now. A file cannot go away meanwhile, for dropping its blocks takes the cache's lock.
 */
static void
evict(struct cache *c, struct cache_file *held, const struct cache_block *keep)
{
	lock_take(&c->lock);
	struct cache_block *b = c->oldest;
	while (b != NULL && c->bytes > c->max_bytes) {
		struct cache_block *next = b->newer;
		struct cache_file *f = b->file;
		if (b != keep && (f == held || lock_try(&f->lock))) {
			unlink_locked(c, b);
			file_remove(f, b);
			if (f != held)
				lock_give(&f->lock);
			cache_return(b);
		}
		b = next;
	}
	lock_give(&c->lock);
}

static void
drop_locked(struct cache *c, struct cache_file *f)
{
	for (size_t i = 0; i < f->count; i++) {
		lock_take(&c->lock);
		unlink_locked(c, f->blocks[i]);
		lock_give(&c->lock);
		cache_return(f->blocks[i]);
	}
	free(f->blocks);
	f->blocks = NULL;
	f->count = f->cap = 0;
	f->life = 0;
}

void
cache_file_drop(struct cache *c, struct cache_file *f)
{
	lock_take(&f->lock);
	drop_locked(c, f);
	f->generation++;
	lock_give(&f->lock);
}

void
cache_file_destroy(struct cache *c, struct cache_file *f)
{
	cache_file_drop(c, f);
	lock_destroy(&f->lock);
}

static bool
insert_block(struct cache *c, struct cache_file *f, size_t at, const struct head *base, size_t need)
{
	/* Small actors get small blocks; doubling keeps the number of blocks small as one grows. */
	size_t cap = at > 0 ? f->blocks[at - 1]->cap * 2 : BLOCK_MIN;

	cap = cap > BLOCK_MAX ? BLOCK_MAX : cap;
	cap = cap < need ? need : cap;
	if (f->count == f->cap) {
		size_t slots = f->cap == 0 ? 1 : f->cap * 2;
		struct cache_block **blocks = realloc(f->blocks, slots * sizeof(blocks[0]));
		if (blocks == NULL)
			return false;
		f->blocks = blocks;
		f->cap = slots;
	}
	struct cache_block *b = malloc(sizeof(*b) + cap);
	if (b == NULL)
		return false;
	*b = (struct cache_block){ .file = f, .base = *base, .end = *base, .cap = cap };
	atomic_init(&b->refs, 1);
	memmove(&f->blocks[at + 1], &f->blocks[at], (f->count - at) * sizeof(f->blocks[0]));
	f->blocks[at] = b;
	f->count++;
	lock_take(&c->lock);
	link_newest_locked(c, b);
	lock_give(&c->lock);
	return true;
}

static void
put_locked(struct cache *c, struct cache_file *f, const struct head *base, const struct record *r)
{
	size_t len = r->payload.len;

	if (base->life < f->life)
		return; /* erased since */
	if (base->life > f->life) {
		drop_locked(c, f);
		f->life = base->life;
	}
	size_t at = blocks_upto(f, base->size);
	struct cache_block *b = at > 0 ? f->blocks[at - 1] : NULL;
	if (len == 0 || (b != NULL && b->end.size > base->size))
		return; /* there already */
	if (b == NULL || b->end.size != base->size || b->cap - b->len < len) {
		if (!insert_block(c, f, at, base, len))
			return;
		b = f->blocks[at];
	}
	memcpy(b->data + b->len, r->payload.p, len);
	b->len += len;
	b->end = record_head(r);
	evict(c, f, b);
}

void
cache_put(struct cache *c, struct cache_file *f, const struct head *base, const struct record *r)
{
	lock_take(&f->lock);
	put_locked(c, f, base, r);
	lock_give(&f->lock);
}

void
cache_put_since(
    struct cache *c, struct cache_file *f, uint64_t generation, const struct head *base, const struct record *r)
{
	lock_take(&f->lock);
	if (f->generation == generation)
		put_locked(c, f, base, r);
	lock_give(&f->lock);
}

uint64_t
cache_generation(struct cache_file *f)
{
	lock_take(&f->lock);
	uint64_t generation = f->generation;
	lock_give(&f->lock);
	return generation;
}

size_t
cache_borrow(struct cache *c, struct cache_file *f, uint64_t life, uint64_t offset, size_t size, const char **bytes,
    struct cache_block **block)
{
	size_t got = 0;

	lock_take(&f->lock);
	size_t at = life == f->life ? blocks_upto(f, offset) : 0;
	struct cache_block *b = at > 0 ? f->blocks[at - 1] : NULL;
	if (b != NULL && offset < b->end.size && size > 0) {
		size_t skip = (size_t)(offset - b->base.size);
		got = b->len - skip < size ? b->len - skip : size;
		*bytes = b->data + skip;
		*block = b;
		atomic_fetch_add(&b->refs, 1);
		touch(c, b);
	}
	lock_give(&f->lock);
	return got;
}

void
cache_nearest(struct cache_file *f, uint64_t life, uint64_t offset, struct head *from, uint64_t *before_seq)
{
	lock_take(&f->lock);
	size_t count = life == f->life ? f->count : 0, at = count > 0 ? blocks_upto(f, offset) : 0;
	*from = at > 0 ? f->blocks[at - 1]->end : head_of_life(life);
	*before_seq = at < count ? f->blocks[at]->base.seq : UINT64_MAX;
	lock_give(&f->lock);
}

bool
cache_bracket(struct cache_file *f, enum head_key key, uint64_t value, struct head *lo, struct head *hi)
{
	bool inside = false;

	lock_take(&f->lock);
	size_t count = hi->life == f->life ? f->count : 0, from = 0, to = count;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (head_key(&f->blocks[mid]->end, key) < value)
			from = mid + 1;
		else
			to = mid;
	}
	const struct head *before = from > 0 ? &f->blocks[from - 1]->end : lo;
	const struct head *behind = from < count ? &f->blocks[from]->base : hi;
	if (from < count && head_key(behind, key) < value) {
		before = behind;
		behind = &f->blocks[from]->end;
		inside = true;
	}
	if (before->seq > lo->seq)
		*lo = *before;
	if (behind->seq < hi->seq)
		*hi = *behind;
	lock_give(&f->lock);
	return inside;
}
