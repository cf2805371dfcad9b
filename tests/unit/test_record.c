#include <stdlib.h>

#include "../../store/record.h"
#include "check.h"

#define LINE_1                                                                                                         \
	"{\"version\":1,\"id\":\"0193e0a1-5c00-7000-8000-000000000001\",\"eventType\":\"OrderPlaced\","                \
	"\"actorId\":\"order-123\",\"timestamp\":\"2026-11-23T05:27:33.123456Z\",\"data\":{\"total\":100.00}}\n"
#define LINE_2                                                                                                         \
	"{\"version\":2,\"id\":\"a\",\"eventType\":\"Text\",\"actorId\":\"order-123\","                                \
	"\"timestamp\":\"2026-11-23T05:27:34.000000Z\",\"data\":{\"text\":\"paid\"}}\n"
#define LINE_5                                                                                                         \
	"{\"version\":5,\"id\":\"b\",\"eventType\":\"OrderShipped\",\"actorId\":\"order-123\","                        \
	"\"commandId\":\"ship-7\",\"timestamp\":\"2026-11-23T05:27:34.000000Z\",\"data\":{},"                          \
	"\"metadata\":{\"by\":\"dock 4\"}}\n"

/* The example of FORMAT.md. */
static const struct record first = {
	.seq = 1,
	.first = 1,
	.last = 1,
	.count = 1,
	.sum = 0x769cd6e82ece18f8,
	.time_us = 1795411653123456,
	.payload = { LINE_1, sizeof(LINE_1) - 1 },
};
static const struct record second = {
	.seq = 4,
	.prev_seq = 1,
	.first = 2,
	.last = 5,
	.count = 3,
	.offset = 172,
	.sum = 0x557cec0723cf5227,
	.time_us = 1795411654000000,
	.node = 0x9f3c0d5e7a1b2c49,
	.payload = { LINE_2 LINE_5, sizeof(LINE_2 LINE_5) - 1 },
};
static const struct record marker = { .seq = 9, .sum = 0x2d06800538d394c2, .time_us = 1, .payload = { "", 0 } };

static const struct record tombstone = {
	.seq = 41,
	.prev_seq = 4,
	.sum = 0x2d06800538d394c2,
	.time_us = 1795411655000000,
	.erased = true,
	.payload = { "", 0 },
};
static const struct record reborn = {
	.seq = 50,
	.prev_seq = 41,
	.first = 1,
	.last = 1,
	.count = 1,
	.sum = 0x769cd6e82ece18f8,
	.time_us = 1795411655000001,
	.life = 41,
	.payload = { LINE_1, sizeof(LINE_1) - 1 },
};
static const struct record marker_reborn = {
	.seq = 50, .prev_seq = 41, .sum = 0x2d06800538d394c2, .time_us = 1795411655000001, .life = 41, .payload = { "", 0 }
};

static const struct head nothing = { 0 };

/* FORMAT.md, which stands beside the code; owned by the caller. */
static char *
read_format(void)
{
	char path[4096];
	const char *slash = strrchr(__FILE__, '/');
	struct buf text = { 0 };

	snprintf(
	    path, sizeof(path), "%.*s../../store/FORMAT.md", slash != NULL ? (int)(slash - __FILE__) + 1 : 0, __FILE__);
	FILE *file = fopen(path, "r");
	if (file == NULL)
		return NULL;
	for (int c; (c = getc(file)) != EOF;)
		buf_putc(&text, (char)c);
	fclose(file);
	return buf_text(&text);
}

TEST(format_has_the_version_of_the_code)
{
	char *text = read_format();

	REQUIRE(text != NULL);
	const char *line = strstr(text, "\nFormat version: ");
	CHECK(line != NULL && strtol(line + 17, NULL, 10) == RECORD_FORMAT);
	free(text);
}

