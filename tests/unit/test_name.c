#include <errno.h>

#include "../../store/name.h"
#include "check.h"

static void
check_round_trip(const char *name, const char *wire)
{
	struct buf b = { 0 };

	name_encode(&b, span_of(name));
	CHECK_EQ_STR(buf_text(&b), wire);
	buf_clear(&b);
	CHECK_EQ_INT(name_decode(&b, span_of(wire)), 0);
	CHECK_EQ_STR(buf_text(&b), name);
	buf_free(&b);
}

TEST(encodes_names)
{
	check_round_trip("order-123", "order-123");
	check_round_trip("AZaz09-_~", "AZaz09-_~");
	check_round_trip("a.b", "a%2Eb");
	check_round_trip("a*b>c", "a%2Ab%3Ec");
	check_round_trip("50%", "50%25");
	check_round_trip("%2E", "%252E");
	check_round_trip("two words", "two%20words");
	check_round_trip("$JS", "%24JS");
	check_round_trip("Stra\xc3\x9f"
			 "e",
	    "Stra%C3%9Fe");
	check_round_trip("\xf0\x9f\x90\x89", "%F0%9F%90%89");
}

TEST(encodes_every_byte_apart)
{
	struct buf seen = { 0 };

	/* Each stands between two spaces in seen. */
	buf_putc(&seen, ' ');
	for (int i = 0; i < 256; i++) {
		struct buf b = { 0 };
		char c = (char)i;
		buf_putc(&b, ' ');
		name_encode(&b, (struct span){ &c, 1 });
		CHECK(b.len == 2 || (b.len == 4 && b.p[1] == '%'));
		buf_putc(&b, ' ');
		CHECK(strstr(buf_text(&seen), buf_text(&b)) == NULL);
		buf_put(&seen, b.p + 1, b.len - 1);
		buf_free(&b);
	}
	buf_free(&seen);
}

TEST(refuses_other_wire_forms)
{
	static const char *const cases[] = { "", "a.b", "a b", "a%", "a%2", "a%2e", "a%GG", "%41", "%7E", "%00",
		"a%00b", "%2Ea", "a%2Fb", "a%0A", "a%7F", "%C3", "%ED%A0%80", "a*", ">", "\xc3\x9f", "%%41" };
	struct buf b = { 0 };

	buf_puts(&b, "kept");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (name_decode(&b, span_of(cases[i])) != -EINVAL)
			CHECK_EQ_STR("refused", cases[i]);
	CHECK_EQ_STR(buf_text(&b), "kept");
	buf_free(&b);
}

TEST(decodes_up_to_the_longest_name)
{
	char wire[3 * (NAME_ACTOR_MAX + 1)];
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(wire); i += 3)
		memcpy(wire + i, "%20", 3);
	CHECK_EQ_INT(name_decode(&b, (struct span){ wire, sizeof(wire) - 3 }), 0);
	CHECK_EQ_UINT(b.len, NAME_ACTOR_MAX);
	CHECK_EQ_INT(name_decode(&b, (struct span){ wire, sizeof(wire) }), -EINVAL);
	buf_free(&b);
}

TEST(checks_names)
{
	CHECK_EQ_INT(name_check_actor(SPAN("order-123")), 0);
	CHECK_EQ_INT(name_check_actor(SPAN("a b.c*>%\\\"'")), 0);
	CHECK_EQ_INT(name_check_actor(SPAN("\xe2\x82\xac")), 0);
	CHECK_EQ_INT(name_check_actor(SPAN("")), -EINVAL);
	CHECK_EQ_INT(name_check_actor(SPAN(".")), -EPERM);
	CHECK_EQ_INT(name_check_actor(SPAN(".aether")), -EPERM);
	CHECK_EQ_INT(name_check_actor(SPAN(".\xff")), -EPERM);
	CHECK_EQ_INT(name_check_actor(SPAN("a\xff\n")), -EILSEQ);
	CHECK_EQ_INT(name_check_actor(SPAN("a\n")), -EINVAL);
	CHECK_EQ_INT(name_check_actor(SPAN("a\0")), -EINVAL);
	CHECK_EQ_INT(name_check_actor(SPAN("\x1f")), -EINVAL);
	CHECK_EQ_INT(name_check_actor(SPAN("\x7f")), -EINVAL);
	CHECK_EQ_INT(name_check_actor(SPAN("a/b")), -EINVAL);
}

TEST(checks_lengths)
{
	char name[300];

	memset(name, 'a', sizeof(name));
	CHECK_EQ_INT(name_check_actor((struct span){ name, 255 }), 0);
	CHECK_EQ_INT(name_check_actor((struct span){ name, 256 }), -ENAMETOOLONG);
	CHECK_EQ_INT(name_check_namespace((struct span){ name, 128 }), 0);
	CHECK_EQ_INT(name_check_namespace((struct span){ name, 129 }), -ENAMETOOLONG);
	name[0] = '.';
	CHECK_EQ_INT(name_check_actor((struct span){ name, 256 }), -ENAMETOOLONG);
}

