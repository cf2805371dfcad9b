/* The past: what was stored up to a time, and the head that an actor had then. */
#include <errno.h>

#include "../../store/locate.h"
#include "contract_node.h"

static int64_t
now_ns(void)
{
	return clock_wall(clock_system()) * 1000;
}

/* The sequence for now, which is over by the time that it is known. */
static uint64_t
seq_now(struct node *n)
{
	uint64_t seq = UINT64_MAX;

	CHECK_EQ_INT(store_seq_at(n->store, n->ns, now_ns(), &seq), 0);
	return seq;
}

TEST(a_time_stands_for_what_was_stored_up_to_it)
{
	enum { TIMES = 5 };
	struct node n, other;
	int64_t times[TIMES];
	uint64_t seqs[TIMES], seq;

	REQUIRE(node_open(&n));
	for (int i = 0; i < TIMES; i++) {
		seqs[i] = i > 0 ? head_of(n.a).seq : 0;
		times[i] = now_ns();
		CHECK_EQ_UINT(seq_now(&n), seqs[i]);
		CHECK_EQ_INT(append(n.a, "event").err, 0);
	}
	REQUIRE(node_join(&other, &n));
	for (int i = 0; i < TIMES; i++) {
		CHECK_EQ_INT(store_seq_at(other.store, n.ns, times[i], &seq), 0);
		CHECK_EQ_UINT(seq, seqs[i]);
	}
	node_close(&other);
	node_close(&n);
}

TEST(a_time_far_away)
{
	struct node n;
	uint64_t seq = 7;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "event").err, 0);
	CHECK_EQ_INT(store_seq_at(n.store, n.ns, INT64_MIN, &seq), 0);
	CHECK_EQ_UINT(seq, 0);
	CHECK_EQ_INT(store_seq_at(n.store, n.ns, 0, &seq), 0);
	CHECK_EQ_UINT(seq, 0);
	CHECK_EQ_INT(store_seq_at(n.store, n.ns, now_ns() + 60 * NS_PER_SEC, &seq), -ENOENT);
	CHECK_EQ_INT(store_seq_at(n.store, n.ns, INT64_MAX, &seq), -ENOENT);
	CHECK_EQ_INT(store_seq_at(n.store, "nobody-made-this", 0, &seq), -ENOENT);
	node_close(&n);
}

/* Of an actor among others, at every sequence, in a second life. */
TEST(the_head_at_every_sequence)
{
	enum { RECORDS = 12 };
	struct node n, cold;
	struct head heads[RECORDS + 1], at;
	struct actor *noise;

	REQUIRE(node_open(&n));
	REQUIRE(actor_get(n.store, n.ns, "noise", &noise) == 0);
	CHECK_EQ_INT(append(n.a, "gone").err, 0);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	for (int i = 0; i < RECORDS; i++) {
		CHECK_EQ_INT(append(noise, "other").err, 0);
		CHECK_EQ_INT(append(n.a, i % 2 ? "one\n" : "two\nthree\n").err, 0);
		heads[i] = head_of(n.a);
	}
	REQUIRE(node_join(&cold, &n));
	struct head end = head_of(cold.a);
	for (uint64_t seq = 0; seq <= end.seq + 1; seq++) {
		struct head want = head_of_life(end.life);
		for (int i = 0; i < RECORDS && heads[i].seq <= seq; i++)
			want = heads[i];
		CHECK_EQ_INT(actor_head_at(cold.a, &end, seq, &at), 0);
		CHECK_EQ_UINT(at.seq, want.seq);
		CHECK_EQ_UINT(at.size, want.size);
		CHECK_EQ_UINT(at.version, want.version);
		CHECK_EQ_UINT(at.life, want.life);
	}
	node_close(&cold);
	actor_put(noise);
	node_close(&n);
}

const struct check_test contract_past_tests[] = { T(a_time_stands_for_what_was_stored_up_to_it), T(a_time_far_away),
	T(the_head_at_every_sequence) };
const size_t contract_past_count = MANY(contract_past_tests);