TEST(format_has_a_true_example)
{
	const struct record *const records[] = { &first, &second, &tombstone };
	char values[RECORD_HEADERS][RECORD_VALUE_MAX];
	char *text = read_format();
	const char *at = text;

	REQUIRE(text != NULL);
	for (int i = 0; i < 3; i++) {
		struct buf payload = { 0 };
		buf_put_span(&payload, records[i]->payload);
		at = strstr(at, buf_text(&payload));
		buf_free(&payload);
		REQUIRE(at != NULL);
		record_encode(records[i], values);
		for (int h = 0; h < RECORD_HEADERS; h++) {
			char line[512];
			if (values[h][0] == '\0')
				continue;
			snprintf(line, sizeof(line), "\n%s: %s\n", record_header_names[h], values[h]);
			const char *found = strstr(at, line);
			if (found == NULL)
				CHECK_EQ_STR(line, "in FORMAT.md");
		}
	}
	free(text);
}

TEST(sums_are_xxh3)
{
	CHECK_EQ_UINT(record_sum(0, SPAN("")), 0x2d06800538d394c2);
	CHECK_EQ_UINT(record_sum(0, (struct span){ NULL, 0 }), 0x2d06800538d394c2);
	CHECK_EQ_UINT(record_sum(0, SPAN("a")), 0xe6c632b61e964e1f);
	CHECK_EQ_UINT(record_sum(0, first.payload), first.sum);
	CHECK_EQ_UINT(record_sum(first.sum, second.payload), second.sum);
}

TEST(encodes_headers)
{
	static const struct record widest = { .prev_seq = UINT64_MAX,
		.first = INT64_MAX,
		.last = INT64_MAX,
		.count = INT64_MAX,
		.offset = INT64_MAX,
		.sum = 0xab,
		.time_us = INT64_MAX };
	char values[RECORD_HEADERS][RECORD_VALUE_MAX];

	record_encode(&second, values);
	CHECK_EQ_STR(values[RECORD_PREV], "1");
	CHECK_EQ_STR(values[RECORD_VERSIONS], "2-5");
	CHECK_EQ_STR(values[RECORD_COUNT], "3");
	CHECK_EQ_STR(values[RECORD_OFFSET], "172");
	CHECK_EQ_STR(values[RECORD_SUM], "557cec0723cf5227");
	CHECK_EQ_STR(values[RECORD_TIME], "1795411654000000");
	CHECK_EQ_STR(values[RECORD_NODE], "9f3c0d5e7a1b2c49");
	record_encode(&widest, values);
	CHECK_EQ_STR(values[RECORD_PREV], "18446744073709551615");
	CHECK_EQ_STR(values[RECORD_VERSIONS], "9223372036854775807-9223372036854775807");
	CHECK_EQ_STR(values[RECORD_SUM], "00000000000000ab");
	CHECK_EQ_STR(values[RECORD_NODE], "");
}

static bool
same_numbers(const struct record *a, const struct record *b)
{
	return a->prev_seq == b->prev_seq && a->first == b->first && a->last == b->last && a->count == b->count &&
	       a->offset == b->offset && a->sum == b->sum && a->time_us == b->time_us && a->node == b->node &&
	       a->life == b->life && a->erased == b->erased;
}

TEST(decodes_what_it_encodes)
{
	static const struct record widest = { .prev_seq = UINT64_MAX,
		.first = 1,
		.last = INT64_MAX,
		.count = INT64_MAX,
		.offset = INT64_MAX,
		.sum = UINT64_MAX,
		.time_us = INT64_MAX };
	const struct record *const records[] = { &first, &second, &marker, &widest, &tombstone, &reborn, &marker_reborn };

	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		char values[RECORD_HEADERS][RECORD_VALUE_MAX];
		const char *texts[RECORD_HEADERS];
		struct record r = { .seq = 77, .payload = SPAN("kept"), .foreign = true };
		record_encode(records[i], values);
		for (int h = 0; h < RECORD_HEADERS; h++)
			texts[h] = values[h][0] != '\0' ? values[h] : NULL;
		record_decode(&r, texts);
		CHECK(!r.foreign);
		CHECK(same_numbers(&r, records[i]));
		CHECK(r.seq == 77 && span_eq(r.payload, SPAN("kept")));
	}
}

