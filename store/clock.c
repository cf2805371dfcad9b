#include "clock.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define US_PER_SEC 1000000LL
#define UUID_TAIL_MAX (((uint64_t)1 << 62) - 1)
#define SEC_PER_DAY 86400LL
/* The last microsecond of the year 9999. */
#define WALL_US_MAX (253402300800LL * US_PER_SEC - 1)

static int64_t
system_wall_us(const struct clock *c)
{
	struct timespec now;

	(void)c;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * US_PER_SEC + now.tv_nsec / 1000;
}

static int64_t
system_mono_ns(const struct clock *c)
{
	struct timespec now;

	(void)c;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

static void
system_random(const struct clock *c, void *buf, size_t n)
{
	char *p = buf;

	(void)c;
	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);
		if (got < 0) {
			/* Ids that are not random would be worse than no daemon. */
			if (errno != EINTR)
				abort();
			continue;
		}
		p += got;
		n -= (size_t)got;
	}
}

const struct clock *
clock_system(void)
{
	static const struct clock system_clock = { system_wall_us, system_mono_ns, system_random };

	return &system_clock;
}

/*
 * Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back. The year is taken to begin in March,
 * so that the leap day is its last, and 153 days are then any five months; 719468 is 0000-03-01 to 1970-01-01, 146097
 * four centuries.
 */
static int64_t
days_from_date(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t century4 = (y >= 0 ? y : y - 399) / 400;
	int64_t y_of = y - century4 * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return century4 * 146097 + y_of * 365 + y_of / 4 - y_of / 100 + day_of_year - 719468;
}

static void
date_from_days(uint32_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
	uint32_t z = days + 719468;
	uint32_t century4 = z / 146097;
	uint32_t d = z % 146097;
	uint32_t y_of = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	uint32_t day_of_year = d - (365 * y_of + y_of / 4 - y_of / 100);
	uint32_t m = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = century4 * 400 + y_of + (*month <= 2);
}

/* Write value in decimal, exactly n digits; returns where the next byte goes. */
static char *
put_digits(char *to, uint32_t value, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		to[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return to + n;
}

void
clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_LEN + 1])
{
	uint32_t year, month, day;

	if (wall_us < 0)
		wall_us = 0;
	if (wall_us > WALL_US_MAX)
		wall_us = WALL_US_MAX;

	uint32_t micros = (uint32_t)(wall_us % US_PER_SEC);
	int64_t seconds = wall_us / US_PER_SEC;
	uint32_t of_day = (uint32_t)(seconds % SEC_PER_DAY);
	date_from_days((uint32_t)(seconds / SEC_PER_DAY), &year, &month, &day);

	char *to = put_digits(out, year, 4);
	*to++ = '-';
	to = put_digits(to, month, 2);
	*to++ = '-';
	to = put_digits(to, day, 2);
	*to++ = 'T';
	to = put_digits(to, of_day / 3600, 2);
	*to++ = ':';
	to = put_digits(to, of_day / 60 % 60, 2);
	*to++ = ':';
	to = put_digits(to, of_day % 60, 2);
	*to++ = '.';
	to = put_digits(to, micros, 6);
	*to++ = 'Z';
	*to = '\0';
}

