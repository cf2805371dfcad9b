/* The store's contract on a backend that misbehaves, and mishaps one by one. test_store_storm.c has all of them at
 * once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../store/append.h"
#include "../../store/memory.h"
#include "../../store/snapshot.h"
#include "../faults/faulty.h"
#include "contract.h"
#include "contract_node.h"

#define MS NS_PER_MS

static struct backend *shared;
static uint64_t lost_seq;
static atomic_uint opened;

/* Most calls of the contract's nodes are late, many fail in ways that the store has to get over. */
static int
open_node(struct backend **out)
{
	struct faulty_options options = { .per_mille = 150, .delay_max_ns = 2 * MS };

	options.seed = 1 + atomic_fetch_add(&opened, 1);
	int err = faulty_new(out, shared, false, clock_system(), &options);
	if (err == 0)
		faulty_hide(*out, lost_seq);
	return err;
}

static int
lose(const char *ns, uint64_t seq)
{
	(void)ns;
	lost_seq = seq;
	return 0;
}

/* A node whose calls of the backend go wrong by these rules; they are static. */
static bool
scripted(struct node *n, const struct node *first, const struct fault_rule *rules, size_t count, int64_t timeout_ns)
{
	struct faulty_options options = { .rules = rules, .rule_count = count };
	struct backend *b;

	*n = (struct node){ .store = NULL };
	int err = faulty_new(&b, shared, false, clock_system(), &options);
	CHECK_EQ_INT(err, 0);
	return err == 0 && node_on(n, b, first, timeout_ns);
}

static void
check_stored(const struct node *n, const char *text, size_t times)
{
	struct buf all = { 0 };
	struct head end;

	check_chain(shared, n->ns, "a", &all, &end);
	CHECK_EQ_UINT(count_text(&all, text), times);
	buf_free(&all);
}

/* One append goes through the mishap and is stored once; the next is as if nothing had been. */
static void
survives(const struct fault_rule *rules, size_t count)
{
	struct node n;

	REQUIRE(scripted(&n, NULL, rules, count, 3000 * MS));
	CHECK_EQ_UINT(append(n.a, "one\n").version, 1);
	CHECK_EQ_UINT(append(n.a, "two\nthree\n").version, 3);
	CHECK_EQ_UINT(append(n.a, "four\n").version, 4);
	check_stored(&n, "\n", 4);
	check_stored(&n, "\"two\"", 1);
	node_close(&n);
}

TEST(a_lost_acknowledgement)
{
	static const struct fault_rule timeout = { FAULT_PUBLISH, FAULT_LOSE_ACK, 2, 1, -ETIMEDOUT, 1 * MS };
	static const struct fault_rule away = { FAULT_PUBLISH, FAULT_LOSE_ACK, 1, 2, -ENOTCONN, 0 };

	survives(&timeout, 1);
	survives(&away, 1);
}

TEST(a_lost_publish)
{
	static const struct fault_rule timeout = { FAULT_PUBLISH, FAULT_DROP, 2, 3, -ETIMEDOUT, 1 * MS };
	static const struct fault_rule away = { FAULT_PUBLISH, FAULT_DROP, 1, 2, -ENOTCONN, 0 };

	survives(&timeout, 1);
	survives(&away, 1);
}

/* The first attempt arrives when the second has been stored already, or before it and unseen by the check. */
TEST(a_publish_that_arrives_late)
{
	static const struct fault_rule late = { FAULT_PUBLISH, FAULT_STRAY, 1, 1, -ETIMEDOUT, 30 * MS };
	static const struct fault_rule between[] = { { FAULT_PUBLISH, FAULT_STRAY, 2, 1, -ETIMEDOUT, 5 * MS },
		{ FAULT_PUBLISH, FAULT_DELAY, 3, 1, 0, 20 * MS } };

	survives(&late, 1);
	survives(between, MANY(between));
}

