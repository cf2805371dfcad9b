/* Appends that lose too many races and are handed over to another node: stored once, whatever becomes of them and of their answers. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "../../store/append.h"
#include "../../store/dedup.h"
#include "../faults/faulty.h"
#include "contract_node.h"
#include "relay.h"

#define MS NS_PER_MS
#define E(type, id) "{\"eventType\":\"" type "\",\"id\":\"" id "\"}\n"

/* The first append of a node loses as many races as it must to be handed over. */
static const struct fault_rule jam = { FAULT_PUBLISH, FAULT_REFUSE, 1, APPEND_RACES + 1, -ESTALE, 0 };
static const struct fault_rule slow = { FAULT_PUBLISH, FAULT_DELAY, 1, 0, 0, 10 * MS };

static bool
join_with(struct node *n, const struct node *first, const struct fault_rule *rule)
{
	struct faulty_options options = { .rules = rule, .rule_count = rule != NULL };
	struct backend *inner, *b;

	*n = (struct node){ .store = NULL };
	int err = contract_subject()->open(&inner);
	if (err == 0)
		err = faulty_new(&b, inner, true, clock_system(), &options);
	CHECK_EQ_INT(err, 0);
	return err == 0 && node_on(n, b, first, contract_subject()->timeout_ns);
}

/* Two nodes: what n hands over goes to owner. */
struct pair {
	struct node n, owner;
	struct relay *relay;
};

static bool
open_pair(struct pair *p, const struct fault_rule *of_owner)
{
	*p = (struct pair){ .relay = NULL };
	if (!join_with(&p->owner, NULL, of_owner) || !join_with(&p->n, &p->owner, &jam))
		return false;
	p->relay = relay_new(p->n.store, p->owner.store);
	return true;
}

static void
close_pair(struct pair *p)
{
	relay_settle(p->relay);
	node_close(&p->n);
	node_close(&p->owner);
	relay_free(p->relay);
}

/* So many events, with versions from 1 on and no hole, and each of these texts once. */
static void
check_all(struct pair *p, uint64_t count, const char *const *texts, size_t text_count)
{
	struct buf all = { 0 };
	struct head end;

	check_chain(p->owner.backend, p->owner.ns, "a", &all, &end);
	CHECK_EQ_UINT(end.count, count);
	CHECK_EQ_UINT(end.version, count);
	for (size_t i = 0; i < text_count; i++)
		CHECK_EQ_UINT(count_text(&all, texts[i]), 1);
	buf_free(&all);
}

static uint64_t
last_node(const struct node *n)
{
	struct backend_get last = { .kind = GET_LAST, .fresh = true };
	struct owned_record r = { 0 };
	int err = wait_get(n->backend, clock_system(), (struct actor_name){ n->ns, "a" }, last,
	    clock_mono(clock_system()) + 5 * NS_PER_SEC, &r);

	CHECK_EQ_INT(err, 0);
	uint64_t node = r.record.node;
	owned_record_free(&r);
	return node;
}

TEST(who_loses_too_many_races_hands_over)
{
	static const char *const texts[] = { "\"before\"", "\"one\"", "\"two\"", "\"three\"" };
	struct pair p;
	struct head head;

	REQUIRE(open_pair(&p, NULL));
	CHECK_EQ_UINT(append(p.owner.a, "before").version, 1);
	struct outcome o = append(p.n.a, "one\ntwo\n");
	CHECK_EQ_INT(o.err, 0);
	CHECK_EQ_UINT(o.version, 3);
	CHECK_EQ_UINT(o.consumed, strlen("one\ntwo\n"));
	CHECK_EQ_UINT(relay_count(p.relay), 1);
	CHECK_EQ_UINT(last_node(&p.n), store_node(p.n.store));
	/* Its own writes are known here without asking anybody, */
	CHECK_EQ_INT(actor_head(p.n.a, INT64_MAX, false, &head), 0);
	CHECK_EQ_UINT(head.version, 3);
	/* and what comes next goes the same way without a race. */
	uint64_t publishes = faulty_calls(p.n.backend, FAULT_PUBLISH);
	CHECK_EQ_UINT(append(p.n.a, "three").version, 4);
	CHECK_EQ_UINT(relay_count(p.relay), 2);
	CHECK_EQ_UINT(faulty_calls(p.n.backend, FAULT_PUBLISH), publishes);
	check_all(&p, 4, texts, MANY(texts));
	close_pair(&p);
}

