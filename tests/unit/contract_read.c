/* Reading: every offset and size, warm, cold and with the cache too small; what the head says and when. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "contract_node.h"

/* Every piece [offset, offset + size) as far as the file goes, on this node. */
static void
check_pieces(struct node *n, const struct buf *want, size_t step, size_t size)
{
	struct head head = head_of(n->a);
	char *out = malloc(size);

	CHECK_EQ_UINT(head.size, want->len);
	for (size_t at = 0; at <= want->len; at += step) {
		size_t left = want->len - at, expect = left < size ? left : size;
		ssize_t got = actor_read(n->a, &head, at, size, out);
		if (got != (ssize_t)expect || memcmp(out, want->p + at, expect) != 0) {
			printf("# offset %zu, %zu bytes: %zd\n", at, size, got);
			CHECK(false);
			break;
		}
	}
	CHECK_EQ_INT(actor_read(n->a, &head, head.size + 1000, size, out), 0);
	free(out);
}

TEST(every_offset_and_size)
{
	static const size_t sizes[] = { 1, 2, 7, 100, 1000, 100000 };
	struct node n, cold;
	struct buf all = { 0 };
	struct head end;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "").err, 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ_INT(append(n.a, i % 2 ? "one\n" : "two\nthree\n").err, 0);
	check_chain(n.backend, n.ns, "a", &all, &end);
	for (size_t i = 0; i < MANY(sizes); i++)
		check_pieces(&n, &all, 1, sizes[i]);
	/* A node for each that has nothing in memory yet. */
	for (size_t at = 0; at < all.len; at += 130) {
		char out[50];
		REQUIRE(node_join(&cold, &n));
		struct head head = head_of(cold.a);
		ssize_t got = actor_read(cold.a, &head, at, sizeof(out), out);
		CHECK_EQ_MEM(out, got > 0 ? (size_t)got : 0, all.p + at, all.len - at < 50 ? all.len - at : 50);
		node_close(&cold);
	}
	buf_free(&all);
	node_close(&n);
}

/* More small records than are fetched one by one. */
TEST(many_small_records_cold)
{
	struct node n, cold;
	struct buf all = { 0 }, got = { 0 };
	struct head end;
	struct actor *noise;

	REQUIRE(node_open(&n));
	REQUIRE(actor_get(n.store, n.ns, "noise", &noise) == 0);
	for (int i = 0; i < 60; i++) {
		CHECK_EQ_INT(append(n.a, "event").err, 0);
		CHECK_EQ_INT(append(noise, "other").err, 0);
	}
	check_chain(n.backend, n.ns, "a", &all, &end);
	REQUIRE(node_join(&cold, &n));
	CHECK_EQ_INT(read_all(cold.a, 0, &got), 0);
	CHECK_EQ_MEM(got.p, got.len, all.p, all.len);
	node_close(&cold);
	REQUIRE(node_join(&cold, &n));
	check_pieces(&cold, &all, 777, 300);
	node_close(&cold);
	actor_put(noise);
	buf_free(&got);
	buf_free(&all);
	node_close(&n);
}

static bool
fill_large(struct node *n, size_t size, struct buf *all)
{
	size_t line = 2000;
	char *lines = many_lines(size / line * line, line);
	struct head end;

	size = size / line * line;
	for (size_t at = 0; at < size;) {
		struct outcome o = append_bytes(n->a, lines + at, size - at < 500 * line ? size - at : 500 * line);
		CHECK_EQ_INT(o.err, 0);
		if (o.consumed == 0)
			break;
		at += o.consumed;
	}
	free(lines);
	check_chain(n->backend, n->ns, "a", all, &end);
	CHECK_EQ_UINT(end.size, all->len);
	return end.size == all->len;
}

