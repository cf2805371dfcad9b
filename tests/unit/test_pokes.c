/* What is told of other nodes' changes: order, merging, pace. Time is a number here. */
#include <stdlib.h>

#include "../../fs/pokes.h"
#include "check.h"

#define MS NS_PER_MS
#define START (1000 * NS_PER_SEC)

static struct pokes p;

static void
record(const char *actor, bool made, bool changed, int64_t at_ns)
{
	struct poke_news news = { .made = made, .changed = changed, .head = { .seq = (uint64_t)at_ns } };

	CHECK_EQ_INT(pokes_record(&p, "ns", actor, &news, at_ns), 0);
}

static void
erased(const char *actor, int64_t at_ns)
{
	struct poke_news news = { .gone = true };

	CHECK_EQ_INT(pokes_record(&p, "ns", actor, &news, at_ns), 0);
}

static void
own(const char *actor, bool made, int64_t at_ns)
{
	struct poke_news news = { .own = true, .made = made, .changed = true };

	CHECK_EQ_INT(pokes_record(&p, "ns", actor, &news, at_ns), 0);
}

/* All that is due, each name carried out at once: "a:made+ b:changed", a plus where the making is a change as well. */
static const char *
tell(int64_t now_ns)
{
	static char text[4096];
	static const char *const words[] = { "none", "gone", "made", "changed" };
	struct poke *k;

	text[0] = '\0';
	while ((k = pokes_take(&p, now_ns)) != NULL) {
		do
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s:%s%s", text[0] != '\0' ? " " : "",
			    k->actor != NULL ? k->actor : k->ns, words[k->step], k->with_change ? "+" : "");
		while (pokes_next_step(&p, k, now_ns));
	}
	return text;
}

static void
a_change_is_told_at_once(void)
{
	record("a", false, true, START);
	CHECK_EQ_UINT(pokes_waiting(&p), 1);
	CHECK(pokes_due(&p, START) <= START);
	CHECK_EQ_STR(tell(START), "a:changed");
	CHECK_EQ_UINT(pokes_waiting(&p), 0);
}

static void
what_is_made_waits_for_its_append(void)
{
	record("a", true, false, START);
	CHECK_EQ_STR(tell(START + 1 * MS), "");
	CHECK_EQ_INT(pokes_due(&p, START + 1 * MS), START + POKES_HATCH_NS);
	record("a", false, true, START + 2 * MS);
	CHECK_EQ_STR(tell(START + 2 * MS), "a:made+");
}

static void
what_is_only_made_is_told_soon(void)
{
	record("a", true, false, START);
	CHECK_EQ_STR(tell(START + POKES_HATCH_NS), "a:made");
	record("a", false, true, START + 6 * MS);
	CHECK_EQ_STR(tell(START + 6 * MS), "");
	CHECK_EQ_STR(tell(START + POKES_HATCH_NS + POKES_REST_NS), "a:changed");
}

static void
changes_are_merged_while_a_name_rests(void)
{
	record("a", false, true, START);
	CHECK_EQ_STR(tell(START), "a:changed");
	for (int i = 1; i <= 5; i++)
		record("a", false, true, START + i * MS);
	CHECK_EQ_STR(tell(START + 9 * MS), "");
	CHECK_EQ_INT(pokes_due(&p, START + 9 * MS), START + POKES_REST_NS);
	CHECK_EQ_STR(tell(START + POKES_REST_NS), "a:changed");
	CHECK_EQ_STR(tell(START + 2 * POKES_REST_NS), "");
	/* Nothing of it is left. */
	CHECK_EQ_INT(pokes_due(&p, START + 2 * POKES_REST_NS), INT64_MAX);
	CHECK(pokes_find(&p, "ns", "a") == NULL);
}

static void
what_comes_while_it_is_told_is_told_afterwards(void)
{
	record("a", false, true, START);
	struct poke *k = pokes_take(&p, START);
	REQUIRE(k != NULL);
	record("a", false, true, START);
	CHECK(pokes_take(&p, START) == NULL);
	CHECK(!pokes_next_step(&p, k, START + 1 * MS));
	CHECK_EQ_UINT(pokes_waiting(&p), 1);
	CHECK_EQ_STR(tell(START + 1 * MS + POKES_REST_NS), "a:changed");
}