/* Whoever is told that an append has ended may be faster than the next one, which begins afterwards. */
static void
wait_count(const struct relay *r, unsigned count)
{
	int64_t until_ns = clock_mono(clock_system()) + 5 * NS_PER_SEC;

	while (relay_count(r) < count && clock_mono(clock_system()) < until_ns)
		sched_yield();
	CHECK(relay_count(r) >= count);
}

/* What waits meanwhile is handed over together, and each gets its version. */
static void
in_groups(enum relay_way way)
{
	enum { COUNT = 20 };
	struct pending *pending[COUNT];
	struct pair p;
	char line[32];
	const char *text = line;

	REQUIRE(open_pair(&p, NULL));
	CHECK_EQ_UINT(append(p.n.a, "first").version, 1);
	relay_set(p.relay, way, 20 * MS);
	relay_hold(p.relay);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), "x%u\n%s", i, i % 2 ? "more\n" : "");
		pending[i] = append_start(p.n.a, line);
		wait_count(p.relay, 2);
		/* Of which no answer comes is handed over once more. */
		CHECK(relay_count(p.relay) <= (way == RELAY_ANSWER ? 2 : 3));
	}
	struct pending *given = append_start(p.n.a, E("T", "given"));
	relay_release(p.relay);
	for (unsigned i = 0; i < COUNT; i++) {
		struct outcome o = append_wait(pending[i]);
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, 2 + i + (i + 1) / 2);
		snprintf(line, sizeof(line), "x%u\n%s", i, i % 2 ? "more\n" : "");
		CHECK_EQ_UINT(o.consumed, strlen(line));
	}
	/* One with ids of its user's is not handed over. */
	CHECK_EQ_UINT(append_wait(given).version, 2 + COUNT + COUNT / 2);
	if (way == RELAY_ANSWER)
		CHECK_EQ_UINT(relay_count(p.relay), 3);
	if (way == RELAY_ANSWER)
		CHECK_EQ_UINT(relay_lines(p.relay), 1 + COUNT + COUNT / 2);
	relay_settle(p.relay);
	text = "\"x19\"";
	check_all(&p, 2 + COUNT + COUNT / 2, &text, 1);
	close_pair(&p);
}

TEST(who_waits_is_handed_over_together)
{
	in_groups(RELAY_ANSWER);
}

TEST(groups_of_which_no_answer_comes)
{
	in_groups(RELAY_LOSE);
	in_groups(RELAY_LATE);
	in_groups(RELAY_DROP);
}

TEST(who_is_refused_appends_himself)
{
	static const char *const texts[] = { "\"before\"", "\"one\"", "\"two\"" };
	static const enum relay_way ways[] = { RELAY_NOBODY, RELAY_TURN_AWAY, RELAY_FAIL };

	for (size_t i = 0; i < MANY(ways); i++) {
		struct pair p;
		REQUIRE(open_pair(&p, NULL));
		relay_set(p.relay, ways[i], 5 * MS);
		CHECK_EQ_UINT(append(p.owner.a, "before").version, 1);
		CHECK_EQ_UINT(append(p.n.a, "one").version, 2);
		CHECK_EQ_UINT(append(p.n.a, "two").version, 3);
		/* That it was is remembered. */
		CHECK_EQ_UINT(relay_count(p.relay), 1);
		CHECK_EQ_UINT(last_node(&p.n), store_node(p.n.store));
		check_all(&p, 3, texts, MANY(texts));
		close_pair(&p);
	}
}

