/* All mishaps at once, on two nodes. AETHER_STORM_SEED is the first seed, for longer runs by hand. */
#include <stdlib.h>

#include "../../store/memory.h"
#include "../faults/faulty.h"
#include "contract_node.h"
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

TESTS(T(no_faults), T(everything_at_once), T(short_of_time), T(mostly_unknown), T(groups),
    T(groups_and_everything_at_once), T(groups_short_of_time))
