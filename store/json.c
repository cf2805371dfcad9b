#include "json.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The scanner copies no byte by itself: what lies between two pieces of white space goes to out in one run.
 */
struct scan {
	const char *p;
	const char *end;
	const char *run; /* from here to p, not yet copied */
	char *out;
	int deepest; /* reached inside the member of the outermost object that is being read */
	json_member_fn fn;
	void *arg;
	const char *why;
};

static int
refuse(struct scan *s, const char *why)
{
	s->why = why;
	return -EINVAL;
}

/* The top bit of each byte of the result says whether that byte of v is zero; right up to the lowest that is. */
static inline uint64_t
zero_bytes(uint64_t v)
{
	return (v - 0x0101010101010101u) & ~v & 0x8080808080808080u;
}

/*
 * How many of the 8 bytes in v, in memory order, come before the first that a string cannot hold as it is: a quote, a
 * backslash or a control character.
 */
static inline unsigned
plain_bytes(uint64_t v)
{
	uint64_t quote = zero_bytes(v ^ 0x2222222222222222u);
	uint64_t backslash = zero_bytes(v ^ 0x5c5c5c5c5c5c5c5cu);
	uint64_t control = (v - 0x2020202020202020u) & ~v & 0x8080808080808080u;
	uint64_t special = quote | backslash | control;

	return special == 0 ? 8 : (unsigned)__builtin_ctzll(special) / 8;
}

static inline bool
is_plain(char c)
{
	return c != '"' && c != '\\' && (unsigned char)c >= 0x20;
}

static inline uint64_t
load8(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* How many bytes from p come before the first that a string cannot hold as it is. */
static inline size_t
plain_run(const char *p, const char *end)
{
	const char *start = p;

	while (end - p >= 8) {
		unsigned n = plain_bytes(load8(p));
		p += n;
		if (n < 8)
			return (size_t)(p - start);
	}
	while (p < end && is_plain(*p))
		p++;
	return (size_t)(p - start);
}

static void
end_run(struct scan *s)
{
	size_t n = (size_t)(s->p - s->run);

	memcpy(s->out, s->run, n);
	s->out += n;
	s->run = s->p;
}

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline void
skip_space(struct scan *s)
{
	if (s->p == s->end || !is_space(*s->p))
		return;
	end_run(s);
	while (s->p < s->end && is_space(*s->p))
		s->p++;
	s->run = s->p;
}

static inline bool
take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
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
	if (p[1] != 'u')
		return p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL ? 2 : 0;

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

static int
scan_string(struct scan *s)
{
	const char *end = s->end;

	if (!take(s, '"'))
		return refuse(s, "not JSON: a string in quotes is missing");
	for (const char *p = s->p;;) {
		p += plain_run(p, end);
		if (p == end)
			return refuse(s, "not JSON: a string has no end");
		if (*p == '"') {
			s->p = p + 1;
			return 0;
		}
		if (*p != '\\')
			return refuse(s, "not JSON: a control character in a string");
		size_t n = escape_len(p, end);
		if (n == 0)
			return refuse(s, "not JSON: a malformed escape in a string");
		p += n;
	}
}

/* Returns whether there was a digit. */
static bool
scan_digits(struct scan *s)
{
	const char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p > start;
}

static int
scan_number(struct scan *s)
{
	take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return refuse(s, "not JSON: not a value");
	if (take(s, '.') && !scan_digits(s))
		return refuse(s, "not JSON: a malformed number");
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			take(s, '-');
		if (!scan_digits(s))
			return refuse(s, "not JSON: a malformed number");
	}
	return 0;
}

static int
scan_word(struct scan *s, struct span word)
{
	if ((size_t)(s->end - s->p) < word.len || memcmp(s->p, word.p, word.len) != 0)
		return refuse(s, "not JSON: not a value");
	s->p += word.len;
	return 0;
}

