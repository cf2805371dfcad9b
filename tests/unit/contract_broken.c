/* Chains that do not hold: what is before the place is served, nothing from it on. */
#include <errno.h>
#include <stdlib.h>

#include "contract_node.h"

enum damage { FOREIGN, WRONG_SUM, WRONG_OFFSET, WRONG_COUNT, OLD_VERSION, REPEATED, DAMAGES };

/* Put a record behind the actor's end that does not continue it. */
static void
add_damage(struct node *n, enum damage damage)
{
	static const char line[] = "{\"version\":9,\"id\":\"x\",\"eventType\":\"T\",\"actorId\":\"a\","
				   "\"timestamp\":\"2026-01-01T00:00:00Z\",\"data\":{}}\n";
	struct head end;
	struct record r;

	check_chain(n->backend, n->ns, "a", NULL, &end);
	r = (struct record){ .prev_seq = end.seq, .first = 9, .last = 9, .count = end.count + 1, .offset = end.size };
	r.time_us = end.time_us + 1;
	r.payload = (struct span){ line, sizeof(line) - 1 };
	r.sum = record_sum(end.sum, r.payload);
	if (damage == WRONG_SUM)
		r.sum ^= 1;
	else if (damage == WRONG_OFFSET)
		r.offset += 5;
	else if (damage == WRONG_COUNT)
		r.count += 1;
	else if (damage == OLD_VERSION)
		r.first = r.last = end.version;
	else if (damage == REPEATED)
		r.time_us = end.time_us;
	else
		r = (struct record){ .prev_seq = end.seq, .payload = r.payload, .foreign = true };
	CHECK_EQ_INT(publish_raw(n->backend, n->ns, "a", &r), 0);
}

/* The whole of good can be read here in any pieces, and what comes next is EIO. */
static void
check_served(struct actor *a, const struct buf *good)
{
	struct buf got = { 0 };

	for (size_t step = 64; step <= 64 * 1024; step *= 32) {
		CHECK_EQ_INT(read_all(a, step, &got), -EIO);
		CHECK_EQ_MEM(got.p, got.len, good->p, good->len);
	}
	buf_free(&got);
}

static void
damage_at_the_end(enum damage damage)
{
	struct node n, cold, writer;
	struct buf good = { 0 };
	struct head end;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "one\ntwo").err, 0);
	CHECK_EQ_INT(append(n.a, "three").err, 0);
	check_chain(n.backend, n.ns, "a", &good, &end);
	add_damage(&n, damage);
	REQUIRE(node_join(&cold, &n));
	check_served(cold.a, &good);
	check_served(n.a, &good);
	if (damage == FOREIGN) {
		/* Nothing can continue it, from no node. */
		REQUIRE(node_join(&writer, &n));
		CHECK_EQ_INT(append(n.a, "more").err, -EIO);
		CHECK_EQ_INT(append(cold.a, "more").err, -EIO);
		CHECK_EQ_INT(append(writer.a, "more").err, -EIO);
		check_served(writer.a, &good);
		node_close(&writer);
	}
	buf_free(&good);
	node_close(&cold);
	node_close(&n);
}

/* A record of one event that continues base, put behind it; with damage, not quite. */
static struct head
put_record(struct node *n, const struct head *base, bool damaged, enum damage damage)
{
	static const char line[] = "{\"version\":1,\"id\":\"y\",\"eventType\":\"T\",\"actorId\":\"a\","
				   "\"timestamp\":\"2026-01-01T00:00:00Z\",\"data\":{}}\n";
	struct record r = { .prev_seq = base->seq, .first = base->version + 1, .last = base->version + 1 };

	r.count = base->count + 1;
	r.offset = base->size;
	r.time_us = base->time_us + 1;
	r.payload = (struct span){ line, sizeof(line) - 1 };
	r.sum = record_sum(base->sum, r.payload);
	if (damaged && damage == WRONG_SUM)
		r.sum ^= 1;
	else if (damaged && damage == WRONG_OFFSET)
		r.offset += 5;
	else if (damaged && damage == WRONG_COUNT)
		r.count = base->count;
	CHECK_EQ_INT(publish_raw(n->backend, n->ns, "a", &r), 0);
	struct backend_get g = { .kind = GET_LAST, .fresh = true };
	struct owned_record last = { 0 };
	CHECK_EQ_INT(wait_get(n->backend, clock_system(), (struct actor_name){ n->ns, "a" }, g,
			 clock_mono(clock_system()) + 5 * NS_PER_SEC, &last),
	    0);
	r.seq = last.record.seq;
	owned_record_free(&last);
	return record_head(&r);
}