TEST(a_lost_acknowledgement_and_a_lost_check)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_LOSE_ACK, 1, 3, -ETIMEDOUT, 0 },
		{ FAULT_GET, FAULT_DROP, 2, 3, -ETIMEDOUT, 1 * MS }, { FAULT_GET, FAULT_REFUSE, 6, 2, -ENOTCONN, 0 } };

	survives(rules, MANY(rules));
}

TEST(answered_as_a_duplicate)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DUPLICATE, 1, 2, 0, 0 },
		{ FAULT_GET, FAULT_LAG, 1, 0, 0, 0 } };

	survives(rules, MANY(rules));
}

TEST(all_completions_late)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DELAY, 1, 0, 0, 1 * MS },
		{ FAULT_GET, FAULT_DELAY, 1, 0, 0, 1 * MS } };

	survives(rules, MANY(rules));
}

/* The outcome of an attempt is unknown, somebody else appends, and only then is the record behind the base looked at.
 */
TEST(an_unknown_outcome_and_another_writer)
{
	static const struct fault_rule lost[] = { { FAULT_PUBLISH, FAULT_DROP, 1, 1, -ETIMEDOUT, 0 },
		{ FAULT_GET, FAULT_DELAY, 2, 1, 0, 20 * MS } };
	static const struct fault_rule stored[] = { { FAULT_PUBLISH, FAULT_LOSE_ACK, 1, 1, -ETIMEDOUT, 0 },
		{ FAULT_GET, FAULT_DELAY, 2, 1, 0, 20 * MS } };
	const struct fault_rule *const scripts[] = { lost, stored };

	for (size_t i = 0; i < MANY(scripts); i++) {
		struct node n, other;
		REQUIRE(scripted(&other, NULL, NULL, 0, 1000 * MS));
		CHECK_EQ_INT(append(other.a, "before").err, 0);
		REQUIRE(scripted(&n, &other, scripts[i], 2, 1000 * MS));
		struct pending *mine = append_start(n.a, "mine\n");
		CHECK_EQ_INT(append(other.a, "theirs").err, 0);
		CHECK_EQ_INT(append_wait(mine).err, 0);
		check_stored(&n, "\"mine\"", 1);
		check_stored(&n, "\n", 3);
		node_close(&n);
		node_close(&other);
	}
}

TEST(creation_markers_survive)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_LOSE_ACK, 1, 1, -ETIMEDOUT, 1 * MS },
		{ FAULT_PUBLISH, FAULT_DUPLICATE, 2, 1, 0, 0 } };

	for (size_t i = 0; i < 2; i++) {
		struct node n;
		struct head head;
		REQUIRE(scripted(&n, NULL, &rules[i], 1, 1000 * MS));
		CHECK_EQ_INT(append(n.a, "").err, 0);
		CHECK_EQ_INT(append(n.a, "").err, -EEXIST);
		CHECK_EQ_INT(actor_head(n.a, 0, false, &head), 0);
		node_close(&n);
	}
}

TEST(nothing_is_stored_after_a_refusal)
{
	static const int errors[] = { -EACCES, -ENOSPC, -EIO, -EMSGSIZE };

	for (size_t i = 0; i < MANY(errors); i++) {
		struct fault_rule rule = { FAULT_PUBLISH, FAULT_REFUSE, 2, 1, errors[i], 0 };
		struct node n;
		REQUIRE(scripted(&n, NULL, &rule, 1, 1000 * MS));
		CHECK_EQ_INT(append(n.a, "one").err, 0);
		CHECK_EQ_INT(append(n.a, "refused").err, errors[i]);
		CHECK_EQ_INT(append(n.a, "two").err, 0);
		check_stored(&n, "refused", 0);
		check_stored(&n, "\n", 2);
		node_close(&n);
	}
}

