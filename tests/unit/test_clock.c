#include <errno.h>

#include "../../store/clock.h"
#include "check.h"

static int64_t
fixed_wall(const struct clock *c)
{
	(void)c;
	return 1645557742000000 + 999999; /* RFC 9562's example time, and the last microsecond of its second */
}

static int64_t
fixed_mono(const struct clock *c)
{
	(void)c;
	return 0;
}

static void
fixed_random(const struct clock *c, void *buf, size_t n)
{
	(void)c;
	memset(buf, 0xff, n);
}

static const struct clock fixed = { fixed_wall, fixed_mono, fixed_random };

TEST(formats_times)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000000Z" },
		{ 951782400000000, "2000-02-29T00:00:00.000000Z" },
		{ 951868799999999, "2000-02-29T23:59:59.999999Z" },
		{ 951868800000000, "2000-03-01T00:00:00.000000Z" },
		{ 1795411653123456, "2026-11-23T05:27:33.123456Z" },
		{ 4107542400000000, "2100-03-01T00:00:00.000000Z" },
		{ 253402300799999999, "9999-12-31T23:59:59.999999Z" },
		{ 253402300800000000, "9999-12-31T23:59:59.999999Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999999Z" },
		{ -1, "1970-01-01T00:00:00.000000Z" },
	};
	char text[CLOCK_RFC3339_LEN + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		clock_rfc3339(cases[i].us, text);
		CHECK_EQ_STR(text, cases[i].text);
	}
}

static int64_t
parsed(const char *text)
{
	int64_t us = INT64_MIN;

	CHECK_EQ_INT(clock_parse_rfc3339(text, strlen(text), &us), 0);
	return us;
}

TEST(parses_times)
{
	CHECK_EQ_INT(parsed("1970-01-01T00:00:00Z"), 0);
	CHECK_EQ_INT(parsed("1970-01-01t00:00:00.5z"), 500000);
	CHECK_EQ_INT(parsed("1969-12-31T23:59:59.9999999Z"), -1);
	CHECK_EQ_INT(parsed("1985-04-12T23:20:50.52Z"), 482196050520000);
	CHECK_EQ_INT(parsed("1996-12-19T16:39:57-08:00"), 851042397000000);
	CHECK_EQ_INT(parsed("1937-01-01T12:00:27.87+00:20"), -1041337172130000);
	CHECK_EQ_INT(parsed("1990-12-31T23:59:60Z"), 662688000000000);
	CHECK_EQ_INT(parsed("1990-12-31T15:59:60-08:00"), 662688000000000);
	CHECK_EQ_INT(parsed("0000-01-01T00:00:00-00:00"), -62167219200000000);
	CHECK_EQ_INT(parsed("9999-12-31T23:59:59.999999999999999999999999Z"), 253402300799999999);
	CHECK_EQ_INT(parsed("2024-02-29T23:59:59+23:59"), 1709164859000000);
	CHECK_EQ_INT(clock_parse_rfc3339("2026-11-23T05:27:33Z", 20, NULL), 0);
}

TEST(parses_nanoseconds)
{
	static const struct {
		const char *text;
		int64_t ns;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:01.000000001Z", 1000000001 },
		{ "1970-01-01T00:00:00.1234567899Z", 123456789 },
		{ "1969-12-31T23:59:59.999999999Z", -1 },
		{ "2026-11-23T05:27:33.5+01:00", 1795408053500000000 },
		{ "9999-12-31T23:59:59Z", INT64_MAX },
		{ "0000-01-01T00:00:00.5Z", INT64_MIN },
	};
	int64_t ns;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_EQ_INT(clock_parse_rfc3339_ns(cases[i].text, strlen(cases[i].text), &ns), 0);
		CHECK_EQ_INT(ns, cases[i].ns);
	}
	CHECK_EQ_INT(clock_parse_rfc3339_ns("1970-01-01", 10, &ns), -EINVAL);
}

