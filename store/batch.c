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
	memcpy(copy, text, len);
	return (struct span){ copy, len };
}

/* One system call for many ids, but for no more than there have been lines: most batches have one. */
static struct span
make_id(struct batch *b, const struct clock *clock)
{
	char uuid[UUID_LEN + 1];

	if (b->random_left == 0) {
		size_t ids = b->count < 1 ? 1 : b->count < BATCH_DRAW ? b->count : BATCH_DRAW;
		b->random_left = ids * UUID_RANDOM;
		clock->random(clock, b->random + sizeof(b->random) - b->random_left, b->random_left);
	}
	clock_uuid7_at(b->now_us, b->random + sizeof(b->random) - b->random_left, uuid);
	b->random_left -= UUID_RANDOM;
	return arena_text(&b->arena, uuid, UUID_LEN);
}

static int
add_line(struct batch *b, const struct event *ev, size_t end, const struct clock *clock)
{
	if (b->count == b->cap) {
		size_t cap = b->cap == 0 ? 4 : b->cap * 2;
		struct batch_line *lines = realloc(b->lines, cap * sizeof(*lines));
		if (lines == NULL)
			return -ENOMEM;
		b->lines = lines;
		b->cap = cap;
	}
	struct batch_line *line = &b->lines[b->count];
	*line = (struct batch_line){ .event = *ev, .id = ev->id, .end = end };
	if (line->id.p == NULL)
		line->id = make_id(b, clock);
	if (line->id.p == NULL)
		return -ENOMEM;
	b->user_ids |= ev->id.p != NULL;
	b->count++;
	return 0;
}

static int
parse_line(struct batch *b, struct span line, size_t end, size_t line_max, const struct clock *clock)
{
	struct event ev;

	if (line.len > line_max) {
		b->why = "longer than the server's max_payload allows";
		return -EMSGSIZE;
	}
	int err = event_parse(line, &b->arena, &ev, &b->why);
	if (err != 0)
		return err;
	if (ev.actor_id.p != NULL && !span_eq(ev.actor_id, b->actor)) {
		b->why = "actorId: is not the name of the file";
		return -EINVAL;
	}
	return add_line(b, &ev, end, clock);
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
		uint32_t *slot = index_slot(b, b->lines[i].id);
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
	size_t number = 0;

	*b = (struct batch){ .actor = actor, .size = data.len, .now_us = clock_wall(clock) };
	clock_rfc3339(b->now_us, now);
	b->now = arena_text(&b->arena, now, CLOCK_RFC3339_LEN);
	if (b->now.p == NULL)
		return -ENOMEM;
	for (size_t at = 0; at < data.len;) {
		const char *start = data.p + at;
		const char *newline = memchr(start, '\n', data.len - at);
		size_t len = newline != NULL ? (size_t)(newline - start) : data.len - at;
		at += len + (newline != NULL);
		number++;
		if (len == 0)
			continue;
		int err = parse_line(b, (struct span){ start, len }, at, line_max, clock);
		if (err != 0) {
			b->failed_line = number;
			return err;
		}
		b->lines[b->count - 1].number = number;
	}
	return b->user_ids && b->count > 1 ? find_repeats(b) : 0;
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

static void
encode_line(const struct batch *b, const struct batch_line *line, uint64_t version, struct buf *payload)
{
	struct event full = line->event;

	full.version = version;
	full.id = line->id;
	full.actor_id = b->actor;
	if (full.timestamp.p == NULL)
		full.timestamp = b->now;
	event_encode(&full, payload);
}

int
batch_encode(struct batch *b, const struct head *head, size_t payload_max, struct buf *payload, struct record *r,
    struct batch_record *made, size_t *refused, uint64_t *current)
{
	uint64_t last = head->version, events = 0;

	buf_clear(payload);
	*made = (struct batch_record){ 0 };
	*r = (struct record){ .prev_seq = head->seq, .offset = head->size };
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
		size_t before = payload->len;
		encode_line(b, line, version, payload);
		if (payload->failed)
			return -ENOMEM;
		if (payload->len > payload_max) {
			payload->len = before;
			if (events == 0)
				return -EMSGSIZE;
			break;
		}
		if (events++ == 0) {
			r->first = version;
			made->first_id = line->id;
		}
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
