#include "json.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#define EACH_BYTE(c) ((uint64_t)(c) * 0x0101010101010101u)

/*
 * The scanner goes over the text once, a word at a time where it can, and hands on what it finds where it lies. Only
 * when it meets white space does it begin a copy without: of all before it, and from there on of each run between two
 * pieces of white space.
 *
 * The functions take the place where they begin and return the one behind what they have read, NULL after a failure.
 */
struct scan {
	const char *text;
	const char *end;
	const char *object; /* the outermost */
	const char *run;    /* from here on nothing has been copied */
	char *copy;         /* of the object; NULL until there is white space in it */
	char *out;          /* where the copy goes on */
	struct arena *arena; /* NULL: white space is a failure */
	int deepest; /* reached inside the member of the outermost object that is being read */
	json_member_fn fn;
	void *arg;
	int err;
	const char *why;
};

static const char *
refuse(struct scan *s, const char *why)
{
	s->err = -EINVAL;
	s->why = why;
	return NULL;
}

static inline uint64_t
load8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint64_t
load_last(const char *text, const char *end, const char *p)
{
	size_t left = (size_t)(end - p);
	uint64_t v = 0;

	if (left == 0)
		return 0;
	if (end - text >= 8)
		return load8(end - 8) >> (64 - 8 * left);
	while (left > 0)
		v = v << 8 | (unsigned char)p[--left];
	return v;
}

/* The 8 bytes from p, the first one lowest; zeros for those behind the end. */
static inline uint64_t
load(const char *text, const char *end, const char *p)
{
	return end - p >= 8 ? load8(p) : load_last(text, end, p);
}

/*
 * Of the bytes in v that a string cannot hold as they are, quotes, backslashes and control characters, the top bit. A
 * subtraction borrows from the bytes above one that is found, so the lowest is right and the rest may not be.
 */
static inline uint64_t
special_bytes(uint64_t v)
{
	uint64_t control = v - EACH_BYTE(0x20);
	uint64_t quote = (v ^ EACH_BYTE('"')) - EACH_BYTE(1);
	uint64_t backslash = (v ^ EACH_BYTE('\\')) - EACH_BYTE(1);

	return (control | quote | backslash) & ~v & EACH_BYTE(0x80);
}

/* Likewise of those that are no decimal digits: what is up to 9 once '0' is taken off stays below the top bit. */
static inline uint64_t
other_than_digits(uint64_t v)
{
	uint64_t value = v ^ EACH_BYTE('0');

	return ((value + EACH_BYTE(0x80 - 10)) | value) & EACH_BYTE(0x80);
}

static inline size_t
first_byte(uint64_t tops)
{
	return (size_t)__builtin_ctzll(tops) / 8;
}

/* Where from p on the first byte is that a string cannot hold as it is, or the end. */
static inline const char *
after_plain(const char *text, const char *end, const char *p)
{
	for (;; p += 8) {
		uint64_t special = special_bytes(load(text, end, p));
		if (special != 0)
			return p + first_byte(special);
	}
}

static bool
end_run(struct scan *s, const char *p)
{
	enum { CHUNK = 16 };
	size_t n = (size_t)(p - s->run);

	if (s->copy == NULL) {
		if (s->arena == NULL)
			return false;
		s->copy = s->out = arena_alloc(s->arena, (size_t)(s->end - s->object) + CHUNK);
		if (s->copy == NULL) {
			s->err = -ENOMEM;
			s->why = "out of memory";
			return false;
		}
	}
	/* Runs are short mostly; some bytes too many are overwritten, or lie in the room behind. */
	if (n <= CHUNK && s->end - s->run >= CHUNK)
		memcpy(s->out, s->run, CHUNK);
	else
		memcpy(s->out, s->run, n);
	s->out += n;
	s->run = p;
	return true;
}

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *
leave_out_space(struct scan *s, const char *p)
{
	if (!is_space(*p))
		return p;
	if (!end_run(s, p))
		return NULL;
	while (p < s->end && is_space(*p))
		p++;
	s->run = p;
	return p;
}

static inline const char *
skip_space(struct scan *s, const char *p)
{
	return p == s->end || (unsigned char)*p > ' ' ? p : leave_out_space(s, p);
}