/* A refusal of the second attempt says nothing of the first, which is still on its way. */
TEST(a_refusal_after_an_unknown_outcome_is_unknown)
{
	static const int errors[] = { -EACCES, -ENOSPC, -EIO };

	for (size_t i = 0; i < MANY(errors); i++) {
		struct fault_rule publishes[] = { { FAULT_PUBLISH, FAULT_STRAY, 1, 1, -ETIMEDOUT, 20 * MS },
			{ FAULT_PUBLISH, FAULT_REFUSE, 2, 1, errors[i], 0 } };
		struct fault_rule gets[] = { { FAULT_PUBLISH, FAULT_LOSE_ACK, 1, 1, -ETIMEDOUT, 0 },
			{ FAULT_GET, FAULT_REFUSE, 2, 1, errors[i], 0 } };
		struct node n;
		REQUIRE(scripted(&n, NULL, publishes, 2, 1000 * MS));
		CHECK_EQ_INT(append(n.a, "late").err, -ETIMEDOUT);
		node_close(&n);
		REQUIRE(scripted(&n, NULL, gets, 2, 1000 * MS));
		CHECK_EQ_INT(append(n.a, "stored").err, -ETIMEDOUT);
		check_stored(&n, "stored", 1);
		CHECK_EQ_UINT(append(n.a, "next").version, 2);
		node_close(&n);
	}
}

TEST(no_answer_at_all_times_out)
{
	static const struct fault_rule publishes = { FAULT_PUBLISH, FAULT_DROP, 1, 0, -ETIMEDOUT, 10 * MS };
	static const struct fault_rule gets = { FAULT_GET, FAULT_DROP, 1, 0, -ETIMEDOUT, 10 * MS };
	static const struct fault_rule races = { FAULT_PUBLISH, FAULT_REFUSE, 1, 0, -ESTALE, 0 };
	const struct fault_rule *const scripts[] = { &publishes, &gets, &races };

	for (size_t i = 0; i < MANY(scripts); i++) {
		struct node n;
		int64_t begun = clock_mono(clock_system());
		REQUIRE(scripted(&n, NULL, scripts[i], 1, 60 * MS));
		CHECK_EQ_INT(append(n.a, "x").err, -ETIMEDOUT);
		CHECK(clock_mono(clock_system()) - begun >= 60 * MS);
		CHECK(clock_mono(clock_system()) - begun < 3000 * MS);
		check_stored(&n, "\n", 0);
		node_close(&n);
	}
}

/* What is answered "not the last sequence" while nothing is behind the base must neither spin nor pile up calls. */
TEST(refused_without_a_cause)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DROP, 1, 1, -ETIMEDOUT, 0 },
		{ FAULT_PUBLISH, FAULT_REFUSE, 2, 0, -ESTALE, 0 } };
	struct node n;

	REQUIRE(scripted(&n, NULL, rules, MANY(rules), 100 * MS));
	CHECK_EQ_INT(append(n.a, "x").err, -ETIMEDOUT);
	CHECK(faulty_calls(n.backend, FAULT_PUBLISH) < 200);
	node_close(&n);
}

TEST(away_for_a_while)
{
	struct node n;
	struct head head;

	REQUIRE(scripted(&n, NULL, NULL, 0, 2000 * MS));
	CHECK_EQ_INT(append(n.a, "one").err, 0);
	faulty_disconnect(n.backend, 30 * MS);
	CHECK_EQ_UINT(append(n.a, "two").version, 2);
	faulty_disconnect(n.backend, 30 * MS);
	CHECK_EQ_INT(actor_head(n.a, 0, false, &head), 0);
	CHECK_EQ_UINT(head.version, 2);
	faulty_disconnect(n.backend, 60 * NS_PER_SEC);
	CHECK_EQ_INT(actor_head(n.a, 0, true, &head), 0);
	struct pending *p = append_start(n.a, "three\n");
	CHECK(!append_ended(p));
	faulty_disconnect(n.backend, 0);
	CHECK_EQ_UINT(append_wait(p).version, 3);
	node_close(&n);
}

