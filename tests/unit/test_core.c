/*
 * One node alone, and many: cluster_sim.h.
 *
 * SIM_SEEDS=FIRST:COUNT runs other random schedules than the usual ones.
 */
#include <stdlib.h>

#include "check.h"
#include "cluster_sim.h"

#define SHARDS 64
#define ID_ROOM 32
#define FAULTLESS { .delay_min_ns = NS_PER_MS / 5, .delay_max_ns = 2 * NS_PER_MS }
#define TWO_LEASES_NS (2 * ELECTION_LEASE_NS)
#define QUIET_NS (15 * NS_PER_SEC)

static struct sim *
sim_of(size_t nodes, uint64_t seed)
{
	const struct sim_options options = { .shards = SHARDS, .seed = seed, .faults = FAULTLESS };
	struct sim *s = sim_new(&options);
	char id[ID_ROOM];

	for (size_t i = 0; i < nodes; i++) {
		snprintf(id, sizeof(id), "n%zu", i);
		sim_start(s, id, 1);
		sim_run(s, NS_PER_SEC);
	}
	sim_run(s, 6 * NS_PER_SEC);
	return s;
}

/* Is all as it should be in the end, and did nothing happen meanwhile that should not? */
static void
check_settled(struct sim *s, uint64_t seed, int line)
{
	char text[256];
	const char *violation;

	if (!sim_is_settled(s, text, sizeof(text)))
		(void)CHECK_FAIL("settled", __FILE__, line, ": seed %" PRIu64 ": %s", seed, text);
	if (sim_violations(s, &violation) != 0)
		(void)CHECK_FAIL("safe", __FILE__, line, ": seed %" PRIu64 ": %u times, first %s", seed, sim_violations(s, NULL), violation);
}

#define CHECK_SETTLED(s) check_settled(s, 0, __LINE__)

static size_t
follower_of(struct sim *s)
{
	size_t leader = sim_leader(s);

	for (size_t i = 0; i < sim_count(s); i++)
		if (i != leader && sim_core(s, i) != NULL)
			return i;
	return SIZE_MAX;
}

static void
owners_of(struct sim *s, char owners[SHARDS][ID_ROOM])
{
	const struct view *v = core_view(sim_core(s, sim_leader(s)));

	for (size_t k = 0; k < SHARDS; k++)
		snprintf(owners[k], ID_ROOM, "%s", v->owner[k] != RING_NONE ? v->nodes[v->owner[k]].id : "");
}

TEST(one_node_owns_all)
{
	struct sim *s = sim_of(1, 1);

	CHECK_EQ_UINT(sim_leader(s), 0);
	CHECK_EQ_UINT(sim_owned(s, 0), SHARDS);
	CHECK_EQ_UINT(sim_told(s, 0, CORE_EVENT_LEADER, "n0"), 1);
	CHECK_EQ_UINT(sim_told(s, 0, CORE_EVENT_JOINED, "n0"), 1);
	CHECK_EQ_UINT(sim_told(s, 0, CORE_EVENT_SHARDS, NULL), 1);
	CHECK_SETTLED(s);
	sim_free(s);
}

TEST(first_node_owns_soon)
{
	const struct sim_options options = { .shards = SHARDS, .seed = 2, .faults = FAULTLESS };
	struct sim *s = sim_new(&options);

	sim_start(s, "n0", 1);
	int64_t took_ns = sim_run_until(s, sim_is_whole, NS_PER_MS, NS_PER_SEC);
	CHECK(took_ns > 0 && took_ns < ELECTION_JITTER_NS + 100 * NS_PER_MS);
	sim_free(s);
}

TEST(second_node_joins)
{
	struct sim *s = sim_of(1, 3);

	sim_start(s, "n1", 1);
	sim_run(s, 50 * NS_PER_MS);
	CHECK_EQ_UINT(sim_owned(s, 0), SHARDS);
	sim_run(s, 3 * NS_PER_SEC);
	CHECK_EQ_UINT(sim_owned(s, 0), SHARDS / 2);
	CHECK_EQ_UINT(sim_owned(s, 1), SHARDS / 2);
	CHECK_EQ_UINT(sim_told(s, 0, CORE_EVENT_JOINED, "n1"), 1);
	CHECK_EQ_UINT(sim_told(s, 1, CORE_EVENT_LEADER, "n0"), 1);
	/* On their way, and there. */
	CHECK_EQ_UINT(sim_told(s, 0, CORE_EVENT_SHARDS, NULL), 2);
	CHECK_SETTLED(s);
	sim_free(s);
}

