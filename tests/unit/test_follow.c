/* Follows and names on a backend that misbehaves: by script, and all mishaps at once. AETHER_STORM_SEED is the first seed. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "../../store/memory.h"
#include "../../store/names.h"
#include "../faults/faulty.h"
#include "follower.h"

#define MS NS_PER_MS

enum { ACTORS = 4 };

static struct backend *shared;
static const struct ns_attr attr = { .mode = 0755 };

static bool
faulty_node(struct node *n, const struct node *first, const struct faulty_options *options)
{
	struct backend *b;

	*n = (struct node){ .store = NULL };
	int err = faulty_new(&b, shared, false, clock_system(), options);
	CHECK_EQ_INT(err, 0);
	return err == 0 && node_on(n, b, first, 5000 * MS);
}

/* What is appended before it begins is told all the same, and it may be over before. */
TEST(a_follow_that_begins_later)
{
	struct node n, other;
	int64_t now = clock_mono(clock_system());
	struct follower f = { .at_ns = now + 50 * MS }, never = { .at_ns = now + 3600 * NS_PER_SEC };

	REQUIRE(faulty_node(&n, NULL, NULL) && faulty_node(&other, &n, NULL));
	REQUIRE(follower_start(&never, other.store, n.ns, 0, 0, true));
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	append_rounds(&n, ACTORS, 5);
	follow_hold(never.follow, true);
	follower_waits_for(&f, (uint64_t)ACTORS * 5);
	CHECK(clock_mono(clock_system()) >= now + 50 * MS);
	follower_check(&f, &n, ACTORS);
	CHECK_EQ_UINT(faulty_calls(other.backend, FAULT_FOLLOW), 1);
	CHECK_EQ_UINT(follower_count(&never), 0);
	follower_stop(&never);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

/* As a leader that has just been elected does not know all of what it has. */
TEST(a_follow_of_what_seems_to_have_gone_back)
{
	struct node n, other;
	struct follower f = { .hold_at = 0 };

	REQUIRE(faulty_node(&n, NULL, NULL) && faulty_node(&other, &n, NULL));
	append_rounds(&n, ACTORS, 1);
	REQUIRE(follower_start(&f, other.store, n.ns, 2 * ACTORS, 0, true));
	while (faulty_calls(other.backend, FAULT_FOLLOW) < 2)
		sched_yield();
	append_rounds(&n, ACTORS, 2);
	follower_waits_for(&f, ACTORS);
	CHECK_EQ_UINT(follower_turns(&f), 0);
	follower_stop(&f);
	REQUIRE(follower_start(&f, other.store, n.ns, 100, 0, true));
	follower_waits_for(&f, 3 * ACTORS);
	CHECK_EQ_UINT(follower_turns(&f), 1);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

/* The connection is lost again and again, and comes back sooner or later. */
TEST(a_follow_whose_connection_is_lost)
{
	struct node n, other;
	struct follower f = { .hold_at = 0 };

	REQUIRE(faulty_node(&n, NULL, NULL) && faulty_node(&other, &n, NULL));
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	for (unsigned i = 0; i < 30; i++) {
		append_rounds(&n, ACTORS, 5);
		if (i % 3 == 0)
			follower_waits_for(&f, (uint64_t)ACTORS * 5 * (i + 1));
		faulty_disconnect(other.backend, i % 2 == 0 ? 10000 * MS : 3 * MS);
		append_rounds(&n, ACTORS, 5);
		faulty_disconnect(other.backend, 0);
		append_rounds(&n, ACTORS, 0);
	}
	follower_waits_for(&f, (uint64_t)ACTORS * 300);
	follower_check(&f, &n, ACTORS);
	CHECK_EQ_UINT(follower_turns(&f), 0);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

/* Away while the namespace is removed, and perhaps made anew. */
TEST(a_follow_that_missed_the_end)
{
	struct node n, other;
	struct follower f = { .hold_at = 0 };
	char name[96];

	REQUIRE(faulty_node(&n, NULL, NULL) && faulty_node(&other, &n, NULL));
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	REQUIRE(store_ns_create(n.store, (snprintf(name, sizeof(name), "%s-x", n.ns), name), &attr) == 0);
	struct follower x = { .hold_at = 0 };
	struct ns_info info;
	REQUIRE(store_ns_info(other.store, name, 0, false, &info) == 0);
	REQUIRE(follower_start(&x, other.store, name, 0, info.epoch, true));
	append_rounds(&n, ACTORS, 1);
	follower_waits_for(&f, ACTORS);
	faulty_disconnect(other.backend, 10000 * MS);
	CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
	CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
	append_rounds(&n, ACTORS, 1);
	faulty_disconnect(other.backend, 0);
	follower_waits_for_anew(&x, 1);
	faulty_disconnect(other.backend, 10000 * MS);
	CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
	faulty_disconnect(other.backend, 0);
	follower_waits_for_gone(&x, 1);
	follower_waits_for(&f, 2 * ACTORS);
	follower_check(&f, &n, ACTORS);
	CHECK_EQ_UINT(follower_turns(&f), 0);
	CHECK_EQ_UINT(follower_turns(&x), 2);
	follower_stop(&x);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

/* Held when it is interrupted, it still is when it goes on. */
TEST(a_held_follow_whose_connection_is_lost)
{
	struct node n, other;
	struct follower f = { .hold_at = 3 }, beside = { .hold_at = 0 };
	struct ns_info info;

	REQUIRE(faulty_node(&n, NULL, NULL) && faulty_node(&other, &n, NULL));
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	append_rounds(&n, ACTORS, 1);
	follower_waits_for(&f, 3);
	for (unsigned i = 1; i <= 20; i++) {
		uint64_t begun = faulty_calls(other.backend, FAULT_FOLLOW);
		append_rounds(&n, ACTORS, 1);
		faulty_disconnect(other.backend, 10000 * MS);
		faulty_disconnect(other.backend, 0);
		while (faulty_calls(other.backend, FAULT_FOLLOW) == begun)
			sched_yield();
	}
	REQUIRE(follower_start(&beside, n.store, n.ns, 0, 0, true));
	follower_check_held(&f, &beside, &n);
	follow_hold(f.follow, false);
	CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &info), 0);
	follower_waits_for(&f, info.last_seq);
	follower_check(&f, &n, ACTORS);
	follower_stop(&beside);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

struct writer {
	struct node node;
	atomic_uint *writing; /* how many do */
	pthread_t thread;
};

static void *
write_rounds(void *arg)
{
	struct writer *w = arg;

	append_rounds(&w->node, ACTORS, 300);
	atomic_fetch_sub(w->writing, 1);
	return NULL;
}

/* Cuts, refusals, delays and lost connections, several follows that are held and let go, two writers. */
TEST(a_storm_of_follows)
{
	enum { FOLLOWERS = 4, WRITERS = 2 };
	static const struct fault_rule late = { FAULT_PUBLISH, FAULT_DELAY, 1, 0, 0, MS };
	static const struct faulty_options slow = { .rules = &late, .rule_count = 1 };
	const char *seed = getenv("AETHER_STORM_SEED");
	struct faulty_options options = { .per_mille = 300, .delay_max_ns = 5 * MS };
	atomic_uint writing = WRITERS;
	struct writer writers[WRITERS];
	struct follower f[FOLLOWERS] = { { .hold_at = 0 } };
	struct node n, other;

	options.seed = seed != NULL ? strtoull(seed, NULL, 10) : 1;
	REQUIRE(faulty_node(&n, NULL, NULL) && faulty_node(&other, &n, &options));
	for (unsigned i = 0; i < FOLLOWERS; i++)
		REQUIRE(follower_start(&f[i], other.store, n.ns, 0, 0, true));
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].writing = &writing;
		REQUIRE(faulty_node(&writers[i].node, &n, &slow));
		REQUIRE(pthread_create(&writers[i].thread, NULL, write_rounds, &writers[i]) == 0);
	}
	uint64_t random = options.seed;
	for (unsigned i = 0; atomic_load(&writing) > 0; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		follow_hold(f[i % FOLLOWERS].follow, (random >> 40) % 2 == 0);
		if ((random >> 50) % 1024 == 0)
			faulty_disconnect(other.backend, (int64_t)((random >> 33) % 4) * MS);
		sched_yield();
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	struct ns_info info;
	CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &info), 0);
	for (unsigned i = 0; i < FOLLOWERS; i++) {
		follow_hold(f[i].follow, false);
		follower_waits_for(&f[i], info.last_seq);
		follower_check(&f[i], &n, ACTORS);
		CHECK_EQ_UINT(follower_turns(&f[i]), 0);
		follower_stop(&f[i]);
	}
	printf("# %ju follows were begun\n", (uintmax_t)faulty_calls(other.backend, FAULT_FOLLOW));
	for (unsigned i = 0; i < WRITERS; i++)
		node_close(&writers[i].node);
	node_close(&other);
	node_close(&n);
}

/* Nothing is answered for a while; a store is closed all the same. */
TEST(closed_while_the_connection_is_lost)
{
	struct node n, other;
	struct follower f = { .hold_at = 0 };

	REQUIRE(faulty_node(&n, NULL, NULL) && faulty_node(&other, &n, NULL));
	CHECK_EQ_INT(names_start(other.store), 0);
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	append_rounds(&n, 1, 1);
	follower_waits_for(&f, 1);
	faulty_disconnect(other.backend, 100000 * MS);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

int
main(int argc, char **argv)
{
	const struct check_test tests[] = { T(a_follow_that_begins_later), T(a_follow_of_what_seems_to_have_gone_back),
		T(a_follow_whose_connection_is_lost), T(a_follow_that_missed_the_end),
		T(a_held_follow_whose_connection_is_lost), T(a_storm_of_follows), T(closed_while_the_connection_is_lost) };

	if (memory_new(&shared, clock_system()) != 0)
		return 1;
	int failed = check_run(tests, MANY(tests), argc, argv);
	shared->ops->free(shared);
	return failed;
}