static inline bool
is_at(const struct scan *s, const char *p, char c)
{
	return p < s->end && *p == c;
}

/* The four hexadecimal digits at p, or -1. */
static int
hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return v;
}

/* Length of the escape that begins with the backslash at p, 0 if it is none. A surrogate pair is one escape. */
static size_t
escape_len(const char *p, const char *end)
{
	if (end - p < 2)
		return 0;
	switch (p[1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return 2;
	case 'u':
		break;
	default:
		return 0;
	}

	int unit = hex4(p + 2, end);
	if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return 0;
	if (unit < 0xd800 || unit > 0xdbff)
		return 6;
	if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return 0;
	int low = hex4(p + 8, end);
	return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

static const char *
scan_rest_of_string(struct scan *s, const char *p)
{
	for (;;) {
		if (p == s->end)
			return refuse(s, "not JSON: a string has no end");
		if (*p == '"')
			return p + 1;
		if (*p != '\\')
			return refuse(s, "not JSON: a control character in a string");
		size_t n = escape_len(p, s->end);
		if (n == 0)
			return refuse(s, "not JSON: a malformed escape in a string");
		p = after_plain(s->text, s->end, p + n);
	}
}

static inline const char *
scan_string(struct scan *s, const char *p)
{
	if (!is_at(s, p, '"'))
		return refuse(s, "not JSON: a string in quotes is missing");
	p = after_plain(s->text, s->end, p + 1);
	return is_at(s, p, '"') ? p + 1 : scan_rest_of_string(s, p);
}

static inline const char *
skip_digits(const struct scan *s, const char *p)
{
	for (;; p += 8) {
		uint64_t other = other_than_digits(load(s->text, s->end, p));
		if (other != 0)
			return p + first_byte(other);
	}
}

static const char *
scan_fraction(struct scan *s, const char *p)
{
	static const char why[] = "not JSON: a malformed number";

	if (is_at(s, p, '.')) {
		const char *digits = p + 1;
		p = skip_digits(s, digits);
		if (p == digits)
			return refuse(s, why);
	}
	if (is_at(s, p, 'e') || is_at(s, p, 'E')) {
		const char *digits = p + 1;
		if (is_at(s, digits, '+') || is_at(s, digits, '-'))
			digits++;
		p = skip_digits(s, digits);
		if (p == digits)
			return refuse(s, why);
	}
	return p;
}

static inline const char *
scan_number(struct scan *s, const char *p)
{
	const char *digits = p + is_at(s, p, '-');

	p = is_at(s, digits, '0') ? digits + 1 : skip_digits(s, digits);
	if (p == digits)
		return refuse(s, "not JSON: not a value");
	return is_at(s, p, ',') || is_at(s, p, '}') ? p : scan_fraction(s, p);
}

static inline const char *
scan_word(struct scan *s, const char *p, struct span word)
{
	if ((size_t)(s->end - p) < word.len || memcmp(p, word.p, word.len) != 0)
		return refuse(s, "not JSON: not a value");
	return p + word.len;
}

static const char *scan_object(struct scan *s, const char *p, int depth);
static const char *scan_array(struct scan *s, const char *p, int depth);

static const char *
scan_other_value(struct scan *s, const char *p, int depth)
{
	if (p == s->end)
		return refuse(s, "not JSON: it ends too early");
	switch (*p) {
	case '{':
		return scan_object(s, p, depth + 1);
	case '[':
		return scan_array(s, p, depth + 1);
	case 't':
		return scan_word(s, p, SPAN("true"));
	case 'f':
		return scan_word(s, p, SPAN("false"));
	case 'n':
		return scan_word(s, p, SPAN("null"));
	default:
		return scan_number(s, p);
	}
}

/* depth counts the objects and arrays that the value is in. */
static inline const char *
scan_value(struct scan *s, const char *p, int depth)
{
	return is_at(s, p, '"') ? scan_string(s, p) : scan_other_value(s, p, depth);
}

/* The colon that follows a key, and the white space around it. */
static inline const char *
scan_colon(struct scan *s, const char *p)
{
	if (!is_at(s, p, ':')) {
		p = skip_space(s, p);
		if (p == NULL)
			return NULL;
		if (!is_at(s, p, ':'))
			return refuse(s, "not JSON: a ':' is missing after a key");
	}
	return skip_space(s, p + 1);
}

static inline const char *
scan_member(struct scan *s, const char *p, int depth)
{
	p = scan_string(s, p);
	if (p != NULL)
		p = scan_colon(s, p);
	return p == NULL ? NULL : scan_value(s, p, depth);
}

/* A member of the outermost object. Its value lies in the copy if there is one by its end, else in the text. */
static const char *
scan_outer_member(struct scan *s, const char *p)
{
	struct json_member m = { .key.p = p + 1 };

	p = scan_string(s, p);
	if (p == NULL)
		return NULL;
	m.key.len = (size_t)(p - 1 - m.key.p);
	p = scan_colon(s, p);
	if (p == NULL || (s->copy != NULL && !end_run(s, p)))
		return NULL;
	const char *copied = s->out, *start = p;
	s->deepest = 1;
	p = scan_value(s, p, 1);
	if (p == NULL)
		return NULL;
	m.value = (struct span){ start, (size_t)(p - start) };
	if (s->copy != NULL) {
		if (!end_run(s, p))
			return NULL;
		m.value.p = copied != NULL ? copied : s->copy + (start - s->object);
		m.value.len = (size_t)(s->out - m.value.p);
	}
	m.depth = s->deepest - 1;
	s->err = s->fn(s->arg, &m);
	return s->err == 0 ? p : NULL;
}

/* The bracket that opens an object or array, and the white space behind it. */
static inline const char *
scan_open(struct scan *s, const char *p, int depth)
{
	if (depth > JSON_DEPTH_MAX)
		return refuse(s, "not JSON: nested too deeply");
	if (depth > s->deepest)
		s->deepest = depth;
	return skip_space(s, p + 1);
}

static const char *
scan_object(struct scan *s, const char *p, int depth)
{
	bool tell = depth == 1 && s->fn != NULL;

	p = scan_open(s, p, depth);
	if (p == NULL || is_at(s, p, '}'))
		return p == NULL ? NULL : p + 1;
	for (;;) {
		p = tell ? scan_outer_member(s, p) : scan_member(s, p, depth);
		if (p != NULL && !is_at(s, p, ','))
			p = skip_space(s, p);
		if (p == NULL || is_at(s, p, '}'))
			return p == NULL ? NULL : p + 1;
		if (!is_at(s, p, ','))
			return refuse(s, "not JSON: a ',' or '}' is missing in an object");
		if ((p = skip_space(s, p + 1)) == NULL)
			return NULL;
	}
}

static const char *
scan_array(struct scan *s, const char *p, int depth)
{
	p = scan_open(s, p, depth);
	if (p == NULL || is_at(s, p, ']'))
		return p == NULL ? NULL : p + 1;
	for (;;) {
		p = scan_value(s, p, depth);
		if (p != NULL && !is_at(s, p, ','))
			p = skip_space(s, p);
		if (p == NULL || is_at(s, p, ']'))
			return p == NULL ? NULL : p + 1;
		if (!is_at(s, p, ','))
			return refuse(s, "not JSON: a ',' or ']' is missing in an array");
		if ((p = skip_space(s, p + 1)) == NULL)
			return NULL;
	}
}

/* White space around the object is not worth a copy. */
static const char *
skip_outer_space(const struct scan *s, const char *p)
{
	while (p < s->end && is_space(*p))
		p++;
	return p;
}

static const char *
scan_outermost(struct scan *s)
{
	const char *p = s->object;

	if (!is_at(s, p, '{'))
		return refuse(s, "not JSON: not an object");
	p = scan_object(s, p, 1);
	if (p == NULL)
		return NULL;
	if (skip_outer_space(s, p) != s->end)
		return refuse(s, "not JSON: something follows the object");
	return s->copy == NULL || end_run(s, p) ? p : NULL;
}

int
json_object(struct span text, struct arena *arena, json_member_fn fn, void *arg, struct span *minified, const char **why)
{
	struct scan s = { .text = text.p, .end = text.p + text.len, .arena = arena, .fn = fn, .arg = arg };

	s.object = s.run = skip_outer_space(&s, s.text);
	const char *end = scan_outermost(&s);
	if (end == NULL) {
		if (s.why != NULL)
			*why = s.why;
		return s.err;
	}
	*minified = s.copy != NULL ? (struct span){ s.copy, (size_t)(s.out - s.copy) }
				   : (struct span){ s.object, (size_t)(end - s.object) };
	return 0;
}

const char *
json_compact_object(struct span text, int depth)
{
	struct scan s = { .text = text.p, .end = text.p + text.len };

	return scan_object(&s, text.p, depth);
}

const char *
json_compact_value(struct span text)
{
	struct scan s = { .text = text.p, .end = text.p + text.len };

	return scan_value(&s, text.p, 0);
}

const char *
json_plain_end(struct span text)
{
	return after_plain(text.p, text.p + text.len, text.p);
}

/* Write a code point as UTF-8; returns where the next byte goes. */
static char *
put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
		return to;
	}
	if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*to++ = (char)(0xe0 | c >> 12);
		} else {
			*to++ = (char)(0xf0 | c >> 18);
			*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (c & 0x3f));
	return to;
}