/* Shares as capacities are. */
TEST(capacities)
{
	struct sim *s = sim_of(1, 4);

	sim_start(s, "big", 3);
	sim_run(s, 5 * NS_PER_SEC);
	CHECK_EQ_UINT(sim_owned(s, 0), SHARDS / 4);
	CHECK_EQ_UINT(sim_owned(s, 1), 3 * SHARDS / 4);
	CHECK_SETTLED(s);
	sim_free(s);
}

static void
check_leave(bool of_leader, int64_t most_ns)
{
	struct sim *s = sim_of(4, 5);
	size_t gone = of_leader ? sim_leader(s) : follower_of(s), other = of_leader ? follower_of(s) : sim_leader(s);

	sim_leave(s, gone);
	CHECK_EQ_UINT(sim_owned(s, gone), 0);
	int64_t took_ns = sim_run_until(s, sim_is_whole, NS_PER_MS, TWO_LEASES_NS);
	CHECK(took_ns > 0 && took_ns < most_ns);
	CHECK(sim_core(s, gone) == NULL);
	sim_run(s, 5 * NS_PER_SEC);
	CHECK_EQ_UINT(sim_told(s, other, CORE_EVENT_LEFT, sim_id(s, gone)), 1);
	CHECK_EQ_UINT(sim_told(s, other, CORE_EVENT_FAILED, NULL), 0);
	CHECK_EQ_UINT(sim_told(s, other, CORE_EVENT_LEADER, NULL), of_leader ? 3 : 1);
	CHECK_SETTLED(s);
	sim_free(s);
}

TEST(follower_leaves)
{
	check_leave(false, 300 * NS_PER_MS);
}

TEST(leader_leaves)
{
	check_leave(true, 600 * NS_PER_MS);
}

TEST(last_node_leaves)
{
	struct sim *s = sim_of(1, 6);

	sim_leave(s, 0);
	sim_run(s, 500 * NS_PER_MS);
	CHECK(sim_core(s, 0) == NULL);
	sim_start(s, "n0", 1);
	sim_run(s, 500 * NS_PER_MS);
	CHECK_EQ_UINT(sim_owned(s, 1), SHARDS);
	sim_free(s);
}

TEST(leave_is_said_again)
{
	struct sim *s = sim_of(3, 8);
	size_t gone = follower_of(s), leader = sim_leader(s);

	sim_faults(s)->lost = 1000;
	sim_leave(s, gone);
	sim_run(s, 200 * NS_PER_MS);
	CHECK(sim_core(s, gone) != NULL);
	sim_faults(s)->lost = 0;
	sim_run(s, 6 * NS_PER_SEC);
	CHECK(sim_core(s, gone) == NULL);
	CHECK_EQ_UINT(sim_told(s, leader, CORE_EVENT_LEFT, sim_id(s, gone)), 1);
	CHECK_EQ_UINT(sim_told(s, leader, CORE_EVENT_FAILED, NULL), 0);
	CHECK_SETTLED(s);
	sim_free(s);
}

static void
check_crash(bool of_leader, uint64_t seed)
{
	struct sim *s = sim_of(4, seed);
	size_t gone = of_leader ? sim_leader(s) : follower_of(s), other = of_leader ? follower_of(s) : sim_leader(s);

	sim_run(s, (int64_t)sim_random(s, NS_PER_SEC));
	sim_crash(s, gone);
	int64_t took_ns = sim_run_until(s, sim_is_whole, NS_PER_MS, TWO_LEASES_NS);
	CHECK(took_ns > 0);
	sim_run(s, 5 * NS_PER_SEC);
	CHECK_EQ_UINT(sim_told(s, other, CORE_EVENT_FAILED, sim_id(s, gone)), 1);
	CHECK_EQ_UINT(sim_told(s, other, CORE_EVENT_FAILED, NULL), 1);
	/* Perhaps it was told in between that nobody led. */
	size_t led = sim_told(s, other, CORE_EVENT_LEADER, NULL);
	CHECK(of_leader ? led == 2 || led == 3 : led == 1);
	check_settled(s, seed, __LINE__);
	sim_free(s);
}

