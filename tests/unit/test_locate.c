/* Finding events without a replay: what it finds, and how many gets that costs in actors of a million events. */
#include <errno.h>
#include <stdlib.h>

#include "../../store/cache.h"
#include "../../store/locate.h"
#include "../../store/memory.h"
#include "../../store/table.h"
#include "../faults/faulty.h"
#include "check.h"
#include "contract_node.h"

#define TARGET_GETS 40 /* of which one is for the head */

/* A backend with one actor that is made up: all lines have one length, and what a record holds follows from its number.
 */

#define LINE_LEN 42

static void
make_line(char line[LINE_LEN + 1], uint64_t version)
{
	int n = snprintf(line, LINE_LEN + 1, "{\"version\":%ju,\"id\":\"", (uintmax_t)version);

	memset(line + n, 'x', LINE_LEN - (size_t)n);
	memcpy(line + LINE_LEN - 3, "\"}\n", 4);
}

struct shape {
	const char *name;
	uint64_t records;
	uint64_t per_record;
	uint64_t (*version)(uint64_t event); /* events and records count from 1 */
	uint64_t (*gap)(uint64_t record);    /* how many sequences of others lie before it */
	uint64_t lost;                       /* that record is not there any more; 0: none */
	uint64_t foreign;                    /* that record is not one of ours */
};

struct synth {
	struct backend base;
	const struct shape *shape;
	uint64_t *seq; /* of record n, at n */
	uint64_t *sum;
	char *payload;
};

static void
make_payload(struct synth *y, uint64_t n)
{
	const struct shape *s = y->shape;

	for (uint64_t i = 0; i < s->per_record; i++) {
		char line[LINE_LEN + 1];
		make_line(line, s->version((n - 1) * s->per_record + i + 1));
		memcpy(y->payload + i * LINE_LEN, line, LINE_LEN);
	}
}

static struct record
make_record(struct synth *y, uint64_t n)
{
	const struct shape *s = y->shape;
	struct record r = { .seq = y->seq[n], .prev_seq = y->seq[n - 1], .foreign = n == s->foreign };

	make_payload(y, n);
	r.payload = (struct span){ y->payload, s->per_record * LINE_LEN };
	if (r.foreign)
		return r;
	r.first = s->version((n - 1) * s->per_record + 1);
	r.last = s->version(n * s->per_record);
	r.count = n * s->per_record;
	r.offset = (n - 1) * s->per_record * LINE_LEN;
	r.sum = y->sum[n];
	r.time_us = (int64_t)n;
	return r;
}

static void
synth_get(
    struct backend *b, struct actor_name name, struct backend_get g, int64_t deadline_ns, backend_get_fn fn, void *arg)
{
	struct synth *y = container_of(b, struct synth, base);
	uint64_t lo = 1, hi = y->shape->records + 1;

