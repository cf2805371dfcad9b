/* Who leads: each arrow and each invariant by hand, and many schedules at random. Time is a number here. */
#include <errno.h>

#include "../../cluster/election.h"
#include "check.h"
#include "election_sim.h"

#define MS NS_PER_MS
#define START (1000 * NS_PER_SEC)
/* By then everybody who waits for a lease that is free since 0 has tried. */
#define FREE (ELECTION_LEASE_NS + ELECTION_JITTER_NS)

static struct election e;
static struct election_write w;

static void
seen(const char *node, uint64_t boot, uint64_t term, uint64_t revision, int64_t at_ns)
{
	struct lease lease = { .boot = boot, .term = term };

	snprintf(lease.node, sizeof(lease.node), "%s", node);
	election_seen(&e, &lease, revision, START + at_ns);
}

static bool
step(int64_t at_ns)
{
	return election_step(&e, START + at_ns, &w);
}

static void
answer(int err, uint64_t revision, int64_t at_ns)
{
	election_answer(&e, w.id, err, revision, START + at_ns);
}

static bool
leads(int64_t at_ns)
{
	uint64_t term = 0;

	return election_leads(&e, START + at_ns, &term) && term == e.term && term != 0;
}

/* a, boot 1, in a store that is empty. */
static void
follow(void)
{
	election_init(&e, "a", 1);
	election_seen(&e, NULL, 0, START);
}

/* It has asked for the lease at 0, replacing nothing. */
static bool
take(void)
{
	election_init(&e, "a", 1);
	election_seen(&e, NULL, 0, START - ELECTION_JITTER_NS);
	return !step(-ELECTION_JITTER_NS) && step(0) && e.state == ELECTION_TAKING;
}

/* It leads in term 7 since 0. */
static bool
lead(void)
{
	if (!take())
		return false;
	answer(0, 7, 10 * MS);
	return e.state == ELECTION_LEADING;
}

TEST(what_is_not_known_is_not_taken)
{
	election_init(&e, "a", 1);
	CHECK(!step(0) && !step(100 * FREE));
	CHECK_EQ_INT(election_due(&e, START) == INT64_MAX, 1);
	CHECK_EQ_STR(election_leader(&e), "");
	CHECK_EQ_UINT(election_term(&e), 0);
}

TEST(a_lease_that_never_was_is_taken_after_a_pause)
{
	follow();
	CHECK_EQ_INT(election_due(&e, START), START);
	CHECK(!step(0));
	int64_t due_ns = election_due(&e, START);
	CHECK(due_ns > START && due_ns <= START + ELECTION_JITTER_NS);
	CHECK(!step(due_ns - START - 1));
	REQUIRE(step(due_ns - START));
	CHECK_EQ_UINT(w.revision, 0);
	CHECK_EQ_STR(w.lease.node, "a");
	CHECK_EQ_UINT(w.lease.boot, 1);
	CHECK_EQ_UINT(w.lease.term, 0);
	CHECK_EQ_INT(e.state, ELECTION_TAKING);
	CHECK(!leads(due_ns - START));
	CHECK_EQ_INT(election_due(&e, due_ns), due_ns + ELECTION_ANSWER_NS);
}

TEST(a_lease_that_was_deleted_is_left_alone_first)
{
	follow();
	seen("b", 2, 0, 5, 0);
	election_seen(&e, NULL, 6, START + 10 * MS);
	CHECK_EQ_STR(election_leader(&e), "");
	CHECK_EQ_INT(election_due(&e, START + 10 * MS), START + 10 * MS + ELECTION_LEASE_NS);
	CHECK(!step(10 * MS) && !step(500 * MS) && !step(10 * MS + ELECTION_LEASE_NS));
	REQUIRE(step(10 * MS + FREE));
	CHECK_EQ_UINT(w.revision, 6);
}

TEST(pauses_differ)
{
	int64_t due_ns[4];

	for (uint64_t i = 0; i < 4; i++) {
		if (i < 2) {
			election_init(&e, "a", i + 1);
			election_seen(&e, NULL, 0, START);
		}
		election_lost(&e);
		election_seen(&e, NULL, 0, START);
		CHECK(!step(0));
		due_ns[i] = election_due(&e, START);
		for (uint64_t k = 0; k < i; k++)
			CHECK(due_ns[k] != due_ns[i]);
	}
}

