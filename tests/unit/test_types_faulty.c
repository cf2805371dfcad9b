/* Events by type, of a node whose backend misbehaves or is away. */
#include <errno.h>
#include <stdlib.h>

#include "../../store/memory.h"
#include "../../store/types.h"
#include "../faults/faulty.h"
#include "contract_node.h"

#define MS NS_PER_MS

/* A node on one memory for all of a test; first NULL: the first of it. */
static bool
scripted(struct node *n, const struct node *first, const struct fault_rule *rules, size_t count, int64_t timeout_ns)
{
	static struct backend *shared;
	struct faulty_options options = { .rules = rules, .rule_count = count };
	struct backend *b;

	if (first == NULL && memory_new(&shared, clock_system()) != 0)
		return false;
	return faulty_new(&b, shared, first == NULL, clock_system(), &options) == 0 && node_on(n, b, first, timeout_ns);
}

/* Three events of type T, each a record of its own, of a node whose index is not made yet. */
static struct type_reader *
read_three(struct node *n, struct types **t)
{
	struct type_reader *r = NULL;

	for (int i = 0; i < 3; i++)
		CHECK_EQ_INT(append(n->a, "{\"eventType\":\"T\"}").err, 0);
	CHECK_EQ_INT(types_get(n->store, n->ns, t), 0);
	CHECK_EQ_INT(types_update(*t, 0, false), 0);
	struct type *type = types_find(*t, SPAN("T"));
	CHECK(type != NULL);
	if (type != NULL)
		CHECK_EQ_INT(type_reader_new(*t, type, &r), 0);
	return r;
}

static size_t
lines_from(struct type_reader *r, uint64_t offset, int *err)
{
	struct buf got = { 0 };

	*err = type_read(r, offset, 1 << 20, &got);
	size_t lines = count_text(&got, "\n");
	buf_free(&got);
	return lines;
}

TEST(scans_that_fail_on_the_way)
{
	static const struct fault_rule rules[] = { { FAULT_SCAN, FAULT_REFUSE, 1, 1, -ENOTCONN, 0 }, { FAULT_SCAN, FAULT_REFUSE, 2, 1, -ETIMEDOUT, 0 },
		{ FAULT_SCAN, FAULT_LAG, 3, 0, 0, 0 }, { FAULT_GET, FAULT_LAG, 1, 0, 0, 0 } };
	struct node n, cold;
	struct types *t;
	uint64_t size;
	int64_t time_us;

	REQUIRE(scripted(&n, NULL, NULL, 0, 1000 * MS));
	for (int i = 0; i < 100; i++)
		CHECK_EQ_INT(append(n.a, "{\"eventType\":\"T\"}").err, 0);
	REQUIRE(scripted(&cold, &n, rules, MANY(rules), 1000 * MS));
	struct type_reader *r = read_three(&cold, &t);
	REQUIRE(r != NULL);
	int err;
	CHECK_EQ_UINT(lines_from(r, 0, &err), 103);
	CHECK_EQ_INT(err, 0);
	types_stat(t, types_find(t, SPAN("T")), &size, &time_us);
	CHECK_EQ_UINT(size, head_of(cold.a).size);
	type_reader_free(r);
	types_put(t);
	node_close(&cold);
	node_close(&n);
}

/* A record that is indexed and not there any more. */
TEST(a_record_of_a_type_that_is_lost)
{
	struct node n;
	struct types *t;
	int err;

	REQUIRE(scripted(&n, NULL, NULL, 0, 1000 * MS));
	struct type_reader *r = read_three(&n, &t);
	REQUIRE(r != NULL);
	size_t line = head_of(n.a).size / 3;
	faulty_hide(n.backend, head_of(n.a).seq - 1);
	CHECK_EQ_UINT(lines_from(r, 0, &err), 1);
	CHECK_EQ_INT(err, -EIO);
	CHECK_EQ_UINT(lines_from(r, line, &err), 0);
	CHECK_EQ_INT(err, -EIO);
	CHECK_EQ_UINT(lines_from(r, 2 * line, &err), 1);
	CHECK_EQ_INT(err, 0);
	type_reader_free(r);
	types_put(t);
	node_close(&n);
}

/* The stream cannot be read; what is known is there. */
TEST(types_while_away)
{
	struct node n, other;
	struct types *t;
	int err;

	REQUIRE(scripted(&n, NULL, NULL, 0, 100 * MS));
	REQUIRE(scripted(&other, &n, NULL, 0, 1000 * MS));
	struct type_reader *r = read_three(&n, &t);
	REQUIRE(r != NULL);
	uint64_t size = head_of(n.a).size;
	CHECK_EQ_UINT(lines_from(r, 0, &err), 3);
	faulty_disconnect(n.backend, 3600 * NS_PER_SEC);
	CHECK_EQ_INT(append(other.a, "{\"eventType\":\"T\"}").err, 0);
	CHECK_EQ_INT(types_update(t, 0, false), -ETIMEDOUT);
	CHECK_EQ_INT(types_update(t, 0, true), 0);
	CHECK_EQ_UINT(lines_from(r, size, &err), 0);
	CHECK_EQ_INT(err, 0);
	CHECK_EQ_UINT(lines_from(r, 0, &err), 3);
	faulty_disconnect(n.backend, 0);
	CHECK_EQ_UINT(lines_from(r, 0, &err), 4);
	/* An actor is erased, which is known here, while it cannot be read how: nothing more of it is shown. */
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"T\"}").err, 0);
	faulty_disconnect(n.backend, 3600 * NS_PER_SEC);
	CHECK_EQ_INT(actor_erase(other.a), 0);
	types_erased(n.store, n.ns);
	CHECK_EQ_UINT(lines_from(r, 0, &err), 0);
	CHECK_EQ_INT(err, -ETIMEDOUT);
	faulty_disconnect(n.backend, 0);
	CHECK_EQ_UINT(lines_from(r, 0, &err), 0);
	CHECK_EQ_INT(err, -ESTALE);
	type_reader_free(r);
	types_put(t);
	node_close(&other);
	node_close(&n);
}

TESTS(T(scans_that_fail_on_the_way), T(a_record_of_a_type_that_is_lost), T(types_while_away))