TEST(follower_crashes)
{
	for (uint64_t seed = 10; seed < 20; seed++)
		check_crash(false, seed);
}

TEST(leader_crashes)
{
	for (uint64_t seed = 20; seed < 40; seed++)
		check_crash(true, seed);
}

/* Shards of nodes that stay do not move with the leader, but for what those have too few of when one is gone. */
TEST(map_survives_the_leader)
{
	struct sim *s = sim_of(4, 41);
	char before[SHARDS][ID_ROOM], after[SHARDS][ID_ROOM];
	size_t former = sim_leader(s);

	owners_of(s, before);
	/* It loses the lease, but is not away for so long that it would have failed. */
	sim_cut(s, former, false);
	sim_run(s, 3400 * NS_PER_MS);
	sim_heal(s, former);
	sim_run(s, 8 * NS_PER_SEC);
	CHECK(sim_leader(s) != former);
	owners_of(s, after);
	for (size_t k = 0; k < SHARDS; k++)
		CHECK_EQ_STR(after[k], before[k]);
	CHECK_EQ_UINT(sim_told(s, sim_leader(s), CORE_EVENT_FAILED, NULL), 0);

	former = sim_leader(s);
	sim_crash(s, former);
	sim_run(s, 8 * NS_PER_SEC);
	owners_of(s, after);
	for (size_t k = 0; k < SHARDS; k++)
		CHECK(strcmp(before[k], sim_id(s, former)) == 0 || strcmp(before[k], after[k]) == 0);
	CHECK_SETTLED(s);
	sim_free(s);
}

static void
check_pause(bool of_leader, int64_t ns, uint64_t seed)
{
	struct sim *s = sim_of(4, seed);
	size_t node = of_leader ? sim_leader(s) : follower_of(s);

	sim_pause(s, node, ns);
	sim_run(s, ns + 5 * NS_PER_SEC);
	CHECK(sim_owned(s, node) > 0);
	check_settled(s, seed, __LINE__);
	sim_free(s);
}

TEST(pauses)
{
	for (uint64_t seed = 50; seed < 70; seed++) {
		check_pause(seed % 2 != 0, 3 * NS_PER_SEC, seed);
		check_pause(seed % 2 != 0, 7 * NS_PER_SEC, seed);
	}
}

TEST(id_is_taken)
{
	struct sim *s = sim_of(3, 71);
	size_t first = follower_of(s);

	size_t second = sim_start(s, sim_id(s, first), 1);
	for (int i = 0; i < 100; i++) {
		sim_run(s, 100 * NS_PER_MS);
		CHECK_EQ_UINT(sim_owned(s, second), 0);
	}
	CHECK_EQ_INT(core_standing(sim_core(s, second)), STANDING_TAKEN);
	CHECK_EQ_INT(core_taken_by(sim_core(s, second))->other.pid, (int64_t)first);
	CHECK_EQ_UINT(sim_told(s, second, CORE_EVENT_TAKEN, sim_id(s, first)), 1);
	CHECK_EQ_INT(core_standing(sim_core(s, first)), STANDING_MEMBER);
	CHECK_SETTLED(s);

	sim_crash(s, first);
	sim_run(s, CORE_FAIL_NS + NS_PER_SEC);
	CHECK_EQ_INT(core_standing(sim_core(s, second)), STANDING_MEMBER);
	CHECK(sim_owned(s, second) > 0);
	CHECK_SETTLED(s);
	sim_free(s);
}

/* The leader is gone, and a second node under the id of one that lives may take the lease. */
TEST(id_is_taken_without_leader)
{
	for (uint64_t seed = 80; seed < 100; seed++) {
		struct sim *s = sim_of(3, seed);
		size_t first = follower_of(s);
		sim_crash(s, sim_leader(s));
		sim_run(s, NS_PER_SEC);
		size_t second = sim_start(s, sim_id(s, first), 1);
		for (int i = 0; i < 100; i++) {
			sim_run(s, 100 * NS_PER_MS);
			CHECK_EQ_UINT(sim_owned(s, second), 0);
		}
		CHECK(sim_owned(s, first) > 0);
		check_settled(s, seed, __LINE__);
		sim_free(s);
	}
}