/* The owner stores it, before or after the one who has handed it over looks, or never; then he does. */
TEST(an_answer_that_is_lost)
{
	static const char *const texts[] = { "\"before\"", "\"one\"", "\"two\"", "\"three\"" };
	static const enum relay_way ways[] = { RELAY_LOSE, RELAY_LATE, RELAY_LATE, RELAY_LATE, RELAY_DROP };
	static const int64_t delays[] = { 0, 0, 1 * MS, 50 * MS, 0 };

	for (size_t i = 0; i < MANY(ways); i++) {
		struct pair p;
		REQUIRE(open_pair(&p, i % 2 ? &slow : NULL));
		relay_set(p.relay, ways[i], delays[i]);
		CHECK_EQ_UINT(append(p.owner.a, "before").version, 1);
		CHECK_EQ_UINT(append(p.n.a, "one\ntwo").version, 3);
		CHECK_EQ_UINT(append(p.n.a, "three").version, 4);
		relay_settle(p.relay);
		CHECK_EQ_UINT(append(p.owner.a, "after").version, 5);
		check_all(&p, 5, texts, MANY(texts));
		close_pair(&p);
	}
}

/* The owner has looked, and publishes only when the other has long stored it himself, and more. */
TEST(an_owner_that_was_stopped)
{
	static const struct fault_rule stopped = { FAULT_PUBLISH, FAULT_DELAY, 3, 1, 0, 100 * MS };
	static const struct fault_rule stray[] = { { FAULT_PUBLISH, FAULT_STRAY, 3, 1, -ETIMEDOUT, 100 * MS } };
	static const char *const texts[] = { "\"one\"", "\"two\"", "\"three\"" };
	const struct fault_rule *const rules[] = { &stopped, stray };

	for (size_t i = 0; i < MANY(rules); i++) {
		struct pair p;
		REQUIRE(open_pair(&p, rules[i]));
		CHECK_EQ_UINT(append(p.owner.a, "before").version, 1);
		CHECK_EQ_UINT(append(p.n.a, "first").version, 2);
		relay_set(p.relay, RELAY_LATE, 0);
		CHECK_EQ_INT(append(p.n.a, "one\ntwo").err, 0);
		CHECK_EQ_INT(append(p.n.a, "three").err, 0);
		relay_settle(p.relay);
		check_all(&p, 5, texts, MANY(texts));
		close_pair(&p);
	}
}

static void
append_many(struct node *n)
{
	unsigned count = contract_subject()->flaky ? 50 : DEDUP_RECORDS_MAX + 50;

	for (unsigned i = 0; i < count; i++)
		CHECK_EQ_INT(append(n->a, "other").err, 0);
}

/* More has been stored since than is looked through for ids that a user gives. */
static void
after_many(enum relay_way way)
{
	static const char *const texts[] = { "\"first\"", "\"one\"", "\"two\"" };
	struct pair p;
	struct node other;

	REQUIRE(open_pair(&p, &slow) && node_join(&other, &p.owner));
	CHECK_EQ_UINT(append(p.n.a, "first").version, 1);
	relay_set(p.relay, way, 0);
	relay_hold(p.relay);
	struct pending *pending = append_start(p.n.a, "one\ntwo\n"), *own[2];
	if (way == RELAY_LATE) {
		CHECK_EQ_UINT(append_wait(pending).version, 3);
		append_many(&other);
		CHECK_EQ_INT(append(p.owner.a, E("T", "makes it look back")).err, 0);
	}
	/* They share a record with another, whose id is the one that the server knows. */
	own[0] = append_start(p.owner.a, "own");
	own[1] = append_start(p.owner.a, "own");
	relay_release(p.relay);
	CHECK_EQ_INT(append_wait(own[0]).err, 0);
	CHECK_EQ_INT(append_wait(own[1]).err, 0);
	if (way != RELAY_LATE) {
		while (head_of(other.a).version < 5)
			sched_yield();
		append_many(&other);
		CHECK_EQ_UINT(append_wait(pending).version, 5);
	}
	relay_settle(p.relay);
	check_all(&p, head_of(other.a).version, texts, MANY(texts));
	node_close(&other);
	close_pair(&p);
}

