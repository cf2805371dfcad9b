/* Following a namespace: each record once, in order, whatever happens. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "follower.h"

enum { ACTORS = 5, WRITERS = 3 };

static struct ns_info
info_of(struct node *n)
{
	struct ns_info info = { .actors = 0 };

	CHECK_EQ_INT(store_ns_info(n->store, n->ns, 0, false, &info), 0);
	CHECK(info.epoch != 0);
	return info;
}

struct writer {
	struct node node;
	unsigned rounds;
	pthread_t thread;
};

static void *
write_rounds(void *arg)
{
	struct writer *w = arg;

	append_rounds(&w->node, ACTORS, w->rounds);
	return NULL;
}

/* Let several nodes append to the same actors at once. */
static bool
writers_start(struct writer *w, const struct node *first, unsigned rounds)
{
	bool ok = true;

	for (unsigned i = 0; i < WRITERS; i++) {
		w[i].rounds = rounds;
		ok = ok && node_join(&w[i].node, first) && pthread_create(&w[i].thread, NULL, write_rounds, &w[i]) == 0;
	}
	CHECK(ok);
	return ok;
}

static void
writers_end(struct writer *w)
{
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(w[i].thread, NULL);
		node_close(&w[i].node);
	}
}

TEST(a_follow_of_many_writers)
{
	struct writer writers[WRITERS];
	struct node n, other;
	struct follower whole = { .hold_at = 0 }, heads = { .hold_at = 0 };
	unsigned rounds = 1 + 40 * contract_subject()->scale / 100;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_UINT(info_of(&n).last_seq, 0);
	REQUIRE(follower_start(&whole, other.store, n.ns, 0, 0, true));
	REQUIRE(writers_start(writers, &n, rounds));
	REQUIRE(follower_start(&heads, n.store, n.ns, 0, info_of(&n).epoch, false));
	writers_end(writers);
	uint64_t stored = info_of(&n).last_seq;
	CHECK(stored >= ACTORS);
	follower_waits_for(&whole, stored);
	follower_waits_for(&heads, stored);
	follower_check(&whole, &n, ACTORS);
	follower_check(&heads, &n, 0);
	CHECK_EQ_UINT(follower_turns(&whole) + follower_turns(&heads), 0);
	follower_stop(&whole);
	follower_stop(&heads);
	node_close(&other);
	node_close(&n);
}

/* One by one, so that each wakes a follow that is idle. */
TEST(a_follow_from_a_sequence_on)
{
	struct node n, other;
	struct follower from = { .hold_at = 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	append_rounds(&n, ACTORS, 20);
	struct ns_info info = info_of(&other);
	CHECK_EQ_UINT(info.last_seq, 20 * ACTORS);
	REQUIRE(follower_start(&from, other.store, n.ns, info.last_seq - 3, info.epoch, true));
	follower_waits_for(&from, 3);
	for (unsigned i = 0; i < 10; i++) {
		append_rounds(&n, 1, 1);
		follower_waits_for(&from, 4 + i);
	}
	follower_check(&from, &n, 0);
	CHECK_EQ_UINT(follower_turns(&from), 0);
	follower_stop(&from);
	node_close(&other);
	node_close(&n);
}

/* Several times, so that both what is on its way and what was not asked for is met. */
TEST(a_follow_that_is_held)
{
	enum { HOLD_AT = 7 };
	struct node n, other;
	struct follower f = { .hold_at = HOLD_AT }, beside = { .hold_at = 0 };
	struct ns_info info;
	unsigned rounds = 100 * contract_subject()->scale / 100;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	append_rounds(&n, ACTORS, rounds);
	REQUIRE(follower_start(&beside, other.store, n.ns, 0, 0, true));
	follower_waits_for(&f, HOLD_AT);
	follower_check_held(&f, &beside, &n);
	for (unsigned i = 0; i < 20; i++) {
		append_rounds(&n, ACTORS, 5);
		follow_hold(f.follow, false);
		follow_hold(f.follow, i % 2 == 0);
	}
	follow_hold(f.follow, false);
	info = info_of(&n);
	follower_waits_for(&f, info.last_seq);
	follower_check(&f, &n, ACTORS);
	follower_stop(&beside);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

TEST(a_follow_ends_with_its_namespace)
{
	struct ns_attr attr = { .mode = 0755 };
	struct node n, other;
	struct follower f = { .hold_at = 0 };
	char name[96];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(follower_start(&f, n.store, "there-is-none", 0, 0, true));
	follower_waits_for_gone(&f, 1);
	follower_stop(&f);
	snprintf(name, sizeof(name), "%s-x", n.ns);
	CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
	REQUIRE(follower_start(&f, other.store, name, 0, 0, true));
	CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
	follower_waits_for_gone(&f, 1);
	CHECK_EQ_UINT(follower_count(&f), 0);
	CHECK_EQ_UINT(follower_turns(&f), 1);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

/* It was another namespace of that name, or one with more in it, that the caller knew. */
TEST(a_follow_of_what_was_made_anew)
{
	struct ns_attr attr = { .mode = 0755 };
	struct node n, other;
	struct follower f = { .hold_at = 0 }, later = { .hold_at = 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	uint64_t epoch = info_of(&n).epoch;
	CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), 0);
	CHECK_EQ_INT(store_ns_create(n.store, n.ns, &attr), 0);
	CHECK(info_of(&n).epoch != epoch);
	CHECK_EQ_UINT(info_of(&n).epoch, info_of(&other).epoch);
	append_rounds(&n, ACTORS, 3);
	REQUIRE(follower_start(&f, other.store, n.ns, 0, epoch, true));
	follower_waits_for_anew(&f, 1);
	append_rounds(&n, ACTORS, 3);
	follower_waits_for(&f, 6 * ACTORS);
	follower_check(&f, &n, ACTORS);
	REQUIRE(follower_start(&later, other.store, n.ns, 100 * ACTORS, info_of(&n).epoch, true));
	follower_waits_for_anew(&later, 1);
	follower_waits_for(&later, 6 * ACTORS);
	follower_check(&later, &n, ACTORS);
	CHECK_EQ_UINT(follower_turns(&f) + follower_turns(&later), 2);
	follower_stop(&later);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

/* Freed at any moment: while it begins, while records come, while it is held. */
TEST(follows_are_freed_under_way)
{
	struct writer writers[WRITERS];
	struct node n, other;
	unsigned rounds = 1 + 40 * contract_subject()->scale / 100;
	struct follower f = { .hold_at = 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(writers_start(writers, &n, rounds));
	for (unsigned i = 0; i < 100; i++) {
		f.hold_at = i % 3 == 0 ? 5 : 0;
		REQUIRE(follower_start(&f, i % 2 == 0 ? n.store : other.store, n.ns, 0, 0, i % 4 < 2));
		for (unsigned yields = i * 7 % 50; yields > 0; yields--)
			sched_yield();
		if (i % 5 == 0)
			follow_hold(f.follow, true);
		if (i % 10 == 9)
			follower_waits_for(&f, 1);
		CHECK_EQ_UINT(follower_turns(&f), 0);
		follower_check(&f, &n, 0);
		follower_stop(&f);
	}
	writers_end(writers);
	node_close(&other);
	node_close(&n);
}

const struct check_test contract_follow_tests[] = { T(a_follow_of_many_writers), T(a_follow_from_a_sequence_on),
	T(a_follow_that_is_held), T(a_follow_ends_with_its_namespace), T(a_follow_of_what_was_made_anew),
	T(follows_are_freed_under_way) };
const size_t contract_follow_count = MANY(contract_follow_tests);
