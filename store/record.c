#include "record.h"

#include <xxhash.h>

#define HEX_DIGITS 16

const char *const record_header_names[RECORD_HEADERS] = {
	[RECORD_PREV] = "Nats-Expected-Last-Subject-Sequence",
	[RECORD_VERSIONS] = "Aether-Versions",
	[RECORD_COUNT] = "Aether-Count",
	[RECORD_OFFSET] = "Aether-Offset",
	[RECORD_SUM] = "Aether-Sum",
	[RECORD_TIME] = "Aether-Time",
	[RECORD_NODE] = "Aether-Node",
	[RECORD_LIFE] = "Aether-Life",
	[RECORD_ERASED] = "Aether-Erased",
};

/* Write value in decimal; returns where the next byte goes. */
static char *
put_number(char *to, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	memcpy(to, digits + at, sizeof(digits) - at);
	return to + sizeof(digits) - at;
}

static void
put_hex(char *to, uint64_t value)
{
	for (int i = 0; i < HEX_DIGITS; i++)
		*to++ = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
	*to = '\0';
}

void
record_encode(const struct record *r, char values[RECORD_HEADERS][RECORD_VALUE_MAX])
{
	*put_number(values[RECORD_PREV], r->prev_seq) = '\0';
	char *to = put_number(values[RECORD_VERSIONS], r->first);
	*to++ = '-';
	*put_number(to, r->last) = '\0';
	*put_number(values[RECORD_COUNT], r->count) = '\0';
	*put_number(values[RECORD_OFFSET], r->offset) = '\0';
	put_hex(values[RECORD_SUM], r->sum);
	*put_number(values[RECORD_TIME], (uint64_t)r->time_us) = '\0';
	values[RECORD_NODE][0] = '\0';
	if (r->node != 0)
		put_hex(values[RECORD_NODE], r->node);
	values[RECORD_LIFE][0] = '\0';
	if (r->life != 0)
		*put_number(values[RECORD_LIFE], r->life) = '\0';
	values[RECORD_ERASED][0] = r->erased ? '1' : '\0';
	values[RECORD_ERASED][1] = '\0';
}

/* Read a decimal number from 0 to max, which the byte `end` follows; returns where that is, or NULL. */
static const char *
get_number(const char *p, char end, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] != end))
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		if (v > (max - digit) / 10)
			return NULL;
		v = v * 10 + digit;
	}
	*value = v;
	return *p == end ? p : NULL;
}

