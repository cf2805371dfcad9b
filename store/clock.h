/*
 * Time and randomness, behind an interface so that tests inject them and never sleep.
 *
 * Any thread may call; the system's implementation holds no state.
 */
#ifndef AETHER_STORE_CLOCK_H
#define AETHER_STORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_SEC 1000000000LL
#define NS_PER_MS 1000000LL

struct clock {
	/* Microseconds since the Unix epoch, UTC. May jump either way. */
	int64_t (*wall_us)(const struct clock *);
	/* Nanoseconds since an arbitrary start. Never goes back: deadlines and leases use this one. */
	int64_t (*mono_ns)(const struct clock *);
	/* Fill buf with n unpredictable bytes. Cannot fail. */
	void (*random)(const struct clock *, void *buf, size_t n);
};

/* The machine's own clock (CLOCK_REALTIME, CLOCK_MONOTONIC) and getrandom(2). Static; never freed. */
const struct clock *clock_system(void);

static inline int64_t
clock_mono(const struct clock *c)
{
	return c->mono_ns(c);
}

static inline int64_t
clock_wall(const struct clock *c)
{
	return c->wall_us(c);
}

/* Length of the texts below without the NUL. */
#define CLOCK_RFC3339_LEN 27
#define UUID_LEN 36

/*
 * "2026-11-23T05:27:33.123456Z" for wall_us, with a NUL. Times before 1970 or after 9999 are written as the first
 * or last microsecond of that range. Source: RFC 3339.
 */
void clock_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_LEN + 1]);

/*
 * Is the text an RFC 3339 date-time (any precision, any offset; 60 as a leap second, which ends a day of UTC)? Days are
 * checked against month and year. If wall_us is not NULL it receives the time in microseconds, digits beyond them cut
 * off. Returns 0 or -EINVAL.
 */
int clock_parse_rfc3339(const char *text, size_t len, int64_t *wall_us);

/* The same in nanoseconds. A time that is out of range, before 1677 or after 2262, is the first or last in range. */
int clock_parse_rfc3339_ns(const char *text, size_t len, int64_t *wall_ns);

/*
 * A version 7 UUID (RFC 9562): 48 bits of Unix milliseconds, then random bits, lower-case hex with a NUL.
 * The 12 bits after the version carry the fraction of the millisecond (RFC 9562 section 6.2, method 3).
 */
void clock_uuid7(const struct clock *c, char out[UUID_LEN + 1]);

/* The same from a time and UUID_RANDOM bytes of randomness. */
#define UUID_RANDOM 8
void clock_uuid7_at(int64_t wall_us, const unsigned char random[UUID_RANDOM], char out[UUID_LEN + 1]);

/*
 * For those who make many of one moment: n tails, each the 62 random bits that end a UUID. The first is random and each
 * other a random step of 1 to 2^32 above the one before (RFC 9562 section 6.2, method 2), so that the ids ascend and cost
 * half the randomness. clock_uuid7_set_tail makes the UUID in id, of that moment, the one with that tail.
 */
void clock_uuid7_tails(const struct clock *c, uint64_t *tails, size_t n);
void clock_uuid7_set_tail(char id[UUID_LEN + 1], uint64_t tail);

#endif
