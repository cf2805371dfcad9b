/* All mishaps at once, on two nodes. AETHER_STORM_SEED is the first seed, for longer runs by hand. */
#include <errno.h>
#include <stdlib.h>

#include "../../store/append.h"
#include "../../store/memory.h"
#include "../faults/faulty.h"
#include "contract_node.h"
#include "erase_race.h"
#include "storm.h"

#define MS NS_PER_MS

static void
storm(struct storm s, const struct faulty_options *faults)
{
	const char *seed = getenv("AETHER_STORM_SEED");
	struct backend *shared;

	s.seed = seed != NULL ? strtoull(seed, NULL, 10) : 1;
	REQUIRE(memory_new(&shared, clock_system()) == 0);
	for (unsigned i = 0; i < STORM_NODES; i++) {
		struct faulty_options options = *faults;
		options.seed = s.seed * STORM_NODES + i;
		REQUIRE(faulty_new(&s.nodes[i], shared, false, clock_system(), &options) == 0);
	}
	s.honest = shared;
	storm_run(&s);
	shared->ops->free(shared);
}

TEST(no_faults)
{
	static const struct faulty_options faults = { .per_mille = 0 };
	const struct storm s = { .timeout_ns = 5000 * MS, .threads = 4, .appends = 200, .actors = 5, .cancel = true };

	storm(s, &faults);
}

TEST(everything_at_once)
{
	static const struct faulty_options faults = { .per_mille = 200, .delay_max_ns = 3 * MS, .refusals = true };
	const struct storm s = { .timeout_ns = 300 * MS, .threads = 8, .appends = 100, .actors = 5, .cancel = true };

	storm(s, &faults);
}

/* One actor, and so little time that many outcomes stay unknown. */
TEST(short_of_time)
{
	static const struct faulty_options faults = { .per_mille = 300, .delay_max_ns = 20 * MS, .refusals = true };
	const struct storm s = { .timeout_ns = 15 * MS, .threads = 4, .appends = 20, .actors = 1, .cancel = true };

	storm(s, &faults);
}

/* Most attempts are never acknowledged, or arrive late; a try again under the same id has to find what the first one
 * left. */
TEST(mostly_unknown)
{
	static const struct faulty_options faults = { .per_mille = 700, .delay_max_ns = 5 * MS };
	const struct storm s = { .timeout_ns = 40 * MS, .threads = 8, .appends = 20, .actors = 3 };

	storm(s, &faults);
}

/* Many threads on one actor: most appends share their record with others, and are answered before it is stored. */
TEST(groups)
{
	static const struct fault_rule slow = { FAULT_PUBLISH, FAULT_DELAY, 1, 0, 0, MS };
	static const struct faulty_options faults = { .rules = &slow, .rule_count = 1 };
	const struct storm s = { .timeout_ns = 5000 * MS, .threads = 8, .appends = 60, .actors = 1, .async = true };

	storm(s, &faults);
}

TEST(groups_and_everything_at_once)
{
	static const struct faulty_options faults = { .per_mille = 200, .delay_max_ns = 3 * MS, .refusals = true };
	const struct storm s = { .timeout_ns = 300 * MS, .threads = 8, .appends = 60, .actors = 2, .cancel = true,
		.async = true };

	storm(s, &faults);
}

TEST(groups_short_of_time)
{
	static const struct faulty_options faults = { .per_mille = 300, .delay_max_ns = 20 * MS, .refusals = true };
	const struct storm s = { .timeout_ns = 40 * MS, .threads = 8, .appends = 20, .actors = 1, .async = true };

	storm(s, &faults);
}

/* Again and again as many lost races as make a node hand over. */
static struct faulty_options
jammed(unsigned per_mille, int64_t delay_max_ns)
{
	enum { JAMS = 100, EVERY = 12 };
	static struct fault_rule rules[JAMS];

	for (unsigned i = 0; i < JAMS; i++)
		rules[i] = (struct fault_rule){ FAULT_PUBLISH, FAULT_REFUSE, 1 + i * EVERY, APPEND_RACES + 1, -ESTALE, 0 };
	return (struct faulty_options){ .rules = rules, .rule_count = JAMS, .per_mille = per_mille, .delay_max_ns = delay_max_ns };
}