static void
a_quiet_name_is_not_behind_a_loud_one(void)
{
	record("loud", false, true, START);
	CHECK_EQ_STR(tell(START), "loud:changed");
	record("loud", false, true, START + 1 * MS);
	record("quiet", false, true, START + 2 * MS);
	CHECK_EQ_STR(tell(START + 2 * MS), "quiet:changed");
	CHECK_EQ_STR(tell(START + 10 * MS), "loud:changed");
}

static void
many_loud_names_do_not_hold_up_a_quiet_one(void)
{
	enum { LOUD = 200 };
	int64_t now = START;
	size_t told = 0;
	char name[16];

	for (int i = 0; i < 1000; i++, now += MS) {
		for (int n = 0; n < LOUD; n++) {
			snprintf(name, sizeof(name), "l%d", n);
			record(name, false, true, now);
		}
		if (i % 50 == 7)
			record("quiet", false, true, now);
		bool quiet = i % 50 != 7;
		struct poke *k;
		while ((k = pokes_take(&p, now)) != NULL) {
			quiet = quiet || strcmp(k->actor, "quiet") == 0;
			told++;
			CHECK(!pokes_next_step(&p, k, now));
		}
		CHECK(quiet);
	}
	/* Each once at first, and then as many as they may all together. */
	CHECK(told >= POKES_RATE_AGAIN && told <= LOUD + POKES_RATE_AGAIN + 20);
}

static void
names_are_told_in_their_order(void)
{
	record("b", false, true, START);
	record("a", true, true, START);
	record("c", false, true, START);
	record("b", false, true, START);
	CHECK_EQ_STR(tell(START), "b:changed a:made+ c:changed");
}

static void
erasures(void)
{
	erased("a", START);
	CHECK_EQ_STR(tell(START), "a:gone");
	record("b", false, true, START);
	erased("b", START);
	CHECK_EQ_STR(tell(START), "b:changed b:gone");
	record("c", true, true, START);
	erased("c", START);
	CHECK_EQ_STR(tell(START), "c:made+ c:gone");
	erased("d", START);
	record("d", true, true, START);
	CHECK_EQ_STR(tell(START), "d:gone d:made+");
	/* Another life each time: what was there before goes, and the last one comes. */
	record("e", false, true, START);
	erased("e", START);
	record("e", true, false, START);
	erased("e", START);
	record("e", true, true, START);
	CHECK_EQ_STR(tell(START), "e:gone e:made+");
	record("f", true, true, START);
	erased("f", START);
	record("f", true, true, START);
	CHECK_EQ_STR(tell(START), "f:made+");
}

static void
own_records_are_not_told(void)
{
	own("a", true, START);
	own("a", false, START);
	CHECK_EQ_INT(pokes_due(&p, START), INT64_MAX);
}

static void
a_doubtful_append_is_told_now_and_when_it_comes(void)
{
	pokes_doubt(&p, "ns", "a", START);
	CHECK_EQ_STR(tell(START), "a:changed");
	CHECK_EQ_STR(tell(START + 1 * NS_PER_SEC), "");
	own("a", false, START + 2 * NS_PER_SEC);
	CHECK_EQ_STR(tell(START + 2 * NS_PER_SEC), "a:changed");
	own("a", false, START + 3 * NS_PER_SEC);
	CHECK_EQ_STR(tell(START + 3 * NS_PER_SEC), "");
	/* Not for ever. */
	pokes_doubt(&p, "ns", "b", START);
	CHECK_EQ_STR(tell(START + 4 * NS_PER_SEC), "b:changed");
	CHECK_EQ_STR(tell(START + 5 * NS_PER_SEC), "");
	CHECK_EQ_STR(tell(START + 5 * NS_PER_SEC + POKES_KEEP_NS), "");
	CHECK(pokes_find(&p, "ns", "b") == NULL);
}

