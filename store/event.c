#include "event.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "clock.h"
#include "json.h"
#include "name.h"

/* The keys of an event's line, in the order in which they are written. */
enum key { KEY_VERSION, KEY_ID, KEY_TYPE, KEY_ACTOR_ID, KEY_COMMAND_ID, KEY_TIMESTAMP, KEY_DATA, KEY_METADATA, KEYS };

#define KEY_NAME_MAX 9
/* "\u0065" for each byte: no known key is written longer. */
#define KEY_RAW_MAX (KEY_NAME_MAX * 6)

#define VERSION_DIGITS_MAX 19 /* of INT64_MAX */

/* The top level of a line. Unknown and repeated keys matter only if it has an eventType: else it is all data. */
struct members {
	struct span values[KEYS]; /* minified */
	int depth;                /* of the deepest value */
	bool unknown;
	bool repeated;
	bool plain; /* no string among the values has an escape */
};

#define IS(name, literal) (memcmp((name).p, (literal), sizeof(literal) - 1) == 0)

static enum key
find_key(struct span name)
{
	switch (name.len) {
	case 2:
		return IS(name, "id") ? KEY_ID : KEYS;
	case 4:
		return IS(name, "data") ? KEY_DATA : KEYS;
	case 7:
		return IS(name, "version") ? KEY_VERSION : IS(name, "actorId") ? KEY_ACTOR_ID : KEYS;
	case 8:
		return IS(name, "metadata") ? KEY_METADATA : KEYS;
	case KEY_NAME_MAX:
		return IS(name, "eventType")   ? KEY_TYPE
		       : IS(name, "timestamp") ? KEY_TIMESTAMP
		       : IS(name, "commandId") ? KEY_COMMAND_ID
					       : KEYS;
	default:
		return KEYS;
	}
}

static enum key
find_raw_key(struct span raw)
{
	char name[KEY_RAW_MAX];

	enum key k = find_key(raw);
	if (k != KEYS || raw.len > sizeof(name) || memchr(raw.p, '\\', raw.len) == NULL)
		return k;
	ssize_t len = json_unescape(raw, name);
	return len < 0 ? KEYS : find_key((struct span){ name, (size_t)len });
}

static int
on_member(void *arg, const struct json_member *m)
{
	struct members *members = arg;
	enum key k = find_raw_key(m->key);

	if (m->depth > members->depth)
		members->depth = m->depth;
	if (k == KEYS)
		members->unknown = true;
	else if (members->values[k].p != NULL)
		members->repeated = true;
	else
		members->values[k] = m->value;
	return 0;
}

static int
refuse(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static int
out_of_memory(const char **why)
{
	*why = "out of memory";
	return -ENOMEM;
}

/*
 * Read a string of 1 to max bytes. An absent one stays absent. Without escapes the text is
 * its own decoded form, and that needs none when it is written.
 */
static int
read_string(const struct members *m, enum key k, size_t max, struct arena *arena, struct event *ev, struct span *out,
    const char **why, const char *refusal)
{
	struct span value = m->values[k];

	if (value.p == NULL)
		return 0;
	if (value.p[0] != '"')
		return refuse(why, refusal);

	struct span s = { value.p + 1, value.len - 2 };
	if (!m->plain && memchr(s.p, '\\', s.len) != NULL) {
		char *text = arena_alloc(arena, s.len);
		if (text == NULL)
			return out_of_memory(why);
		ev->plain = false;
		ssize_t len = json_unescape(s, text);
		if (len < 0)
			return refuse(why, refusal);
		s = (struct span){ text, (size_t)len };
	}
	if (s.len == 0 || s.len > max)
		return refuse(why, refusal);
	*out = s;
	return 0;
}

static int
read_version(struct span value, uint64_t *version, const char **why)
{
	static const char refusal[] = "version: must be a whole number from 1 to 9223372036854775807";
	uint64_t v = 0;

	if (value.p == NULL)
		return 0;
	if (value.len > VERSION_DIGITS_MAX || value.p[0] == '0')
		return refuse(why, refusal);
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return refuse(why, refusal);
		v = v * 10 + (uint64_t)(value.p[i] - '0');
	}
	if (v > EVENT_VERSION_MAX)
		return refuse(why, refusal);
	*version = v;
	return 0;
}