TEST(an_answer_that_is_lost_and_much_that_came_since)
{
	after_many(RELAY_MUTE);
	after_many(RELAY_LATE);
}

/* Erased and made anew in between: what was handed over is of the life before. */
TEST(an_owner_that_finds_another_life)
{
	static const char *const texts[] = { "\"anew\"", "\"late\"" };

	for (int i = 0; i < 2; i++) {
		struct pair p;
		REQUIRE(open_pair(&p, NULL));
		CHECK_EQ_INT(append(p.n.a, "gone").err, 0);
		if (i == 1)
			relay_set(p.relay, RELAY_MUTE, 0);
		relay_hold(p.relay);
		struct pending *late = append_start(p.n.a, "late");
		CHECK_EQ_INT(actor_erase(p.owner.a), 0);
		CHECK_EQ_UINT(append(p.owner.a, "anew").version, 1);
		relay_release(p.relay);
		/* Refused, so it is of the new life; or nobody can tell. */
		CHECK_EQ_INT(append_wait(late).err, i == 0 ? 0 : -ETIMEDOUT);
		relay_settle(p.relay);
		check_all(&p, i == 0 ? 2 : 1, texts, i == 0 ? 2 : 1);
		close_pair(&p);
	}
}

/* The owner knows what it has stored: handing over costs no question, and many are one record. */
TEST(an_owner_does_not_read)
{
	enum { COUNT = 50 };
	struct pending *pending[COUNT];
	struct pair p;
	struct node more;
	char line[32];

	REQUIRE(open_pair(&p, &slow) && join_with(&more, &p.owner, &jam));
	struct relay *second = relay_new(more.store, p.owner.store);
	CHECK_EQ_INT(append(p.owner.a, "before").err, 0);
	CHECK_EQ_INT(append(p.n.a, "one").err, 0);
	CHECK_EQ_INT(append(more.a, "two").err, 0);
	uint64_t gets = faulty_calls(p.owner.backend, FAULT_GET), publishes = faulty_calls(p.owner.backend, FAULT_PUBLISH);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), "x%u", i);
		pending[i] = append_start(i % 3 == 0 ? p.owner.a : i % 3 == 1 ? p.n.a : more.a, line);
	}
	for (unsigned i = 0; i < COUNT; i++)
		CHECK_EQ_INT(append_wait(pending[i]).err, 0);
	relay_settle(p.relay);
	relay_settle(second);
	if (!contract_subject()->flaky) {
		CHECK_EQ_UINT(faulty_calls(p.owner.backend, FAULT_GET), gets);
		CHECK(faulty_calls(p.owner.backend, FAULT_PUBLISH) - publishes < COUNT / 3);
	}
	check_all(&p, COUNT + 3, NULL, 0);
	node_close(&more);
	close_pair(&p);
	relay_free(second);
}

/* A record says whose it is if it is of one node. */
TEST(whose_lines_a_record_holds)
{
	struct pair p;

	REQUIRE(open_pair(&p, &slow));
	CHECK_EQ_INT(append(p.n.a, "one").err, 0);
	CHECK_EQ_UINT(last_node(&p.n), store_node(p.n.store));
	struct pending *first = append_start(p.owner.a, "first"), *second = append_start(p.owner.a, "second"),
		       *third = append_start(p.n.a, "third");
	CHECK_EQ_INT(append_wait(first).err, 0);
	CHECK_EQ_INT(append_wait(second).err, 0);
	CHECK_EQ_INT(append_wait(third).err, 0);
	CHECK_EQ_UINT(head_of(p.n.a).version, 4);
	if (!contract_subject()->flaky)
		CHECK_EQ_UINT(last_node(&p.n), 0);
	relay_settle(p.relay);
	CHECK_EQ_INT(append(p.owner.a, "own").err, 0);
	CHECK_EQ_UINT(last_node(&p.n), store_node(p.owner.store));
	close_pair(&p);
}