TEST(a_lease_that_changes_is_not_taken)
{
	follow();
	seen("b", 2, 0, 5, 0);
	CHECK_EQ_STR(election_leader(&e), "b");
	CHECK_EQ_UINT(election_term(&e), 5);
	for (uint64_t i = 1; i < 10; i++) {
		CHECK(!step((int64_t)i * 2 * NS_PER_SEC));
		seen("b", 2, 5, 5 + i, (int64_t)i * 2 * NS_PER_SEC);
	}
	CHECK_EQ_UINT(election_term(&e), 5);
}

TEST(a_lease_that_does_not_change_is_taken)
{
	follow();
	seen("b", 2, 4, 5, 0);
	CHECK_EQ_INT(election_due(&e, START), START + ELECTION_LEASE_NS);
	/* To see it once more, or an older one, is not a change. */
	seen("b", 2, 4, 5, 2000 * MS);
	seen("c", 3, 3, 3, 2000 * MS);
	CHECK_EQ_STR(election_leader(&e), "b");
	CHECK(!step(ELECTION_LEASE_NS - 1) && !step(ELECTION_LEASE_NS));
	REQUIRE(step(FREE));
	CHECK_EQ_UINT(w.revision, 5);
	answer(0, 6, FREE);
	CHECK(leads(FREE));
	CHECK_EQ_UINT(election_term(&e), 6);
	CHECK_EQ_STR(election_leader(&e), "a");
}

TEST(a_vacant_lease_is_taken_at_once)
{
	follow();
	seen("b", 2, 4, 5, 0);
	seen("", 0, 4, 6, 10 * MS);
	CHECK_EQ_STR(election_leader(&e), "");
	CHECK_EQ_UINT(election_term(&e), 4);
	CHECK(!step(10 * MS));
	REQUIRE(step(10 * MS + ELECTION_JITTER_NS));
	CHECK_EQ_UINT(w.revision, 6);
}

TEST(another_life_of_the_same_node_is_another)
{
	follow();
	seen("a", 2, 0, 5, 0);
	CHECK(!leads(0) && !step(ELECTION_LEASE_NS - 1) && !step(ELECTION_LEASE_NS));
	CHECK(step(FREE));
	seen("a", 2, 0, 6, FREE);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	REQUIRE(lead());
	seen("a", 2, 7, 8, 10 * MS);
	CHECK(!leads(10 * MS));
}

TEST(a_lease_is_held_from_when_it_was_asked_for)
{
	REQUIRE(take());
	answer(0, 7, 900 * MS);
	CHECK_EQ_UINT(e.term, 7);
	CHECK(leads(900 * MS) && leads(ELECTION_HOLD_NS - 1));
	CHECK(!leads(ELECTION_HOLD_NS));
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	/* And it has to wait as everybody. */
	CHECK(!step(900 * MS + ELECTION_LEASE_NS) && step(900 * MS + FREE));
	CHECK_EQ_UINT(w.revision, 7);
	CHECK_EQ_UINT(w.lease.term, 0);
}

TEST(what_is_refused_is_not_asked_again_until_the_watch_tells_more)
{
	REQUIRE(take());
	answer(-ESTALE, 0, 10 * MS);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	CHECK(!step(10 * FREE));
	seen("b", 2, 0, 5, 10 * FREE);
	CHECK(!step(10 * FREE + ELECTION_LEASE_NS) && step(11 * FREE));
}

TEST(who_is_late_follows)
{
	REQUIRE(take());
	seen("b", 2, 0, 5, 10 * MS);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	answer(0, 7, 20 * MS);
	CHECK(!leads(20 * MS));
	CHECK_EQ_UINT(e.revision, 5);
}

TEST(a_lease_whose_answer_is_lost_is_seen)
{
	REQUIRE(take());
	seen("a", 1, 0, 7, 1500 * MS);
	CHECK(leads(1500 * MS) && leads(ELECTION_HOLD_NS - 1) && !leads(ELECTION_HOLD_NS));
	/* The answer itself, later, changes nothing. */
	REQUIRE(take());
	seen("a", 1, 0, 7, 10 * MS);
	answer(0, 7, 20 * MS);
	CHECK(leads(20 * MS));
	CHECK(!step(ELECTION_RENEW_NS - 1) && step(ELECTION_RENEW_NS));
	/* Too late. */
	REQUIRE(take());
	seen("a", 1, 0, 7, ELECTION_HOLD_NS);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	CHECK(!leads(ELECTION_HOLD_NS) && !step(ELECTION_HOLD_NS + ELECTION_LEASE_NS));
}