static char
unescape_letter(char letter)
{
	switch (letter) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return letter;
	}
}

/* lowest: the least character that an escape may stand for. */
static ssize_t
unescape(struct span raw, char *out, int lowest)
{
	const char *p = raw.p;
	const char *end = raw.p + raw.len;
	char *to = out;

	while (p < end) {
		const char *backslash = memchr(p, '\\', (size_t)(end - p));
		size_t plain = (size_t)((backslash != NULL ? backslash : end) - p);
		memcpy(to, p, plain);
		p += plain;
		to += plain;
		if (backslash == NULL)
			break;

		size_t n = escape_len(p, end);
		if (n == 2) {
			*to++ = unescape_letter(p[1]);
		} else {
			int unit = n == 0 ? -1 : hex4(p + 2, end);
			if (unit < lowest)
				return -EINVAL;
			uint32_t c = (uint32_t)unit;
			if (n == 12)
				c = 0x10000 + ((c - 0xd800) << 10) + (uint32_t)(hex4(p + 8, end) - 0xdc00);
			to = put_utf8(to, c);
		}
		p += n;
	}
	return to - out;
}

ssize_t
json_unescape(struct span raw, char *out)
{
	return unescape(raw, out, 1);
}

ssize_t
json_unescape_any(struct span raw, char *out)
{
	return unescape(raw, out, 0);
}