/* A process that is killed and begins again, of the leader too. */
TEST(restart_under_the_same_id)
{
	for (uint64_t seed = 100; seed < 110; seed++) {
		struct sim *s = sim_of(3, seed);
		size_t gone = seed % 2 != 0 ? sim_leader(s) : follower_of(s);
		sim_crash(s, gone);
		size_t again = sim_start(s, sim_id(s, gone), 1);
		CHECK(sim_run_until(s, sim_is_whole, NS_PER_MS, TWO_LEASES_NS) > 0);
		sim_run(s, 2 * NS_PER_SEC);
		CHECK(sim_owned(s, again) > 0);
		check_settled(s, seed, __LINE__);
		sim_free(s);
	}
}

static void
check_drain(bool of_leader)
{
	struct sim *s = sim_of(3, 111);
	size_t node = of_leader ? sim_leader(s) : follower_of(s), other = of_leader ? follower_of(s) : sim_leader(s);

	sim_drain(s, node, true);
	sim_run(s, 10 * NS_PER_SEC);
	CHECK_EQ_UINT(sim_owned(s, node), 0);
	CHECK_EQ_UINT(sim_told(s, other, CORE_EVENT_DRAINING, sim_id(s, node)), 1);
	CHECK_EQ_UINT(sim_told(s, other, CORE_EVENT_FAILED, NULL), 0);
	CHECK_SETTLED(s);
	sim_drain(s, node, false);
	sim_run(s, 3 * NS_PER_SEC);
	CHECK(sim_owned(s, node) > 0);
	CHECK_SETTLED(s);
	sim_free(s);
}

TEST(drains)
{
	check_drain(false);
	check_drain(true);
}

static void
check_cut(bool of_leader, bool aware, uint64_t seed)
{
	struct sim *s = sim_of(4, seed);
	size_t node = of_leader ? sim_leader(s) : follower_of(s);

	sim_cut(s, node, aware);
	sim_run(s, CORE_HOLD_NS);
	CHECK_EQ_UINT(sim_owned(s, node), 0);
	/* Nobody refuses heartbeats to a leader that is cut off: it takes one longer. */
	int64_t most_ns = TWO_LEASES_NS + (of_leader ? CORE_BEAT_NS : 0);
	CHECK(sim_run_until(s, sim_is_whole, NS_PER_MS, most_ns - CORE_HOLD_NS) >= 0);
	sim_run(s, 5 * NS_PER_SEC);
	sim_heal(s, node);
	sim_run(s, 3 * NS_PER_SEC);
	CHECK(sim_owned(s, node) > 0);
	check_settled(s, seed, __LINE__);
	sim_free(s);
}

TEST(partitions)
{
	for (uint64_t seed = 120; seed < 140; seed++)
		check_cut((seed & 1) != 0, (seed & 2) != 0, seed);
}

static void
check_deleted(bool anew, uint64_t seed)
{
	struct sim *s = sim_of(4, seed);
	uint64_t term;

	sim_delete_keys(s, anew);
	sim_run(s, CORE_FAIL_NS + ELECTION_LEASE_NS);
	sim_forgive(s);
	sim_run(s, 5 * NS_PER_SEC);
	CHECK(core_leader(sim_core(s, 0), &term)[0] != '\0');
	check_settled(s, seed, __LINE__);
	CHECK(sim_is_whole(s));
	uint64_t wakes = sim_wakes(s);
	sim_run(s, 10 * NS_PER_SEC);
	CHECK(sim_wakes(s) - wakes < 4 * 10 * 10);
	sim_free(s);
}

TEST(keys_are_deleted)
{
	for (uint64_t seed = 140; seed < 150; seed++)
		check_deleted(seed % 2 != 0, seed);
}

