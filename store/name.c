#include "name.h"

#include <errno.h>
#include <stdint.h>
#include <xxhash.h>

#define HIGH_BITS 0x8080808080808080u

/* Length of the well-formed multi-byte character at p, 0 if there is none. RFC 3629, section 4. */
static size_t
utf8_char(const unsigned char *p, const unsigned char *end)
{
	size_t left = (size_t)(end - p);
	/* What the second byte may be excludes overlong forms, surrogates and what lies above U+10FFFF. */
	unsigned char low = 0x80;
	unsigned char high = 0xbf;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return left >= 2 && p[1] >= low && p[1] <= high ? 2 : 0;
	if (p[0] >= 0xe0 && p[0] <= 0xef) {
		if (p[0] == 0xe0)
			low = 0xa0;
		if (p[0] == 0xed)
			high = 0x9f;
		return left >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		if (p[0] == 0xf0)
			low = 0x90;
		if (p[0] == 0xf4)
			high = 0x8f;
		if (left < 4 || p[1] < low || p[1] > high)
			return 0;
		return (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80 ? 4 : 0;
	}
	return 0;
}

bool
name_utf8(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text;
	const unsigned char *end = p + len;

	while (p < end) {
		uint64_t word, words[4];
		while ((size_t)(end - p) >= sizeof(words)) {
			memcpy(words, p, sizeof(words));
			if (((words[0] | words[1] | words[2] | words[3]) & HIGH_BITS) != 0)
				break;
			p += sizeof(words);
		}
		while ((size_t)(end - p) >= sizeof(word)) {
			memcpy(&word, p, sizeof(word));
			if ((word & HIGH_BITS) != 0)
				break;
			p += sizeof(word);
		}
		while (p < end && *p < 0x80)
			p++;
		while (p < end && *p >= 0x80) {
			size_t n = utf8_char(p, end);
			if (n == 0)
				return false;
			p += n;
		}
	}
	return true;
}

static int
name_check(struct span name, size_t max)
{
	if (name.len > max)
		return -ENAMETOOLONG;
	if (name.len == 0)
		return -EINVAL;
	if (name.p[0] == '.')
		return -EPERM;
	if (!name_utf8(name.p, name.len))
		return -EILSEQ;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.p[i];
		if (c < 0x20 || c == 0x7f || c == '/')
			return -EINVAL;
	}
	return 0;
}

int
name_check_actor(struct span name)
{
	return name_check(name, NAME_ACTOR_MAX);
}

int
name_check_namespace(struct span name)
{
	return name_check(name, NAME_NAMESPACE_MAX);
}

static bool
is_plain(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
	       c == '~';
}

void
name_encode(struct buf *out, struct span name)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < name.len; i++) {
		if (is_plain(name.p[i])) {
			buf_putc(out, name.p[i]);
			continue;
		}
		unsigned char c = (unsigned char)name.p[i];
		char escape[3] = { '%', hex[c >> 4], hex[c & 15] };
		buf_put(out, escape, sizeof(escape));
	}
}

static bool
must_escape(struct span text, size_t i)
{
	unsigned char c = (unsigned char)text.p[i];

	return c < 0x20 || c == 0x7f || c == '/' || c == '%' || (c == '.' && i == 0);
}

#define CUT_MARK "%~"
#define DIGEST_LEN 32

/* Cut where it does no harm to a character. */
static void
cut(struct buf *out, size_t begin, struct span text)
{
	size_t end = begin + NAME_FILE_MAX - DIGEST_LEN - (sizeof(CUT_MARK) - 1);
	XXH128_hash_t digest = XXH3_128bits(text.p, text.len);

	while (end > begin && ((unsigned char)out->p[end] & 0xc0) == 0x80)
		end--;
	for (size_t back = 1; back <= 2 && end - begin > back; back++)
		if (out->p[end - back] == '%')
			end -= back;
	out->len = end;
	buf_printf(out, "%s%016llx%016llx", CUT_MARK, (unsigned long long)digest.high64, (unsigned long long)digest.low64);
}

void
name_file(struct buf *out, struct span text)
{
	size_t begin = out->len;

	for (size_t i = 0; i < text.len && out->len - begin <= NAME_FILE_MAX; i++) {
		if (must_escape(text, i))
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)text.p[i]);
		else
			buf_putc(out, text.p[i]);
	}
	if (!out->failed && out->len - begin > NAME_FILE_MAX)
		cut(out, begin, text);
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int
name_decode(struct buf *out, struct span wire)
{
	char name[NAME_ACTOR_MAX];
	size_t len = 0;

	for (size_t i = 0; i < wire.len; i++) {
		char c = wire.p[i];
		if (c == '%') {
			int high = wire.len - i > 2 ? hex_value(wire.p[i + 1]) : -1;
			int low = wire.len - i > 2 ? hex_value(wire.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
			if (is_plain(c))
				return -EINVAL;
		} else if (!is_plain(c)) {
			return -EINVAL;
		}
		if (len == sizeof(name))
			return -EINVAL;
		name[len++] = c;
	}
	if (name_check_actor((struct span){ name, len }) != 0)
		return -EINVAL;
	buf_put(out, name, len);
	return 0;
}

int
name_of_file(struct buf *out, struct span name)
{
	size_t begin = out->len, mark = name.len - DIGEST_LEN - (sizeof(CUT_MARK) - 1);
	struct buf again = { 0 };

	if (name.len > DIGEST_LEN + sizeof(CUT_MARK) && memcmp(name.p + mark, CUT_MARK, sizeof(CUT_MARK) - 1) == 0)
		return -EAGAIN;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		if (c == '%') {
			int high = name.len - i > 2 ? hex_value(name.p[i + 1]) : -1;
			int low = name.len - i > 2 ? hex_value(name.p[i + 2]) : -1;
			c = high < 0 || low < 0 ? '\0' : (char)(high << 4 | low);
			i += 2;
		}
		buf_putc(out, c);
	}
	/* A text has one name only. */
	name_file(&again, (struct span){ out->p + begin, out->len - begin });
	bool same = !out->failed && !again.failed && span_eq((struct span){ again.p, again.len }, name);
	buf_free(&again);
	if (same && name.len > 0)
		return 0;
	out->len = begin;
	return -EINVAL;
}
