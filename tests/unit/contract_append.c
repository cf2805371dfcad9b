/* Versions, conflicts, atomicity, the forms a line may have, limits. */
#include <errno.h>
#include <stdlib.h>

#include "contract_node.h"

TEST(versions_rise_by_one)
{
	struct node n;
	struct buf all = { 0 };
	struct head end;

	REQUIRE(node_open(&n));
	for (uint64_t i = 1; i <= 5; i++) {
		struct outcome o = append(n.a, "{\"eventType\":\"T\"}\n");
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, i);
		CHECK_EQ_UINT(o.consumed, strlen("{\"eventType\":\"T\"}\n"));
	}
	check_chain(n.backend, n.ns, "a", &all, &end);
	check_versions(&all, (uint64_t[]){ 1, 2, 3, 4, 5 }, 5);
	CHECK_EQ_UINT(end.count, 5);
	CHECK_EQ_UINT(end.version, 5);
	buf_free(&all);
	node_close(&n);
}

TEST(explicit_versions_may_have_gaps)
{
	struct node n;
	struct buf all = { 0 };
	struct head end;

	REQUIRE(node_open(&n));
	CHECK_EQ_UINT(append(n.a, "{\"eventType\":\"T\",\"version\":3}").version, 3);
	CHECK_EQ_UINT(append(n.a, "{\"eventType\":\"T\"}").version, 4);
	struct outcome o = append(
	    n.a, "{\"eventType\":\"T\",\"version\":10}\n{\"eventType\":\"T\"}\n{\"eventType\":\"T\",\"version\":20}\n");
	CHECK_EQ_INT(o.err, 0);
	CHECK_EQ_UINT(o.version, 20);
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"T\",\"version\":9223372036854775807}").err, 0);
	check_chain(n.backend, n.ns, "a", &all, &end);
	check_versions(&all, (uint64_t[]){ 3, 4, 10, 11, 20, INT64_MAX }, 6);
	CHECK_EQ_UINT(end.count, 6);
	/* There is no version after the last. */
	CHECK_EQ_INT(append(n.a, "more").err, -ESTALE);
	buf_free(&all);
	node_close(&n);
}

TEST(an_old_version_is_a_conflict)
{
	struct node n, other;
	struct buf text = { 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"T\",\"version\":5}").err, 0);
	for (uint64_t v = 4; v <= 5; v++) {
		char line[80];
		snprintf(line, sizeof(line), "{\"eventType\":\"T\",\"version\":%ju,\"id\":\"mine\"}", (uintmax_t)v);
		struct outcome o = append(n.a, line);
		CHECK_EQ_INT(o.err, -ESTALE);
		CHECK_EQ_UINT(o.consumed, 0);
		CHECK_EQ_UINT(o.conflict.current, 5);
		CHECK_EQ_UINT(o.conflict.attempted, v);
		CHECK_EQ_STR(o.conflict.id, "mine");
	}
	store_conflicts(n.store, n.ns, "a", &text);
	CHECK_EQ_UINT(count_text(&text, "\"currentVersion\":5,\"attemptedVersion\":4,\"id\":\"mine\"}\n"), 1);
	CHECK_EQ_UINT(count_text(&text, "\n"), 2);
	buf_clear(&text);
	store_conflict_last(n.store, n.ns, "a", &text);
	CHECK_EQ_UINT(count_text(&text, "\"attemptedVersion\":5"), 1);
	/* A node that has read nothing yet says the same. */
	struct outcome o = append(other.a, "{\"eventType\":\"T\",\"version\":2}");
	CHECK_EQ_INT(o.err, -ESTALE);
	CHECK_EQ_UINT(o.conflict.current, 5);
	CHECK_EQ_UINT(head_of(n.a).count, 1);
	buf_free(&text);
	node_close(&other);
	node_close(&n);
}

TEST(a_conflict_names_the_version_of_now)
{
	struct node n, other;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append(n.a, "one").err, 0);
	CHECK_EQ_INT(append(other.a, "two\nthree").err, 0);
	/* n still takes version 1 for the latest. */
	struct outcome o = append(n.a, "{\"eventType\":\"T\",\"version\":1}");
	CHECK_EQ_INT(o.err, -ESTALE);
	CHECK_EQ_UINT(o.conflict.current, 3);
	o = append(other.a, "four");
	CHECK_EQ_UINT(o.version, 4);
	o = append(n.a, "{\"eventType\":\"T\",\"version\":4}");
	CHECK_EQ_INT(o.err, -ESTALE);
	CHECK_EQ_UINT(o.conflict.current, 4);
	CHECK_EQ_UINT(append(n.a, "five").version, 5);
	node_close(&other);
	node_close(&n);
}

