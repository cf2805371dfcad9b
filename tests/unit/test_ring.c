/* Every node computes the same assignment for ever, it is fair, and no shard moves without need. */
#include "../../cluster/ring.h"

#include <stdlib.h>
#include <time.h>
#include <xxhash.h>

#include "check.h"

#define SHARDS 1024
#define MANY_SHARDS 16384
#define NODES 3000
#define MANY_NODES 1000

/* All the nodes there may be, called node-0 and so on. A test names them by this number, whatever their index in a call is. */
struct fleet {
	char ids[NODES][16];
	unsigned capacity[NODES];
	bool alive[NODES];
	struct ring_node nodes[NODES]; /* as passed */
	uint32_t number[NODES];	       /* of nodes[i] */
	uint32_t index[NODES];	       /* in nodes; RING_NONE */
	size_t count;
	uint64_t random;
};

/* One test at a time has it. */
static struct fleet fleet;
static uint32_t owner[MANY_SHARDS];
static uint32_t was[MANY_SHARDS];

static void
fleet_init(size_t alive)
{
	memset(&fleet, 0, sizeof(fleet));
	fleet.random = 0x9e3779b97f4a7c15;
	for (size_t i = 0; i < NODES; i++) {
		snprintf(fleet.ids[i], sizeof(fleet.ids[i]), "node-%zu", i);
		fleet.capacity[i] = 1;
		fleet.alive[i] = i < alive;
	}
	for (size_t s = 0; s < MANY_SHARDS; s++)
		owner[s] = RING_NONE;
}

/* xorshift64: the same numbers in each run. */
static size_t
random_below(size_t limit)
{
	fleet.random ^= fleet.random << 13;
	fleet.random ^= fleet.random >> 7;
	fleet.random ^= fleet.random << 17;
	return (size_t)(fleet.random % limit);
}

/* Those who live, in an order that is another one each time. */
static void
line_up(void)
{
	fleet.count = 0;
	for (uint32_t i = 0; i < NODES; i++) {
		fleet.index[i] = RING_NONE;
		if (!fleet.alive[i])
			continue;
		size_t at = random_below(++fleet.count);
		fleet.number[fleet.count - 1] = fleet.number[at];
		fleet.number[at] = i;
	}
	for (uint32_t i = 0; i < fleet.count; i++) {
		uint32_t number = fleet.number[i];
		fleet.nodes[i] = (struct ring_node){ fleet.ids[number], fleet.capacity[number] };
		fleet.index[number] = i;
	}
}

static size_t
loads(size_t *load, size_t shards)
{
	size_t outside = 0;

	memset(load, 0, NODES * sizeof(*load));
	for (size_t s = 0; s < shards; s++) {
		if (owner[s] < NODES && fleet.alive[owner[s]])
			load[owner[s]]++;
		else
			outside++;
	}
	return outside;
}

/* The fewest moves from the loads there are: everything over a share rounded up must go, everything short of it rounded down must come. */
static size_t
fewest_moves(size_t shards)
{
	static size_t load[NODES];
	size_t go = loads(load, shards);
	size_t come = 0;
	uint64_t total = 0;

	for (size_t i = 0; i < NODES; i++)
		total += fleet.alive[i] ? fleet.capacity[i] : 0;
	for (size_t i = 0; i < NODES; i++) {
		if (!fleet.alive[i])
			continue;
		uint64_t lo = shards * fleet.capacity[i] / total;
		uint64_t hi = lo + (shards * fleet.capacity[i] % total != 0);
		go += load[i] > hi ? load[i] - hi : 0;
		come += load[i] < lo ? lo - load[i] : 0;
	}
	return go > come ? go : come;
}

/* Each load is its share rounded down or up. */
static void
check_shares(size_t shards)
{
	static size_t load[NODES];
	uint64_t total = 0;
	size_t wrong = 0;

	CHECK_EQ_UINT(loads(load, shards), 0);
	for (size_t i = 0; i < NODES; i++)
		total += fleet.alive[i] ? fleet.capacity[i] : 0;
	for (size_t i = 0; i < NODES; i++) {
		if (!fleet.alive[i])
			continue;
		uint64_t part = shards * fleet.capacity[i];
		wrong += load[i] * total + total <= part || load[i] * total >= part + total;
	}
	CHECK_EQ_UINT(wrong, 0);
}

/* Assign anew from owner, in place; how many shards moved. */
static size_t
assign(size_t shards)
{
	static uint32_t at[MANY_SHARDS];
	size_t moves = 0;

	line_up();
	for (size_t s = 0; s < shards; s++)
		at[s] = owner[s] == RING_NONE ? RING_NONE : fleet.index[owner[s]];
	CHECK_EQ_INT(ring_assign(fleet.nodes, fleet.count, at, at, shards), 0);
	for (size_t s = 0; s < shards; s++) {
		uint32_t now = at[s] < fleet.count ? fleet.number[at[s]] : RING_NONE;
		was[s] = owner[s];
		moves += now != owner[s];
		owner[s] = now;
	}
	return moves;
}