TEST(of_several_attempts_the_first_counts)
{
	REQUIRE(take());
	CHECK(!step(ELECTION_ANSWER_NS - 1));
	uint64_t first = w.id;
	REQUIRE(step(ELECTION_ANSWER_NS));
	CHECK(w.id != first);
	seen("a", 1, 0, 7, 1500 * MS);
	CHECK(leads(ELECTION_HOLD_NS - 1) && !leads(ELECTION_HOLD_NS));
	/* But the answer tells which it was, */
	REQUIRE(take() && step(ELECTION_ANSWER_NS));
	seen("a", 1, 0, 7, 1500 * MS);
	answer(0, 7, 1600 * MS);
	CHECK(leads(ELECTION_ANSWER_NS + ELECTION_HOLD_NS - 1));
	/* even after the first has become too old. */
	REQUIRE(take() && step(ELECTION_ANSWER_NS) && step(2 * ELECTION_ANSWER_NS));
	seen("a", 1, 0, 7, 2100 * MS);
	CHECK(!leads(2100 * MS));
	CHECK_EQ_INT(e.state, ELECTION_TAKING);
	answer(0, 7, 2200 * MS);
	CHECK(leads(2200 * MS));
	/* Without an answer, or with a refusal, it does not lead. */
	for (int i = 0; i < 2; i++) {
		REQUIRE(take() && step(ELECTION_ANSWER_NS) && step(2 * ELECTION_ANSWER_NS));
		seen("a", 1, 0, 7, 2100 * MS);
		answer(i == 0 ? -ESTALE : -EIO, 0, 2200 * MS);
		CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	}
	REQUIRE(take() && step(ELECTION_ANSWER_NS) && step(2 * ELECTION_ANSWER_NS));
	seen("a", 1, 0, 7, 2100 * MS);
	CHECK(!step(3 * ELECTION_ANSWER_NS));
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
}

TEST(an_answer_that_is_late_is_ignored)
{
	REQUIRE(take());
	answer(0, 7, ELECTION_ANSWER_NS);
	CHECK_EQ_INT(e.state, ELECTION_TAKING);
	CHECK(step(ELECTION_ANSWER_NS));
	election_answer(&e, w.id - 1, 0, 7, START + ELECTION_ANSWER_NS);
	election_answer(&e, 0, 0, 7, START + ELECTION_ANSWER_NS);
	CHECK_EQ_INT(e.state, ELECTION_TAKING);
}

TEST(what_cannot_be_asked_is_asked_again_after_a_pause)
{
	REQUIRE(take());
	answer(-EIO, 0, 0);
	CHECK_EQ_INT(e.state, ELECTION_TAKING);
	CHECK(!step(0));
	int64_t due_ns = election_due(&e, START);
	CHECK(due_ns > START && due_ns <= START + ELECTION_JITTER_NS);
	CHECK(step(due_ns - START));
	REQUIRE(lead());
	REQUIRE(step(ELECTION_RENEW_NS));
	answer(-EIO, 0, ELECTION_RENEW_NS);
	CHECK(!step(ELECTION_RENEW_NS) && step(ELECTION_RENEW_NS + ELECTION_JITTER_NS));
}

TEST(a_leader_renews)
{
	REQUIRE(lead());
	CHECK_EQ_INT(election_due(&e, START), START + ELECTION_RENEW_NS);
	uint64_t revision = 7;
	for (int64_t at_ns = ELECTION_RENEW_NS; at_ns < 20 * NS_PER_SEC; at_ns += ELECTION_RENEW_NS) {
		CHECK(!step(at_ns - 1));
		REQUIRE(step(at_ns));
		CHECK_EQ_UINT(w.revision, revision);
		CHECK_EQ_STR(w.lease.node, "a");
		CHECK_EQ_UINT(w.lease.term, 7);
		struct election_write other;
		CHECK(!election_step(&e, START + at_ns, &other));
		revision += 3;
		/* In whichever order. */
		if (revision % 2 == 0)
			seen("a", 1, 7, revision, at_ns + MS);
		answer(0, revision, at_ns + 2 * MS);
		CHECK(leads(at_ns + ELECTION_HOLD_NS - 1 - ELECTION_RENEW_NS));
	}
	CHECK_EQ_UINT(election_term(&e), 7);
}