static inline char *
put_bytes(char *to, struct span s)
{
	memcpy(to, s.p, s.len);
	return to + s.len;
}

/* A copy of few bytes costs less than the call of one. */
static inline char *
put_few(char *to, struct span s)
{
	if (s.len >= 8 && s.len <= 16) {
		memcpy(to, s.p, 8);
		memcpy(to + s.len - 8, s.p + s.len - 8, 8);
	} else if (s.len >= 4 && s.len < 8) {
		memcpy(to, s.p, 4);
		memcpy(to + s.len - 4, s.p + s.len - 4, 4);
	} else {
		memcpy(to, s.p, s.len);
	}
	return to + s.len;
}

static inline char *
put_string(char *to, struct span text, bool plain)
{
	if (!plain)
		return json_write_string(to, text);
	*to++ = '"';
	to = put_few(to, text);
	*to++ = '"';
	return to;
}

/* The byte after the closing quote of the string that begins at p. */
static const char *
after_string(const char *p)
{
	for (p++; *p != '"'; p++)
		if (*p == '\\')
			p++;
	return p + 1;
}

/* Are all values of the object strings? The text is minified and known to be JSON. */
static bool
object_of_strings(struct span object)
{
	const char *p = object.p + 1;

	if (object.p[0] != '{')
		return false;
	while (*p != '}') {
		p = after_string(p) + 1;
		if (*p != '"')
			return false;
		p = after_string(p);
		if (*p == ',')
			p++;
	}
	return true;
}

static int
read_members(const struct members *m, struct arena *arena, struct event *ev, const char **why)
{
	const struct span *values = m->values;
	int err;

	if (m->unknown)
		return refuse(why, "unknown key");
	if (m->repeated)
		return refuse(why, "repeated key");
	err = read_version(values[KEY_VERSION], &ev->version, why);
	if (err == 0)
		err = read_string(m, KEY_ID, EVENT_ID_MAX, arena, ev, &ev->id, why,
		    "id: must be a string of 1 to 128 bytes without NUL");
	if (err == 0)
		err = read_string(m, KEY_TYPE, SIZE_MAX, arena, ev, &ev->type, why,
		    "eventType: must be a string, not empty and without NUL");
	if (err == 0)
		err = read_string(m, KEY_ACTOR_ID, SIZE_MAX, arena, ev, &ev->actor_id, why,
		    "actorId: must be a string, not empty and without NUL");
	if (err == 0)
		err = read_string(m, KEY_COMMAND_ID, SIZE_MAX, arena, ev, &ev->command_id, why,
		    "commandId: must be a string, not empty and without NUL");
	if (err == 0)
		err = read_string(m, KEY_TIMESTAMP, SIZE_MAX, arena, ev, &ev->timestamp, why,
		    "timestamp: must be an RFC 3339 time");
	if (err != 0)
		return err;

	if (ev->timestamp.p != NULL && clock_parse_rfc3339(ev->timestamp.p, ev->timestamp.len, NULL) != 0)
		return refuse(why, "timestamp: must be an RFC 3339 time");
	ev->data = values[KEY_DATA].p != NULL ? values[KEY_DATA] : SPAN("{}");
	if (ev->data.p[0] != '{')
		return refuse(why, "data: must be an object");
	ev->metadata = values[KEY_METADATA];
	if (ev->metadata.p != NULL && !object_of_strings(ev->metadata))
		return refuse(why, "metadata: must be an object whose values are strings");
	return 0;
}

#define AT_KEY(p, end, name) ((size_t)((end) - (p)) > sizeof(name) + 2 && memcmp((p), "\"" name "\":", sizeof(name) + 2) == 0)

