/* Drafts: the same bytes as an encoding against the head gives, whatever the versions; cutting; bounds. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "store/draft.h"

static const char lines[] =
    "plain \"text\"\n\n{\"a\":\"{\\\"version\\\":7}\"}\n{\"eventType\":\"T\",\"commandId\":\"c\",\"data\":{}}\nlast";

static bool
parse(struct batch *b, const char *text, size_t size)
{
	return batch_parse(b, (struct span){ text, size }, SPAN("a\"b"), 1 << 20, clock_system()) == 0;
}

TEST(stamped_as_encoded)
{
	static const uint64_t versions[] = { 0, 5, 8, 97, 999999999, EVENT_VERSION_MAX - 4 };

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		struct head head = { .version = versions[i] };
		struct batch b;
		struct draft d;
		struct buf encoded = { 0 }, stamped = { 0 };
		struct record r;
		struct batch_record made;
		size_t refused;
		uint64_t current;
		REQUIRE(parse(&b, lines, sizeof(lines) - 1));
		CHECK(draft_suits(&b));
		CHECK_EQ_INT(batch_encode(&b, &head, 1 << 20, &encoded, &r, &made, &refused, &current), 0);
		CHECK_EQ_INT(draft_make(&d, &b, 1 << 20), 0);
		draft_stamp(&d, versions[i] + 1, &stamped);
		CHECK_EQ_MEM(stamped.p, stamped.len, encoded.p, encoded.len);
		CHECK_EQ_UINT(d.lines, 4);
		CHECK_EQ_UINT(d.consumed, sizeof(lines) - 1);
		CHECK_EQ_MEM(d.first_id, strlen(d.first_id), made.first_id.p, made.first_id.len);
		CHECK(draft_bound(&d) >= stamped.len && draft_bound(&d) <= stamped.len + 4 * 18);
		CHECK(draft_bound_of_batch(&b) >= stamped.len);
		draft_free(&d);
		batch_free(&b);
		buf_free(&encoded);
		buf_free(&stamped);
	}
}

TEST(cut_so_that_any_version_fits)
{
	struct buf out = { 0 };
	struct batch b;
	struct draft d;

	REQUIRE(parse(&b, "1\n2\n3\n4\n5\n6\n7\n8\n", 16));
	CHECK_EQ_INT(draft_make(&d, &b, 1 << 20), 0);
	size_t all = draft_bound(&d);
	draft_free(&d);
	for (size_t max = all / 8; max <= all; max += 7) {
		CHECK_EQ_INT(draft_make(&d, &b, max), 0);
		buf_clear(&out);
		draft_stamp(&d, EVENT_VERSION_MAX - 8, &out);
		CHECK(d.lines >= 1 && out.len <= max);
		CHECK_EQ_UINT(d.lines, max / (all / 8));
		CHECK_EQ_UINT(d.consumed, d.lines * 2);
		draft_free(&d);
	}
	/* A single line is refused only if no version lets it in. */
	CHECK_EQ_INT(draft_make(&d, &b, all / 8 - 18), 0);
	CHECK_EQ_UINT(d.lines, 1);
	draft_free(&d);
	CHECK_EQ_INT(draft_make(&d, &b, all / 8 - 19), -EMSGSIZE);
	batch_free(&b);
	buf_free(&out);
}

TEST(versions_and_repeats_do_not_suit)
{
	static const char *const others[] = { "{\"eventType\":\"T\",\"id\":\"i\"}\nx\n{\"eventType\":\"T\",\"id\":\"i\"}",
		"{\"eventType\":\"T\",\"version\":3}\nx", "\n\n" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct batch b;
		REQUIRE(parse(&b, others[i], strlen(others[i])));
		CHECK(!draft_suits(&b));
		batch_free(&b);
	}
}

static void
stamp(const char *text, size_t size, uint64_t version, struct buf *bare, struct buf *stamped)
{
	struct batch b;
	struct draft d;

	REQUIRE(parse(&b, text, size));
	CHECK(draft_suits(&b));
	CHECK_EQ_INT(draft_make(&d, &b, 1 << 20), 0);
	draft_bare(&d, bare);
	draft_stamp(&d, version, stamped);
	draft_free(&d);
	batch_free(&b);
}

/* What is handed over becomes the same events elsewhere, ids, timestamps and all. */
TEST(bare_lines_are_the_same_events)
{
	static const char given[] = "a\n{\"eventType\":\"T\",\"id\":\"\\u0001\\\"\",\"timestamp\":\"2026-01-02T03:04:05Z\",\"data\":{\"e\":1e400},"
				    "\"metadata\":{\"k\":\"v\"}}\n{\"n\":9007199254740993}";
	struct buf bare = { 0 }, again = { 0 }, here = { 0 }, there = { 0 };

	stamp(given, sizeof(given) - 1, 98, &bare, &here);
	stamp(bare.p, bare.len, 98, &again, &there);
	CHECK_EQ_MEM(again.p, again.len, bare.p, bare.len);
	CHECK_EQ_MEM(there.p, there.len, here.p, here.len);
	CHECK(memmem(bare.p, bare.len, "version", 7) == NULL);
	buf_free(&bare);
	buf_free(&again);
	buf_free(&here);
	buf_free(&there);
}

TESTS(T(stamped_as_encoded), T(cut_so_that_any_version_fits), T(versions_and_repeats_do_not_suit),
    T(bare_lines_are_the_same_events))