	(void)name, (void)deadline_ns;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		if (y->seq[mid] < g.seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (g.kind == GET_LAST)
		lo = y->shape->records;
	else if (lo == y->shape->lost)
		lo++;
	bool found = lo <= y->shape->records && (g.kind != GET_SEQ || y->seq[lo] == g.seq);
	struct record r = { 0 };
	if (found)
		r = make_record(y, lo);
	fn(arg, found ? 0 : -ENOENT, found ? &r : NULL);
}

static void
synth_status(struct backend *b, struct backend_status *status)
{
	(void)b;
	*status = (struct backend_status){ .connected = true, .payload_max = 1024 * 1024 };
}

static void
synth_free(struct backend *b)
{
	struct synth *y = container_of(b, struct synth, base);

	free(y->seq);
	free(y->sum);
	free(y->payload);
	free(y);
}

static const struct backend_ops synth_ops = {
	.name = "synth", .get = synth_get, .status = synth_status, .free = synth_free
};

static struct synth *
synth_new(const struct shape *s)
{
	struct synth *y = calloc(1, sizeof(*y));

	y->base.ops = &synth_ops;
	y->shape = s;
	y->seq = calloc(s->records + 2, sizeof(uint64_t));
	y->sum = calloc(s->records + 2, sizeof(uint64_t));
	y->payload = malloc(s->per_record * LINE_LEN);
	for (uint64_t n = 1; n <= s->records; n++) {
		y->seq[n] = y->seq[n - 1] + 1 + s->gap(n);
		make_payload(y, n);
		y->sum[n] = record_sum(y->sum[n - 1], (struct span){ y->payload, s->per_record * LINE_LEN });
	}
	return y;
}

/* The same for the same number, and like random. */
static uint64_t
noise(uint64_t n)
{
	n ^= n >> 33;
	n *= 0xff51afd7ed558ccdULL;
	n ^= n >> 33;
	n *= 0xc4ceb9fe1a85ec53ULL;
	return n ^ n >> 33;
}

/* Versions and gaps between sequences. */

static uint64_t
one_by_one(uint64_t event)
{
	return event;
}

static uint64_t
with_gaps(uint64_t event)
{
	return 10 * event + noise(event) % 5;
}

static uint64_t
ever_faster(uint64_t event)
{
	return event * event;
}

static uint64_t
late_start(uint64_t event)
{
	return 1000000000000 + event;
}

static uint64_t
at_last_a_leap(uint64_t event)
{
	return event < 999990 ? event : 1000000000000 + event;
}

static uint64_t
alone(uint64_t record)
{
	(void)record;
	return 0;
}

static uint64_t
among_others(uint64_t record)
{
	return noise(record) % 50;
}

static uint64_t
in_bursts(uint64_t record)
{
	return record % 100000 == 0 ? 1000000 : 0;
}

/* A node that has nothing in memory yet. */
static bool
cold_node(struct node *n, struct synth *y)
{
	struct faulty_options none = { .rule_count = 0 };
	struct store_options options = { .timeout_ns = 5 * NS_PER_SEC, .cache_bytes = CACHE_MIN_BYTES };
	struct backend *b;

	*n = (struct node){ .store = NULL };
	int err = faulty_new(&b, &y->base, false, clock_system(), &none);
	if (err == 0)
		err = store_new(&n->store, b, clock_system(), NULL, &options);
	if (err == 0)
		err = actor_get(n->store, "n", "a", &n->a);
	n->backend = b;
	CHECK_EQ_INT(err, 0);
	return err == 0;
}

/* Look for what has that key on a cold node: it must be the event with that number. Returns how many gets it cost in
 * all. */
static uint64_t
find(struct synth *y, enum head_key key, uint64_t value, uint64_t event)
{
	struct node n;
	struct head head;
	struct event_place p = { 0 };
	char line[LINE_LEN + 1], want[LINE_LEN + 1];

	if (!cold_node(&n, y))
		return 0;
	CHECK_EQ_INT(actor_head(n.a, 0, false, &head), 0);
	CHECK_EQ_INT(actor_locate(n.a, &head, key, value, &p), 0);
	CHECK_EQ_UINT(p.version, y->shape->version(event));
	CHECK_EQ_UINT(p.count, event);
	CHECK_EQ_UINT(p.offset, (event - 1) * LINE_LEN);
	CHECK_EQ_UINT(p.size, LINE_LEN);
	CHECK_EQ_INT(actor_read(n.a, &head, p.offset, p.size, line), LINE_LEN);
	make_line(want, p.version);
	CHECK_EQ_MEM(line, LINE_LEN, want, LINE_LEN);
	uint64_t gets = faulty_calls(n.backend, FAULT_GET);
	/* It is known now. */
	CHECK_EQ_INT(actor_locate(n.a, &head, key, value, &p), 0);
	CHECK_EQ_UINT(faulty_calls(n.backend, FAULT_GET), gets);
	node_close(&n);
	return gets;
}

static void
million(const char *name, const struct shape *s, uint64_t usual)
{
	struct synth *y = synth_new(s);
	uint64_t events = s->records * s->per_record, most = 0, sum = 0, tries = 0;

	for (uint64_t i = 0; i < 200; i++) {
		uint64_t event = i == 0 ? 1 : i == 1 ? events : 1 + noise(i) % events;
		uint64_t before = event > 1 ? s->version(event - 1) : 0;
		/* Somewhere in the gap before it, if there is one. */
		uint64_t wanted = before + 1 + noise(i + 1000) % (s->version(event) - before);
		uint64_t gets = find(y, HEAD_VERSION, wanted, event);
		uint64_t gets_count = i % 4 == 0 ? find(y, HEAD_COUNT, event, event) : 0;
		gets = gets > gets_count ? gets : gets_count;
		most = gets > most ? gets : most;
		sum += gets;
		tries++;
	}
	printf("# %s: %ju gets at most, %ju.%ju on average\n", name, (uintmax_t)most, (uintmax_t)(sum / tries),
	    (uintmax_t)(sum * 10 / tries % 10));
	CHECK(most <= TARGET_GETS);
	CHECK(sum / tries <= usual);
	y->base.ops->free(&y->base);
}

TEST(a_million_records)
{
	struct shape s = { .records = 1000000, .per_record = 1, .version = one_by_one, .gap = alone };
	million("alone", &s, 4);
}

TEST(a_million_records_with_gaps_in_the_versions)
{
	struct shape s = { .records = 1000000, .per_record = 1, .version = with_gaps, .gap = alone };
	million("gaps", &s, 5);
}

TEST(a_million_records_among_those_of_others)
{
	struct shape s = { .records = 1000000, .per_record = 1, .version = one_by_one, .gap = among_others };
	million("among others", &s, 9);
}

TEST(a_million_records_in_bursts)
{
	struct shape s = { .records = 1000000, .per_record = 1, .version = one_by_one, .gap = in_bursts };
	million("bursts", &s, 9);
}

TEST(a_million_records_whose_versions_run_away)
{
	struct shape s = { .records = 1000000, .per_record = 1, .version = ever_faster, .gap = alone };
	million("ever faster", &s, 30);
	s.version = late_start;
	million("late start", &s, 30);
	s.version = at_last_a_leap;
	million("a leap", &s, 30);
}

TEST(large_records)
{
	struct shape s = { .records = 570, .per_record = 1754, .version = one_by_one, .gap = alone };
	million("large", &s, 4);
	s.version = with_gaps;
	million("large with gaps", &s, 4);
}

TEST(nothing_beyond_the_end)
{
	struct shape s = { .records = 10, .per_record = 2, .version = one_by_one, .gap = alone };
	struct synth *y = synth_new(&s);
	struct event_place p;
	struct head head;
	struct node n;

	REQUIRE(cold_node(&n, y));
	CHECK_EQ_INT(actor_head(n.a, 0, false, &head), 0);
	CHECK_EQ_INT(actor_locate(n.a, &head, HEAD_VERSION, one_by_one(20) + 1, &p), -ENOENT);
	CHECK_EQ_INT(actor_locate(n.a, &head, HEAD_COUNT, 21, &p), -ENOENT);
	CHECK_EQ_INT(actor_locate(n.a, &head, HEAD_COUNT, 0, &p), 0);
	CHECK_EQ_UINT(p.count, 1);
	node_close(&n);
	y->base.ops->free(&y->base);
}

/* What lies before a place where the chain does not hold is found; what lies right behind it is an error. */
static void
broken_at(uint64_t lost, uint64_t foreign)
{
	struct shape s = { .records = 100, .per_record = 1, .version = one_by_one, .gap = among_others };
	struct synth *y = synth_new(&s);
	uint64_t place = lost + foreign;
	struct event_place p;
	struct head head;
	struct node n;

	s.lost = lost;
	s.foreign = foreign;
	for (uint64_t event = 1; event < place; event++)
		find(y, HEAD_VERSION, one_by_one(event), event);
	for (uint64_t event = place; event <= place + 1; event++) {
		REQUIRE(cold_node(&n, y));
		CHECK_EQ_INT(actor_head(n.a, 0, false, &head), 0);
		CHECK_EQ_INT(actor_locate(n.a, &head, HEAD_VERSION, one_by_one(event), &p), -EIO);
		node_close(&n);
	}
	y->base.ops->free(&y->base);
}

TEST(a_lost_record)
{
	broken_at(37, 0);
	broken_at(1, 0);
}

TEST(a_foreign_record)
{
	broken_at(0, 37);
}

/* Every event that is in the cache is found there, wherever the blocks begin and end. */
TEST(all_of_what_was_read)
{
	struct faulty_options none = { .rule_count = 0 };
	struct backend *shared, *b;
	struct node writer, cold;
	struct buf all = { 0 };
	struct event_place p, walked;
	struct walk w;

	REQUIRE(memory_new(&shared, clock_system()) == 0);
	REQUIRE(faulty_new(&b, shared, false, clock_system(), &none) == 0);
	REQUIRE(node_on(&writer, b, NULL, NS_PER_SEC));
	for (int i = 0; i < 40; i++) {
		char *big = many_lines((size_t)(1 + i * 4001), (size_t)(20 + i * 2000));
		CHECK_EQ_INT(append(writer.a, i % 3 == 0 ? big : "small\none\n").err, 0);
		free(big);
	}
	CHECK_EQ_INT(append(writer.a, "{\"eventType\":\"T\",\"version\":70000}\nlast\n").err, 0);
	REQUIRE(faulty_new(&b, shared, false, clock_system(), &none) == 0);
	REQUIRE(node_on(&cold, b, &writer, NS_PER_SEC));
	CHECK_EQ_INT(read_all(cold.a, 0, &all), 0);
	struct head head = head_of(cold.a);
	uint64_t gets = faulty_calls(b, FAULT_GET), scans = faulty_calls(b, FAULT_SCAN), offset = 0;
	walk_begin(&w, cold.a, &head, 0, 0);
	while (walk_next(&w, &walked) == 1) {
		const char *end = memchr(all.p + offset, '\n', all.len - offset);
		REQUIRE(end != NULL);
		CHECK_EQ_UINT(walked.offset, offset);
		CHECK_EQ_UINT(walked.size, (uint64_t)(end + 1 - all.p) - offset);
		offset += walked.size;
		CHECK_EQ_INT(actor_locate(cold.a, &head, HEAD_VERSION, walked.version, &p), 0);
		CHECK_EQ_MEM(&p, sizeof(p), &walked, sizeof(walked));
		CHECK_EQ_INT(actor_locate(cold.a, &head, HEAD_COUNT, walked.count, &p), 0);
		CHECK_EQ_MEM(&p, sizeof(p), &walked, sizeof(walked));
	}
	walk_end(&w);
	CHECK_EQ_UINT(offset, head.size);
	CHECK_EQ_UINT(walked.count, head.count);
	CHECK_EQ_UINT(walked.version, 70001);
	CHECK_EQ_UINT(faulty_calls(b, FAULT_GET), gets);
	CHECK_EQ_UINT(faulty_calls(b, FAULT_SCAN), scans);
	buf_free(&all);
	node_close(&cold);
	node_close(&writer);
	shared->ops->free(shared);
}

TESTS(T(a_million_records), T(a_million_records_with_gaps_in_the_versions), T(a_million_records_among_those_of_others),
    T(a_million_records_in_bursts), T(a_million_records_whose_versions_run_away), T(large_records),
    T(nothing_beyond_the_end), T(a_lost_record), T(a_foreign_record), T(all_of_what_was_read))