/* The key that stands at p with its quotes and a colon, and *p behind them; KEYS if it is none. */
static enum key
take_key(const char **p, const char *end)
{
	static const unsigned char len[] = { [KEY_VERSION] = 7, [KEY_ID] = 2, [KEY_TYPE] = 9, [KEY_ACTOR_ID] = 7,
		[KEY_COMMAND_ID] = 9, [KEY_TIMESTAMP] = 9, [KEY_DATA] = 4, [KEY_METADATA] = 8, [KEYS] = 0 };
	const char *at = *p;
	enum key k = AT_KEY(at, end, "eventType")   ? KEY_TYPE
		     : AT_KEY(at, end, "data")      ? KEY_DATA
		     : AT_KEY(at, end, "id")        ? KEY_ID
		     : AT_KEY(at, end, "version")   ? KEY_VERSION
		     : AT_KEY(at, end, "timestamp") ? KEY_TIMESTAMP
		     : AT_KEY(at, end, "metadata")  ? KEY_METADATA
		     : AT_KEY(at, end, "commandId") ? KEY_COMMAND_ID
		     : AT_KEY(at, end, "actorId")   ? KEY_ACTOR_ID
						    : KEYS;

	*p += k == KEYS ? 0 : len[k] + 3;
	return k;
}

/* The end of a value without white space at p: an object, a string without escapes, or decimal digits; else NULL. */
static const char *
usual_value_end(const char *p, const char *end)
{
	struct span rest = { p, (size_t)(end - p) };

	switch (*p) {
	case '{':
		return json_compact_object(rest, 2);
	case '"':
		p = json_plain_end((struct span){ p + 1, rest.len - 1 });
		return p < end && *p == '"' ? p + 1 : NULL;
	case '0':
		return NULL;
	default:
		while (p < end && *p >= '0' && *p <= '9')
			p++;
		return p > rest.p ? p : NULL;
	}
}

/*
 * Read the members of a line as programs write them, without white space and without escapes outside of data, in less
 * time. Returns false for all others, good or bad, which are then read by the rules.
 */
static bool
read_usual(struct span line, struct members *m)
{
	const char *p = line.p, *end = line.p + line.len;

	do {
		p++;
		enum key k = take_key(&p, end);
		if (k == KEYS || m->values[k].p != NULL)
			return false;
		const char *start = p;
		p = usual_value_end(p, end);
		if (p == NULL)
			return false;
		m->values[k] = (struct span){ start, (size_t)(p - start) };
	} while (p < end && *p == ',');
	m->plain = true;
	return end - p == 1 && *p == '}' && m->values[KEY_TYPE].p != NULL;
}

static int
parse_object(struct span line, struct arena *arena, struct event *ev, const char **why)
{
	struct members members = { .depth = 0 };

	if (read_usual(line, &members))
		return read_members(&members, arena, ev, why);
	members = (struct members){ .depth = 0 };
	int err = json_object(line, arena, on_member, &members, &ev->data, why);
	if (err != 0)
		return err;
	if (members.values[KEY_TYPE].p != NULL)
		return read_members(&members, arena, ev, why);

	/* As data it will stand one level deeper, and must still be readable there. */
	if (members.depth + 2 > JSON_DEPTH_MAX)
		return refuse(why, "not JSON: nested too deeply");
	ev->type = SPAN("Event");
	return 0;
}

static int
parse_words(struct span line, struct arena *arena, struct event *ev, const char **why)
{
	static const char open[] = "{\"text\":";
	bool plain = line.len == 0 || json_plain_end(line) == line.p + line.len;
	size_t size = sizeof(open) - 1 + (plain ? line.len + 2 : json_string_len(line)) + 1;
	char *out = arena_alloc(arena, size);

	if (out == NULL)
		return out_of_memory(why);
	memcpy(out, open, sizeof(open) - 1);
	char *end = put_string(out + sizeof(open) - 1, line, plain);
	*end = '}';
	ev->type = SPAN("Text");
	ev->data = (struct span){ out, size };
	return 0;
}

int
event_parse_text(struct span line, struct arena *arena, struct event *ev, const char **why)
{
	*ev = (struct event){ .plain = true };
	if (line.len == 0 || line.p[0] != '{')
		return parse_words(line, arena, ev, why);
	return parse_object(line, arena, ev, why);
}

bool
event_is_text(struct span text)
{
	return text.len == 0 || (memchr(text.p, '\0', text.len) == NULL && name_utf8(text.p, text.len));
}