/* And check all that must be true of any assignment. */
static size_t
assign_checked(size_t shards)
{
	size_t fewest = fewest_moves(shards);
	size_t moves = assign(shards);

	CHECK_EQ_UINT(moves, fewest);
	check_shares(shards);
	return moves;
}

static uint64_t
digest(void)
{
	uint8_t bytes[SHARDS];

	for (size_t s = 0; s < SHARDS; s++)
		bytes[s] = (uint8_t)owner[s];
	return XXH3_64bits(bytes, sizeof(bytes));
}

/* Five nodes; a sixth comes; the third goes. If one of these fails, nodes of two versions disagree about who owns what. */
TEST(golden)
{
	fleet_init(5);
	fleet.capacity[4] = 3;
	assign_checked(SHARDS);
	CHECK_EQ_UINT(digest(), 0x8a4477e4feb14323);
	CHECK_EQ_UINT(owner[0], 3);
	CHECK_EQ_UINT(owner[1], 4);
	CHECK_EQ_UINT(owner[570], 4);
	CHECK_EQ_UINT(owner[1023], 1);
	fleet.alive[5] = true;
	assign_checked(SHARDS);
	CHECK_EQ_UINT(digest(), 0x4b44890ad57e2758);
	fleet.alive[2] = false;
	assign_checked(SHARDS);
	CHECK_EQ_UINT(digest(), 0x779b7ae99e863709);
}

/* From a shard clockwise to the nearest of a node's points, found the slow way. */
static uint64_t
nearest(const char *id, size_t shard)
{
	char text[32];
	uint64_t best = UINT64_MAX;
	uint64_t at = XXH3_64bits(text, (size_t)snprintf(text, sizeof(text), "shard/%zu", shard));

	for (unsigned k = 0; k < RING_POINTS; k++) {
		uint64_t way = XXH3_64bits(text, (size_t)snprintf(text, sizeof(text), "%s/%u", id, k)) - at;
		if (way < best)
			best = way;
	}
	return best;
}

/* Nobody is full when the first shard is placed: it goes to the node of the next point. */
TEST(next_clockwise)
{
	const struct ring_node nodes[] = { { "a", 1 }, { "b", 1 }, { "c", 1 } };
	uint32_t first = 0;
	uint32_t after[3];

	for (uint32_t i = 1; i < 3; i++)
		if (nearest(nodes[i].id, 0) < nearest(nodes[first].id, 0))
			first = i;
	CHECK_EQ_INT(ring_assign(nodes, 3, NULL, after, 3), 0);
	CHECK_EQ_UINT(after[0], first);
	CHECK_EQ_INT(ring_assign(nodes, 3, NULL, after, 1), 0);
	CHECK_EQ_UINT(after[0], first);
}

/* These two ids were searched for: they have a point in common, where the one with the lower bytes stands first. */
TEST(equal_points)
{
	const struct ring_node nodes[] = { { "pq7izc", 1 }, { "GQy7V", 1 }, { "pq7izc", 1 } };
	size_t s = 0;

	REQUIRE(XXH3_64bits("pq7izc/0", 8) == XXH3_64bits("GQy7V/0", 7));
	while (s < MANY_SHARDS / 4 && nearest("pq7izc", s) != nearest("GQy7V", s))
		s++;
	REQUIRE(s < MANY_SHARDS / 4); /* so low that nobody is full yet */
	CHECK_EQ_INT(ring_assign(nodes, 2, NULL, owner, MANY_SHARDS), 0);
	CHECK_EQ_UINT(owner[s], 1);
	CHECK_EQ_INT(ring_assign(nodes + 1, 2, NULL, was, MANY_SHARDS), 0);
	for (s = 0; s < MANY_SHARDS; s++)
		owner[s] = 1 - owner[s];
	CHECK_EQ_MEM(owner, sizeof(owner), was, sizeof(was));
}

struct worst {
	double value;
	size_t nodes;
};

static void
note(struct worst *w, double value, size_t nodes)
{
	if (value > w->value)
		*w = (struct worst){ value, nodes };
}

static void
note_fullest(struct worst *w, size_t nodes)
{
	static size_t load[NODES];
	size_t most = 0;

	loads(load, SHARDS);
	for (size_t i = 0; i < NODES; i++)
		if (load[i] > most)
			most = load[i];
	note(w, (double)most * (double)nodes / SHARDS, nodes);
}