/* The connection breaks, or the server stops, while a question is under way that could do with an older answer. */
TEST(lost_while_a_head_was_asked_for)
{
	static const struct fault_rule cut = { FAULT_GET, FAULT_DROP, 2, 0, -ENOTCONN, 0 };
	static const struct fault_rule hung = { FAULT_GET, FAULT_DROP, 2, 0, -ETIMEDOUT, 0 };
	const struct fault_rule *const scripts[] = { &cut, &hung };

	for (size_t i = 0; i < MANY(scripts); i++) {
		struct node n;
		struct head head;
		REQUIRE(scripted(&n, NULL, scripts[i], 1, 1000 * MS));
		CHECK_EQ_INT(append(n.a, "one").err, 0);
		CHECK_EQ_UINT(faulty_calls(n.backend, FAULT_GET), 1);
		CHECK_EQ_INT(actor_head(n.a, 0, true, &head), 0);
		CHECK_EQ_UINT(head.version, 1);
		CHECK_EQ_UINT(faulty_calls(n.backend, FAULT_GET), 2);
		node_close(&n);
	}
}

TEST(away_for_too_long)
{
	struct node n;
	struct head head;

	REQUIRE(scripted(&n, NULL, NULL, 0, 50 * MS));
	CHECK_EQ_INT(append(n.a, "one").err, 0);
	faulty_disconnect(n.backend, 60 * NS_PER_SEC);
	CHECK_EQ_INT(append(n.a, "two").err, -ETIMEDOUT);
	CHECK_EQ_INT(append(n.a, "").err, -ETIMEDOUT);
	CHECK_EQ_INT(actor_head(n.a, 0, false, &head), -ETIMEDOUT);
	faulty_disconnect(n.backend, 0);
	CHECK_EQ_UINT(append(n.a, "three").version, 2);
	node_close(&n);
}

TEST(cancelled_before_it_was_sent)
{
	struct node n;

	REQUIRE(scripted(&n, NULL, NULL, 0, 5000 * MS));
	CHECK_EQ_INT(append(n.a, "one").err, 0);
	faulty_disconnect(n.backend, 60 * NS_PER_SEC);
	struct actor *fresh;
	REQUIRE(actor_get(n.store, n.ns, "fresh", &fresh) == 0);
	/* One waits for the head of an actor that is not known yet, two stand behind it. */
	struct pending *first = append_start(fresh, "first\n"), *second = append_start(fresh, "second\n"),
		       *third = append_start(fresh, "third\n");
	actor_append_cancel(fresh, append_handle(second));
	CHECK_EQ_INT(append_wait(second).err, -EINTR);
	CHECK(!append_ended(first) && !append_ended(third));
	actor_append_cancel(fresh, append_handle(first));
	CHECK_EQ_INT(append_wait(first).err, -EINTR);
	faulty_disconnect(n.backend, 0);
	CHECK_EQ_UINT(append_wait(third).version, 1);
	actor_put(fresh);
	node_close(&n);
}

TEST(cancelled_before_it_began)
{
	struct node n;

	REQUIRE(scripted(&n, NULL, NULL, 0, 5000 * MS));
	CHECK_EQ_UINT(append_wait(append_start_cancelled(n.a, "need not wait\n")).version, 1);
	faulty_disconnect(n.backend, 60 * NS_PER_SEC);
	struct actor *fresh;
	REQUIRE(actor_get(n.store, n.ns, "fresh", &fresh) == 0);
	struct pending *waits = append_start(fresh, "waits\n");
	CHECK_EQ_INT(append_wait(append_start_cancelled(fresh, "stands behind it\n")).err, -EINTR);
	actor_append_cancel(fresh, append_handle(waits));
	CHECK_EQ_INT(append_wait(waits).err, -EINTR);
	CHECK_EQ_INT(append_wait(append_start_cancelled(fresh, "has to wait\n")).err, -EINTR);
	actor_put(fresh);
	node_close(&n);
}

TEST(cancelled_after_it_was_sent)
{
	static const struct fault_rule rule = { FAULT_PUBLISH, FAULT_DELAY, 1, 0, 0, 20 * MS };
	struct node n;

	REQUIRE(scripted(&n, NULL, &rule, 1, 2000 * MS));
	struct pending *p = append_start(n.a, "sent\n");
	actor_append_cancel(n.a, append_handle(p));
	actor_append_cancel(n.a, append_handle(p));
	CHECK_EQ_INT(append_wait(p).err, 0);
	check_stored(&n, "sent", 1);
	node_close(&n);
}

