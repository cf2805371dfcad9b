#include <stdlib.h>

#include "../../store/cache.h"
#include "check.h"

/* Records of one event with lines of `len` bytes that all are the letter c, behind each other. */
static struct record
next_record(const struct head *base, char *line, size_t len, char c)
{
	struct record r = { .seq = base->seq + 1, .prev_seq = base->seq, .first = base->version + 1, .life = base->life };

	memset(line, c, len);
	line[len - 1] = '\n';
	r.last = r.first;
	r.count = base->count + 1;
	r.offset = base->size;
	r.payload = (struct span){ line, len };
	r.sum = record_sum(base->sum, r.payload);
	return r;
}

/* Put `count` records of `len` bytes, a, b, c ...; returns the head behind them. */
static struct head
put_many(struct cache *c, struct cache_file *f, struct head base, size_t count, size_t len)
{
	char *line = malloc(len);

	for (size_t i = 0; i < count; i++) {
		struct record r = next_record(&base, line, len, (char)('a' + i % 26));
		cache_put(c, f, &base, &r);
		base = record_head(&r);
	}
	free(line);
	return base;
}

TEST(borrows_what_was_put)
{
	struct cache *c;
	struct cache_file f;
	struct cache_block *block;
	const char *p;

	REQUIRE(cache_new(&c, 0) == 0);
	cache_file_init(&f);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 0, 10, &p, &block), 0);
	put_many(c, &f, (struct head){ 0 }, 3, 100);
	REQUIRE(cache_borrow(c, &f, 0, 150, 100, &p, &block) > 0);
	CHECK(p[0] == 'b' && p[48] == 'b' && p[49] == '\n');
	cache_return(block);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 298, 100, &p, &block), 2);
	CHECK_EQ_MEM(p, 2, "c\n", 2);
	cache_return(block);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 300, 100, &p, &block), 0);
	cache_file_destroy(c, &f);
	cache_free(c);
}

/* A sanitizer tells if it does not. */
TEST(what_is_borrowed_stays)
{
	struct cache *c;
	struct cache_file f, other;
	struct cache_block *block, *again;
	const char *p, *q;

	REQUIRE(cache_new(&c, 0) == 0);
	cache_file_init(&f);
	cache_file_init(&other);
	struct head head = put_many(c, &f, (struct head){ 0 }, 1, 1000);
	size_t n = cache_borrow(c, &f, 0, 0, 1000, &p, &block);
	REQUIRE(n > 0);
	/* More is put behind it, and then all is forgotten for want of room. */
	put_many(c, &f, head, 50, 1000);
	put_many(c, &other, (struct head){ 0 }, 3 * CACHE_MIN_BYTES / 10000, 10000);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 0, 1000, &q, &again), 0);
	for (size_t i = 0; i + 1 < n; i++)
		CHECK(p[i] == 'a');
	cache_file_destroy(c, &f);
	CHECK(p[0] == 'a');
	cache_return(block);
	cache_file_destroy(c, &other);
	cache_free(c);
}

TEST(what_was_read_before_a_drop_is_not_put_after_it)
{
	struct cache *c;
	struct cache_file f;
	struct cache_block *block;
	struct head base = { 0 };
	char line[100];
	const char *p;

	REQUIRE(cache_new(&c, 0) == 0);
	cache_file_init(&f);
	uint64_t generation = cache_generation(&f);
	struct record r = next_record(&base, line, sizeof(line), 'x');
	cache_file_drop(c, &f);
	cache_put_since(c, &f, generation, &base, &r);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 0, 10, &p, &block), 0);
	cache_put_since(c, &f, cache_generation(&f), &base, &r);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 0, 10, &p, &block), 10);
	cache_return(block);
	cache_file_destroy(c, &f);
	cache_free(c);
}

/* Of lives only the latest is kept, and nobody is given another than he asked for. */
TEST(lives_do_not_mix)
{
	struct cache *c;
	struct cache_file f;
	struct cache_block *block;
	struct head old, young, from;
	uint64_t before_seq;
	const char *p;

	REQUIRE(cache_new(&c, 0) == 0);
	cache_file_init(&f);
	old = put_many(c, &f, (struct head){ 0 }, 3, 100);
	CHECK_EQ_UINT(cache_borrow(c, &f, 9, 0, 10, &p, &block), 0);
	cache_nearest(&f, 9, 200, &from, &before_seq);
	CHECK(from.seq == 9 && from.life == 9 && from.size == 0 && before_seq == UINT64_MAX);
	young = put_many(c, &f, head_of_life(9), 2, 50);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 0, 10, &p, &block), 0);
	CHECK_EQ_UINT(cache_borrow(c, &f, 9, 60, 10, &p, &block), 10);
	CHECK(p[0] == 'b');
	cache_return(block);
	/* Whoever still reads the old one brings it in vain. */
	put_many(c, &f, old, 3, 100);
	CHECK_EQ_UINT(cache_borrow(c, &f, 0, 310, 10, &p, &block), 0);
	struct head lo = { 0 }, hi = old;
	CHECK(!cache_bracket(&f, HEAD_COUNT, 1, &lo, &hi));
	CHECK(lo.seq == 0 && hi.seq == old.seq);
	cache_nearest(&f, 9, 200, &from, &before_seq);
	CHECK_EQ_UINT(from.seq, young.seq);
	cache_file_destroy(c, &f);
	cache_free(c);
}

TESTS(T(borrows_what_was_put), T(what_is_borrowed_stays), T(what_was_read_before_a_drop_is_not_put_after_it),
    T(lives_do_not_mix))