/* Decode the second record's headers with one of them replaced. */
static bool
decodes(enum record_header which, const char *value)
{
	const char *values[RECORD_HEADERS] = { "1", "2-5", "3", "172", "557cec0723cf5227", "1795411654000000" };
	struct record r = { .seq = 4 };

	values[which] = value;
	record_decode(&r, values);
	if (r.foreign)
		CHECK(r.seq == 4 && r.last == 0 && r.count == 0 && r.offset == 0 && r.sum == 0 && r.time_us == 0);
	return !r.foreign;
}

TEST(refuses_malformed_numbers)
{
	static const char *const bad[] = { NULL, "", " 1", "1 ", "+1", "-1", "01", "00", "0x1", "1.0", "1e3", "a", "1a",
		"18446744073709551616", "99999999999999999999", "184467440737095516150" };
	static const enum record_header numbers[] = { RECORD_PREV, RECORD_COUNT, RECORD_OFFSET, RECORD_TIME };

	for (size_t k = 0; k < 4; k++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			CHECK(!decodes(numbers[k], bad[i]));
		CHECK_EQ_INT(decodes(numbers[k], "9223372036854775808"), numbers[k] == RECORD_PREV);
		CHECK(decodes(numbers[k], "3"));
	}
	CHECK(decodes(RECORD_PREV, "18446744073709551615"));
	CHECK(decodes(RECORD_OFFSET, "9223372036854775807"));
	CHECK(!decodes(RECORD_COUNT, "0"));
	CHECK(!decodes(RECORD_COUNT, "6"));
}

TEST(refuses_malformed_versions_and_sums)
{
	static const char *const versions[] = { NULL, "", "-", "2", "2-", "-5", "2--5", "2-5-", "2 -5", "2- 5", "02-5",
		"2-05", "5-2", "0-5", "2-0", "0-0", "00-0", "2-9223372036854775808", "2-5x", "2:5" };
	static const char *const sums[] = { NULL, "", "557cec0723cf522", "557cec0723cf52277", "557CEC0723CF5227",
		"557cec0723cf522 ", " 57cec0723cf5227", "0x7cec0723cf5227", "557cec0723cf522g", "-57cec0723cf5227" };

	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++)
		CHECK(!decodes(RECORD_VERSIONS, versions[i]));
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		CHECK(!decodes(RECORD_SUM, sums[i]));
	CHECK(decodes(RECORD_VERSIONS, "5-5"));
	CHECK(decodes(RECORD_SUM, "0000000000000000"));
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		CHECK_EQ_INT(decodes(RECORD_NODE, sums[i]), sums[i] == NULL);
}

static const char *
refusal(const struct head *prev, struct record r)
{
	const char *why = NULL;
	bool follows = record_follows(prev, &r, &why);

	CHECK(follows == (why == NULL));
	return follows ? "follows" : why;
}

/* Decode a record's headers with one of them replaced. */
static bool
decodes_of(const struct record *of, enum record_header which, const char *value)
{
	char values[RECORD_HEADERS][RECORD_VALUE_MAX];
	const char *texts[RECORD_HEADERS];
	struct record r = { .seq = of->seq };

	record_encode(of, values);
	for (int h = 0; h < RECORD_HEADERS; h++)
		texts[h] = values[h][0] != '\0' ? values[h] : NULL;
	texts[which] = value;
	record_decode(&r, texts);
	return !r.foreign;
}