TEST(handed_over_without_faults)
{
	const struct faulty_options faults = jammed(0, 0);
	const struct storm s = { .timeout_ns = 5000 * MS, .threads = 6, .appends = 60, .actors = 1, .async = true,
		.forward = true };

	storm(s, &faults);
}

TEST(handed_over_and_everything_at_once)
{
	const struct faulty_options faults = jammed(200, 3 * MS);
	const struct storm s = { .timeout_ns = 400 * MS, .threads = 8, .appends = 60, .actors = 2, .cancel = true,
		.async = true, .forward = true };

	storm(s, &faults);
}

TEST(handed_over_short_of_time)
{
	const struct faulty_options faults = jammed(300, 20 * MS);
	const struct storm s = { .timeout_ns = 60 * MS, .threads = 8, .appends = 20, .actors = 1, .forward = true };

	storm(s, &faults);
}

/* Appenders and erases of one actor. */
static void
race(const struct faulty_options *faults, bool forward, int64_t timeout_ns, bool whole, unsigned writers, unsigned appends)
{
	struct relay *relays[2] = { NULL };
	const char *seed = getenv("AETHER_STORM_SEED");
	struct node nodes[2];
	struct backend *shared, *b;

	REQUIRE(memory_new(&shared, clock_system()) == 0);
	for (unsigned i = 0; i < 2; i++) {
		struct faulty_options options = *faults;
		options.seed = (seed != NULL ? strtoull(seed, NULL, 10) : 1) * 2 + i;
		REQUIRE(faulty_new(&b, shared, false, clock_system(), &options) == 0);
		REQUIRE(node_on(&nodes[i], b, i == 0 ? NULL : &nodes[0], timeout_ns));
	}
	for (unsigned i = 0; i < 2 && forward; i++) {
		relays[i] = relay_new(nodes[i].store, nodes[1 - i].store);
		relay_set(relays[i], RELAY_ANY, 3 * MS);
	}
	erase_race(nodes, relays, shared, whole, writers, appends);
	shared->ops->free(shared);
}

TEST(erases_and_everything_at_once)
{
	static const struct faulty_options faults = { .per_mille = 200, .delay_max_ns = 3 * MS, .refusals = true };

	race(&faults, false, 300 * MS, false, 6, 100);
}

TEST(erases_short_of_time)
{
	static const struct faulty_options faults = { .per_mille = 300, .delay_max_ns = 20 * MS, .refusals = true };

	race(&faults, false, 15 * MS, false, 4, 60);
}

TEST(erases_mostly_unknown)
{
	static const struct faulty_options faults = { .per_mille = 700, .delay_max_ns = 5 * MS };

	race(&faults, false, 40 * MS, false, 4, 40);
}

TEST(erases_of_what_is_handed_over)
{
	const struct faulty_options faults = jammed(200, 3 * MS);

	race(&faults, true, 300 * MS, false, 6, 60);
	race(&faults, true, 300 * MS, true, 3, 60);
}

TEST(removals_and_everything_at_once)
{
	static const struct faulty_options faults = { .per_mille = 200, .delay_max_ns = 3 * MS, .refusals = true };

	race(&faults, false, 300 * MS, true, 2, 100);
}

TESTS(T(no_faults), T(everything_at_once), T(short_of_time), T(mostly_unknown), T(groups),
    T(groups_and_everything_at_once), T(groups_short_of_time), T(handed_over_without_faults),
    T(handed_over_and_everything_at_once), T(handed_over_short_of_time), T(erases_of_what_is_handed_over), T(erases_and_everything_at_once),
    T(erases_short_of_time), T(erases_mostly_unknown), T(removals_and_everything_at_once))
