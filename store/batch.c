#include "batch.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

static struct span
arena_text(struct arena *a, const char *text, size_t len)
{
	char *copy = arena_alloc(a, len);

	if (copy == NULL)
		return (struct span){ 0 };
	if (len > 0)
		memcpy(copy, text, len);
	return (struct span){ copy, len };
}

/* Room for one more line: for one at first, then for as many as there will be if they are as long as those so far. */
static int
grow_lines(struct batch *b, size_t end)
{
	size_t cap = b->cap * 2;

	if (b->count == 1 && end > 0)
		cap = b->size / end + b->size / end / 8 + 2;
	if (cap == 0)
		cap = 1;
	struct batch_line *lines = realloc(b->lines, cap * sizeof(*lines));
	if (lines == NULL)
		return -ENOMEM;
	b->lines = lines;
	b->cap = cap;
	return 0;
}

static int
parse_line(struct batch *b, struct batch_line *line, struct span text, size_t line_max, bool is_text)
{
	struct event *ev = &line->event;

	if (text.len > line_max) {
		b->why = "longer than the server's max_payload allows";
		return -EMSGSIZE;
	}
	int err = is_text ? event_parse_text(text, &b->arena, ev, &b->why) : event_parse(text, &b->arena, ev, &b->why);
	if (err != 0)
		return err;
	if (ev->actor_id.p != NULL && !span_eq(ev->actor_id, b->actor)) {
		b->why = "actorId: is not the name of the file";
		return -EINVAL;
	}
	return 0;
}

static int
parse_lines(struct batch *b, struct span data, size_t line_max)
{
	/* Asked of all at once; only if one is not, of each, for its number. */
	bool is_text = event_is_text(data);
	size_t number = 0;

	for (size_t at = 0; at < data.len;) {
		const char *start = data.p + at;
		const char *newline = memchr(start, '\n', data.len - at);
		size_t len = newline != NULL ? (size_t)(newline - start) : data.len - at;
		number++;
		if (len > 0 && b->count == b->cap && grow_lines(b, at) != 0)
			return -ENOMEM;
		at += len + (newline != NULL);
		if (len == 0)
			continue;
		struct batch_line *line = &b->lines[b->count];
		int err = parse_line(b, line, (struct span){ start, len }, line_max, is_text);
		if (err != 0) {
			b->failed_line = number;
			return err;
		}
		line->id = line->event.id;
		line->number = number;
		line->end = at;
		line->stored = 0;
		line->repeat = false;
		b->user_ids |= line->id.p != NULL;
		b->encoded_max += event_size_max(&line->event, UUID_LEN, &b->frame);
		b->count++;
	}
	return 0;
}

static int
make_ids(struct batch *b, const struct clock *clock)
{
	static const unsigned char zeros[UUID_RANDOM];
	size_t made = 0;

	for (size_t i = 0; i < b->count; i++)
		made += b->lines[i].id.p == NULL;
	if (made == 0)
		return 0;
	b->tails = arena_alloc(&b->arena, b->count * sizeof(b->tails[0]));
	if (b->tails == NULL)
		return -ENOMEM;
	clock_uuid7_tails(clock, b->tails, b->count);
	clock_uuid7_at(b->now_us, zeros, b->made_id);
	return 0;
}

/* The id of a line, whose text is in the batch until the next call. */
static struct span
line_id(struct batch *b, size_t line)
{
	if (b->lines[line].id.p != NULL)
		return b->lines[line].id;
	clock_uuid7_set_tail(b->made_id, b->tails[line]);
	return (struct span){ b->made_id, UUID_LEN };
}

/* The slot of the first line with that id, or the free slot where it belongs. */
static uint32_t *
index_slot(const struct batch *b, struct span id)
{
	size_t at = XXH3_64bits(id.p, id.len) & b->index_mask;

	while (b->index[at] != 0 && !span_eq(b->lines[b->index[at] - 1].id, id))
		at = (at + 1) & b->index_mask;
	return &b->index[at];
}

static int
build_index(struct batch *b)
{
	size_t slots = 8;

	if (b->index != NULL)
		return 0;
	while (slots < b->count * 2)
		slots *= 2;
	b->index = calloc(slots, sizeof(b->index[0]));
	if (b->index == NULL)
		return -ENOMEM;
	b->index_mask = slots - 1;
	for (size_t i = 0; i < b->count; i++) {
		struct span id = line_id(b, i);
		if (b->lines[i].id.p == NULL)
			b->lines[i].id = arena_text(&b->arena, id.p, id.len);
		if (b->lines[i].id.p == NULL)
			return -ENOMEM;
		uint32_t *slot = index_slot(b, id);
		if (*slot == 0)
			*slot = (uint32_t)(i + 1);
	}
	return 0;
}

static int
find_repeats(struct batch *b)
{
	int err = build_index(b);

	for (size_t i = 0; err == 0 && i < b->count; i++) {
		const struct batch_line *first = &b->lines[*index_slot(b, b->lines[i].id) - 1];
		struct batch_line *line = &b->lines[i];
		if (first == line)
			continue;
		line->repeat = event_same(&line->event, &first->event) && event_same(&first->event, &line->event);
		if (!line->repeat) {
			b->failed_line = line->number;
			b->why = "id: twice in one write, with other content";
			err = -EEXIST;
		}
	}
	return err;
}