TEST(refuses_malformed_lives_and_tombstones)
{
	static const char *const lives[] = { "", "0", "-1", "041", "41 ", "42", "18446744073709551615", "x" };
	static const char *const marks[] = { "", "0", "2", "true", "1 ", "11" };

	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
		CHECK(!decodes_of(&reborn, RECORD_LIFE, lives[i]));
	CHECK(decodes_of(&reborn, RECORD_LIFE, "41") && decodes_of(&reborn, RECORD_LIFE, "40"));
	CHECK(decodes_of(&reborn, RECORD_LIFE, NULL));
	/* A marker begins its life. */
	CHECK(!decodes_of(&marker_reborn, RECORD_LIFE, "40") && !decodes_of(&marker_reborn, RECORD_LIFE, NULL));
	CHECK(!decodes_of(&marker_reborn, RECORD_PREV, "42"));
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		CHECK(!decodes_of(&tombstone, RECORD_ERASED, marks[i]));
	CHECK(!decodes_of(&tombstone, RECORD_ERASED, NULL));
	CHECK(!decodes_of(&tombstone, RECORD_LIFE, "3"));
	CHECK(!decodes_of(&tombstone, RECORD_PREV, "0"));
	CHECK(!decodes_of(&tombstone, RECORD_COUNT, "1"));
	CHECK(!decodes_of(&tombstone, RECORD_OFFSET, "1"));
	CHECK(!decodes_of(&tombstone, RECORD_VERSIONS, "1-1"));
	CHECK(!decodes_of(&tombstone, RECORD_SUM, "0000000000000000"));
	CHECK(!decodes_of(&second, RECORD_ERASED, "1"));
}

TEST(a_tombstone_ends_a_life_and_begins_another)
{
	struct head erased = record_head(&tombstone), two = record_head(&second);
	struct record made = record_tombstone(4, tombstone.time_us), again = reborn;

	made.seq = 41;
	CHECK(same_numbers(&made, &tombstone));
	CHECK(!head_is_there(&nothing) && head_is_there(&two) && !head_is_there(&erased));
	CHECK_EQ_UINT(erased.seq, 41);
	CHECK_EQ_UINT(erased.life, 41);
	CHECK(erased.version == 0 && erased.count == 0 && erased.size == 0 && erased.sum == 0);
	CHECK_EQ_INT(erased.time_us, tombstone.time_us);
	CHECK_EQ_STR(refusal(&two, tombstone), "the actor was erased");
	CHECK_EQ_STR(refusal(&erased, reborn), "follows");
	CHECK_EQ_STR(refusal(&erased, marker_reborn), "follows");
	struct head start = head_of_life(41), empty = record_head(&marker_reborn);
	CHECK_EQ_STR(refusal(&start, reborn), "follows");
	CHECK(head_is_there(&empty) && empty.life == 41);
	CHECK_EQ_STR(refusal(&two, reborn), "it belongs to another life of the actor");
	CHECK_EQ_STR(refusal(&nothing, reborn), "it belongs to another life of the actor");
	CHECK_EQ_STR(refusal(&erased, first), "it belongs to another life of the actor");
	again.time_us = tombstone.time_us;
	CHECK_EQ_STR(refusal(&erased, again), "its time is not after that of the record before it");
	CHECK(record_is_first(&first) && record_is_first(&marker) && record_is_first(&reborn));
	CHECK(!record_is_first(&second) && !record_is_first(&tombstone));
}

TEST(heads_are_chain_ends)
{
	struct head h = record_head(&second);

	CHECK_EQ_UINT(h.seq, 4);
	CHECK_EQ_UINT(h.version, 5);
	CHECK_EQ_UINT(h.count, 3);
	CHECK_EQ_UINT(h.size, 473);
	CHECK_EQ_UINT(h.sum, second.sum);
	CHECK_EQ_INT(h.time_us, second.time_us);
}

TEST(good_records_follow)
{
	struct head one = record_head(&first);
	struct head empty = record_head(&marker);
	struct record after_marker = first;

	CHECK_EQ_STR(refusal(&nothing, first), "follows");
	CHECK_EQ_STR(refusal(&one, second), "follows");
	CHECK_EQ_STR(refusal(&nothing, marker), "follows");
	after_marker.seq = 10;
	after_marker.prev_seq = 9;
	after_marker.sum = record_sum(marker.sum, first.payload);
	CHECK_EQ_STR(refusal(&empty, after_marker), "follows");
}

/* The second record with one number changed. */
#define CHECK_BROKEN(field, value, why)                                                                                \
	do {                                                                                                           \
		struct record changed = second;                                                                        \
		changed.field = (value);                                                                               \
		CHECK_EQ_STR(refusal(&one, changed), why);                                                             \
	} while (0)