TEST(a_leader_that_cannot_renew_steps_down)
{
	REQUIRE(lead());
	CHECK(step(ELECTION_RENEW_NS) && step(ELECTION_RENEW_NS + ELECTION_ANSWER_NS));
	CHECK_EQ_UINT(w.revision, 7);
	CHECK_EQ_INT(election_due(&e, START + ELECTION_HOLD_NS - 1), START + ELECTION_HOLD_NS);
	CHECK(leads(ELECTION_HOLD_NS - 1));
	CHECK(!step(ELECTION_HOLD_NS));
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	/* The answer comes too late to go on by it. */
	answer(0, 8, ELECTION_HOLD_NS + 1);
	CHECK(!leads(ELECTION_HOLD_NS + 1));
}

TEST(a_leader_that_was_stopped_leads_no_more)
{
	REQUIRE(lead());
	CHECK(leads(100 * MS) && !leads(10 * NS_PER_SEC));
	/* Whatever it gets to hear first when it wakes. */
	REQUIRE(lead() && step(ELECTION_RENEW_NS));
	answer(0, 8, 10 * NS_PER_SEC);
	CHECK(!leads(10 * NS_PER_SEC));
	REQUIRE(lead() && step(ELECTION_RENEW_NS));
	seen("a", 1, 7, 8, 10 * NS_PER_SEC);
	CHECK(!leads(10 * NS_PER_SEC) && !step(10 * NS_PER_SEC));
	seen("b", 2, 0, 9, 10 * NS_PER_SEC);
	CHECK(!leads(10 * NS_PER_SEC) && !step(10 * NS_PER_SEC));
}

TEST(a_leader_that_is_refused_or_sees_another_steps_down)
{
	REQUIRE(lead() && step(ELECTION_RENEW_NS));
	answer(-ESTALE, 0, 600 * MS);
	CHECK(!leads(600 * MS) && !step(10 * NS_PER_SEC));
	REQUIRE(lead());
	seen("b", 2, 0, 9, 100 * MS);
	CHECK(!leads(100 * MS));
	REQUIRE(lead());
	election_seen(&e, NULL, 9, START + 100 * MS);
	CHECK(!leads(100 * MS));
	/* A term of its own, but not this one. */
	REQUIRE(lead());
	seen("a", 1, 5, 9, 100 * MS);
	CHECK(!leads(100 * MS));
}

TEST(a_renewal_whose_answer_is_lost_is_seen)
{
	REQUIRE(lead() && step(ELECTION_RENEW_NS));
	seen("a", 1, 7, 8, 1900 * MS);
	CHECK(leads(ELECTION_RENEW_NS + ELECTION_HOLD_NS - 1));
	REQUIRE(step(2000 * MS));
	CHECK_EQ_UINT(w.revision, 8);
	/* Of two attempts the first counts, and that the second is refused then is no news. */
	REQUIRE(lead() && step(ELECTION_RENEW_NS) && step(ELECTION_RENEW_NS + ELECTION_ANSWER_NS));
	seen("a", 1, 7, 8, 1800 * MS);
	CHECK(leads(2100 * MS));
	answer(-ESTALE, 0, 2100 * MS);
	CHECK(leads(2100 * MS));
	REQUIRE(step(2100 * MS));
	CHECK_EQ_UINT(w.revision, 8);
	CHECK(leads(ELECTION_RENEW_NS + ELECTION_HOLD_NS - 1) && !leads(ELECTION_RENEW_NS + ELECTION_HOLD_NS));
}

TEST(a_late_renewal_is_not_what_was_asked_for)
{
	REQUIRE(lead() && step(ELECTION_RENEW_NS));
	CHECK(!leads(ELECTION_HOLD_NS));
	CHECK(!step(10 * MS + ELECTION_LEASE_NS));
	REQUIRE(step(10 * MS + FREE));
	seen("a", 1, 7, 8, 20 * MS + FREE);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	CHECK(!leads(20 * MS + FREE) && !step(20 * MS + FREE + ELECTION_LEASE_NS));
}