/* Appends that are queued behind one whose publish is late, and the calls of publish that all of them take. */
static void
grouped(const struct fault_rule *rules, size_t count, const char *const *lines, size_t many, uint64_t publishes)
{
	struct node n;
	struct pending *p[8];
	struct buf all = { 0 };
	struct head end;
	char text[64];

	REQUIRE(scripted(&n, NULL, rules, count, 2000 * MS));
	for (size_t i = 0; i < many; i++)
		p[i] = append_start(n.a, lines[i]);
	for (size_t i = 0; i < many; i++) {
		struct outcome o = append_wait(p[i]);
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, i + 1);
		CHECK_EQ_UINT(o.consumed, strlen(lines[i]));
	}
	CHECK_EQ_UINT(faulty_calls(n.backend, FAULT_PUBLISH), publishes);
	check_chain(shared, n.ns, "a", &all, &end);
	CHECK_EQ_UINT(end.count, many);
	for (size_t i = 0; i < many; i++) {
		snprintf(text, sizeof(text), "{\"version\":%zu,", i + 1);
		CHECK_EQ_UINT(count_text(&all, text), 1);
	}
	buf_free(&all);
	node_close(&n);
}

static const char *const plain[] = { "one", "two", "three", "four", "five" };

TEST(what_waits_is_committed_together)
{
	static const struct fault_rule late[] = { { FAULT_PUBLISH, FAULT_DELAY, 1, 1, 0, 100 * MS } };

	grouped(late, 1, plain, MANY(plain), 2);
}

TEST(ids_and_versions_go_alone)
{
	static const struct fault_rule late[] = { { FAULT_PUBLISH, FAULT_DELAY, 1, 1, 0, 100 * MS } };
	static const char *const lines[] = { "one", "two", "three", "{\"eventType\":\"T\",\"id\":\"x\"}",
		"{\"eventType\":\"T\",\"version\":5}", "six", "seven" };

	grouped(late, 1, lines, MANY(lines), 5);
}

TEST(a_group_whose_acknowledgement_is_lost)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DELAY, 1, 1, 0, 100 * MS },
		{ FAULT_PUBLISH, FAULT_LOSE_ACK, 2, 1, -ETIMEDOUT, 0 } };

	grouped(rules, MANY(rules), plain, MANY(plain), 2);
}

TEST(a_group_that_is_lost)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DELAY, 1, 1, 0, 100 * MS },
		{ FAULT_PUBLISH, FAULT_DROP, 2, 1, -ETIMEDOUT, 0 } };

	grouped(rules, MANY(rules), plain, MANY(plain), 3);
}

TEST(a_group_that_is_too_large_as_a_whole)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DELAY, 1, 1, 0, 100 * MS },
		{ FAULT_PUBLISH, FAULT_REFUSE, 2, 1, -EMSGSIZE, 0 } };

	/* The group in vain, its first alone, the others. */
	grouped(rules, MANY(rules), plain, MANY(plain), 4);
}

/* The window lets in so many publishes of as many actors, the others in turn. */
TEST(publishes_in_flight_are_bounded)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DELAY, 1, 0, 0, 600 * MS } };
	enum { ACTORS = APPEND_WINDOW + 40 };
	static struct actor *actors[ACTORS];
	static struct pending *p[ACTORS];
	struct node n;
	char name[32];

	REQUIRE(scripted(&n, NULL, rules, 1, 5000 * MS));
	for (unsigned i = 0; i < ACTORS; i++) {
		snprintf(name, sizeof(name), "actor-%u", i);
		REQUIRE(actor_get(n.store, n.ns, name, &actors[i]) == 0);
		p[i] = append_start(actors[i], "x");
	}
	CHECK_EQ_UINT(faulty_calls(n.backend, FAULT_PUBLISH), APPEND_WINDOW);
	for (unsigned i = 0; i < ACTORS; i++) {
		CHECK_EQ_INT(append_wait(p[i]).err, 0);
		actor_put(actors[i]);
	}
	node_close(&n);
}