TEST(broken_records_do_not_follow)
{
	static const char versions[] = "its versions do not follow those before it";
	static const char offset[] = "its offset is not where the record before it ended";
	struct head one = record_head(&first);

	CHECK_BROKEN(foreign, true, "not a record of Aether");
	CHECK_BROKEN(prev_seq, 0, "a record before it is missing");
	CHECK_BROKEN(prev_seq, 2, "a record before it is missing");
	CHECK_BROKEN(seq, 1, "its sequence does not rise");
	CHECK_BROKEN(offset, 171, offset);
	CHECK_BROKEN(offset, INT64_MAX, offset);
	CHECK_BROKEN(first, 1, versions);
	CHECK_BROKEN(first, 6, versions);
	CHECK_BROKEN(first, 5, versions);
	CHECK_BROKEN(count, 1, versions);
	CHECK_BROKEN(count, 2, versions);
	CHECK_BROKEN(count, 6, versions);
	CHECK_BROKEN(payload, SPAN(""), versions);
	CHECK_BROKEN(time_us, first.time_us, "its time is not after that of the record before it");
	CHECK_BROKEN(payload.len, 300, "its last line has no end");
	CHECK_BROKEN(payload, SPAN(LINE_2), "its sum does not match");
	CHECK_BROKEN(sum, second.sum ^ 1, "its sum does not match");
	CHECK_EQ_STR(refusal(&nothing, second), "a record before it is missing");
	CHECK_EQ_STR(refusal(&one, first), "a record before it is missing");
	CHECK_EQ_STR(refusal(&one, marker), "a record before it is missing");
}

/* FORMAT.md's two records as one run, of which the second may be changed. */
static bool
run_follows(struct head base, struct record last)
{
	struct record_run run = { 0 };

	record_run_add(&run, &base, first.seq, first.payload);
	record_run_add(&run, &base, second.seq, last.payload);
	last.seq = second.seq;
	return record_run_follows(&base, &run, &last);
}

#define CHECK_RUN_BROKEN(field, value)                                                                                 \
	do {                                                                                                           \
		struct record bad = second;                                                                            \
		bad.field = (value);                                                                                   \
		CHECK(!run_follows(nothing, bad));                                                                     \
	} while (0)

TEST(the_last_record_vouches_for_a_run)
{
	struct record_run run = { 0 };

	CHECK(run_follows(nothing, second));
	CHECK_RUN_BROKEN(foreign, true);
	CHECK_RUN_BROKEN(life, 1);
	CHECK_RUN_BROKEN(prev_seq, 2);
	CHECK_RUN_BROKEN(offset, second.offset + 1);
	CHECK_RUN_BROKEN(count, 1);
	CHECK_RUN_BROKEN(last, 2);
	CHECK_RUN_BROKEN(sum, second.sum ^ 1);
	CHECK_RUN_BROKEN(payload, SPAN(LINE_5 LINE_2));
	/* The wrong beginning. */
	CHECK(!run_follows((struct head){ .sum = 1 }, second));
	CHECK(!run_follows((struct head){ .size = 1 }, second));
	/* Twice the same, the wrong way round, nothing, half a line. */
	record_run_add(&run, &nothing, 4, first.payload);
	CHECK(!run.odd);
	record_run_add(&run, &nothing, 4, second.payload);
	CHECK(run.odd);
	run = (struct record_run){ 0 };
	record_run_add(&run, &nothing, 1, SPAN(""));
	CHECK(run.odd);
	run = (struct record_run){ 0 };
	record_run_add(&run, &nothing, 1, SPAN("half"));
	CHECK(run.odd);
}

TESTS(T(format_has_the_version_of_the_code), T(format_has_a_true_example), T(sums_are_xxh3), T(encodes_headers),
    T(decodes_what_it_encodes), T(refuses_malformed_numbers), T(refuses_malformed_versions_and_sums),
    T(refuses_malformed_lives_and_tombstones), T(a_tombstone_ends_a_life_and_begins_another), T(heads_are_chain_ends), T(good_records_follow), T(broken_records_do_not_follow),
    T(the_last_record_vouches_for_a_run))