static void
what_the_kernel_makes_itself_is_not_made_again(void)
{
	/* Before the record comes, while it waits, and while it is being told. */
	pokes_made_here(&p, "ns", "a", true, START);
	record("a", true, true, START);
	CHECK_EQ_STR(tell(START), "a:changed");
	record("b", true, false, START);
	pokes_made_here(&p, "ns", "b", true, START);
	CHECK_EQ_STR(tell(START + POKES_HATCH_NS), "");
	record("c", true, true, START);
	struct poke *k = pokes_take(&p, START + POKES_HATCH_NS);
	REQUIRE(k != NULL && k->step == POKE_MADE);
	pokes_made_here(&p, "ns", "c", true, START);
	CHECK_EQ_INT(k->step, POKE_NONE);
	CHECK(!pokes_next_step(&p, k, START));
	CHECK_EQ_STR(tell(START + POKES_REST_NS), "c:changed");
}

static void
what_the_kernel_makes_anew_is_not_removed(void)
{
	erased("a", START);
	pokes_made_here(&p, "ns", "a", false, START);
	CHECK_EQ_STR(tell(START), "");
	CHECK_EQ_INT(pokes_namespace(&p, "n", false, START), 0);
	struct poke *k = pokes_take(&p, START);
	REQUIRE(k != NULL && k->step == POKE_GONE);
	pokes_made_here(&p, "n", NULL, false, START);
	CHECK_EQ_INT(k->step, POKE_NONE);
	CHECK(!pokes_next_step(&p, k, START));
	CHECK_EQ_STR(tell(START + NS_PER_SEC), "");
}

static void
what_the_kernel_removes_itself_is_over(void)
{
	record("a", true, true, START);
	pokes_gone_here(&p, "ns", "a", START);
	CHECK_EQ_STR(tell(START), "");
	record("b", true, true, START);
	struct poke *k = pokes_take(&p, START);
	REQUIRE(k != NULL && k->step == POKE_MADE);
	record("b", false, true, START);
	pokes_gone_here(&p, "ns", "b", START);
	CHECK_EQ_INT(k->step, POKE_NONE);
	CHECK(!pokes_next_step(&p, k, START));
	CHECK_EQ_STR(tell(START + NS_PER_SEC), "");
}

static void
namespaces(void)
{
	CHECK_EQ_INT(pokes_namespace(&p, "n", true, START), 0);
	CHECK_EQ_STR(tell(START), "n:made");
	CHECK_EQ_INT(pokes_namespace(&p, "n", false, START), 0);
	CHECK_EQ_INT(pokes_namespace(&p, "n", true, START), 0);
	CHECK_EQ_STR(tell(START + POKES_REST_NS), "n:gone n:made");
	CHECK_EQ_INT(pokes_namespace(&p, "m", true, START), 0);
	pokes_made_here(&p, "m", NULL, false, START);
	CHECK_EQ_STR(tell(START + POKES_REST_NS), "");
	CHECK_EQ_INT(pokes_namespace(&p, "m", false, START), 0);
	pokes_gone_here(&p, "m", NULL, START);
	CHECK_EQ_STR(tell(START + POKES_REST_NS), "");
}

static void
what_was_being_told_is_told_again(void)
{
	erased("a", START);
	record("a", true, true, START);
	struct poke *k = pokes_take(&p, START);
	REQUIRE(k != NULL && k->step == POKE_GONE);
	pokes_put_back(&p, k, START);
	CHECK_EQ_UINT(pokes_waiting(&p), 1);
	k = pokes_take(&p, START);
	REQUIRE(k != NULL && pokes_next_step(&p, k, START) && k->step == POKE_MADE && k->with_change);
	erased("a", START);
	pokes_put_back(&p, k, START);
	CHECK_EQ_STR(tell(START), "a:made+ a:gone");
}

static void
what_nobody_can_see_is_forgotten(void)
{
	struct poke_news news = { .changed = true };

	record("a", false, true, START);
	record("b", true, false, START);
	CHECK_EQ_INT(pokes_record(&p, "other", "a", &news, START), 0);
	pokes_namespace(&p, "ns", false, START);
	pokes_forget(&p, "ns");
	CHECK_EQ_UINT(pokes_waiting(&p), 2);
	CHECK_EQ_STR(tell(START), "a:changed ns:gone");
}

