/* Which bytes of a handle's writes are whole lines, and what waits. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "fs/lines.h"

#define OFFER(l, text, whole) lines_offer(l, text, strlen(text), whole)
#define COMMITTED(l, text, whole, consumed) lines_committed(l, text, strlen(text), whole, consumed)

static void
check_pending(const struct lines *l, const char *text)
{
	CHECK_EQ_MEM(l->pending.p, l->pending.len, text, strlen(text));
}

TEST(a_piece_without_newline_waits)
{
	struct lines l = { .max = 100 };
	size_t whole = 7;

	CHECK_EQ_INT(OFFER(&l, "he", &whole), 0);
	CHECK_EQ_UINT(whole, 0);
	CHECK_EQ_INT(OFFER(&l, "llo", &whole), 0);
	CHECK_EQ_UINT(whole, 0);
	check_pending(&l, "hello");
	lines_free(&l);
}

TEST(everything_to_the_last_newline_is_whole)
{
	struct lines l = { .max = 100 };
	size_t whole;

	CHECK_EQ_INT(OFFER(&l, "a\nb\nc", &whole), 0);
	CHECK_EQ_UINT(whole, 4);
	check_pending(&l, "");
	CHECK_EQ_UINT(COMMITTED(&l, "a\nb\nc", 4, 4), 5);
	check_pending(&l, "c");
	lines_free(&l);
}

TEST(pending_goes_in_front)
{
	struct lines l = { .max = 100 };
	size_t whole;

	OFFER(&l, "hel", &whole);
	CHECK_EQ_INT(OFFER(&l, "lo\nx", &whole), 0);
	CHECK_EQ_UINT(whole, 3);
	check_pending(&l, "hel");
	CHECK_EQ_UINT(COMMITTED(&l, "lo\nx", 3, 6), 4);
	check_pending(&l, "x");
	lines_free(&l);
}

TEST(a_short_commit_leaves_the_tail_to_the_writer)
{
	struct lines l = { .max = 100 };
	size_t whole;

	OFFER(&l, "p", &whole);
	OFFER(&l, "1\n22\n3", &whole);
	CHECK_EQ_UINT(whole, 5);
	CHECK_EQ_UINT(COMMITTED(&l, "1\n22\n3", whole, 3), 2);
	check_pending(&l, "");
	lines_free(&l);
}

TEST(a_commit_that_does_not_cover_pending_is_none)
{
	struct lines l = { .max = 100 };
	size_t whole;

	OFFER(&l, "pp", &whole);
	OFFER(&l, "1\n", &whole);
	CHECK_EQ_UINT(COMMITTED(&l, "1\n", whole, 2), 0);
	check_pending(&l, "pp");
	lines_free(&l);
}

#define REFUSED(l, text, err) lines_refused(l, text, strlen(text), err)

TEST(a_refused_rest_may_come_again)
{
	static const int errors[] = { EILSEQ, ETIMEDOUT };
	size_t whole;

	for (size_t i = 0; i < 2; i++) {
		struct lines l = { .max = 100 };
		REFUSED(&l, "x\n", -EINVAL);
		CHECK_EQ_INT(l.refused, 0);
		OFFER(&l, "p", &whole);
		for (int again = 0; again < 3; again++) {
			CHECK_EQ_INT(OFFER(&l, "x\n", &whole), 0);
			CHECK_EQ_UINT(whole, 2);
			REFUSED(&l, "x\n", -errors[i]);
			CHECK_EQ_INT(l.refused, -errors[i]);
			check_pending(&l, "p");
		}
		lines_free(&l);
	}
}

TEST(what_follows_a_refused_line_is_a_new_one)
{
	struct lines l = { .max = 100 };
	size_t whole;

	OFFER(&l, "p", &whole);
	OFFER(&l, "x\n", &whole);
	REFUSED(&l, "x\n", -EILSEQ);
	CHECK_EQ_INT(OFFER(&l, "next\n", &whole), 0);
	CHECK_EQ_UINT(whole, 5);
	check_pending(&l, "");
	CHECK_EQ_INT(l.refused, 0);
	lines_free(&l);
}

TEST(a_transient_error_keeps_the_start_for_any_rest)
{
	struct lines l = { .max = 100 };
	size_t whole;

	OFFER(&l, "p", &whole);
	OFFER(&l, "x\n", &whole);
	REFUSED(&l, "x\n", -ETIMEDOUT);
	CHECK_EQ_INT(OFFER(&l, "y\n", &whole), 0);
	check_pending(&l, "p");
	CHECK_EQ_UINT(COMMITTED(&l, "y\n", whole, 3), 2);
	CHECK_EQ_INT(l.refused, 0);
	lines_free(&l);
}

TEST(a_line_over_the_limit_is_refused_to_its_end)
{
	struct lines l = { .max = 5 };
	size_t whole;

	CHECK_EQ_INT(OFFER(&l, "12345", &whole), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ_INT(OFFER(&l, "6", &whole), -EMSGSIZE);
		check_pending(&l, "12345");
	}
	CHECK_EQ_INT(OFFER(&l, "7", &whole), -EMSGSIZE);
	CHECK_EQ_INT(OFFER(&l, "\n", &whole), -EMSGSIZE);
	check_pending(&l, "");
	CHECK_EQ_INT(OFFER(&l, "ok\n", &whole), 0);
	CHECK_EQ_UINT(whole, 3);
	lines_free(&l);
}

TEST(one_piece_over_the_limit_is_refused)
{
	struct lines l = { .max = 5 };
	size_t whole;

	CHECK_EQ_INT(OFFER(&l, "123456", &whole), -EMSGSIZE);
	CHECK_EQ_INT(l.refused, 0);
	CHECK_EQ_INT(OFFER(&l, "12345", &whole), 0);
	lines_free(&l);
}

TEST(a_tail_over_the_limit_is_left_to_the_writer)
{
	struct lines l = { .max = 3 };
	size_t whole;

	CHECK_EQ_INT(OFFER(&l, "a\n1234", &whole), 0);
	CHECK_EQ_UINT(COMMITTED(&l, "a\n1234", whole, 2), 2);
	check_pending(&l, "");
	CHECK_EQ_INT(OFFER(&l, "1234", &whole), -EMSGSIZE);
	lines_free(&l);
}

/* However a text is cut into writes, and however short the commits, its lines come out once each and in order. */
TEST(random_cuts_lose_nothing)
{
	const char *text = "one\n\ntwo and a half\nthree\n\n\nfour is long enough\nfive\nsix";
	size_t len = strlen(text);

	srand(7);
	for (int round = 0; round < 2000; round++) {
		struct lines l = { .max = 64 };
		struct buf out = { 0 };
		size_t at = 0, whole;
		while (at < len) {
			size_t size = 1 + (size_t)rand() % (len - at);
			REQUIRE(lines_offer(&l, text + at, size, &whole) == 0);
			size_t before = l.pending.len, written = size;
			if (whole > 0) {
				struct buf all = { 0 };
				buf_put(&all, l.pending.p, before);
				buf_put(&all, text + at, whole);
				size_t consumed = all.len;
				if (rand() % 2) /* only the first line fits */
					consumed = (size_t)((char *)memchr(all.p, '\n', all.len) - all.p) + 1;
				buf_put(&out, all.p, consumed);
				buf_free(&all);
				written = lines_committed(&l, text + at, size, whole, consumed);
			}
			at += written;
		}
		buf_put(&out, l.pending.p, l.pending.len);
		CHECK_EQ_MEM(out.p, out.len, text, len);
		buf_free(&out);
		lines_free(&l);
	}
}

TESTS(T(a_piece_without_newline_waits), T(everything_to_the_last_newline_is_whole), T(pending_goes_in_front),
    T(a_short_commit_leaves_the_tail_to_the_writer), T(a_commit_that_does_not_cover_pending_is_none),
    T(a_refused_rest_may_come_again), T(what_follows_a_refused_line_is_a_new_one),
    T(a_transient_error_keeps_the_start_for_any_rest), T(a_line_over_the_limit_is_refused_to_its_end),
    T(one_piece_over_the_limit_is_refused), T(a_tail_over_the_limit_is_left_to_the_writer), T(random_cuts_lose_nothing))