/* It was away, and what the keys say now looks later than what it knows. */
TEST(keys_were_deleted_long_ago)
{
	struct sim *s = sim_of(4, 151);
	size_t away;

	sim_run(s, 20 * NS_PER_SEC);
	sim_crash(s, sim_leader(s));
	sim_run(s, 10 * NS_PER_SEC);
	away = follower_of(s);
	sim_cut(s, away, false);
	sim_delete_keys(s, true);
	sim_run(s, 300 * NS_PER_SEC);
	sim_forgive(s);
	sim_heal(s, away);
	sim_run(s, 10 * NS_PER_SEC);
	CHECK(sim_owned(s, away) > 0);
	CHECK_SETTLED(s);
	sim_free(s);
}

/* A view that no message can hold: who was there before goes on, and who comes waits. */
TEST(view_is_too_large)
{
	struct sim *s = sim_of(3, 152);
	struct buf value = { 0 };

	view_encode(core_view(sim_core(s, 0)), &value);
	sim_faults(s)->value_max = value.len + 50;
	size_t more = sim_start(s, "one-more", 1);
	uint64_t wakes = sim_wakes(s);
	for (int i = 0; i < 100; i++) {
		sim_run(s, 100 * NS_PER_MS);
		CHECK(sim_is_whole(s));
		CHECK(sim_owned(s, 0) > 0 && sim_owned(s, 1) > 0 && sim_owned(s, 2) > 0);
	}
	CHECK_EQ_UINT(sim_owned(s, more), 0);
	CHECK(sim_wakes(s) - wakes < 4 * 10 * 20);
	size_t failed = follower_of(s);
	sim_crash(s, failed);
	CHECK(sim_run_until(s, sim_is_whole, NS_PER_MS, TWO_LEASES_NS + CORE_BEAT_NS) >= 0);
	CHECK_EQ_UINT(sim_owned(s, more), 0);
	sim_run(s, CORE_FORGET_NS);
	sim_run(s, 5 * NS_PER_SEC);
	CHECK(sim_owned(s, more) > 0);
	CHECK_SETTLED(s);
	buf_free(&value);
	sim_free(s);
}

static size_t
owners(const struct sim *s)
{
	size_t n = 0;

	for (size_t i = 0; i < sim_count(s); i++)
		n += sim_core(s, i) != NULL && sim_owned(s, i) > 0;
	return n;
}

/* More come at once than there is room for: some are taken in, and others when there is room again. */
TEST(too_many_come)
{
	struct sim *s = sim_of(2, 155);
	struct buf value = { 0 };
	char id[ID_ROOM];

	view_encode(core_view(sim_core(s, 0)), &value);
	sim_faults(s)->value_max = 3 * value.len;
	for (int i = 0; i < 30; i++) {
		snprintf(id, sizeof(id), "more-%d", i);
		sim_start(s, id, 1);
	}
	sim_run(s, 5 * NS_PER_SEC);
	size_t taken = owners(s);
	CHECK(taken > 2 && taken < 32);
	for (int i = 0; i < 600; i++) {
		sim_run(s, 100 * NS_PER_MS);
		CHECK(owners(s) >= taken);
	}
	CHECK(sim_is_whole(s));
	sim_faults(s)->value_max = 0;
	sim_run(s, CORE_DENIED_NS + 5 * NS_PER_SEC);
	CHECK_EQ_UINT(owners(s), 32);
	CHECK_SETTLED(s);
	buf_free(&value);
	sim_free(s);
}

/* It may not write, as NATS says: another leads, whom it follows; when there is no other it tries again. */
TEST(barred_from_leading)
{
	struct sim *s = sim_of(3, 153);
	size_t barred = sim_leader(s);

	core_bar(sim_core(s, barred), false, sim_local_ns(s, barred));
	sim_run(s, 5 * NS_PER_SEC);
	size_t leader = sim_leader(s);
	CHECK(leader != barred && leader != SIZE_MAX);
	CHECK(sim_owned(s, barred) > 0);
	CHECK_SETTLED(s);
	for (size_t i = 0; i < 3; i++)
		if (i != barred)
			sim_leave(s, i);
	sim_run(s, 5 * NS_PER_SEC);
	CHECK_EQ_UINT(sim_leader(s), SIZE_MAX);
	sim_run(s, CORE_DENIED_NS);
	CHECK_EQ_UINT(sim_leader(s), barred);
	CHECK_EQ_UINT(sim_owned(s, barred), SHARDS);
	sim_free(s);
}