/* What waits for the window ends when its time is over. */
TEST(waiting_for_the_window_ends)
{
	static const struct fault_rule rules[] = { { FAULT_PUBLISH, FAULT_DROP, 1, 0, -ETIMEDOUT, 1000 * MS } };
	enum { ACTORS = APPEND_WINDOW + 8 };
	static struct actor *actors[ACTORS];
	static struct pending *p[ACTORS];
	struct node n;
	char name[32];

	REQUIRE(scripted(&n, NULL, rules, 1, 200 * MS));
	for (unsigned i = 0; i < ACTORS; i++) {
		snprintf(name, sizeof(name), "actor-%u", i);
		REQUIRE(actor_get(n.store, n.ns, name, &actors[i]) == 0);
		p[i] = append_start(actors[i], "x");
	}
	for (unsigned i = ACTORS; i-- > APPEND_WINDOW;)
		CHECK_EQ_INT(append_wait(p[i]).err, -ETIMEDOUT);
	for (unsigned i = 0; i < ACTORS; i++)
		actor_put(actors[i]);
	/* Those in flight end with the backend. */
	node_close(&n);
	for (unsigned i = 0; i < APPEND_WINDOW; i++)
		CHECK_EQ_INT(append_wait(p[i]).err, -ETIMEDOUT);
}

/* Far more than a stack would hold if each began the next. */
TEST(a_long_queue)
{
	enum { COUNT = 20000 };
	static const struct fault_rule rule = { FAULT_PUBLISH, FAULT_DELAY, 1, 1, 0, 300 * MS };
	struct pending **pending = calloc(COUNT, sizeof(struct pending *));
	struct node n;
	struct head end;

	REQUIRE(scripted(&n, NULL, &rule, 1, 60000 * MS));
	for (unsigned i = 0; i < COUNT; i++)
		pending[i] = append_start(n.a, "x\n");
	for (unsigned i = 0; i < COUNT; i++)
		CHECK_EQ_UINT(append_wait(pending[i]).version, i + 1);
	check_chain(shared, n.ns, "a", NULL, &end);
	CHECK_EQ_UINT(end.count, COUNT);
	free(pending);
	node_close(&n);
}

/* What a replica lacks that is behind is neither lost nor erased. */
TEST(a_replica_that_lags)
{
	static const struct fault_rule rules[] = { { FAULT_GET, FAULT_LAG, 1, 0, 0, 0 },
		{ FAULT_SCAN, FAULT_LAG, 1, 0, 0, 0 } };
	struct node n, lagging;
	struct buf all = { 0 }, got = { 0 };
	struct head head;

	REQUIRE(scripted(&n, NULL, NULL, 0, 2000 * MS));
	CHECK_EQ_INT(append(n.a, "x\n{\"eventType\":\"T\",\"id\":\"known\"}").err, 0);
	for (int i = 0; i < 40; i++)
		CHECK_EQ_INT(append(n.a, "x").err, 0);
	REQUIRE(scripted(&lagging, &n, rules, MANY(rules), 2000 * MS));
	check_chain(shared, n.ns, "a", &all, &head);
	CHECK_EQ_INT(read_all(lagging.a, 0, &got), 0);
	CHECK_EQ_MEM(got.p, got.len, all.p, all.len);
	CHECK_EQ_UINT(append(lagging.a, "{\"eventType\":\"T\",\"id\":\"known\"}").version, 2);
	CHECK_EQ_UINT(append(lagging.a, "{\"eventType\":\"T\",\"id\":\"known\",\"version\":2}").version, 2);
	/* Own appends are not forgotten for an older answer. */
	CHECK_EQ_UINT(append(lagging.a, "own").version, 43);
	CHECK_EQ_INT(actor_head(lagging.a, 1, false, &head), 0);
	CHECK_EQ_UINT(head.version, 43);
	buf_free(&all);
	buf_free(&got);
	node_close(&lagging);
	node_close(&n);
}