int
batch_parse(struct batch *b, struct span data, struct span actor, size_t line_max, const struct clock *clock)
{
	char now[CLOCK_RFC3339_LEN + 1];

	*b = (struct batch){ .actor = actor, .size = data.len, .now_us = clock_wall(clock) };
	clock_rfc3339(b->now_us, now);
	int err = event_frame(&b->frame, actor, (struct span){ now, CLOCK_RFC3339_LEN }, &b->arena);
	/* The events' parts stay where they are in one copy of it all. */
	struct span own = arena_text(&b->arena, data.p, data.len);
	if (own.p == NULL)
		err = -ENOMEM;
	if (err == 0)
		err = parse_lines(b, own, line_max);
	if (err == 0)
		err = make_ids(b, clock);
	return err == 0 && b->user_ids && b->count > 1 ? find_repeats(b) : err;
}

void
batch_free(struct batch *b)
{
	arena_free(&b->arena);
	free(b->index);
	free(b->lines);
	*b = (struct batch){ 0 };
}

bool
batch_left(const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->lines[i].stored == 0 && !b->lines[i].repeat)
			return true;
	return false;
}

/* A number in decimal, which mostly only goes up by one. */
struct counter {
	uint64_t value;
	size_t at; /* of the first digit */
	char digits[20];
};

static void
counter_set(struct counter *c, uint64_t value)
{
	size_t at = sizeof(c->digits);

	if (c->value != 0 && value == c->value + 1) {
		for (at--; c->digits[at] == '9'; at--)
			c->digits[at] = '0';
		c->digits[at]++;
		c->at = at < c->at ? at : c->at;
	} else {
		for (uint64_t v = value; v != 0; v /= 10)
			c->digits[--at] = (char)('0' + v % 10);
		memset(c->digits, '0', at);
		c->at = at;
	}
	c->value = value;
}

/* Append the line to payload. 0, 1 if it does not fit any more, or -ENOMEM. */
static int
encode_line(struct batch *b, size_t i, struct counter *version, size_t payload_max, struct buf *payload)
{
	const struct event *ev = &b->lines[i].event;
	struct span digits = { version->digits + version->at, sizeof(version->digits) - version->at };
	char *to = buf_reserve(payload, event_size_max(ev, UUID_LEN, &b->frame));

	if (to == NULL)
		return -ENOMEM;
	char *end = event_write(to, ev, digits, line_id(b, i), &b->frame);
	if ((size_t)(end - payload->p) > payload_max)
		return 1;
	payload->len = (size_t)(end - payload->p);
	return 0;
}

static void
set_first(struct batch *b, size_t i, uint64_t version, struct record *r, struct batch_record *made)
{
	struct span id = line_id(b, i);

	if (id.p == b->made_id) {
		memcpy(b->first_id, id.p, sizeof(b->first_id));
		id.p = b->first_id;
	}
	made->first_id = id;
	r->first = version;
}

int
batch_encode(struct batch *b, const struct head *head, size_t payload_max, struct buf *payload, struct record *r,
    struct batch_record *made, size_t *refused, uint64_t *current)
{
	uint64_t last = head->version, events = 0;
	struct counter counter = { 0 };

	buf_clear(payload);
	*made = (struct batch_record){ 0 };
	*r = (struct record){ .prev_seq = head->seq, .offset = head->size, .life = head->life };
	if (buf_reserve(payload, b->encoded_max < payload_max ? b->encoded_max : payload_max) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < b->count; i++) {
		const struct batch_line *line = &b->lines[i];
		if (line->stored != 0 || line->repeat) {
			made->consumed = line->end;
			made->version = line->stored != 0 ? line->stored : made->version;
			made->lines = i + 1;
			continue;
		}
		if ((line->event.version != 0 && line->event.version <= last) || last >= EVENT_VERSION_MAX) {
			*refused = i;
			*current = last;
			return -ESTALE;
		}
		uint64_t version = line->event.version != 0 ? line->event.version : last + 1;
		counter_set(&counter, version);
		int err = encode_line(b, i, &counter, payload_max, payload);
		if (err < 0 || (err > 0 && events == 0))
			return err < 0 ? err : -EMSGSIZE;
		if (err > 0)
			break;
		if (events++ == 0)
			set_first(b, i, version, r, made);
		last = version;
		made->consumed = line->end;
		made->version = version;
		made->lines = i + 1;
	}
	if (made->lines == b->count)
		made->consumed = b->size;
	r->last = last;
	r->count = head->count + events;
	r->time_us = b->now_us > head->time_us ? b->now_us : head->time_us + 1;
	r->payload = (struct span){ payload->p, payload->len };
	r->sum = record_sum(head->sum, r->payload);
	return 0;
}

bool
batch_any_stored(const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->lines[i].stored != 0)
			return true;
	return false;
}

void
batch_forget_stored(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		b->lines[i].stored = 0;
}

static int
match_event(struct batch *b, const struct event *stored)
{
	uint32_t slot = *index_slot(b, stored->id);

	if (slot == 0)
		return 0;
	if (!event_same(&b->lines[slot - 1].event, stored)) {
		b->failed_line = b->lines[slot - 1].number;
		b->why = "id: stored already, with other content";
		return -EEXIST;
	}
	b->lines[slot - 1].stored = stored->version;
	return 0;
}

int
batch_match(struct batch *b, struct span payload)
{
	struct arena arena = { 0 };
	int err = build_index(b);

	while (payload.len > 0 && err == 0) {
		const char *newline = memchr(payload.p, '\n', payload.len);
		size_t len = newline != NULL ? (size_t)(newline - payload.p) : payload.len;
		struct event stored;
		const char *why;
		err = event_parse((struct span){ payload.p, len }, &arena, &stored, &why);
		err = err == 0 ? match_event(b, &stored) : -EIO;
		payload.p += len + (newline != NULL);
		payload.len -= len + (newline != NULL);
	}
	arena_free(&arena);
	return err;
}