TEST(refuses_what_is_no_time)
{
	static const char *const cases[] = { "", "2026", "2026-11-23", "2026-11-23 05:27:33Z", "2026-11-23T05:27:33",
		"2026-11-23T05:27:33Zx", "2026-11-23T05:27:33.Z", "2026-11-23T05:27:33,5Z", "2026-11-23T05:27Z",
		"2026-11-23T24:00:00Z", "2026-11-23T05:60:00Z", "2026-11-23T05:27:61Z", "2026-11-23T05:27:60Z",
		"2026-00-23T05:27:33Z", "2026-13-23T05:27:33Z", "2026-11-00T05:27:33Z", "2026-11-31T05:27:33Z",
		"2026-02-29T05:27:33Z", "2100-02-29T05:27:33Z", "2026-11-23T05:27:33+24:00",
		"2026-11-23T05:27:33+00:60", "2026-11-23T05:27:33+0000", "2026-11-23T05:27:33+00",
		"+026-11-23T05:27:33Z", "2026-1-023T05:27:33Z", " 2026-11-23T05:27:33Z", "2026-11-23T05:27:33.1234+",
		"02026-11-23T05:27:33Z" };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (clock_parse_rfc3339(cases[i], strlen(cases[i]), NULL) != -EINVAL)
			CHECK_EQ_STR("refused", cases[i]);
}

TEST(reads_back_what_it_writes)
{
	char text[CLOCK_RFC3339_LEN + 1];
	int64_t us = 0;

	/* A step of 11 days and a bit meets every month, every weekday and every digit over the years. */
	for (int64_t t = 0; t < 253402300800000000; t += 11 * 86400000000 + 1234567) {
		clock_rfc3339(t, text);
		REQUIRE(clock_parse_rfc3339(text, CLOCK_RFC3339_LEN, &us) == 0);
		REQUIRE(us == t);
	}
}

TEST(makes_uuids)
{
	char id[UUID_LEN + 1];

	/* 017f22e2-79b0 in RFC 9562 is 2022-02-22T19:22:22.000Z; 999 ms later it ends in 7d97, and 999 us are 0xffb of
	 * 0x1000. */
	clock_uuid7(&fixed, id);
	CHECK_EQ_STR(id, "017f22e2-7d97-7ffb-bfff-ffffffffffff");

	static const unsigned char zeros[UUID_RANDOM] = { 0 };
	clock_uuid7_at(1645557742000000, zeros, id);
	CHECK_EQ_STR(id, "017f22e2-79b0-7000-8000-000000000000");
}

TEST(orders_uuids_by_time)
{
	static const unsigned char ones[UUID_RANDOM] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	static const unsigned char zeros[UUID_RANDOM] = { 0 };
	char before[UUID_LEN + 1];
	char after[UUID_LEN + 1];

	for (int64_t us = 1645557742000000; us < 1645557742002500; us++) {
		clock_uuid7_at(us, ones, before);
		clock_uuid7_at(us + 1, zeros, after);
		REQUIRE(strcmp(before, after) < 0);
	}
}

TEST(orders_uuids_of_one_moment)
{
	enum { MANY = 1000 };
	uint64_t tails[MANY];
	char before[UUID_LEN + 1], after[UUID_LEN + 1];

	clock_uuid7(clock_system(), before);
	memcpy(after, before, sizeof(after));
	clock_uuid7_tails(clock_system(), tails, MANY);
	clock_uuid7_set_tail(before, tails[0]);
	for (int i = 1; i < MANY; i++) {
		clock_uuid7_set_tail(after, tails[i]);
		REQUIRE(strlen(after) == UUID_LEN && strcmp(before, after) < 0);
		REQUIRE(after[14] == '7' && strchr("89ab", after[19]) != NULL && after[23] == '-');
		memcpy(before, after, sizeof(before));
	}
	clock_uuid7_set_tail(after, 0x0123456789abcdef);
	CHECK_EQ_STR(after + 19, "8123-456789abcdef");
}

TEST(reads_the_machine)
{
	const struct clock *c = clock_system();
	unsigned char random[1000] = { 0 };
	unsigned zeros = 0;

	int64_t start = clock_mono(c);
	CHECK(clock_mono(c) >= start);
	CHECK(clock_wall(c) > 1700000000000000);
	c->random(c, random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		zeros += random[i] == 0;
	CHECK(zeros < 100);
}

TESTS(T(formats_times), T(parses_times), T(parses_nanoseconds), T(refuses_what_is_no_time), T(reads_back_what_it_writes), T(makes_uuids),
    T(orders_uuids_by_time), T(orders_uuids_of_one_moment), T(reads_the_machine))
