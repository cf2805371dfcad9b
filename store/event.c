#include "event.h"

#include <errno.h>

#include "clock.h"
#include "json.h"
#include "name.h"

/* The keys of an event's line, in the order in which they are written. */
enum key { KEY_VERSION, KEY_ID, KEY_TYPE, KEY_ACTOR_ID, KEY_COMMAND_ID, KEY_TIMESTAMP, KEY_DATA, KEY_METADATA, KEYS };

static const struct span key_names[KEYS] = {
	[KEY_VERSION] = { "version", 7 },
	[KEY_ID] = { "id", 2 },
	[KEY_TYPE] = { "eventType", 9 },
	[KEY_ACTOR_ID] = { "actorId", 7 },
	[KEY_COMMAND_ID] = { "commandId", 9 },
	[KEY_TIMESTAMP] = { "timestamp", 9 },
	[KEY_DATA] = { "data", 4 },
	[KEY_METADATA] = { "metadata", 8 },
};

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
};

static enum key
find_key(struct span name)
{
	for (enum key k = 0; k < KEYS; k++)
		if (span_eq(name, key_names[k]))
			return k;
	return KEYS;
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
on_member(void *arg, struct json_member m)
{
	struct members *members = arg;
	enum key k = find_raw_key(m.key);

	if (m.depth > members->depth)
		members->depth = m.depth;
	if (k == KEYS)
		members->unknown = true;
	else if (members->values[k].p != NULL)
		members->repeated = true;
	else
		members->values[k] = m.value;
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
 * Read a string of 1 to max bytes: value is its minified text. An absent one stays absent. Without escapes the text is
 * its own decoded form.
 */
static int
read_string(struct span value, size_t max, struct arena *arena, struct span *out, const char **why, const char *refusal)
{
	if (value.p == NULL)
		return 0;
	if (value.p[0] != '"')
		return refuse(why, refusal);

	struct span s = { value.p + 1, value.len - 2 };
	if (memchr(s.p, '\\', s.len) != NULL) {
		char *text = arena_alloc(arena, s.len);
		if (text == NULL)
			return out_of_memory(why);
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
		err = read_string(values[KEY_ID], EVENT_ID_MAX, arena, &ev->id, why,
		    "id: must be a string of 1 to 128 bytes without NUL");
	if (err == 0)
		err = read_string(values[KEY_TYPE], SIZE_MAX, arena, &ev->type, why,
		    "eventType: must be a string, not empty and without NUL");
	if (err == 0)
		err = read_string(values[KEY_ACTOR_ID], SIZE_MAX, arena, &ev->actor_id, why,
		    "actorId: must be a string, not empty and without NUL");
	if (err == 0)
		err = read_string(values[KEY_COMMAND_ID], SIZE_MAX, arena, &ev->command_id, why,
		    "commandId: must be a string, not empty and without NUL");
	if (err == 0)
		err = read_string(
		    values[KEY_TIMESTAMP], SIZE_MAX, arena, &ev->timestamp, why, "timestamp: must be an RFC 3339 time");
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

static int
parse_object(struct span line, struct arena *arena, struct event *ev, const char **why)
{
	struct members members = { .depth = 0 };
	char *out = arena_alloc(arena, line.len);

	if (out == NULL)
		return out_of_memory(why);
	ssize_t len = json_object(line.p, line.len, out, on_member, &members, why);
	if (len < 0)
		return (int)len;
	if (members.values[KEY_TYPE].p != NULL)
		return read_members(&members, arena, ev, why);

	/* As data it will stand one level deeper, and must still be readable there. */
	if (members.depth + 2 > JSON_DEPTH_MAX)
		return refuse(why, "not JSON: nested too deeply");
	ev->type = SPAN("Event");
	ev->data = (struct span){ out, (size_t)len };
	return 0;
}

static int
parse_text(struct span line, struct arena *arena, struct event *ev, const char **why)
{
	static const char open[] = "{\"text\":";
	size_t size = sizeof(open) - 1 + json_string_len(line) + 1;
	char *out = arena_alloc(arena, size);

	if (out == NULL)
		return out_of_memory(why);
	memcpy(out, open, sizeof(open) - 1);
	char *end = json_write_string(out + sizeof(open) - 1, line);
	*end = '}';
	ev->type = SPAN("Text");
	ev->data = (struct span){ out, size };
	return 0;
}

int
event_parse(struct span line, struct arena *arena, struct event *ev, const char **why)
{
	*ev = (struct event){ 0 };
	if (line.len == 0)
		return parse_text(SPAN(""), arena, ev, why);
	if (memchr(line.p, '\0', line.len) != NULL) {
		*why = "a NUL byte";
		return -EILSEQ;
	}
	if (!name_utf8(line.p, line.len)) {
		*why = "not UTF-8";
		return -EILSEQ;
	}
	return line.p[0] == '{' ? parse_object(line, arena, ev, why) : parse_text(line, arena, ev, why);
}

/* Decimal digits of v, without a sign or leading zeros; returns where they begin in digits. */
static struct span
decimal(uint64_t v, char digits[20])
{
	size_t at = 20;

	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	return (struct span){ digits + at, 20 - at };
}

static char *
put_bytes(char *to, struct span s)
{
	memcpy(to, s.p, s.len);
	return to + s.len;
}

/* before is what stands between the field and the one before it, with the field's key; an absent field is left out. */
static char *
put_string(char *to, struct span before, struct span text)
{
	if (text.p == NULL)
		return to;
	to = put_bytes(to, before);
	return json_write_string(to, text);
}

void
event_encode(const struct event *ev, struct buf *out)
{
	/* More than all keys, quotes and punctuation together. */
	enum { KEYS_SIZE = 128 };
	const struct span strings[] = { ev->id, ev->type, ev->actor_id, ev->command_id, ev->timestamp };
	char digits[20];
	struct span version = decimal(ev->version, digits);
	size_t size = KEYS_SIZE + version.len + ev->data.len + ev->metadata.len;

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		size += strings[i].p != NULL ? json_string_len(strings[i]) : 0;
	char *to = buf_reserve(out, size);
	if (to == NULL)
		return;

	to = put_bytes(to, SPAN("{\"version\":"));
	to = put_bytes(to, version);
	to = put_string(to, SPAN(",\"id\":"), ev->id);
	to = put_string(to, SPAN(",\"eventType\":"), ev->type);
	to = put_string(to, SPAN(",\"actorId\":"), ev->actor_id);
	to = put_string(to, SPAN(",\"commandId\":"), ev->command_id);
	to = put_string(to, SPAN(",\"timestamp\":"), ev->timestamp);
	to = put_bytes(to, SPAN(",\"data\":"));
	to = put_bytes(to, ev->data);
	if (ev->metadata.p != NULL) {
		to = put_bytes(to, SPAN(",\"metadata\":"));
		to = put_bytes(to, ev->metadata);
	}
	to = put_bytes(to, SPAN("}\n"));
	out->len = (size_t)(to - out->p);
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