/* The slow and obvious way: decode, then look at the number. */
static bool
utf8_model(const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len;) {
		unsigned n = p[i] < 0x80   ? 1
			     : p[i] < 0xc0 ? 0
			     : p[i] < 0xe0 ? 2
			     : p[i] < 0xf0 ? 3
			     : p[i] < 0xf8 ? 4
					   : 0;
		static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
		uint32_t c = n == 1 ? p[i] : p[i] & (0x7fu >> n);
		if (n == 0 || n > len - i)
			return false;
		for (unsigned k = 1; k < n; k++) {
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (p[i + k] & 0x3fu);
		}
		if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
		i += n;
	}
	return true;
}

TEST(agrees_with_a_model_of_utf8)
{
	static const unsigned char bytes[] = { 0x00, 'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
		0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff };
	const size_t n = sizeof(bytes);

	/* Every four of the bytes where a rule changes, at the start and across a word. */
	for (size_t i = 0; i < n * n * n * n; i++) {
		unsigned char text[16];
		size_t at = i % 9;
		memset(text, 'x', sizeof(text));
		text[at] = bytes[i % n];
		text[at + 1] = bytes[i / n % n];
		text[at + 2] = bytes[i / n / n % n];
		text[at + 3] = bytes[i / n / n / n];
		REQUIRE(name_utf8((char *)text, sizeof(text)) == utf8_model(text, sizeof(text)));
		REQUIRE(name_utf8((char *)text, at + 4) == utf8_model(text, at + 4));
	}
}

static void
check_file(const char *text, const char *file)
{
	struct buf b = { 0 };

	name_file(&b, span_of(text));
	CHECK_EQ_STR(buf_text(&b), file);
	buf_clear(&b);
	CHECK_EQ_INT(name_of_file(&b, span_of(file)), 0);
	CHECK_EQ_STR(buf_text(&b), text);
	buf_free(&b);
}

TEST(names_files)
{
	check_file("OrderPlaced", "OrderPlaced");
	check_file("a.b c*\"~", "a.b c*\"~");
	check_file("a/b", "a%2Fb");
	check_file("100%", "100%25");
	check_file(".", "%2E");
	check_file("..", "%2E.");
	check_file(".aether", "%2Eaether");
	check_file("\x01\n\x7f", "%01%0A%7F");
	check_file("Stra\xc3\x9f"
		   "e",
	    "Stra\xc3\x9f"
	    "e");
	check_file("%~", "%25~");
}

TEST(refuses_what_names_no_file)
{
	static const char *const names[] = { "", "a%2fb", "a%41", "a%", "a%2", "a%zz", ".", "..", ".a", "a%~", "a%2E", "\x01" };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK_EQ_INT(name_of_file(&b, span_of(names[i])), -EINVAL);
	CHECK_EQ_UINT(b.len, 0);
	buf_free(&b);
}

/* Of any length, with characters of any length where it is cut: a name that a file can have, and another for another text. */
TEST(cuts_names_of_files)
{
	static const char *const pieces[] = { "a", "\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "/", "%" };
	struct buf text = { 0 }, name = { 0 }, last = { 0 }, back = { 0 };

	for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
		for (size_t lead = 0; lead < 4; lead++) {
			buf_clear(&text);
			buf_put(&text, "xyz", lead);
			while (text.len < 700) {
				buf_puts(&text, pieces[p]);
				buf_clear(&name);
				buf_clear(&back);
				name_file(&name, (struct span){ text.p, text.len });
				REQUIRE(name.len <= NAME_FILE_MAX && name_utf8(name.p, name.len));
				REQUIRE(!span_eq((struct span){ name.p, name.len }, (struct span){ last.p, last.len }));
				int err = name_of_file(&back, (struct span){ name.p, name.len });
				REQUIRE(err == 0 ? span_eq((struct span){ back.p, back.len }, (struct span){ text.p, text.len }) : err == -EAGAIN && text.len > 80);
				buf_clear(&last);
				buf_put(&last, name.p, name.len);
			}
		}
	}
	buf_free(&text);
	buf_free(&name);
	buf_free(&last);
	buf_free(&back);
}

TESTS(T(names_files), T(refuses_what_names_no_file), T(cuts_names_of_files), T(encodes_names), T(encodes_every_byte_apart), T(refuses_other_wire_forms), T(decodes_up_to_the_longest_name),
    T(checks_names), T(checks_lengths), T(agrees_with_a_model_of_utf8))