static int scan_object(struct scan *s, int depth);
static int scan_array(struct scan *s, int depth);

/* depth counts the objects and arrays that the value is in. */
static int
scan_value(struct scan *s, int depth)
{
	if (s->p == s->end)
		return refuse(s, "not JSON: it ends too early");
	switch (*s->p) {
	case '"':
		return scan_string(s);
	case '{':
		return scan_object(s, depth + 1);
	case '[':
		return scan_array(s, depth + 1);
	case 't':
		return scan_word(s, SPAN("true"));
	case 'f':
		return scan_word(s, SPAN("false"));
	case 'n':
		return scan_word(s, SPAN("null"));
	default:
		return scan_number(s);
	}
}

/* One "key":value, with the white space around both. */
static int
scan_member(struct scan *s, int depth)
{
	const char *key = s->p + 1;
	int err = scan_string(s);
	if (err != 0)
		return err;
	const char *key_end = s->p - 1;

	skip_space(s);
	if (!take(s, ':'))
		return refuse(s, "not JSON: a ':' is missing after a key");
	skip_space(s);

	if (depth > 1 || s->fn == NULL) {
		err = scan_value(s, depth);
	} else {
		end_run(s);
		const char *value = s->out;
		s->deepest = depth;
		err = scan_value(s, depth);
		if (err != 0)
			return err;
		end_run(s);
		struct json_member m = {
			.key = { key, (size_t)(key_end - key) },
			.value = { value, (size_t)(s->out - value) },
			.depth = s->deepest - depth,
		};
		err = s->fn(s->arg, m);
	}
	if (err == 0)
		skip_space(s);
	return err;
}

/* Take the bracket that opens an object or array. */
static int
scan_enter(struct scan *s, char bracket, int depth)
{
	if (depth > JSON_DEPTH_MAX)
		return refuse(s, "not JSON: nested too deeply");
	if (depth > s->deepest)
		s->deepest = depth;
	take(s, bracket);
	skip_space(s);
	return 0;
}

static int
scan_object(struct scan *s, int depth)
{
	int err = scan_enter(s, '{', depth);
	if (err != 0)
		return err;
	if (take(s, '}'))
		return 0;
	for (;;) {
		err = scan_member(s, depth);
		if (err != 0)
			return err;
		if (take(s, '}'))
			return 0;
		if (!take(s, ','))
			return refuse(s, "not JSON: a ',' or '}' is missing in an object");
		skip_space(s);
	}
}

static int
scan_array(struct scan *s, int depth)
{
	int err = scan_enter(s, '[', depth);
	if (err != 0)
		return err;
	if (take(s, ']'))
		return 0;
	for (;;) {
		err = scan_value(s, depth);
		if (err != 0)
			return err;
		skip_space(s);
		if (take(s, ']'))
			return 0;
		if (!take(s, ','))
			return refuse(s, "not JSON: a ',' or ']' is missing in an array");
		skip_space(s);
	}
}

ssize_t
json_object(const char *text, size_t len, char *out, json_member_fn fn, void *arg, const char **why)
{
	struct scan s = { .p = text, .end = text + len, .run = text, .out = out, .fn = fn, .arg = arg };
	int err;

	skip_space(&s);
	if (s.p == s.end || *s.p != '{')
		err = refuse(&s, "not JSON: not an object");
	else
		err = scan_object(&s, 1);
	if (err == 0) {
		end_run(&s);
		skip_space(&s);
		if (s.p != s.end)
			err = refuse(&s, "not JSON: something follows the object");
	}
	if (err != 0) {
		if (s.why != NULL)
			*why = s.why;
		return err;
	}
	return s.out - out;
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

ssize_t
json_unescape(struct span raw, char *out)
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
			int unit = n == 0 ? 0 : hex4(p + 2, end);
			if (unit <= 0)
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
		p += plain_run(p, end);
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
		size_t n = plain_run(p, end);
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