/* The letter that stands after a backslash for c, or 0 if c has none. */
static char
escape_letter(char c)
{
	switch (c) {
	case '"':
	case '\\':
		return c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return '\0';
	}
}

size_t
json_string_len(struct span text)
{
	const char *p = text.p;
	const char *end = p + text.len;
	size_t len = 2 + text.len;

	while (p < end) {
		p = after_plain(text.p, end, p);
		if (p == end)
			break;
		len += escape_letter(*p++) != '\0' ? 1 : 5;
	}
	return len;
}

char *
json_write_string(char *to, struct span text)
{
	static const char hex[] = "0123456789abcdef";
	const char *p = text.p;
	const char *end = p + text.len;

	*to++ = '"';
	while (p < end) {
		size_t n = (size_t)(after_plain(text.p, end, p) - p);
		memcpy(to, p, n);
		to += n;
		p += n;
		if (p == end)
			break;
		char c = *p++;
		char letter = escape_letter(c);
		*to++ = '\\';
		if (letter != '\0') {
			*to++ = letter;
			continue;
		}
		memcpy(to, "u00", 3);
		to[3] = hex[(unsigned char)c >> 4];
		to[4] = hex[c & 15];
		to += 5;
	}
	*to++ = '"';
	return to;
}

void
json_put_string(struct buf *out, struct span text)
{
	char *to = buf_reserve(out, json_string_len(text));

	if (to != NULL)
		out->len = (size_t)(json_write_string(to, text) - out->p);
}