int
event_parse(struct span line, struct arena *arena, struct event *ev, const char **why)
{
	if (!event_is_text(line)) {
		*ev = (struct event){ 0 };
		*why = memchr(line.p, '\0', line.len) != NULL ? "a NUL byte" : "not UTF-8";
		return -EILSEQ;
	}
	return event_parse_text(line, arena, ev, why);
}

int
event_frame(struct event_frame *f, struct span actor, struct span timestamp, struct arena *arena)
{
	static const char actor_key[] = ",\"actorId\":", timestamp_key[] = ",\"timestamp\":";
	char *text =
	    arena_alloc(arena, sizeof(actor_key) + json_string_len(actor) + sizeof(timestamp_key) + timestamp.len + 2);

	if (text == NULL)
		return -ENOMEM;
	char *to = put_bytes(text, SPAN(actor_key));
	to = json_write_string(to, actor);
	f->actor = (struct span){ text, (size_t)(to - text) };
	to = put_bytes(to, SPAN(timestamp_key));
	to = put_string(to, timestamp, true);
	f->stamp = (struct span){ text, (size_t)(to - text) };
	return 0;
}

size_t
event_size_max(const struct event *ev, size_t id_len, const struct event_frame *f)
{
	/* All keys, quotes and punctuation that are not the frame's, and a version; what an escape makes of a byte. */
	enum { KEYS_SIZE = 112, ESCAPE = 6 };
	size_t strings = (ev->id.p != NULL ? ev->id.len : id_len) + ev->type.len + ev->command_id.len;

	return KEYS_SIZE + (ev->plain ? strings : strings * ESCAPE) + f->stamp.len + ev->timestamp.len + ev->data.len +
	       ev->metadata.len;
}

char *
event_write(char *to, const struct event *ev, struct span version, struct span id, const struct event_frame *f)
{
	to = put_bytes(to, SPAN("{\"version\":"));
	to = put_few(to, version);
	to = put_bytes(to, SPAN(",\"id\":"));
	to = ev->id.p != NULL ? put_string(to, ev->id, ev->plain) : put_string(to, id, true);
	to = put_bytes(to, SPAN(",\"eventType\":"));
	to = put_string(to, ev->type, ev->plain);
	if (ev->command_id.p == NULL && ev->timestamp.p == NULL) {
		to = put_bytes(to, f->stamp);
	} else {
		to = put_bytes(to, f->actor);
		if (ev->command_id.p != NULL) {
			to = put_bytes(to, SPAN(",\"commandId\":"));
			to = put_string(to, ev->command_id, ev->plain);
		}
		if (ev->timestamp.p != NULL) {
			to = put_bytes(to, SPAN(",\"timestamp\":"));
			to = put_string(to, ev->timestamp, true);
		} else {
			to = put_bytes(
			    to, (struct span){ f->stamp.p + f->actor.len, f->stamp.len - f->actor.len });
		}
	}
	to = put_bytes(to, SPAN(",\"data\":"));
	to = put_bytes(to, ev->data);
	if (ev->metadata.p != NULL) {
		to = put_bytes(to, SPAN(",\"metadata\":"));
		to = put_bytes(to, ev->metadata);
	}
	return put_bytes(to, SPAN("}\n"));
}

void
event_encode(const struct event *ev, struct buf *out)
{
	struct arena arena = { 0 };
	struct event_frame frame;
	char digits[24];
	struct span version = { digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, ev->version) };

	char *to = event_frame(&frame, ev->actor_id, ev->timestamp, &arena) == 0
		       ? buf_reserve(out, event_size_max(ev, 0, &frame))
		       : NULL;
	if (to != NULL)
		out->len = (size_t)(event_write(to, ev, version, ev->id, &frame) - out->p);
	else
		out->failed = true;
	arena_free(&arena);
}

static bool
same(struct span offered, struct span stored)
{
	return offered.p == NULL || (stored.p != NULL && span_eq(offered, stored));
}

bool
event_same(const struct event *offered, const struct event *stored)
{
	return (offered->version == 0 || offered->version == stored->version) && same(offered->id, stored->id) &&
	       same(offered->type, stored->type) && same(offered->actor_id, stored->actor_id) &&
	       same(offered->command_id, stored->command_id) && same(offered->timestamp, stored->timestamp) &&
	       same(offered->data, stored->data) && same(offered->metadata, stored->metadata);
}