TEST(a_leader_without_its_watch_goes_on)
{
	REQUIRE(lead());
	election_lost(&e);
	for (int64_t at_ns = ELECTION_RENEW_NS; at_ns < 10 * NS_PER_SEC; at_ns += ELECTION_RENEW_NS) {
		REQUIRE(step(at_ns));
		answer(0, w.revision + 1, at_ns);
	}
	CHECK(leads(10 * NS_PER_SEC));
	/* But takes nothing when that is over. */
	CHECK(!leads(20 * NS_PER_SEC) && !step(20 * NS_PER_SEC));
	election_seen(&e, &e.lease, e.revision, START + 20 * NS_PER_SEC);
	CHECK(!step(20 * NS_PER_SEC) && step(20 * NS_PER_SEC + ELECTION_JITTER_NS));
}

TEST(who_lost_the_watch_takes_nothing)
{
	follow();
	CHECK(!step(0));
	election_lost(&e);
	CHECK(!step(10 * NS_PER_SEC));
	REQUIRE(take());
	election_lost(&e);
	CHECK(!step(ELECTION_ANSWER_NS));
	CHECK_EQ_INT(election_due(&e, START + ELECTION_ANSWER_NS) == INT64_MAX, 1);
	election_seen(&e, NULL, 0, START + 1500 * MS);
	CHECK(step(1500 * MS));
	/* What is older than what it knows does not tell it what the lease is. */
	follow();
	seen("b", 2, 0, 5, 0);
	election_lost(&e);
	seen("b", 2, 0, 4, 0);
	CHECK(!step(FREE) && !step(2 * FREE));
	seen("b", 2, 0, 5, 2 * FREE);
	CHECK(!step(2 * FREE) && step(2 * FREE + ELECTION_JITTER_NS));
}

TEST(revisions_begin_anew)
{
	REQUIRE(lead());
	election_reset(&e);
	CHECK(!leads(100 * MS) && !step(100 * MS));
	CHECK_EQ_UINT(election_term(&e), 0);
	CHECK_EQ_STR(election_leader(&e), "");
	answer(0, 8, 100 * MS);
	/* Somebody may lead still and not know. */
	election_seen(&e, NULL, 0, START + 100 * MS);
	CHECK(!step(100 * MS + ELECTION_LEASE_NS));
	REQUIRE(step(100 * MS + FREE));
	CHECK_EQ_UINT(w.revision, 0);
	election_reset(&e);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	seen("b", 2, 0, 1, 0);
	CHECK_EQ_UINT(election_term(&e), 1);
}

TEST(a_leader_resigns)
{
	REQUIRE(lead());
	election_resign(&e, START + 100 * MS);
	CHECK_EQ_INT(e.state, ELECTION_RESIGNING);
	CHECK(!leads(100 * MS));
	CHECK_EQ_INT(election_due(&e, START + 100 * MS), START + 100 * MS);
	REQUIRE(step(100 * MS));
	CHECK_EQ_UINT(w.revision, 7);
	CHECK_EQ_STR(w.lease.node, "");
	CHECK_EQ_UINT(w.lease.term, 7);
	CHECK(!step(200 * MS));
	answer(0, 8, 200 * MS);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	CHECK_EQ_STR(election_leader(&e), "");
	CHECK(!step(10 * NS_PER_SEC));
	CHECK_EQ_INT(election_due(&e, START + 100 * MS) == INT64_MAX, 1);
}

TEST(a_leader_that_renews_resigns_after_that)
{
	REQUIRE(lead() && step(ELECTION_RENEW_NS));
	election_resign(&e, START + 600 * MS);
	CHECK(!step(600 * MS));
	answer(0, 8, 700 * MS);
	REQUIRE(step(700 * MS));
	CHECK_EQ_UINT(w.revision, 8);
	CHECK_EQ_STR(w.lease.node, "");
	/* The watch tells it. */
	seen("", 0, 7, 9, 800 * MS);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	/* The renewal comes in between. */
	REQUIRE(lead() && step(ELECTION_RENEW_NS));
	election_resign(&e, START + 600 * MS);
	REQUIRE(step(ELECTION_RENEW_NS + ELECTION_ANSWER_NS));
	seen("a", 1, 7, 8, 1600 * MS);
	answer(-ESTALE, 0, 1600 * MS);
	REQUIRE(step(1600 * MS));
	CHECK_EQ_UINT(w.revision, 8);
	CHECK_EQ_STR(w.lease.node, "");
}

