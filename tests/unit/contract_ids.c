/* An id that was sent before: the same content adds nothing, other content is refused. */
#include <errno.h>
#include <stdlib.h>

#include "contract_node.h"

#define E(type, id) "{\"eventType\":\"" type "\",\"id\":\"" id "\"}\n"

static void
check_count(struct node *n, const char *actor, uint64_t count)
{
	struct head end;

	check_chain(n->backend, n->ns, actor, NULL, &end);
	CHECK_EQ_UINT(end.count, count);
}

TEST(the_same_id_adds_nothing)
{
	struct node n, other;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append(n.a, E("T", "one")).err, 0);
	CHECK_EQ_INT(append(n.a, "between").err, 0);
	struct node *both[] = { &n, &other };
	for (int i = 0; i < 4; i++) {
		struct outcome o = append(both[i % 2]->a, E("T", "one"));
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, 1);
		CHECK_EQ_UINT(o.consumed, strlen(E("T", "one")));
	}
	check_count(&n, "a", 2);
	node_close(&other);
	node_close(&n);
}

TEST(the_same_id_with_other_content_is_refused)
{
	struct node n, other;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append(n.a, E("T", "one")).err, 0);
	CHECK_EQ_INT(append(n.a, E("U", "one")).err, -EEXIST);
	CHECK_EQ_INT(append(other.a, E("U", "one")).err, -EEXIST);
	CHECK_EQ_INT(append(other.a, "before\n" E("U", "one")).err, -EEXIST);
	CHECK_EQ_INT(append(other.a, "{\"eventType\":\"T\",\"id\":\"one\",\"data\":{\"x\":1}}").err, -EEXIST);
	check_count(&n, "a", 1);
	node_close(&other);
	node_close(&n);
}

TEST(ids_inside_batches_are_known)
{
	struct node n, other;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append(n.a, "text\n" E("T", "in") E("T", "last")).err, 0);
	struct node *both[] = { &n, &other };
	for (int i = 0; i < 2; i++) {
		CHECK_EQ_UINT(append(both[i]->a, E("T", "last")).version, 3);
		CHECK_EQ_UINT(append(both[i]->a, E("T", "in")).version, 2);
		CHECK_EQ_INT(append(both[i]->a, E("U", "in")).err, -EEXIST);
	}
	/* Some are stored already: only the others are added. */
	struct outcome o = append(other.a, E("T", "in") E("T", "new") E("T", "last"));
	CHECK_EQ_INT(o.err, 0);
	CHECK_EQ_UINT(o.consumed, strlen(E("T", "in") E("T", "new") E("T", "last")));
	check_count(&n, "a", 4);
	CHECK_EQ_UINT(append(n.a, E("T", "new")).version, 4);
	check_count(&n, "a", 4);
	node_close(&other);
	node_close(&n);
}

TEST(an_id_twice_in_one_batch_counts_once)
{
	struct node n;

	REQUIRE(node_open(&n));
	struct outcome o = append(n.a, E("T", "x") "y\n" E("T", "x"));
	CHECK_EQ_INT(o.err, 0);
	CHECK_EQ_UINT(o.consumed, strlen(E("T", "x") "y\n" E("T", "x")));
	check_count(&n, "a", 2);
	node_close(&n);
}

TEST(the_same_id_in_two_actors_is_two_events)
{
	struct node n;
	struct actor *b;

	REQUIRE(node_open(&n));
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	CHECK_EQ_INT(append(n.a, E("T", "one")).err, 0);
	CHECK_EQ_UINT(append(b, E("U", "one")).version, 1);
	CHECK_EQ_UINT(append(b, E("U", "one") E("U", "two")).version, 2);
	check_count(&n, "a", 1);
	check_count(&n, "b", 2);
	actor_put(b);
	node_close(&n);
}

TEST(ids_of_any_bytes)
{
	static const char *const ids[] = { "a.b", "*", ">", " ", "%25", "/", "ü", "\\u0001", "a/b",
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef012345"
		"6789abcdef01234567"
		"89abcdef" };
	struct node n;
	char line[256];

	REQUIRE(node_open(&n));
	for (size_t i = 0; i < MANY(ids); i++) {
		snprintf(line, sizeof(line), "{\"eventType\":\"T\",\"id\":\"%s\"}\n", ids[i]);
		CHECK_EQ_UINT(append(n.a, line).version, i + 1);
		CHECK_EQ_UINT(append(n.a, line).version, i + 1);
	}
	check_count(&n, "a", MANY(ids));
	node_close(&n);
}

/* However much came after it: what names its version is looked for where it must be. */
TEST(an_explicit_version_is_known_for_ever)
{
	struct node n, other;
	char *lines = many_lines(2000 * 40, 40);

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append(n.a, "first\n{\"eventType\":\"T\",\"id\":\"old\",\"version\":7}\nthird").err, 0);
	for (size_t i = 0; i < 40; i++)
		CHECK_EQ_INT(append_bytes(n.a, lines + i * 2000, 2000).err, 0);
	struct node *both[] = { &n, &other };
	for (int i = 0; i < 2; i++) {
		struct outcome o = append(both[i]->a, "{\"eventType\":\"T\",\"id\":\"old\",\"version\":7}");
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, 7);
		CHECK_EQ_INT(append(both[i]->a, "{\"eventType\":\"U\",\"id\":\"old\",\"version\":7}").err, -EEXIST);
		CHECK_EQ_INT(append(both[i]->a, "{\"eventType\":\"T\",\"id\":\"other\",\"version\":7}").err, -ESTALE);
		CHECK_EQ_INT(append(both[i]->a, "{\"eventType\":\"T\",\"id\":\"old\",\"version\":6}").err, -EEXIST);
	}
	check_count(&n, "a", 2003);
	free(lines);
	node_close(&other);
	node_close(&n);
}

TEST(a_retry_after_many_others_adds_nothing)
{
	struct node n, other;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append(n.a, "x\n" E("T", "retried")).err, 0);
	for (int i = 0; i < 30; i++)
		CHECK_EQ_INT(append(i % 2 ? n.a : other.a, "more").err, 0);
	CHECK_EQ_UINT(append(other.a, E("T", "retried")).version, 2);
	CHECK_EQ_UINT(append(n.a, "y\n" E("T", "retried")).err, 0);
	check_count(&n, "a", 33);
	node_close(&other);
	node_close(&n);
}

const struct check_test contract_ids_tests[] = { T(the_same_id_adds_nothing),
	T(the_same_id_with_other_content_is_refused), T(ids_inside_batches_are_known),
	T(an_id_twice_in_one_batch_counts_once), T(the_same_id_in_two_actors_is_two_events), T(ids_of_any_bytes),
	T(an_explicit_version_is_known_for_ever), T(a_retry_after_many_others_adds_nothing) };
const size_t contract_ids_count = MANY(contract_ids_tests);