/* It gives the lease up and is cut off: who leads then may not have seen its last renewal, since which it owns. */
TEST(barred_and_cut_off)
{
	for (uint64_t i = 0; i < 400; i++) {
		struct sim *s = sim_of(3, 200 + i);
		const char *violation = "";
		size_t barred = sim_leader(s);
		sim_run(s, (int64_t)(i % 100) * 10 * NS_PER_MS);
		core_bar(sim_core(s, barred), false, sim_local_ns(s, barred));
		sim_run(s, (int64_t)(5 + i / 100 * 150) * NS_PER_MS);
		sim_cut(s, barred, false);
		sim_run(s, 8 * NS_PER_SEC);
		if (sim_violations(s, &violation) != 0)
			(void)CHECK_FAIL("safe", __FILE__, __LINE__, ": seed %" PRIu64 ": %s", 200 + i, violation);
		sim_free(s);
	}
}

/* It may not listen: it takes no part, until it has another connection. */
TEST(deaf)
{
	struct sim *s = sim_of(3, 154);
	size_t deaf = sim_leader(s);

	core_bar(sim_core(s, deaf), true, sim_local_ns(s, deaf));
	sim_run(s, CORE_DENIED_NS + 10 * NS_PER_SEC);
	CHECK(sim_leader(s) != deaf && sim_leader(s) != SIZE_MAX);
	CHECK_EQ_UINT(sim_owned(s, deaf), 0);
	CHECK(sim_is_whole(s));
	sim_cut(s, deaf, true);
	sim_heal(s, deaf); /* it is told of a new connection */
	sim_run(s, 6 * NS_PER_SEC);
	CHECK(sim_owned(s, deaf) > 0);
	CHECK_SETTLED(s);
	sim_free(s);
}

/* Random schedules */

static size_t
any_node(struct sim *s)
{
	for (int i = 0; i < 100; i++) {
		size_t node = (size_t)sim_random(s, sim_count(s));
		if (sim_core(s, node) != NULL)
			return node;
	}
	return SIZE_MAX;
}

static size_t
live_nodes(const struct sim *s)
{
	size_t live = 0;

	for (size_t i = 0; i < sim_count(s); i++)
		live += sim_core(s, i) != NULL;
	return live;
}

static void
start_some(struct sim *s, size_t ids)
{
	char id[ID_ROOM];

	snprintf(id, sizeof(id), "n%" PRIu64, sim_random(s, ids));
	sim_start(s, id, 1 + (unsigned)sim_random(s, 3));
}

/* Somebody joins, and when shards are on their way to it, who has them does not hear of that, and the leader goes. */
static void
disturb_handover(struct sim *s, size_t ids)
{
	start_some(s, ids);
	sim_run(s, (int64_t)sim_random(s, 200 * NS_PER_MS));
	size_t owner = any_node(s), leader = sim_leader(s);
	if (owner != SIZE_MAX && !sim_is_paused(s, owner))
		sim_pause(s, owner, (int64_t)sim_random(s, 5 * NS_PER_SEC));
	sim_run(s, (int64_t)sim_random(s, 100 * NS_PER_MS));
	if (leader != SIZE_MAX && leader != owner && sim_core(s, leader) != NULL)
		sim_crash(s, leader);
}

/* The leader is as likely to suffer as all others together. */
static void
do_something(struct sim *s, size_t ids)
{
	size_t leader = sim_leader(s), node = leader != SIZE_MAX && sim_random(s, 2) == 0 ? leader : any_node(s);
	uint64_t what = sim_random(s, 18);

	if (what >= 16 && node != SIZE_MAX && live_nodes(s) < ids + 1)
		disturb_handover(s, ids);
	else if (node == SIZE_MAX || live_nodes(s) < 2 || (what < 3 && live_nodes(s) < ids + 1)) {
		start_some(s, ids);
	} else if (what < 5) {
		sim_crash(s, node);
		if (sim_random(s, 2) == 0)
			sim_start(s, sim_id(s, node), 1);
	} else if (what < 8) {
		if (!sim_is_paused(s, node))
			sim_pause(s, node, (int64_t)sim_random(s, (sim_random(s, 2) == 0 ? 2 : 8) * NS_PER_SEC));
	} else if (what < 10) {
		if (!sim_is_paused(s, node))
			sim_leave(s, node);
	} else if (what < 12) {
		if (!sim_is_paused(s, node))
			sim_drain(s, node, sim_random(s, 2) == 0);
	} else if (sim_is_cut(s, node)) {
		sim_heal(s, node);
	} else {
		sim_cut(s, node, sim_random(s, 2) == 0);
	}
}

