/* Appends that are answered before they are stored: order, visibility, errors, bounds. */
#include <errno.h>
#include <stdlib.h>

#include "../../store/append.h"
#include "contract_node.h"

static struct pending *
start_text(struct actor *a, const char *lines, struct append_chain *chain)
{
	return append_start_async(a, lines, strlen(lines), chain);
}

TEST(what_was_answered_is_visible_at_once)
{
	struct node n;
	struct pending *p[20];
	char line[32];

	REQUIRE(node_open(&n));
	for (unsigned i = 0; i < MANY(p); i++) {
		snprintf(line, sizeof(line), "line %u\n", i);
		p[i] = start_text(n.a, line, NULL);
		CHECK(append_answered(p[i]) || append_ended(p[i]));
		if (i % 7 == 0)
			CHECK_EQ_UINT(head_of(n.a).count, i + 1);
	}
	CHECK_EQ_UINT(head_of(n.a).count, MANY(p));
	for (unsigned i = 0; i < MANY(p); i++) {
		struct outcome o = append_wait(p[i]);
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, i + 1);
	}
	node_close(&n);
}

TEST(the_order_is_that_of_the_calls)
{
	static const char *const lines[] = { "a\nb\n", "{\"eventType\":\"T\",\"id\":\"c\"}", "d",
		"{\"eventType\":\"T\",\"version\":9}\n", "{\"eventType\":\"T\",\"version\":9}", "e\nf", "", "g" };
	static const int errs[] = { 0, 0, 0, 0, -ESTALE, 0, -EEXIST, 0 };
	static const uint64_t versions[] = { 2, 3, 4, 9, 0, 11, 0, 12 };
	struct node n;
	struct pending *p[MANY(lines)];
	struct buf all = { 0 };
	struct head end;

	REQUIRE(node_open(&n));
	for (unsigned i = 0; i < MANY(lines); i++)
		p[i] = start_text(n.a, lines[i], NULL);
	actor_append_hurry(n.a);
	for (unsigned i = 0; i < MANY(lines); i++) {
		struct outcome o = append_wait(p[i]);
		CHECK_EQ_INT(o.err, errs[i]);
		CHECK_EQ_UINT(o.version, versions[i]);
	}
	check_chain(n.backend, n.ns, "a", &all, &end);
	check_versions(&all, (uint64_t[]){ 1, 2, 3, 4, 9, 10, 11, 12 }, 8);
	buf_free(&all);
	node_close(&n);
}

TEST(malformed_lines_are_never_answered)
{
	struct node n;
	struct append_chain chain = { 0 };

	REQUIRE(node_open(&n));
	struct pending *good = start_text(n.a, "one\n", &chain);
	struct pending *bad = start_text(n.a, "two\n{\"broken\n", &chain);
	CHECK(!append_answered(bad));
	CHECK_EQ_INT(append_wait(bad).err, -EINVAL);
	struct pending *next = start_text(n.a, "three\n", &chain);
	CHECK_EQ_UINT(head_of(n.a).count, 2);
	CHECK_EQ_INT(append_wait(good).err, 0);
	CHECK_EQ_INT(append_wait(next).err, 0);
	CHECK_EQ_INT(actor_chain_take(n.a, &chain), 0);
	node_close(&n);
}

TEST(after_a_failure_nothing_of_its_chain_is_stored)
{
	struct node n;
	struct append_chain chain = { 0 }, other = { 0 };
	struct pending *p[4];
	struct buf all = { 0 };
	struct head end;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"T\",\"version\":5}").err, 0);
	p[0] = start_text(n.a, "{\"eventType\":\"T\",\"version\":5,\"data\":{\"k\":\"x\"}}\n", &chain);
	p[1] = start_text(n.a, "behind it\n", &chain);
	p[2] = start_text(n.a, "of another\n", &other);
	p[3] = start_text(n.a, "behind it\n", &chain);
	CHECK_EQ_UINT(head_of(n.a).count, 2);
	unsigned told = 0;
	for (unsigned i = 0; i < MANY(p); i++) {
		bool answered = append_answered(p[i]);
		int err = append_wait(p[i]).err;
		CHECK_EQ_INT(err, i == 2 ? 0 : -ESTALE);
		told += err != 0 && !answered;
	}
	/* Told by one that was not answered, or kept: once. */
	CHECK_EQ_UINT(told + (actor_chain_take(n.a, &chain) == -ESTALE), 1);
	CHECK_EQ_INT(actor_chain_take(n.a, &chain), 0);
	CHECK_EQ_INT(actor_chain_take(n.a, &other), 0);
	struct pending *again = start_text(n.a, "goes on\n", &chain);
	actor_append_hurry(n.a);
	CHECK_EQ_INT(append_wait(again).err, 0);
	check_chain(n.backend, n.ns, "a", &all, &end);
	CHECK_EQ_UINT(count_text(&all, "behind it"), 0);
	CHECK_EQ_UINT(end.count, 3);
	buf_free(&all);
	node_close(&n);
}

/* More than may be answered: the rest is answered later, and all is stored. */
TEST(what_is_answered_is_bounded)
{
	enum { APPENDS = 40, SIZE = 300 * 1000, LINE = 1000 };
	struct node n;
	struct pending *p[APPENDS];
	struct head end;
	char *lines = many_lines(SIZE, LINE);
	size_t waiting = 0;

	REQUIRE(node_open(&n));
	for (unsigned i = 0; i < APPENDS; i++) {
		p[i] = append_start_async(n.a, lines, SIZE, NULL);
		size_t open = 0;
		for (unsigned k = 0; k <= i; k++)
			open += append_answered(p[k]) && !append_ended(p[k]);
		CHECK(open * SIZE <= APPEND_ACTOR_BYTES);
		waiting += !append_answered(p[i]);
	}
	for (unsigned i = 0; i < APPENDS; i++) {
		struct outcome o = append_wait(p[i]);
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.consumed, SIZE);
		CHECK_EQ_UINT(o.version, (i + 1) * (SIZE / LINE));
	}
	check_chain(n.backend, n.ns, "a", NULL, &end);
	CHECK_EQ_UINT(end.count, APPENDS * (SIZE / LINE));
	printf("# %zu of %d were answered late\n", waiting, APPENDS);
	free(lines);
	node_close(&n);
}

const struct check_test contract_async_tests[] = { T(what_was_answered_is_visible_at_once),
	T(the_order_is_that_of_the_calls), T(malformed_lines_are_never_answered),
	T(after_a_failure_nothing_of_its_chain_is_stored), T(what_is_answered_is_bounded) };
const size_t contract_async_count = MANY(contract_async_tests);