TEST(all_lines_or_none)
{
	static const struct {
		const char *lines;
		int err;
	} refused[] = {
		{ "good\n{\"eventType\":\"T\",\"nonsense\":1}\n", -EINVAL },
		{ "good\n{\"broken\n", -EINVAL },
		{ "good\n{\"eventType\":\"T\",\"actorId\":\"b\"}\n", -EINVAL },
		{ "good\n\xff\n", -EILSEQ },
		{ "good\n{\"eventType\":\"T\",\"version\":1}\n", -ESTALE },
		{ "good\n{\"eventType\":\"T\",\"version\":5}\n{\"eventType\":\"T\",\"version\":5}\n", -ESTALE },
		{ "{\"eventType\":\"T\",\"id\":\"x\"}\n{\"eventType\":\"U\",\"id\":\"x\"}\n", -EEXIST },
	};
	struct node n;
	struct head end;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "first").err, 0);
	for (size_t i = 0; i < MANY(refused); i++) {
		struct outcome o = append(n.a, refused[i].lines);
		CHECK_EQ_INT(o.err, refused[i].err);
		CHECK_EQ_UINT(o.consumed, 0);
	}
	CHECK_EQ_UINT(append(n.a, "a\nb\nc\n").version, 4);
	check_chain(n.backend, n.ns, "a", NULL, &end);
	CHECK_EQ_UINT(end.count, 4);
	node_close(&n);
}

TEST(a_batch_is_one_record)
{
	struct node n;
	struct buf all = { 0 };
	struct owned_record r = { 0 };
	struct backend_get last = { .kind = GET_LAST, .fresh = true };

	REQUIRE(node_open(&n));
	CHECK_EQ_UINT(append(n.a, "a\n\nb\n{\"x\":1}\nc").version, 4);
	CHECK_EQ_INT(wait_get(n.backend, clock_system(), (struct actor_name){ n.ns, "a" }, last,
			 clock_mono(clock_system()) + 5 * NS_PER_SEC, &r),
	    0);
	CHECK_EQ_UINT(r.record.first, 1);
	CHECK_EQ_UINT(r.record.last, 4);
	CHECK_EQ_UINT(r.record.count, 4);
	CHECK_EQ_INT(read_all(n.a, 0, &all), 0);
	CHECK_EQ_MEM(all.p, all.len, r.record.payload.p, r.record.payload.len);
	owned_record_free(&r);
	buf_free(&all);
	node_close(&n);
}

TEST(the_three_forms_of_a_line)
{
	struct node n;
	struct buf all = { 0 };

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(
	    append(n.a,
		"plain \"text\"\n{ \"n\" : 9007199254740993, \"f\": 1.10 }\n"
		"{\"eventType\":\"Paid\",\"data\":{\"e\":1e400},\"metadata\":{\"by\":\"me\"},\"commandId\":\"c\"}\n")
		.err,
	    0);
	CHECK_EQ_INT(read_all(n.a, 0, &all), 0);
	CHECK_EQ_UINT(count_text(&all, "\"eventType\":\"Text\",\"actorId\":\"a\","), 1);
	CHECK_EQ_UINT(count_text(&all, "\"data\":{\"text\":\"plain \\\"text\\\"\"}}\n"), 1);
	CHECK_EQ_UINT(count_text(&all, "\"eventType\":\"Event\""), 1);
	CHECK_EQ_UINT(count_text(&all, "\"data\":{\"n\":9007199254740993,\"f\":1.10}}\n"), 1);
	CHECK_EQ_UINT(count_text(&all, "\"commandId\":\"c\",\"timestamp\":"), 1);
	CHECK_EQ_UINT(count_text(&all, "\"data\":{\"e\":1e400},\"metadata\":{\"by\":\"me\"}}\n"), 1);
	buf_free(&all);
	node_close(&n);
}

TEST(empty_lines_store_nothing)
{
	struct node n;
	struct head head;

	REQUIRE(node_open(&n));
	struct outcome o = append(n.a, "\n\n\n");
	CHECK_EQ_INT(o.err, 0);
	CHECK_EQ_UINT(o.consumed, 3);
	CHECK_EQ_INT(actor_head(n.a, 0, false, &head), -ENOENT);
	node_close(&n);
}

