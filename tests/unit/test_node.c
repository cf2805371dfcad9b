/* The table of nodes: one object a name, counts, inode numbers. */
#include <pthread.h>

#include "check.h"
#include "fs/node.h"
#include "store/memory.h"

static struct store *store;
static struct node_table *table;

static void
begin(void)
{
	struct store_options options = { .timeout_ns = NS_PER_SEC, .cache_bytes = 1 << 20 };
	struct backend *backend;

	REQUIRE(memory_new(&backend, clock_system()) == 0);
	REQUIRE(store_new(&store, backend, clock_system(), NULL, &options) == 0);
	REQUIRE(node_table_new(&table, store) == 0);
}

static void
end(void)
{
	node_table_free(table);
	store_free(store);
}

TEST(a_name_has_one_node)
{
	struct node *a, *b, *c;

	begin();
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &a) == 0);
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &b) == 0);
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "order", &c) == 0);
	CHECK(a == b);
	CHECK(a != c);
	CHECK_EQ_UINT(node_count(table), 2);
	CHECK(node_of(table, node_id(table, a)) == a);
	CHECK(node_of(table, 1) == node_root(table));
	CHECK_EQ_UINT(node_id(table, node_root(table)), 1);
	end();
}

TEST(a_node_lives_as_long_as_it_is_counted)
{
	struct node *ns, *actor, *again;

	begin();
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &ns) == 0);
	REQUIRE(node_get(table, ns, NODE_ACTOR, NULL, "a", &actor) == 0);
	REQUIRE(node_get(table, ns, NODE_ACTOR, NULL, "a", &again) == 0);
	CHECK_EQ_STR(node_namespace(actor), "orders");
	node_put(table, ns, 1);
	CHECK_EQ_UINT(node_count(table), 2);
	node_put(table, actor, 1);
	CHECK_EQ_UINT(node_count(table), 2);
	node_put(table, actor, 1);
	CHECK_EQ_UINT(node_count(table), 0);
	node_put(table, node_root(table), 100);
	CHECK(node_namespace(node_root(table)) == NULL);
	end();
}

TEST(a_forget_takes_several_counts)
{
	struct node *n;

	begin();
	for (int i = 0; i < 5; i++)
		REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &n) == 0);
	node_ref(table, n);
	node_put(table, n, 5);
	CHECK_EQ_UINT(node_count(table), 1);
	node_put(table, n, 1);
	CHECK_EQ_UINT(node_count(table), 0);
	end();
}

/* Users and programs keep inode numbers: these are for ever. */
TEST(inode_numbers_are_fixed)
{
	struct node *ns, *actor;

	begin();
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &ns) == 0);
	REQUIRE(node_get(table, ns, NODE_ACTOR, NULL, "order-123", &actor) == 0);
	CHECK_EQ_UINT(node_ino(node_root(table)), 1);
	CHECK_EQ_UINT(node_ino(ns), UINT64_C(11272705222342432250));
	CHECK_EQ_UINT(node_ino(actor), UINT64_C(3256363569377940128));
	CHECK_EQ_UINT(node_child_ino(ns, "order-123"), node_ino(actor));
	CHECK(node_child_ino(node_root(table), "order-123") != node_ino(actor));
	end();
}

/* There may be a million of them. */
TEST(a_node_is_small)
{
	CHECK(offsetof(struct node, name) <= 56);
}

TEST(the_actor_is_made_when_it_is_needed)
{
	struct node *ns, *n;
	struct actor *a, *again;

	begin();
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &ns) == 0);
	REQUIRE(node_get(table, ns, NODE_ACTOR, NULL, "a", &n) == 0);
	CHECK(n->actor == NULL);
	REQUIRE(node_actor(table, n, &a) == 0);
	REQUIRE(node_actor(table, n, &again) == 0);
	CHECK(a == again && n->actor == a);
	end();
}

TEST(a_node_is_found_only_if_it_is_there)
{
	struct node *ns, *n, *found;

	begin();
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &ns) == 0);
	REQUIRE(node_get(table, ns, NODE_ACTOR, NULL, "a", &n) == 0);
	CHECK(node_find(table, ns, "b") == NULL);
	CHECK(node_find(table, node_root(table), "a") == NULL);
	found = node_find(table, ns, "a");
	CHECK(found == n);
	node_put(table, n, 1);
	CHECK_EQ_UINT(node_count(table), 2);
	node_put(table, found, 1);
	CHECK_EQ_UINT(node_count(table), 1);
	end();
}

/* Walks through a namespace's nodes; with more made meanwhile when the walk has begun. */
static size_t
walk(struct node *ns, unsigned more)
{
	struct buf nodes = { 0 };
	char name[16];
	size_t cursor = 0, found;
	struct node *n;

	for (int go = 1; go == 1;) {
		go = node_walk_told(table, ns, &cursor, &nodes);
		for (; more > 0; more--) {
			snprintf(name, sizeof(name), "more%u", more);
			CHECK(node_get(table, ns, NODE_ACTOR, NULL, name, &n) == 0);
		}
	}
	found = nodes.len / sizeof(n);
	for (size_t i = 0; i < found; i++) {
		memcpy(&n, nodes.p + i * sizeof(n), sizeof(n));
		CHECK(n->parent == ns && n->told != 0);
		node_put(table, n, 1);
	}
	buf_free(&nodes);
	return found;
}

TEST(a_walk_meets_each_node_that_the_kernel_was_told_of)
{
	struct node *ns, *other, *n;
	char name[16];

	begin();
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &ns) == 0);
	REQUIRE(node_get(table, node_root(table), NODE_NAMESPACE, NULL, "others", &other) == 0);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "a%d", i);
		REQUIRE(node_get(table, i % 2 == 0 ? ns : other, NODE_ACTOR, NULL, name, &n) == 0);
		n->told = i % 4 == 0 ? 1 : 0;
	}
	CHECK_EQ_UINT(walk(ns, 0), 2500);
	CHECK_EQ_UINT(walk(other, 0), 0);
	CHECK(walk(ns, 20000) >= 2500);
	end();
}

static void *
churn(void *arg)
{
	char name[16];
	struct node *ns, *actor;

	(void)arg;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "a%d", i % 7);
		if (node_get(table, node_root(table), NODE_NAMESPACE, NULL, "orders", &ns) != 0)
			return NULL;
		if (node_get(table, ns, NODE_ACTOR, NULL, name, &actor) != 0)
			return NULL;
		CHECK_EQ_STR(actor->name, name);
		node_put(table, ns, 1);
		node_put(table, actor, 1);
	}
	return NULL;
}

TEST(threads_share_the_table)
{
	pthread_t threads[4];

	begin();
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ_UINT(node_count(table), 0);
	end();
}

TESTS(T(a_name_has_one_node), T(a_node_lives_as_long_as_it_is_counted), T(a_forget_takes_several_counts),
    T(inode_numbers_are_fixed), T(a_node_is_small), T(the_actor_is_made_when_it_is_needed),
    T(a_node_is_found_only_if_it_is_there), T(a_walk_meets_each_node_that_the_kernel_was_told_of), T(threads_share_the_table))
