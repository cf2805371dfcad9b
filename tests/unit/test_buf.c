#include <stdint.h>
#include <stdlib.h>

#include "../../store/buf.h"
#include "check.h"

TEST(grows)
{
	struct buf b = { 0 };
	char expected[1000];

	for (int i = 0; i < 1000; i++) {
		expected[i] = (char)('a' + i % 26);
		buf_putc(&b, expected[i]);
	}
	CHECK_EQ_MEM(b.p, b.len, expected, sizeof(expected));
	buf_clear(&b);
	CHECK_EQ_STR(buf_text(&b), "");
	buf_puts(&b, "a");
	buf_put_span(&b, SPAN("bc"));
	buf_printf(&b, "%d-%s", 42, "x");
	CHECK_EQ_STR(buf_text(&b), "abc42-x");
	CHECK_EQ_UINT(b.len, 7);
	buf_free(&b);
	CHECK(b.p == NULL && b.cap == 0);
}

TEST(failure_sticks)
{
	struct buf b = { 0 };

	buf_puts(&b, "kept");
	CHECK(buf_reserve(&b, SIZE_MAX) == NULL);
	CHECK(b.failed);
	buf_puts(&b, "lost");
	CHECK(buf_text(&b) == NULL);
	CHECK_EQ_UINT(b.len, 4);
	buf_clear(&b);
	buf_puts(&b, "again");
	CHECK_EQ_STR(buf_text(&b), "again");
	buf_free(&b);
}

TEST(compares_spans)
{
	CHECK(span_eq(SPAN("ab"), span_of("ab")));
	CHECK(!span_eq(SPAN("ab"), SPAN("abc")));
	CHECK(!span_eq(SPAN("ab"), SPAN("ax")));
	CHECK(span_eq(span_of(NULL), SPAN("")));
}

TEST(arena_pieces_stay_apart)
{
	struct arena a = { 0 };
	unsigned char *pieces[500];

	for (size_t i = 0; i < 500; i++) {
		size_t n = i * i % 7919;
		pieces[i] = arena_alloc(&a, n);
		REQUIRE(pieces[i] != NULL);
		CHECK_EQ_UINT((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
		memset(pieces[i], (int)(i & 255), n);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t k = 0; k < i * i % 7919; k++)
			REQUIRE(pieces[i][k] == (i & 255));
	CHECK(arena_alloc(&a, SIZE_MAX) == NULL);
	CHECK(arena_alloc(&a, SIZE_MAX - 64) == NULL);
	arena_free(&a);
	CHECK(arena_alloc(&a, 0) != NULL);
	arena_free(&a);
	arena_free(&a);
}

TESTS(T(grows), T(failure_sticks), T(compares_spans), T(arena_pieces_stay_apart))