static bool
get_hex(const char *p, uint64_t *value)
{
	uint64_t v = 0;

	for (int i = 0; i < HEX_DIGITS; i++, p++) {
		if (*p >= '0' && *p <= '9')
			v = v << 4 | (uint64_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			v = v << 4 | (uint64_t)(*p - 'a' + 10);
		else
			return false;
	}
	*value = v;
	return *p == '\0';
}

static bool
get_versions(const char *p, uint64_t *first, uint64_t *last)
{
	p = get_number(p, '-', INT64_MAX, first);
	return p != NULL && get_number(p + 1, '\0', INT64_MAX, last) != NULL;
}

/* The numbers of one record must make sense together, so that its head is never nonsense. */
static bool
coherent(const struct record *r)
{
	bool empty = r->first == 0 && r->last == 0 && r->count == 0 && r->offset == 0;

	if (r->erased)
		return empty && r->life == 0 && r->prev_seq != 0 && r->sum == record_sum(0, (struct span){ NULL, 0 });
	if (r->last == 0)
		return empty && r->prev_seq == r->life;
	return r->first >= 1 && r->first <= r->last && r->count >= 1 && r->count <= r->last && r->prev_seq >= r->life;
}

static bool
get_optional(struct record *r, const char *const values[RECORD_HEADERS])
{
	const char *node = values[RECORD_NODE], *life = values[RECORD_LIFE], *erased = values[RECORD_ERASED];

	r->erased = erased != NULL;
	return (node == NULL || get_hex(node, &r->node)) &&
	       (life == NULL || (get_number(life, '\0', UINT64_MAX, &r->life) != NULL && r->life != 0)) &&
	       (erased == NULL || strcmp(erased, "1") == 0);
}

void
record_decode(struct record *r, const char *const values[RECORD_HEADERS])
{
	struct record d = { .seq = r->seq, .payload = r->payload };
	uint64_t time_us = 0;
	bool ok = true;

	for (int i = 0; i < RECORD_NEEDED; i++)
		ok = ok && values[i] != NULL;
	ok = ok && get_number(values[RECORD_PREV], '\0', UINT64_MAX, &d.prev_seq) != NULL;
	ok = ok && get_versions(values[RECORD_VERSIONS], &d.first, &d.last);
	ok = ok && get_number(values[RECORD_COUNT], '\0', INT64_MAX, &d.count) != NULL;
	ok = ok && get_number(values[RECORD_OFFSET], '\0', INT64_MAX, &d.offset) != NULL;
	ok = ok && get_hex(values[RECORD_SUM], &d.sum);
	ok = ok && get_number(values[RECORD_TIME], '\0', INT64_MAX, &time_us) != NULL;
	ok = ok && get_optional(&d, values);
	d.time_us = (int64_t)time_us;
	if (!ok || !coherent(&d))
		d = (struct record){ .seq = r->seq, .payload = r->payload, .foreign = true };
	*r = d;
}

uint64_t
record_sum(uint64_t previous, struct span payload)
{
	return XXH3_64bits_withSeed(payload.p, payload.len, previous);
}

/* Do the versions and the count go on where prev ended? */
static bool
numbers_follow(const struct head *prev, const struct record *r)
{
	if (r->payload.len == 0)
		return !head_is_there(prev) && r->first == 0 && r->last == 0 && r->count == 0;
	if (r->first <= prev->version || r->first > r->last || r->count <= prev->count)
		return false;

	/* n events have n different versions, of which the first and the last are known. */
	uint64_t n = r->count - prev->count;
	return n == 1 ? r->first == r->last : n - 1 <= r->last - r->first;
}

bool
record_follows(const struct head *prev, const struct record *r, const char **why)
{
	if (r->foreign)
		*why = "not a record of Aether";
	else if (r->erased)
		*why = "the actor was erased";
	else if (r->life != prev->life)
		*why = "it belongs to another life of the actor";
	else if (r->prev_seq != prev->seq)
		*why = "a record before it is missing";
	else if (r->seq != 0 && r->seq <= prev->seq)
		*why = "its sequence does not rise";
	else if (r->offset != prev->size || r->payload.len > INT64_MAX - r->offset)
		*why = "its offset is not where the record before it ended";
	else if (!numbers_follow(prev, r))
		*why = "its versions do not follow those before it";
	else if (prev->seq != 0 && r->time_us <= prev->time_us)
		*why = "its time is not after that of the record before it";
	else if (r->payload.len != 0 && r->payload.p[r->payload.len - 1] != '\n')
		*why = "its last line has no end";
	else if (record_sum(prev->sum, r->payload) != r->sum)
		*why = "its sum does not match";
	else
		return true;
	return false;
}

void
record_run_add(struct record_run *run, const struct head *base, uint64_t seq, struct span payload)
{
	run->prev_seq = run->records == 0 ? base->seq : run->seq;
	run->sum = record_sum(run->records == 0 ? base->sum : run->sum, payload);
	run->odd |= seq <= run->prev_seq || payload.len == 0 || payload.p[payload.len - 1] != '\n';
	run->seq = seq;
	run->bytes += payload.len;
	run->records++;
}

bool
record_run_follows(const struct head *base, const struct record_run *run, const struct record *last)
{
	uint64_t events = last->count - base->count;

	return !run->odd && !last->foreign && last->life == base->life && last->seq == run->seq && last->prev_seq == run->prev_seq &&
	       last->offset + last->payload.len == base->size + run->bytes && last->sum == run->sum &&
	       last->count > base->count && events >= run->records && last->last > base->version &&
	       last->last - base->version >= events && (base->seq == 0 || last->time_us > base->time_us);
}

struct head
record_head(const struct record *r)
{
	if (r->erased)
		return (struct head){ .seq = r->seq, .time_us = r->time_us, .life = r->seq };
	return (struct head){
		.seq = r->seq,
		.version = r->last,
		.count = r->count,
		.size = r->offset + r->payload.len,
		.sum = r->sum,
		.time_us = r->time_us,
		.life = r->life,
	};
}

struct record
record_tombstone(uint64_t prev_seq, int64_t time_us)
{
	struct record r = { .prev_seq = prev_seq, .time_us = time_us, .erased = true };

	r.sum = record_sum(0, r.payload);
	return r;
}