TEST(to_resign_is_tried_once)
{
	REQUIRE(lead());
	election_resign(&e, START + 100 * MS);
	REQUIRE(step(100 * MS));
	CHECK(!step(100 * MS + ELECTION_ANSWER_NS));
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	for (int i = 0; i < 2; i++) {
		REQUIRE(lead());
		election_resign(&e, START + 100 * MS);
		REQUIRE(step(100 * MS));
		answer(i == 0 ? -ESTALE : -EIO, 0, 200 * MS);
		CHECK(!step(200 * MS));
		CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	}
	REQUIRE(lead());
	election_resign(&e, START + 100 * MS);
	seen("b", 2, 0, 9, 100 * MS);
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
}

TEST(who_does_not_lead_resigns_too)
{
	follow();
	election_resign(&e, START);
	CHECK(!step(0) && !step(10 * NS_PER_SEC));
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
	/* What it has asked for it gives back. */
	REQUIRE(take());
	election_resign(&e, START);
	CHECK(!step(0));
	answer(0, 7, 100 * MS);
	CHECK(!leads(100 * MS));
	REQUIRE(step(100 * MS));
	CHECK_EQ_UINT(w.revision, 7);
	CHECK_EQ_STR(w.lease.node, "");
	REQUIRE(take());
	election_resign(&e, START);
	CHECK(!step(ELECTION_ANSWER_NS));
	CHECK_EQ_INT(e.state, ELECTION_FOLLOWING);
}

TEST(whatever_happens)
{
	struct election_sim_sums sums = { 0 };
	int failures = 0;

	for (uint64_t seed = 0; seed < 4000 && failures < 5; seed++) {
		int64_t at_ns;
		const char *wrong = election_sim(seed, &sums, &at_ns);
		if (wrong != NULL)
			printf("# seed %" PRIu64 ": %s at %.6f s\n", seed, wrong, (double)at_ns / 1e9);
		failures += wrong != NULL;
	}
	CHECK_EQ_INT(failures, 0);
	printf("# %" PRIu64 " schedules, %" PRIu64 " events, %" PRIu64 " elections, %" PRIu64 " takeovers, %" PRIu64
	       " resigned, %" PRIu64 " writes refused, %" PRIu64 " done late; somebody led %.0f %% of the time\n",
	    sums.schedules, sums.events, sums.elections, sums.takeovers, sums.resigned, sums.refused, sums.late,
	    100 * (double)sums.led_ns / (double)sums.total_ns);
}

TESTS(T(what_is_not_known_is_not_taken), T(a_lease_that_never_was_is_taken_after_a_pause),
    T(a_lease_that_was_deleted_is_left_alone_first), T(pauses_differ), T(a_lease_that_changes_is_not_taken),
    T(a_lease_that_does_not_change_is_taken), T(a_vacant_lease_is_taken_at_once),
    T(another_life_of_the_same_node_is_another), T(a_lease_is_held_from_when_it_was_asked_for),
    T(what_is_refused_is_not_asked_again_until_the_watch_tells_more), T(who_is_late_follows),
    T(a_lease_whose_answer_is_lost_is_seen), T(of_several_attempts_the_first_counts),
    T(an_answer_that_is_late_is_ignored), T(what_cannot_be_asked_is_asked_again_after_a_pause), T(a_leader_renews),
    T(a_leader_that_cannot_renew_steps_down), T(a_leader_that_was_stopped_leads_no_more),
    T(a_leader_that_is_refused_or_sees_another_steps_down), T(a_renewal_whose_answer_is_lost_is_seen),
    T(a_late_renewal_is_not_what_was_asked_for), T(a_leader_without_its_watch_goes_on),
    T(who_lost_the_watch_takes_nothing), T(revisions_begin_anew), T(a_leader_resigns),
    T(a_leader_that_renews_resigns_after_that), T(to_resign_is_tried_once), T(who_does_not_lead_resigns_too),
    T(whatever_happens))
