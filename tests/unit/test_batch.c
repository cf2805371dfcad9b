#include <errno.h>
#include <stdlib.h>

#include "../../store/batch.h"
#include "check.h"

#define NOW_US 1795411653123456
#define STAMP ",\"actorId\":\"a\\\"1\",\"timestamp\":\"2026-11-23T05:27:33.123456Z\",\"data\":"

struct fake {
	struct clock clock;
	unsigned char next;
};

static int64_t
fake_wall(const struct clock *c)
{
	(void)c;
	return NOW_US;
}

static int64_t
fake_mono(const struct clock *c)
{
	(void)c;
	return 0;
}

/* One byte after the other, whatever the pieces in which they are drawn. */
static void
fake_random(const struct clock *c, void *buf, size_t n)
{
	struct fake *f = (struct fake *)(void *)c;

	for (size_t i = 0; i < n; i++)
		((unsigned char *)buf)[i] = f->next++;
}

struct encoded {
	struct batch batch;
	struct buf payload;
	struct record record;
	struct batch_record made;
	size_t refused;
	uint64_t current;
};

static int
parse(struct encoded *e, const char *lines)
{
	struct fake fake = { { fake_wall, fake_mono, fake_random }, 0 };

	*e = (struct encoded){ .refused = 0 };
	/* Gone after the parse. */
	char *copy = strdup(lines);
	int err = batch_parse(&e->batch, span_of(copy), SPAN("a\"1"), 1000, &fake.clock);
	free(copy);
	return err;
}

static int
encode(struct encoded *e, struct head head, size_t payload_max)
{
	return batch_encode(
	    &e->batch, &head, payload_max, &e->payload, &e->record, &e->made, &e->refused, &e->current);
}

static void
release(struct encoded *e)
{
	buf_free(&e->payload);
	batch_free(&e->batch);
}

TEST(fills_in_each_line)
{
	struct encoded e;

	REQUIRE(parse(&e, "{\"eventType\":\"T\",\"data\":{\"x\":1}}\n\nhello\n"
			  "{\"version\":12,\"id\":\"i\\\"d\",\"eventType\":\"T\",\"data\":{ },\"metadata\":{\"m\":\"n\"}}\n"
			  "{ \"x\": [1, 2] }") == 0);
	CHECK_EQ_INT(encode(&e, (struct head){ .seq = 3, .version = 8, .count = 4, .size = 100 }, 10000), 0);
	CHECK_EQ_STR(buf_text(&e.payload),
	    "{\"version\":9,\"id\":\"01a206df-b203-774b-8706-050403020100\",\"eventType\":\"T\"" STAMP "{\"x\":1}}\n"
	    "{\"version\":10,\"id\":\"01a206df-b203-774b-8706-05040e0c0a09\",\"eventType\":\"Text\"" STAMP
	    "{\"text\":\"hello\"}}\n"
	    "{\"version\":12,\"id\":\"i\\\"d\",\"eventType\":\"T\"" STAMP "{},\"metadata\":{\"m\":\"n\"}}\n"
	    "{\"version\":13,\"id\":\"01a206df-b203-774b-8706-0504302c2827\",\"eventType\":\"Event\"" STAMP
	    "{\"x\":[1,2]}}\n");
	CHECK_EQ_UINT(e.record.first, 9);
	CHECK_EQ_UINT(e.record.last, 13);
	CHECK_EQ_UINT(e.record.count, 8);
	CHECK_EQ_UINT(e.made.consumed, e.batch.size);
	CHECK_EQ_MEM(e.made.first_id.p, e.made.first_id.len, "01a206df-b203-774b-8706-050403020100", UUID_LEN);
	release(&e);
}

/* Versions are counted in decimal digits: each carry, and a gap in between. */
TEST(counts_versions)
{
	static const uint64_t from[] = { 0, 8, 98, 999, 4199, 99999998, 9999999999 };
	struct encoded e;

	REQUIRE(parse(&e, "a\nb\nc\n") == 0);
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		CHECK_EQ_INT(encode(&e, (struct head){ .seq = 1, .version = from[i] }, 10000), 0);
		const char *p = buf_text(&e.payload);
		for (uint64_t n = 1; n <= 3; n++) {
			char expected[40];
			int len = snprintf(expected, sizeof(expected), "{\"version\":%" PRIu64 ",", from[i] + n);
			CHECK_EQ_MEM(p, (size_t)len, expected, (size_t)len);
			p = strchr(p, '\n') + 1;
		}
	}
	CHECK_EQ_INT(encode(&e, (struct head){ .seq = 1, .version = EVENT_VERSION_MAX - 2 }, 10000), -ESTALE);
	CHECK_EQ_UINT(e.refused, 2);
	CHECK_EQ_UINT(e.current, EVENT_VERSION_MAX);
	release(&e);
}

