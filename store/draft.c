#include "draft.h"

#include <errno.h>

#define DIGITS_MAX 19 /* of EVENT_VERSION_MAX */

/* What every stored line begins with (event_encode). */
static const char lead[] = "{\"version\":";
#define LEAD (sizeof(lead) - 1)

/* Keys, quotes, braces, a generated id and a timestamp of a stored line; generous. */
#define LINE_FRAME 320
/* A byte becomes at most \u00XX. */
#define ESCAPED 6

bool
draft_suits(const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->lines[i].event.version != 0 || b->lines[i].repeat)
			return false;
	return b->count > 0;
}

/* The rest of the line behind the digits of its version, newline included. */
static struct span
line_rest(const char *line, const char *end)
{
	const char *p = line + LEAD;

	while (*p != ',')
		p++;
	const char *newline = memchr(p, '\n', (size_t)(end - p));
	return (struct span){ p, (size_t)(newline + 1 - p) };
}

/* Measure the lines, and keep those that fit under versions of any length. */
static void
cut(struct draft *d, const struct batch *b, size_t payload_max)
{
	const char *line = d->text.p, *end = line + d->text.len;
	size_t all = d->lines;

	d->rest = 0;
	for (d->lines = 0; d->lines < all; d->lines++) {
		struct span rest = line_rest(line, end);
		size_t more = LEAD + rest.len;
		if (d->lines > 0 && d->rest + more + (d->lines + 1) * DIGITS_MAX > payload_max)
			break;
		d->rest += more;
		line = rest.p + rest.len;
	}
	d->text.len = (size_t)(line - d->text.p);
	if (d->lines < all)
		d->consumed = b->lines[d->lines - 1].end;
}

int
draft_make(struct draft *d, struct batch *b, size_t payload_max)
{
	const struct head nothing = { 0 };
	struct batch_record made;
	struct record r;
	size_t refused;
	uint64_t current;

	*d = (struct draft){ .lines = 0 };
	int err = batch_encode(b, &nothing, payload_max, &d->text, &r, &made, &refused, &current);
	if (err != 0) {
		draft_free(d);
		return err;
	}
	d->lines = made.lines;
	d->consumed = made.consumed;
	memcpy(d->first_id, made.first_id.p, made.first_id.len);
	cut(d, b, payload_max);
	return 0;
}

void
draft_free(struct draft *d)
{
	buf_free(&d->text);
	*d = (struct draft){ .lines = 0 };
}

size_t
draft_bound(const struct draft *d)
{
	return d->rest + d->lines * DIGITS_MAX;
}

/* Decimal, without a NUL; returns how many digits. */
static size_t
put_decimal(char out[DIGITS_MAX + 1], uint64_t n)
{
	char digits[DIGITS_MAX + 1];
	size_t count = 0;

	do
		digits[count++] = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	for (size_t i = 0; i < count; i++)
		out[i] = digits[count - 1 - i];
	return count;
}

void
draft_stamp(const struct draft *d, uint64_t version, struct buf *out)
{
	const char *line = d->text.p, *end = line + d->text.len;
	char *to = buf_reserve(out, draft_bound(d));

	if (to == NULL)
		return;
	char *start = to;
	for (size_t i = 0; i < d->lines; i++) {
		struct span rest = line_rest(line, end);
		memcpy(to, lead, LEAD);
		to += LEAD;
		to += put_decimal(to, version + i);
		memcpy(to, rest.p, rest.len);
		to += rest.len;
		line = rest.p + rest.len;
	}
	out->len += (size_t)(to - start);
}

void
draft_bare(const struct draft *d, struct buf *out)
{
	const char *line = d->text.p, *end = line + d->text.len;

	for (size_t i = 0; i < d->lines; i++) {
		struct span rest = line_rest(line, end);
		line = rest.p + rest.len;
		rest.p++, rest.len--; /* the comma */
		buf_putc(out, '{');
		buf_put_span(out, rest);
	}
}

size_t
draft_bound_of_batch(const struct batch *b)
{
	size_t bound = 0;

	for (size_t i = 0; i < b->count; i++) {
		const struct event *ev = &b->lines[i].event;
		size_t texts = ev->type.len + ev->id.len + ev->command_id.len + ev->timestamp.len + b->actor.len;
		bound += LINE_FRAME + ESCAPED * texts + ev->data.len + ev->metadata.len;
	}
	return bound;
}