static void
end_faults(struct sim *s)
{
	*sim_faults(s) = (struct sim_faults)FAULTLESS;
	for (size_t i = 0; i < sim_count(s); i++)
		if (sim_core(s, i) != NULL && sim_is_cut(s, i))
			sim_heal(s, i);
	/* Whoever is paused still, and whatever is late. */
	sim_run(s, 8 * NS_PER_SEC);
	for (size_t i = 0; i < sim_count(s); i++)
		if (sim_core(s, i) != NULL)
			sim_drain(s, i, false);
	sim_run(s, QUIET_NS);
}

struct summary {
	unsigned schedules;
	uint64_t events, nodes;
	int64_t simulated_ns;
};

static void
run_schedule(uint64_t seed, struct summary *sum)
{
	struct sim_options options = { .shards = 32, .seed = seed, .drift_ppm = seed % 3 == 0 ? 10000 : 0, .faults = FAULTLESS };
	struct sim *s = sim_new(&options);
	struct sim_faults *f = sim_faults(s);
	static const int64_t delays_ns[] = { 2 * NS_PER_MS, 20 * NS_PER_MS, 200 * NS_PER_MS, 600 * NS_PER_MS };
	size_t ids = 3 + (size_t)sim_random(s, 6);

	for (size_t i = 0; i < ids; i++)
		start_some(s, ids);
	f->delay_max_ns = delays_ns[sim_random(s, 4)];
	f->lost = (unsigned)sim_random(s, 50);
	f->unanswered = (unsigned)sim_random(s, seed % 2 != 0 ? 50 : 200);
	f->late = (unsigned)sim_random(s, seed % 2 != 0 ? 50 : 400);
	f->stale = (unsigned)sim_random(s, 200);
	while (sim_now(s) < 30 * NS_PER_SEC) {
		sim_run(s, (int64_t)sim_random(s, (sim_random(s, 4) == 0 ? 6 : 1) * NS_PER_SEC));
		do_something(s, ids);
	}
	end_faults(s);
	check_settled(s, seed, __LINE__);
	uint64_t wakes = sim_wakes(s);
	sim_run(s, 5 * NS_PER_SEC);
	if (sim_wakes(s) - wakes > live_nodes(s) * 5 * 10)
		(void)CHECK_FAIL("calm", __FILE__, __LINE__, ": seed %" PRIu64 ": %" PRIu64 " wakes", seed, sim_wakes(s) - wakes);
	sum->schedules++;
	sum->events += sim_events(s);
	sum->nodes += sim_count(s);
	sum->simulated_ns += sim_now(s);
	sim_free(s);
}

TEST(random_schedules)
{
	const char *seeds = getenv("SIM_SEEDS");
	uint64_t first = 1, count = 200;
	struct summary sum = { 0 };

	if (seeds != NULL)
		REQUIRE(sscanf(seeds, "%" SCNu64 ":%" SCNu64, &first, &count) == 2);
	for (uint64_t seed = first; seed < first + count; seed++)
		run_schedule(seed, &sum);
	printf("# %u schedules, %" PRIu64 " nodes, %" PRIu64 " events, %" PRId64 " s simulated\n", sum.schedules, sum.nodes, sum.events,
	    (int64_t)(sum.simulated_ns / NS_PER_SEC));
}

TESTS(T(one_node_owns_all), T(first_node_owns_soon), T(second_node_joins), T(capacities), T(follower_leaves), T(leader_leaves),
    T(last_node_leaves), T(leave_is_said_again), T(follower_crashes), T(leader_crashes), T(map_survives_the_leader), T(pauses), T(id_is_taken),
    T(id_is_taken_without_leader), T(restart_under_the_same_id), T(drains), T(partitions), T(keys_are_deleted), T(keys_were_deleted_long_ago),
    T(view_is_too_large), T(too_many_come), T(barred_from_leading), T(barred_and_cut_off), T(deaf), T(random_schedules))