/*
 * What stands behind a base that is out of date may be of a life that is over: that the id is there, with other content, says nothing.
 */
TEST(an_unknown_outcome_and_an_erased_id)
{
	static const struct fault_rule lost = { FAULT_PUBLISH, FAULT_DROP, 2, 1, -ETIMEDOUT, MS };
	static const char known[] = "{\"eventType\":\"T\",\"id\":\"known\"}";
	struct node n, late;
	struct head end;

	REQUIRE(scripted(&late, NULL, &lost, 1, 2000 * MS) && scripted(&n, &late, NULL, 0, 2000 * MS));
	CHECK_EQ_UINT(append(late.a, "x").version, 1);
	CHECK_EQ_UINT(append(n.a, known).version, 2);
	check_chain(shared, n.ns, "a", NULL, &end);
	struct record r = record_tombstone(end.seq, end.time_us + 1);
	CHECK_EQ_INT(publish_raw(shared, n.ns, "a", &r), 0);
	CHECK_EQ_UINT(append(late.a, "{\"eventType\":\"T\",\"id\":\"known\",\"data\":{\"other\":1}}").version, 1);
	check_stored(&n, "\"other\"", 1);
	node_close(&n);
	node_close(&late);
}

/* The tombstone's acknowledgement is lost, or it arrives late; and so with what takes away what was before it. */
static void
erased_once(const struct fault_rule *rules, size_t count)
{
	struct node n;
	struct head end;

	REQUIRE(scripted(&n, NULL, rules, count, 3000 * MS));
	CHECK_EQ_UINT(append(n.a, "x").version, 1);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	check_chain(shared, n.ns, "a", NULL, &end);
	CHECK(!head_is_there(&end));
	CHECK_EQ_UINT(append(n.a, "y").version, 1);
	check_stored(&n, "\n", 1);
	node_close(&n);
}

TEST(erased_whatever_is_lost)
{
	static const struct fault_rule lost_ack = { FAULT_PUBLISH, FAULT_LOSE_ACK, 2, 1, -ETIMEDOUT, MS };
	static const struct fault_rule dropped = { FAULT_PUBLISH, FAULT_DROP, 2, 1, -ENOTCONN, MS };
	static const struct fault_rule stray = { FAULT_PUBLISH, FAULT_STRAY, 2, 1, -ETIMEDOUT, 20 * MS };
	static const struct fault_rule twice = { FAULT_PUBLISH, FAULT_DUPLICATE, 2, 1, 0, 0 };
	static const struct fault_rule purge[] = { { FAULT_PURGE, FAULT_REFUSE, 1, 2, -ENOTCONN, 0 },
		{ FAULT_PURGE, FAULT_LOSE_ACK, 3, 1, -ETIMEDOUT, 0 } };

	erased_once(&lost_ack, 1);
	erased_once(&dropped, 1);
	erased_once(&stray, 1);
	erased_once(&twice, 1);
	erased_once(purge, 2);
}

/* Whoever must erase is told when something of it is left, for he may have to see to it himself. */
TEST(a_purge_that_fails)
{
	static const struct fault_rule refused = { FAULT_PURGE, FAULT_REFUSE, 1, 0, -EACCES, 0 };
	struct node n;

	REQUIRE(scripted(&n, NULL, &refused, 1, 3000 * MS));
	CHECK_EQ_UINT(append(n.a, "x").version, 1);
	CHECK_EQ_INT(actor_erase(n.a), -EACCES);
	CHECK_EQ_INT(actor_head(n.a, 0, false, &(struct head){ 0 }), -ENOENT);
	CHECK_EQ_UINT(append(n.a, "y").version, 1);
	node_close(&n);
}