TEST(a_creation_marker_makes_an_empty_actor)
{
	struct node n, other;
	struct head head;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(actor_head(other.a, 0, false, &head), -ENOENT);
	CHECK_EQ_INT(append(n.a, "").err, 0);
	CHECK_EQ_INT(actor_head(other.a, 0, false, &head), 0);
	CHECK(head.seq > 0);
	CHECK_EQ_UINT(head.version, 0);
	CHECK_EQ_UINT(head.size, 0);
	CHECK(head.time_us > 0);
	CHECK_EQ_INT(append(n.a, "").err, -EEXIST);
	CHECK_EQ_INT(append(other.a, "").err, -EEXIST);
	CHECK_EQ_UINT(append(other.a, "one").version, 1);
	CHECK_EQ_INT(append(n.a, "").err, -EEXIST);
	CHECK_EQ_UINT(append(n.a, "two").version, 2);
	check_chain(n.backend, n.ns, "a", NULL, &head);
	CHECK_EQ_UINT(head.count, 2);
	node_close(&other);
	node_close(&n);
}

TEST(what_exceeds_one_record_is_continued)
{
	struct node n;
	struct buf all = { 0 };
	struct head end;
	struct backend_limits limits;
	size_t size, line = 4000, at = 0;
	unsigned appends = 0;

	REQUIRE(node_open(&n));
	REQUIRE(store_limits(n.store, &limits) == 0);
	size = ((size_t)limits.payload_max * 5 / 2) / line * line;
	char *lines = many_lines(size, line);
	for (; at < size && appends < 10; appends++) {
		struct outcome o = append_bytes(n.a, lines + at, size - at);
		CHECK_EQ_INT(o.err, 0);
		CHECK(o.consumed > 0 && o.consumed % line == 0);
		at += o.consumed;
		CHECK_EQ_UINT(o.version, at / line);
	}
	CHECK(appends >= 3);
	check_chain(n.backend, n.ns, "a", &all, &end);
	CHECK_EQ_UINT(end.count, size / line);
	for (size_t i = 0; i < size / line; i += 97) {
		char text[40];
		snprintf(text, sizeof(text), "{\"text\":\"%08zu xxx", i);
		CHECK_EQ_UINT(count_text(&all, text), 1);
	}
	free(lines);
	buf_free(&all);
	node_close(&n);
}

TEST(a_line_over_the_limit_is_refused)
{
	struct node n;
	struct head head;
	struct backend_limits limits;

	REQUIRE(node_open(&n));
	REQUIRE(store_limits(n.store, &limits) == 0);
	size_t max = (size_t)limits.payload_max;
	char *line = many_lines(max + 1, max + 2);
	CHECK_EQ_INT(append_bytes(n.a, line, max + 1).err, -EMSGSIZE);
	/* What fits as it was written, but not as it is stored. */
	CHECK_EQ_INT(append_bytes(n.a, line, max - 10).err, -EMSGSIZE);
	CHECK_EQ_INT(actor_head(n.a, 0, false, &head), -ENOENT);
	CHECK_EQ_INT(append_bytes(n.a, line, max - 300).err, 0);
	/* One that does not fit behind others: those are stored, and it is refused when its turn comes. */
	char *two = malloc(max);
	memcpy(two, "x\n", 2);
	memcpy(two + 2, line, max - 12);
	struct outcome o = append_bytes(n.a, two, max - 10);
	CHECK_EQ_INT(o.err, 0);
	CHECK_EQ_UINT(o.consumed, 2);
	free(two);
	free(line);
	node_close(&n);
}

TEST(no_namespace_no_append)
{
	struct node n;
	struct actor *a;

	REQUIRE(node_open(&n));
	REQUIRE(actor_get(n.store, "there-is-none", "a", &a) == 0);
	CHECK_EQ_INT(append_refused(a, "x"), -ENOENT);
	CHECK_EQ_INT(append_refused(a, ""), -ENOENT);
	actor_put(a);
	node_close(&n);
}

const struct check_test contract_append_tests[] = { T(versions_rise_by_one), T(explicit_versions_may_have_gaps),
	T(an_old_version_is_a_conflict), T(a_conflict_names_the_version_of_now), T(all_lines_or_none),
	T(a_batch_is_one_record), T(the_three_forms_of_a_line), T(empty_lines_store_nothing),
	T(a_creation_marker_makes_an_empty_actor), T(what_exceeds_one_record_is_continued),
	T(a_line_over_the_limit_is_refused), T(no_namespace_no_append) };
const size_t contract_append_count = MANY(contract_append_tests);