/* Every attempt offers the same ids, and an id made here is found in what was stored. */
TEST(keeps_its_ids)
{
	struct encoded e;
	struct buf first = { 0 };

	REQUIRE(parse(&e, "one\ntwo\n{\"id\":\"mine\",\"eventType\":\"T\"}\n") == 0);
	CHECK_EQ_INT(encode(&e, (struct head){ .seq = 1, .version = 7 }, 10000), 0);
	buf_put(&first, e.payload.p, e.payload.len);
	CHECK_EQ_INT(encode(&e, (struct head){ .seq = 1, .version = 7 }, 10000), 0);
	CHECK_EQ_MEM(first.p, first.len, e.payload.p, e.payload.len);
	CHECK(batch_left(&e.batch));
	CHECK_EQ_INT(batch_match(&e.batch, (struct span){ first.p, first.len }), 0);
	CHECK(!batch_left(&e.batch));
	CHECK_EQ_UINT(e.batch.lines[1].stored, 9);
	buf_free(&first);
	release(&e);
}

TEST(takes_as_many_lines_as_fit)
{
	struct encoded e;

	REQUIRE(parse(&e, "a\nb\nc\n") == 0);
	CHECK_EQ_INT(encode(&e, (struct head){ 0 }, 10000), 0);
	size_t all = e.payload.len;
	CHECK_EQ_INT(encode(&e, (struct head){ 0 }, all), 0);
	CHECK_EQ_UINT(e.made.lines, 3);
	CHECK_EQ_INT(encode(&e, (struct head){ 0 }, all - 1), 0);
	CHECK_EQ_UINT(e.made.lines, 2);
	CHECK_EQ_UINT(e.made.consumed, 4);
	CHECK_EQ_UINT(e.payload.len, all / 3 * 2);
	CHECK_EQ_INT(encode(&e, (struct head){ 0 }, all / 3 - 1), -EMSGSIZE);
	release(&e);
}

TEST(names_the_line_that_is_not_text)
{
	struct encoded e;

	CHECK_EQ_INT(parse(&e, "a\n\n{\"a\":\"\xc3\"}\nb\n"), -EILSEQ);
	CHECK_EQ_UINT(e.batch.failed_line, 3);
	release(&e);
	CHECK_EQ_INT(parse(&e, "a\n{]\n\xff\n"), -EINVAL);
	CHECK_EQ_UINT(e.batch.failed_line, 2);
	release(&e);
	CHECK_EQ_INT(parse(&e, "{\"eventType\":\"T\",\"actorId\":\"other\"}"), -EINVAL);
	CHECK_EQ_STR(e.batch.why, "actorId: is not the name of the file");
	release(&e);
}

/* What is read in the quick way and what is not must be told apart by nothing but time. */
TEST(reads_the_same_with_and_without_white_space)
{
	static const char *const lines[] = { "{\"eventType\":\"T\",\"data\":{\"a\":[1,{\"b\":\"\\n\"}]}}",
		"{\"data\":{},\"eventType\":\"T\",\"id\":\"i\",\"commandId\":\"c\",\"version\":99}",
		"{\"metadata\":{\"k\":\"v\"},\"timestamp\":\"2026-01-01T00:00:00Z\",\"eventType\":\"T\"}",
		"{\"eventType\":\"\",\"data\":{}}", "{\"eventType\":\"T\",\"data\":\"x\"}", "{\"eventType\":{}}",
		"{\"eventType\":\"T\",\"data\":{\"a\"}}", "{\"eventType\":\"T\",\"version\":012}",
		"{\"eventType\":\"T\",\"eventType\":\"T\"}", "{\"eventType\":\"T\"}}", "{\"eventType\":\"T\",}",
		"{\"eventType\":\"T\",\"metadata\":{\"k\":1}}", "{\"eventType\":\"T\",\"data\":{}", "{\"eventType\":\"T" };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct encoded quick, slow;
		struct buf spaced = { 0 };
		buf_printf(&spaced, "{ %s", lines[i] + 1);
		int err = parse(&quick, lines[i]);
		CHECK_EQ_INT(parse(&slow, buf_text(&spaced)), err);
		if (err != 0) {
			CHECK_EQ_STR(quick.batch.why, slow.batch.why);
		} else {
			CHECK_EQ_INT(encode(&quick, (struct head){ 0 }, 10000), 0);
			CHECK_EQ_INT(encode(&slow, (struct head){ 0 }, 10000), 0);
			CHECK_EQ_STR(buf_text(&quick.payload), buf_text(&slow.payload));
		}
		release(&quick);
		release(&slow);
		buf_free(&spaced);
	}
}

TESTS(T(fills_in_each_line), T(counts_versions), T(keeps_its_ids), T(takes_as_many_lines_as_fit),
    T(names_the_line_that_is_not_text), T(reads_the_same_with_and_without_white_space))