/* From scratch, for every number of nodes. */
TEST(balance)
{
	struct worst fullest = { 0 };

	for (size_t n = 2; n <= 100; n++) {
		fleet_init(n);
		assign_checked(SHARDS);
		note_fullest(&fullest, n);
	}
	CHECK(fullest.value <= 1.25);
	printf("# from scratch, 2 to 100 nodes: the fullest has %.3f x the mean at worst (%zu nodes)\n", fullest.value, fullest.nodes);
}

/* Some node other than those that have the state already. */
static size_t
random_node(bool alive)
{
	size_t i;

	do
		i = random_below(100);
	while (fleet.alive[i] != alive);
	return i;
}

/* One by one up to 100 and down to 2. The bound is of the larger number of nodes, the one with the joiner or the leaver. */
TEST(history)
{
	struct worst fullest = { 0 };
	struct worst join = { 0 };
	struct worst leave = { 0 };

	fleet_init(2);
	assign_checked(SHARDS);
	for (size_t n = 3; n <= 100; n++) {
		fleet.alive[random_node(false)] = true;
		note(&join, (double)assign_checked(SHARDS) * (double)n / SHARDS, n);
		note_fullest(&fullest, n);
	}
	for (size_t n = 100; n > 2; n--) {
		fleet.alive[random_node(true)] = false;
		note(&leave, (double)assign_checked(SHARDS) * (double)n / SHARDS, n);
		note_fullest(&fullest, n - 1);
	}
	CHECK(fullest.value <= 1.25);
	CHECK(join.value <= 1.5);
	CHECK(leave.value <= 1.5);
	printf("# 2 to 100 to 2 nodes: the fullest has %.3f x the mean at worst (%zu nodes)\n", fullest.value, fullest.nodes);
	printf("# 2 to 100 to 2 nodes: a join moves %.3f/N of the shards at worst (N = %zu), a leave %.3f/N (N = %zu)\n", join.value,
	    join.nodes, leave.value, leave.nodes);
}

/* Joins, leaves and other capacities together, so that every step has something to do; all that comes of it is golden, too. */
TEST(turmoil)
{
	uint64_t all = 0;

	fleet_init(40);
	for (int round = 0; round < 100; round++) {
		for (size_t k = random_below(10); k > 0; k--) {
			size_t i = random_below(100);
			fleet.alive[i] = !fleet.alive[i] || i == 0;
			i = random_below(100);
			fleet.capacity[i] = 1 + (unsigned)random_below(6);
		}
		owner[random_below(SHARDS)] = RING_NONE;
		assign_checked(SHARDS);
		all = all * 31 + digest();
	}
	CHECK_EQ_UINT(all, 0x9a201bdac81dc880);
}

TEST(order_does_not_matter)
{
	static uint32_t first[SHARDS];

	for (unsigned round = 0; round < 10; round++) {
		fleet_init(50);
		fleet.random += round; /* other shuffles */
		for (size_t i = 0; i < 60; i++)
			fleet.capacity[i] = 1 + (unsigned)(i % 3);
		assign(SHARDS);
		for (size_t i = 0; i < 20; i++)
			fleet.alive[40 + i] = !fleet.alive[40 + i];
		assign(SHARDS);
		if (round == 0)
			memcpy(first, owner, sizeof(first));
		CHECK_EQ_MEM(owner, sizeof(first), first, sizeof(first));
	}
}

TEST(capacities)
{
	static size_t load[NODES];

	fleet_init(30);
	for (size_t i = 0; i < 30; i++)
		fleet.capacity[i] = 1U << i % 3;
	assign_checked(SHARDS);
	loads(load, SHARDS);
	for (size_t i = 0; i < 30; i++)
		CHECK(load[i] * 70 + 70 > SHARDS * (1U << i % 3) && load[i] * 70 < SHARDS * (1U << i % 3) + 70);
	/* A node that becomes four times as strong takes what its share grows by, from all the others. */
	fleet.capacity[0] = 4;
	size_t moves = assign_checked(SHARDS);
	CHECK(moves >= 40 && moves <= 56);
	fleet.capacity[0] = RING_CAPACITY_MAX;
	assign_checked(SHARDS);
}

TEST(no_nodes)
{
	uint32_t after[SHARDS] = { 0 };

	CHECK_EQ_INT(ring_assign(NULL, 0, NULL, after, SHARDS), 0);
	for (size_t s = 0; s < SHARDS; s++)
		CHECK_EQ_UINT(after[s], RING_NONE);
	after[7] = 3;
	CHECK_EQ_INT(ring_assign(NULL, 0, after, after, SHARDS), 0);
	CHECK_EQ_UINT(after[7], RING_NONE);
}

TEST(no_shards)
{
	const struct ring_node nodes[] = { { "a", 1 } };
	uint32_t after = 5;

	CHECK_EQ_INT(ring_assign(nodes, 1, NULL, &after, 0), 0);
	CHECK_EQ_UINT(after, 5);
}