/* Lines with ids and without versions share records like others, unless an id is there already. */
TEST(lines_with_ids_in_groups)
{
	enum { COUNT = 60 };
	struct pending *pending[COUNT], *again[COUNT];
	struct pair p;
	char line[80];

	REQUIRE(open_pair(&p, &slow));
	CHECK_EQ_INT(append(p.owner.a, E("T", "before")).err, 0);
	uint64_t publishes = faulty_calls(p.owner.backend, FAULT_PUBLISH);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), E("T", "id-%u") "%s", i, i % 3 ? "" : "text\n");
		pending[i] = append_start(p.owner.a, line);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		struct outcome o = append_wait(pending[i]);
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, 3 + i + i / 3);
	}
	if (!contract_subject()->flaky)
		CHECK(faulty_calls(p.owner.backend, FAULT_PUBLISH) - publishes <= 4);
	/* The same again, each twice at the same time, and some with other content. */
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), E("T", "%s-%u"), i < COUNT / 2 ? "id" : "new", i - i % 2);
		pending[i] = append_start(p.owner.a, line);
		snprintf(line, sizeof(line), E("U", "%s-%u"), i < COUNT / 2 ? "id" : "new", i - i % 2);
		again[i] = append_start(p.owner.a, line);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		CHECK_EQ_INT(append_wait(pending[i]).err, 0);
		CHECK_EQ_INT(append_wait(again[i]).err, -EEXIST);
	}
	check_all(&p, 1 + COUNT + COUNT / 3 + COUNT / 4, NULL, 0);
	close_pair(&p);
}

TEST(what_is_handed_over_brings_ids)
{
	static const char *const lines[] = { "text", E("T", "i") "text", "{\"eventType\":\"T\",\"id\":\"i\",\"version\":1}" };
	struct pair p;

	REQUIRE(open_pair(&p, NULL));
	for (size_t i = 0; i < MANY(lines); i++) {
		struct pending *pending = append_start_forwarded(p.owner.a, lines[i], 0, 0);
		CHECK_EQ_INT(append_wait(pending).err, -EINVAL);
	}
	CHECK_EQ_UINT(append_wait(append_start_forwarded(p.owner.a, E("T", "i") E("T", "k"), 0, 0)).version, 2);
	CHECK_EQ_UINT(append_wait(append_start_forwarded(p.owner.a, E("T", "i") E("T", "k"), 0, 0)).version, 2);
	CHECK_EQ_INT(append_wait(append_start_forwarded(p.owner.a, E("T", "x"), 0, 7)).err, -EHOSTUNREACH);
	CHECK_EQ_INT(append_wait(append_start_forwarded(p.owner.a, E("T", "x"), 1000000, 0)).err, -EHOSTUNREACH);
	check_all(&p, 2, NULL, 0);
	close_pair(&p);
}

const struct check_test contract_forward_tests[] = { T(who_loses_too_many_races_hands_over),
	T(who_waits_is_handed_over_together), T(groups_of_which_no_answer_comes), T(who_is_refused_appends_himself),
	T(an_answer_that_is_lost), T(an_answer_that_is_lost_and_much_that_came_since), T(an_owner_that_was_stopped), T(an_owner_that_finds_another_life),
	T(an_owner_does_not_read), T(whose_lines_a_record_holds), T(lines_with_ids_in_groups),
	T(what_is_handed_over_brings_ids) };
const size_t contract_forward_count = MANY(contract_forward_tests);
