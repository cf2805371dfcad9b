/* The table of requests under way (store/rpc_slots.h). */
#include "check.h"

#include <errno.h>

#include "../../store/rpc_slots.h"

static void
answered(void *arg, int err, natsMsg *reply)
{
	(void)arg, (void)err, (void)reply;
}

static void
put(struct slots *t, int64_t deadline_ns, uint32_t *index, uint32_t *generation, bool *arm)
{
	struct slot request = { .fn = answered, .deadline_ns = deadline_ns };

	REQUIRE(slots_take(t, index, generation) == 0);
	*arm = slots_fill(t, *index, &request);
}

TEST(a_late_reply_finds_nobody)
{
	struct slots t;
	struct slot held;
	uint32_t index, generation, again, newer;
	bool arm;

	slots_init(&t);
	put(&t, 10, &index, &generation, &arm);
	CHECK(slots_release(&t, index, generation, &held));
	CHECK_EQ_INT(held.deadline_ns, 10);
	CHECK(!slots_release(&t, index, generation, &held));
	put(&t, 20, &again, &newer, &arm);
	CHECK_EQ_UINT(again, index);
	CHECK(!slots_release(&t, index, generation, &held));
	CHECK(slots_release(&t, again, newer, &held));
	CHECK(!slots_release(&t, 100000, 0, &held));
	slots_free(&t);
}

TEST(a_slot_that_is_not_filled_holds_nobody)
{
	struct slots t;
	struct slot held;
	uint32_t index, generation, again;

	slots_init(&t);
	CHECK_EQ_INT(slots_take(&t, &index, &generation), 0);
	CHECK(!slots_release(&t, index, generation, &held));
	slots_return(&t, index);
	CHECK_EQ_INT(slots_take(&t, &again, &generation), 0);
	CHECK_EQ_UINT(again, index);
	slots_free(&t);
}

TEST(only_an_earlier_deadline_asks_for_a_sweep)
{
	struct slots t;
	uint32_t index, generation;
	bool arm;

	slots_init(&t);
	CHECK_EQ_INT(slots_next_sweep(&t), INT64_MAX);
	put(&t, 50, &index, &generation, &arm);
	CHECK(arm);
	put(&t, 60, &index, &generation, &arm);
	CHECK(!arm);
	put(&t, 40, &index, &generation, &arm);
	CHECK(arm);
	CHECK(!slots_sweep_is_due(&t, 39));
	CHECK(slots_sweep_is_due(&t, 40));
	CHECK_EQ_INT(slots_next_sweep(&t), 40);
	slots_free(&t);
}

static bool
is_due(const struct slot *s, const void *arg)
{
	return s->deadline_ns <= *(const int64_t *)arg;
}

TEST(all_that_are_due_are_found_once)
{
	struct slots t;
	struct slot held;
	uint32_t index, generation, from = 0;
	int64_t now = 99;
	unsigned found = 0;
	bool arm;

	slots_init(&t);
	for (int64_t i = 0; i < 200; i++)
		put(&t, i, &index, &generation, &arm);
	while (slots_take_any(&t, &from, is_due, &now, &held))
		found++;
	CHECK_EQ_UINT(found, 100);
	CHECK_EQ_INT(slots_next_sweep(&t), 100);
	slots_free(&t);
}

TEST(a_closed_table_takes_nobody)
{
	struct slots t;
	uint32_t index, generation;
	bool arm;

	slots_init(&t);
	put(&t, 5, &index, &generation, &arm);
	slots_close(&t);
	CHECK_EQ_INT(slots_take(&t, &index, &generation), -ENOTCONN);
	CHECK_EQ_INT(slots_next_sweep(&t), INT64_MAX);
	slots_free(&t);
}

TESTS(T(a_late_reply_finds_nobody), T(a_slot_that_is_not_filled_holds_nobody),
    T(only_an_earlier_deadline_asks_for_a_sweep), T(all_that_are_due_are_found_once), T(a_closed_table_takes_nobody))