/* Far from both ends, so that it lies within what is verified as one, and what follows continues it. */
static void
damage_in_the_middle(enum damage damage)
{
	struct node n, cold;
	struct buf good = { 0 };
	struct head head = { 0 };

	REQUIRE(node_open(&n));
	for (int i = 0; i < 60; i++) {
		head = put_record(&n, &head, i == 35, damage);
		if (i == 34)
			check_chain(n.backend, n.ns, "a", &good, &head);
	}
	REQUIRE(node_join(&cold, &n));
	check_served(cold.a, &good);
	node_close(&cold);
	buf_free(&good);
	node_close(&n);
}

TEST(altered_records_in_the_middle)
{
	damage_in_the_middle(WRONG_SUM);
	damage_in_the_middle(WRONG_OFFSET);
	damage_in_the_middle(WRONG_COUNT);
}

TEST(a_foreign_last_record)
{
	damage_at_the_end(FOREIGN);
}

TEST(altered_last_records)
{
	for (enum damage d = WRONG_SUM; d < DAMAGES; d++)
		damage_at_the_end(d);
}

TEST(a_foreign_record_alone)
{
	struct node n;
	/* Versions that no record has, on the wire too. */
	struct record r = { .first = 5, .last = 3, .payload = SPAN("hello"), .foreign = true };
	struct buf got = { 0 };

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(publish_raw(n.backend, n.ns, "a", &r), 0);
	CHECK_EQ_INT(append(n.a, "x").err, -EIO);
	CHECK_EQ_INT(append(n.a, "").err, -EIO);
	CHECK_EQ_INT(read_all(n.a, 0, &got), -EIO);
	CHECK_EQ_UINT(got.len, 0);
	buf_free(&got);
	node_close(&n);
}

/* Lost: the record with that number of this many; all of one event. */
static void
lose_one(unsigned which, unsigned of)
{
	struct node n, cold;
	struct buf good = { 0 };
	struct head end = { 0 };

	REQUIRE(node_open(&n));
	for (unsigned i = 1; i <= of; i++) {
		CHECK_EQ_INT(append(n.a, "event").err, 0);
		if (i == which - 1) {
			check_chain(n.backend, n.ns, "a", &good, &end);
		}
	}
	uint64_t seq = 0;
	for (struct owned_record r = { 0 }; seq == 0; owned_record_free(&r)) {
		struct backend_get g = { .kind = GET_NEXT, .seq = end.seq + 1, .fresh = true };
		REQUIRE(wait_get(n.backend, clock_system(), (struct actor_name){ n.ns, "a" }, g,
			    clock_mono(clock_system()) + 5 * NS_PER_SEC, &r) == 0);
		seq = r.record.seq;
	}
	REQUIRE(contract_subject()->lose(n.ns, seq) == 0);
	REQUIRE(node_join(&cold, &n));
	check_served(cold.a, &good);
	node_close(&cold);
	CHECK_EQ_INT(contract_subject()->lose(n.ns, 0), 0);
	buf_free(&good);
	node_close(&n);
}

TEST(a_lost_record)
{
	lose_one(1, 3);
	lose_one(2, 3);
	lose_one(15, 40);
	lose_one(30, 40);
}

const struct check_test contract_broken_tests[] = { T(a_foreign_last_record), T(altered_last_records), T(altered_records_in_the_middle),
	T(a_foreign_record_alone), T(a_lost_record) };
const size_t contract_broken_count = MANY(contract_broken_tests);