static void
the_pace_has_a_burst_and_then_a_limit(void)
{
	char name[16];
	size_t told = 0;

	for (int i = 0; i < POKES_BURST + 500; i++) {
		snprintf(name, sizeof(name), "a%d", i);
		record(name, true, true, START);
	}
	for (struct poke *k; (k = pokes_take(&p, START)) != NULL; told++)
		CHECK(!pokes_next_step(&p, k, START));
	CHECK(told >= POKES_BURST && told <= POKES_BURST + 2);
	CHECK(pokes_due(&p, START) > START);
	told = 0;
	for (struct poke *k; (k = pokes_take(&p, START + 100 * MS)) != NULL; told++)
		CHECK(!pokes_next_step(&p, k, START + 100 * MS));
	CHECK(told >= POKES_RATE / 10 - 1 && told <= POKES_RATE / 10 + 1);
}

/* Whatever comes in whatever order: each name that changed is told, and is told what it is in the end. */
static void
nothing_is_missed(void)
{
	enum { NAMES = 20, STEPS = 20000 };
	bool exists[NAMES] = { 0 }, seen[NAMES] = { 0 }, news[NAMES] = { 0 };
	int64_t now = START;
	struct poke *k;

	srand(1);
	for (int i = 0; i < STEPS + 4000; i++) {
		int n = rand() % NAMES;
		char name[8];
		snprintf(name, sizeof(name), "%d", n);
		now += rand() % (2 * MS);
		if (i < STEPS && exists[n] && rand() % 5 == 0) {
			erased(name, now);
			exists[n] = false;
			news[n] = true;
		} else if (i < STEPS) {
			record(name, !exists[n], true, now);
			exists[n] = news[n] = true;
		}
		while (rand() % 3 != 0 && (k = pokes_take(&p, now)) != NULL) {
			int which = atoi(k->actor);
			bool more = true;
			if (rand() % 20 == 0) {
				pokes_put_back(&p, k, now);
				continue;
			}
			for (; more; more = pokes_next_step(&p, k, now))
				seen[which] = k->step != POKE_GONE;
			news[which] = false;
		}
	}
	for (int n = 0; n < NAMES; n++)
		CHECK(seen[n] == exists[n] && !news[n]);
	CHECK_EQ_UINT(pokes_waiting(&p), 0);
}


/* Each test has names of its own. */
#define FRESH(test)                                                                                                    \
	static void fresh_##test(void)                                                                                 \
	{                                                                                                              \
		pokes_init(&p);                                                                                        \
		test();                                                                                                \
		pokes_free(&p);                                                                                        \
	}

FRESH(a_change_is_told_at_once)
FRESH(what_is_made_waits_for_its_append)
FRESH(what_is_only_made_is_told_soon)
FRESH(changes_are_merged_while_a_name_rests)
FRESH(what_comes_while_it_is_told_is_told_afterwards)
FRESH(a_quiet_name_is_not_behind_a_loud_one)
FRESH(many_loud_names_do_not_hold_up_a_quiet_one)
FRESH(names_are_told_in_their_order)
FRESH(erasures)
FRESH(own_records_are_not_told)
FRESH(a_doubtful_append_is_told_now_and_when_it_comes)
FRESH(what_the_kernel_makes_itself_is_not_made_again)
FRESH(what_the_kernel_makes_anew_is_not_removed)
FRESH(what_the_kernel_removes_itself_is_over)
FRESH(namespaces)
FRESH(what_was_being_told_is_told_again)
FRESH(what_nobody_can_see_is_forgotten)
FRESH(the_pace_has_a_burst_and_then_a_limit)
FRESH(nothing_is_missed)

#define F(test) ((struct check_test){ #test, fresh_##test })

TESTS(F(a_change_is_told_at_once),
    F(what_is_made_waits_for_its_append),
    F(what_is_only_made_is_told_soon),
    F(changes_are_merged_while_a_name_rests),
    F(what_comes_while_it_is_told_is_told_afterwards),
    F(a_quiet_name_is_not_behind_a_loud_one),
    F(many_loud_names_do_not_hold_up_a_quiet_one),
    F(names_are_told_in_their_order),
    F(erasures),
    F(own_records_are_not_told),
    F(a_doubtful_append_is_told_now_and_when_it_comes),
    F(what_the_kernel_makes_itself_is_not_made_again),
    F(what_the_kernel_makes_anew_is_not_removed),
    F(what_the_kernel_removes_itself_is_over),
    F(namespaces),
    F(what_was_being_told_is_told_again),
    F(what_nobody_can_see_is_forgotten),
    F(the_pace_has_a_burst_and_then_a_limit),
    F(nothing_is_missed))