TEST(one_node)
{
	const struct ring_node nodes[] = { { "", 1 } };
	uint32_t after[SHARDS];

	CHECK_EQ_INT(ring_assign(nodes, 1, NULL, after, SHARDS), 0);
	for (size_t s = 0; s < SHARDS; s++)
		CHECK_EQ_UINT(after[s], 0);
}

TEST(more_nodes_than_shards)
{
	static size_t load[NODES];

	fleet_init(NODES);
	CHECK_EQ_UINT(assign_checked(SHARDS), SHARDS);
	loads(load, SHARDS);
	for (size_t i = 0; i < NODES; i++)
		CHECK(load[i] <= 1);
	CHECK_EQ_UINT(assign(SHARDS), 0);
}

/* In place or not, and before is not written to when it is not after. */
TEST(in_place)
{
	static uint32_t before[SHARDS];
	static uint32_t kept[SHARDS];
	static uint32_t after[SHARDS];

	fleet_init(20);
	line_up();
	for (size_t s = 0; s < SHARDS; s++)
		before[s] = (uint32_t)random_below(9);
	memcpy(kept, before, sizeof(kept));
	CHECK_EQ_INT(ring_assign(fleet.nodes, 20, before, after, SHARDS), 0);
	CHECK_EQ_MEM(before, sizeof(before), kept, sizeof(kept));
	CHECK_EQ_INT(ring_assign(fleet.nodes, 20, before, before, SHARDS), 0);
	CHECK_EQ_MEM(before, sizeof(before), after, sizeof(after));
}

/* An index that is none is nobody, like RING_NONE and like no assignment before. */
TEST(nobody_had_it)
{
	static uint32_t before[SHARDS];
	static uint32_t after[SHARDS];

	fleet_init(20);
	line_up();
	for (size_t s = 0; s < SHARDS; s++)
		before[s] = s % 2 == 0 ? RING_NONE : (uint32_t)(20 + s);
	CHECK_EQ_INT(ring_assign(fleet.nodes, 20, before, before, SHARDS), 0);
	CHECK_EQ_INT(ring_assign(fleet.nodes, 20, NULL, after, SHARDS), 0);
	CHECK_EQ_MEM(before, sizeof(before), after, sizeof(after));
}

TEST(stable)
{
	for (size_t n = 1; n <= 100; n += 9) {
		fleet_init(n);
		for (size_t i = 0; i < n; i++)
			fleet.capacity[i] = 1 + (unsigned)(i % 5);
		assign(SHARDS);
		CHECK_EQ_UINT(assign(SHARDS), 0);
		owner[n] = RING_NONE;
		CHECK_EQ_UINT(assign(SHARDS), 1);
		CHECK_EQ_UINT(assign(SHARDS), 0);
	}
}

/* Nobody who stays loses a shard: all are short of their new share. */
TEST(a_hundred_leave_at_once)
{
	size_t orphans = 0;
	size_t stayed = 0;

	fleet_init(MANY_NODES);
	assign_checked(MANY_SHARDS);
	for (size_t k = 0; k < 100; k++)
		fleet.alive[k * 10 + random_below(10)] = false;
	size_t moves = assign_checked(MANY_SHARDS);
	for (size_t s = 0; s < MANY_SHARDS; s++) {
		orphans += !fleet.alive[was[s]];
		stayed += fleet.alive[was[s]] && owner[s] == was[s];
	}
	CHECK(orphans >= 1600 && orphans <= 1700);
	CHECK_EQ_UINT(moves, orphans);
	CHECK_EQ_UINT(stayed, MANY_SHARDS - orphans);
}

static double
assign_ms(void)
{
	struct timespec from;
	struct timespec to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	assign(MANY_SHARDS);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
}

TEST(speed)
{
	fleet_init(MANY_NODES);
	double scratch = assign_ms();
	check_shares(MANY_SHARDS);
	fleet.alive[MANY_NODES] = true;
	double join = assign_ms();
	check_shares(MANY_SHARDS);
	fleet.alive[MANY_NODES / 2] = false;
	double leave = assign_ms();
	check_shares(MANY_SHARDS);
	printf("# %d shards, %d nodes: %.1f ms from scratch, %.1f ms a join, %.1f ms a leave\n", MANY_SHARDS, MANY_NODES, scratch, join,
	    leave);
}

TESTS(T(golden), T(next_clockwise), T(equal_points), T(balance), T(history), T(turmoil), T(order_does_not_matter),
    T(capacities), T(no_nodes), T(no_shards), T(one_node), T(more_nodes_than_shards), T(in_place), T(nobody_had_it), T(stable),
    T(a_hundred_leave_at_once), T(speed))