struct text {
	const char *p;
	const char *end;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Exactly n digits, as a number from low to high. */
static bool
get_digits(struct text *t, int n, int low, int high, int *value)
{
	if (t->end - t->p < n)
		return false;

	int v = 0;
	for (int i = 0; i < n; i++, t->p++) {
		if (!is_digit(*t->p))
			return false;
		v = v * 10 + (*t->p - '0');
	}
	*value = v;
	return v >= low && v <= high;
}

static bool
get_char(struct text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return month == 2 && leap ? 29 : days[month - 1];
}

static bool
get_date(struct text *t, int64_t *days)
{
	int year, month, day;

	if (!get_digits(t, 4, 0, 9999, &year) || !get_char(t, '-') || !get_digits(t, 2, 1, 12, &month) ||
	    !get_char(t, '-') || !get_digits(t, 2, 1, days_in_month(year, month), &day))
		return false;
	*days = days_from_date(year, month, day);
	return true;
}

/* The digits after the seconds, if there are any, in nanoseconds. */
static bool
get_fraction(struct text *t, int64_t *nanos)
{
	*nanos = 0;
	if (!get_char(t, '.'))
		return true;
	if (t->p == t->end || !is_digit(*t->p))
		return false;
	for (int64_t unit = NS_PER_SEC / 10; t->p < t->end && is_digit(*t->p); t->p++, unit /= 10)
		*nanos += (*t->p - '0') * unit;
	return true;
}

static bool
get_offset(struct text *t, int *offset_min)
{
	int hours, minutes;

	*offset_min = 0;
	if (get_char(t, 'Z') || get_char(t, 'z'))
		return true;
	bool east = get_char(t, '+');
	if (!east && !get_char(t, '-'))
		return false;
	if (!get_digits(t, 2, 0, 23, &hours) || !get_char(t, ':') || !get_digits(t, 2, 0, 59, &minutes))
		return false;
	*offset_min = (hours * 60 + minutes) * (east ? 1 : -1);
	return true;
}

static int
parse_rfc3339(const char *text, size_t len, int64_t *seconds, int64_t *nanos)
{
	struct text t = { text, text + len };
	int64_t days;
	int hour, minute, second, offset_min;

	if (!get_date(&t, &days) || !(get_char(&t, 'T') || get_char(&t, 't')))
		return -EINVAL;
	if (!get_digits(&t, 2, 0, 23, &hour) || !get_char(&t, ':') || !get_digits(&t, 2, 0, 59, &minute) ||
	    !get_char(&t, ':') || !get_digits(&t, 2, 0, 60, &second))
		return -EINVAL;
	if (!get_fraction(&t, nanos) || !get_offset(&t, &offset_min) || t.p != t.end)
		return -EINVAL;

	int64_t utc_min = days * (SEC_PER_DAY / 60) + hour * 60 + minute - offset_min;
	/* Leap seconds end a day of UTC, wherever they are told. */
	if (second == 60 && (utc_min + 1) % (SEC_PER_DAY / 60) != 0)
		return -EINVAL;
	*seconds = utc_min * 60 + second;
	return 0;
}

int
clock_parse_rfc3339(const char *text, size_t len, int64_t *wall_us)
{
	int64_t seconds, nanos;
	int err = parse_rfc3339(text, len, &seconds, &nanos);

	if (err == 0 && wall_us != NULL)
		*wall_us = seconds * US_PER_SEC + nanos / (NS_PER_SEC / US_PER_SEC);
	return err;
}

int
clock_parse_rfc3339_ns(const char *text, size_t len, int64_t *wall_ns)
{
	int64_t seconds, nanos;
	int err = parse_rfc3339(text, len, &seconds, &nanos);

	if (err != 0)
		return err;
	if (__builtin_mul_overflow(seconds, NS_PER_SEC, wall_ns) || __builtin_add_overflow(*wall_ns, nanos, wall_ns))
		*wall_ns = seconds < 0 ? INT64_MIN : INT64_MAX;
	return 0;
}

/* Write 8 hexadecimal digits, the highest first. All at once: one nibble a byte, then to each what makes it a digit. */
static inline char *
put_hex8(char *to, uint32_t value)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t v = __builtin_bswap32(value);

	v = (v | v << 16) & 0x0000ffff0000ffffu;
	v = (v | v << 8) & 0x00ff00ff00ff00ffu;
	v = (v >> 4 & 0x000f000f000f000fu) | (v & 0x000f000f000f000fu) << 8;
	uint64_t letters = (v + 6 * ones) >> 4 & ones;
	v = htole64(v + '0' * ones + letters * ('a' - '0' - 10));
	memcpy(to, &v, sizeof(v));
	return to + sizeof(v);
}

/* In their place in id, after the third dash. */
void
clock_uuid7_set_tail(char id[UUID_LEN + 1], uint64_t tail)
{
	enum { AT = 19, GROUP = 4 };
	char digits[16];

	tail = (tail & UUID_TAIL_MAX) | (uint64_t)1 << 63;
	put_hex8(put_hex8(digits, (uint32_t)(tail >> 32)), (uint32_t)tail);
	memcpy(id + AT, digits, GROUP);
	memcpy(id + AT + GROUP + 1, digits + GROUP, sizeof(digits) - GROUP);
}

void
clock_uuid7_at(int64_t wall_us, const unsigned char random[UUID_RANDOM], char out[UUID_LEN + 1])
{
	uint64_t us = wall_us < 0 ? 0 : (uint64_t)wall_us;
	uint64_t ms = us / 1000;
	uint32_t fraction = (uint32_t)(us % 1000 * 4096 / 1000);
	uint64_t tail;
	char digits[16];

	put_hex8(put_hex8(digits, (uint32_t)(ms >> 16)), (uint32_t)ms << 16 | 0x7000 | fraction);
	memcpy(out, digits, 8);
	out[8] = '-';
	memcpy(out + 9, digits + 8, 4);
	out[13] = '-';
	memcpy(out + 14, digits + 12, 4);
	out[18] = '-';
	out[23] = '-';
	out[UUID_LEN] = '\0';
	memcpy(&tail, random, sizeof(tail));
	clock_uuid7_set_tail(out, be64toh(tail));
}

void
clock_uuid7(const struct clock *c, char out[UUID_LEN + 1])
{
	unsigned char random[UUID_RANDOM];

	c->random(c, random, sizeof(random));
	clock_uuid7_at(c->wall_us(c), random, out);
}

void
clock_uuid7_tails(const struct clock *c, uint64_t *tails, size_t n)
{
	enum { DRAW = 256 };
	uint32_t steps[DRAW];
	uint64_t tail;

	if (n == 0)
		return;
	c->random(c, &tail, sizeof(tail));
	/* Half of all tails lie above, for the steps to go to. */
	tail = le64toh(tail) & UUID_TAIL_MAX / 2;
	tails[0] = tail;
	for (size_t i = 1; i < n; i++) {
		size_t drawn = (i - 1) % DRAW;
		if (drawn == 0)
			c->random(c, steps, (n - i < DRAW ? n - i : DRAW) * sizeof(steps[0]));
		tail += (uint64_t)le32toh(steps[drawn]) + 1;
		tails[i] = tail;
	}
}