/* Reading the state costs what came after the snapshot, however much there was before: few questions, and nothing before it is read. */
TEST(the_state_reads_only_what_came_after_the_snapshot)
{
	enum { BEFORE = 50, LINES = 1000 };
	struct node n, cold;
	struct snapshots *sn;
	struct buf lines = { 0 }, got = { 0 };

	REQUIRE(scripted(&n, NULL, NULL, 0, 5000 * MS));
	REQUIRE(snapshots_new(&sn, n.store, BEFORE * LINES, NULL, NULL) == 0);
	for (int i = 0; i < LINES; i++)
		buf_puts(&lines, "{\"before\":1.10}\n");
	for (int i = 0; i < BEFORE; i++)
		CHECK_EQ_INT(append(n.a, buf_text(&lines)).err, 0);
	for (int64_t end = clock_mono(clock_system()) + 10000 * MS; snapshots_taken(n.store) == 0 && clock_mono(clock_system()) < end;)
		(void)head_of(n.a);
	CHECK_EQ_UINT(snapshots_taken(n.store), 1);
	CHECK_EQ_INT(append(n.a, "{\"after\":true}").err, 0);
	REQUIRE(scripted(&cold, &n, NULL, 0, 5000 * MS));
	CHECK_EQ_INT(snapshot_state(cold.a, &got), 0);
	CHECK_EQ_MEM(got.p, got.len, "{\"before\":1.10,\"after\":true}\n", strlen("{\"before\":1.10,\"after\":true}\n"));
	uint64_t gets = faulty_calls(cold.backend, FAULT_GET), scans = faulty_calls(cold.backend, FAULT_SCAN);
	printf("# %llu gets and %llu scans, and the snapshot itself\n", (unsigned long long)gets, (unsigned long long)scans);
	CHECK(gets + scans + 1 <= 20);
	/* And not one of the records before. */
	struct head head = head_of(cold.a);
	struct actor_bytes bytes = { 0 };
	gets += scans;
	CHECK_EQ_INT(actor_borrow(cold.a, &head, 0, 10, &bytes) > 0, true);
	CHECK(faulty_calls(cold.backend, FAULT_GET) + faulty_calls(cold.backend, FAULT_SCAN) > gets);
	actor_bytes_free(&bytes);
	buf_free(&got);
	buf_free(&lines);
	snapshots_stop(sn);
	node_close(&cold);
	node_close(&n);
	snapshots_free(sn);
}

static const struct check_test own[] = { T(the_state_reads_only_what_came_after_the_snapshot), T(a_lost_acknowledgement), T(a_lost_publish), T(a_publish_that_arrives_late),
	T(a_lost_acknowledgement_and_a_lost_check), T(answered_as_a_duplicate), T(all_completions_late),
	T(an_unknown_outcome_and_another_writer), T(creation_markers_survive), T(nothing_is_stored_after_a_refusal),
	T(a_refusal_after_an_unknown_outcome_is_unknown), T(no_answer_at_all_times_out), T(refused_without_a_cause),
	T(away_for_a_while), T(away_for_too_long), T(lost_while_a_head_was_asked_for),
	T(cancelled_before_it_was_sent), T(cancelled_before_it_began), T(cancelled_after_it_was_sent),
	T(what_waits_is_committed_together), T(ids_and_versions_go_alone), T(a_group_whose_acknowledgement_is_lost),
	T(a_group_that_is_lost), T(a_group_that_is_too_large_as_a_whole), T(publishes_in_flight_are_bounded),
	T(waiting_for_the_window_ends), T(a_long_queue), T(a_replica_that_lags),
	T(an_unknown_outcome_and_an_erased_id), T(erased_whatever_is_lost), T(a_purge_that_fails) };

int
main(int argc, char **argv)
{
	const struct contract c = { open_node, lose, 5 * NS_PER_SEC, false, true, 50 };

	if (memory_new(&shared, clock_system()) != 0)
		return 1;
	int failed = contract_run(&c, own, MANY(own), argc, argv);
	shared->ops->free(shared);
	return failed;
}