/* Three times what the cache holds: reading it twice evicts what the first pass left. */
TEST(a_file_larger_than_the_cache)
{
	struct node n;
	struct store_options small = { .timeout_ns = 5 * NS_PER_SEC, .cache_bytes = 1 };
	struct node cold = { .store = NULL };
	struct buf all = { 0 }, got = { 0 };

	REQUIRE(node_open(&n));
	REQUIRE(fill_large(&n, 12 * 1024 * 1024, &all));
	REQUIRE(contract_subject()->open(&cold.backend) == 0);
	REQUIRE(store_new(&cold.store, cold.backend, clock_system(), NULL, &small) == 0);
	REQUIRE(actor_get(cold.store, n.ns, "a", &cold.a) == 0);
	for (int pass = 0; pass < 2; pass++) {
		CHECK_EQ_INT(read_all(cold.a, 128 * 1024, &got), 0);
		CHECK(got.len == all.len && memcmp(got.p, all.p, all.len) == 0);
	}
	check_pieces(&cold, &all, 3 * 1000 * 1000 + 17, 70000);
	check_pieces(&cold, &all, 1000 * 1000 + 1, 100);
	node_close(&cold);
	/* The end alone, then back to front. */
	REQUIRE(node_join(&cold, &n));
	struct head head = head_of(cold.a);
	for (size_t at = all.len; at > 400000; at -= 400000) {
		char out[100];
		CHECK_EQ_INT(actor_read(cold.a, &head, at - 100, sizeof(out), out), 100);
		CHECK_EQ_MEM(out, 100, all.p + at - 100, 100);
	}
	node_close(&cold);
	buf_free(&got);
	buf_free(&all);
	node_close(&n);
}

static void *
read_through(void *arg)
{
	struct node *n = arg;
	struct buf got = { 0 };

	CHECK_EQ_INT(read_all(n->a, 128 * 1024, &got), 0);
	CHECK_EQ_UINT(count_text(&got, "\"eventType\":\"Text\""), 5000);
	buf_free(&got);
	return NULL;
}

/* One of them has what is read ahead, the others help themselves; and a reader that stops in the middle keeps nobody. */
TEST(several_readers_cold)
{
	struct node n, cold;
	struct buf all = { 0 };
	pthread_t threads[4];
	char out[1000];

	REQUIRE(node_open(&n));
	REQUIRE(fill_large(&n, 10 * 1000 * 1000, &all));
	for (int round = 0; round < 3; round++) {
		REQUIRE(node_join(&cold, &n));
		for (size_t i = 0; i < MANY(threads); i++)
			REQUIRE(pthread_create(&threads[i], NULL, read_through, &cold) == 0);
		for (size_t i = 0; i < MANY(threads); i++)
			pthread_join(threads[i], NULL);
		node_close(&cold);
		REQUIRE(node_join(&cold, &n));
		struct head head = head_of(cold.a);
		CHECK_EQ_INT(actor_read(cold.a, &head, 0, sizeof(out), out), sizeof(out));
		CHECK_EQ_MEM(out, sizeof(out), all.p, sizeof(out));
		node_close(&cold);
	}
	buf_free(&all);
	node_close(&n);
}

TEST(a_fresh_head_holds_what_others_appended)
{
	struct node n, other;
	struct head head;
	struct buf got = { 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (uint64_t i = 1; i <= 20; i++) {
		CHECK_EQ_INT(append(n.a, "x").err, 0);
		CHECK_EQ_INT(actor_head(other.a, 0, false, &head), 0);
		CHECK_EQ_UINT(head.version, i);
		CHECK_EQ_INT(read_all(other.a, 0, &got), 0);
		CHECK_EQ_UINT(count_text(&got, "\n"), i);
	}
	/* Own appends are in the head at once, whatever its age may be. */
	CHECK_EQ_INT(append(other.a, "y").err, 0);
	CHECK_EQ_INT(actor_head(other.a, INT64_MAX, true, &head), 0);
	CHECK_EQ_UINT(head.version, 21);
	CHECK(head.time_us > 0);
	buf_free(&got);
	node_close(&other);
	node_close(&n);
}

TEST(an_older_head_limits_what_is_read)
{
	struct node n;
	char out[4096];

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "one").err, 0);
	struct head old = head_of(n.a);
	CHECK_EQ_INT(append(n.a, "two").err, 0);
	CHECK_EQ_INT(actor_read(n.a, &old, 0, sizeof(out), out), (intmax_t)old.size);
	CHECK_EQ_INT(actor_read(n.a, &old, old.size, sizeof(out), out), 0);
	node_close(&n);
}

const struct check_test contract_read_tests[] = { T(every_offset_and_size), T(many_small_records_cold),
	T(a_file_larger_than_the_cache), T(several_readers_cold), T(a_fresh_head_holds_what_others_appended),
	T(an_older_head_limits_what_is_read) };
const size_t contract_read_count = MANY(contract_read_tests);
