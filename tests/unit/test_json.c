#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>

#include "../../store/json.h"
#include "check.h"

/* Minify text in memory of exactly its size, so that a sanitizer sees a byte too much. Returns the length or -errno. */
static ssize_t
minify(struct span text, struct buf *out)
{
	const char *why = "";
	struct arena arena = { 0 };
	struct span minified = { 0 };
	char *exact = malloc(text.len + 1);

	memcpy(exact, text.p, text.len);
	exact = realloc(exact, text.len + (text.len == 0));
	int err = json_object((struct span){ exact, text.len }, &arena, NULL, NULL, &minified, &why);
	CHECK((err != 0) == (why[0] != '\0'));
	CHECK(err == 0 ? minified.len >= 2 : err == -EINVAL);
	/* What has nothing to leave out is not copied. */
	bool in_text = minified.p >= exact && minified.p < exact + text.len;
	CHECK(err != 0 || in_text || arena.blocks != NULL);
	buf_clear(out);
	if (err == 0)
		buf_put(out, minified.p, minified.len);
	free(exact);
	arena_free(&arena);
	return err == 0 ? (ssize_t)minified.len : err;
}

static bool
oracle_accepts(struct span text)
{
	const char *end = NULL;
	cJSON *tree = cJSON_ParseWithLengthOpts(text.p, text.len, &end, false);
	bool ok = cJSON_IsObject(tree);

	while (ok && end < text.p + text.len)
		ok = strchr(" \t\r\n", *end++) != NULL;
	cJSON_Delete(tree);
	return ok;
}

static void
check_minified(struct span text, const char *expected)
{
	struct buf b = { 0 };

	CHECK(minify(text, &b) > 0);
	CHECK_EQ_STR(buf_text(&b), expected);
	CHECK(oracle_accepts(text));
	buf_free(&b);
}

TEST(drops_white_space_only)
{
	check_minified(SPAN("{}"), "{}");
	check_minified(SPAN(" \t\r\n{ \n } \r"), "{}");
	check_minified(SPAN("{ \"a b\" : [ 1 , 2 ] , \"c\" : { \"d\" : [ ] } }"), "{\"a b\":[1,2],\"c\":{\"d\":[]}}");
	check_minified(SPAN("{\"a\":\" x \\\" \\\\ { y \"}"), "{\"a\":\" x \\\" \\\\ { y \"}");
	check_minified(SPAN("{\"\":true,\"\":false , \"n\":null}"), "{\"\":true,\"\":false,\"n\":null}");
}

TEST(keeps_numbers)
{
	check_minified(
	    SPAN("{\"a\":9007199254740993,\"b\":1.10,\"c\":1e400}"), "{\"a\":9007199254740993,\"b\":1.10,\"c\":1e400}");
	check_minified(SPAN("{\"a\":[-0, 0.0, -1.5E+10, 0e0, 12E-3]}"), "{\"a\":[-0,0.0,-1.5E+10,0e0,12E-3]}");
}

TEST(keeps_strings)
{
	check_minified(
	    SPAN("{\"a\":\"\\u00e9\\/\\b\\f\\n\\r\\t \x7f\"}"), "{\"a\":\"\\u00e9\\/\\b\\f\\n\\r\\t \x7f\"}");
	check_minified(SPAN("{\"a\":\"\\uD83D\\uDC09\"}"), "{\"a\":\"\\uD83D\\uDC09\"}");
	check_minified(
	    SPAN("{\"a\":\"gr\xc3\xbc\xc3\x9f\xf0\x9f\x90\x89\"}"), "{\"a\":\"gr\xc3\xbc\xc3\x9f\xf0\x9f\x90\x89\"}");
}

TEST(refuses_what_is_no_object)
{
	static const char *const cases[] = { "", " ", "1", "\"a\"", "[]", "null", "{", "}", "{]", "{}}", "{} {}", "{},",
		"{a:1}", "{'a':1}", "{\"a\"}", "{\"a\":}", "{\"a\" 1}", "{\"a\":1,}", "{,}", "{\"a\":1 \"b\":2}",
		"{\"a\":1", "{\"a\":1,\"b\"", "{\"a", "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\":[1", "{\"a\":[}",
		"{\"a\":[,1]}", "{1:2}", "{/**/}", "{\"a\":1}x", "\xef\xbb\xbf{}", "{\v}", "{\"a\":\"\\\"}" };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (minify(span_of(cases[i]), &b) != -EINVAL)
			CHECK_EQ_STR("refused", cases[i]);
	buf_free(&b);
}

TEST(refuses_other_values)
{
	static const char *const cases[] = { "01", "1.", ".5", "+1", "-", "--1", "1e", "1e+", "1.e1", "00", "-01",
		"0x1", "1_0", "NaN", "Infinity", "tru", "truex", "True", "nul", "nulll", "undefined", "\"\t\"",
		"\"\n\"", "\"\x1f\"", "\"\\x41\"", "\"\\u12\"", "\"\\u123g\"", "\"\\u\"", "\"\\", "\"\\'\"",
		"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\\ud800\\ud800\"",
		"\"\\udc00\\ud800\"", "\"abcdefg\x01\"", "\"abcdefgh\x1f\"", "'a'", "" };
	struct buf text = { 0 };
	struct buf b = { 0 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_clear(&text);
		buf_printf(&text, "{\"a\":%s}", cases[i]);
		if (minify((struct span){ text.p, text.len }, &b) != -EINVAL)
			CHECK_EQ_STR("refused", cases[i]);
	}
	buf_free(&text);
	buf_free(&b);
}

/* Every short text over the bytes that matter. What passes here passes cJSON and comes back the same. */
TEST(agrees_with_cjson)
{
	static const char alphabet[] = "{}[]\",:\\1-0.e tu";
	const size_t n = sizeof(alphabet) - 1;
	struct buf once = { 0 };
	struct buf twice = { 0 };
	unsigned accepted = 0;

	for (size_t i = 0; i < n * n * n * n; i++) {
		char text[16] = "{\"k\":????}";
		for (size_t k = 0, rest = i; k < 4; k++, rest /= n)
			text[5 + k] = alphabet[rest % n];
		struct span s = span_of(text);
		if (minify(s, &once) < 0)
			continue;
		accepted++;
		REQUIRE(oracle_accepts(s));
		REQUIRE(minify((struct span){ once.p, once.len }, &twice) == (ssize_t)once.len);
		REQUIRE(span_eq((struct span){ once.p, once.len }, (struct span){ twice.p, twice.len }));
	}
	CHECK(accepted > 50);
	buf_free(&once);
	buf_free(&twice);
}

/* Every place in the word and its neighbours, for each byte that ends a run of plain ones. */
TEST(finds_special_bytes_anywhere)
{
	struct buf b = { 0 };

	for (size_t len = 1; len < 40; len++)
		for (size_t at = 0; at < len; at++)
			for (int c = 0; c < 0x80; c++) {
				char text[64] = "{\"";
				memset(text + 2, 'x', len);
				text[2 + at] = (char)c;
				memcpy(text + 2 + len, "\":0}", 4);
				bool ok = minify((struct span){ text, len + 6 }, &b) > 0;
				REQUIRE(ok == (c >= 0x20 && c != '"' && c != '\\'));
				REQUIRE(!ok || (b.len == len + 6 && memcmp(b.p, text, b.len) == 0));
			}
	buf_free(&b);
}

static void
put_many(struct buf *b, const char *text, int n)
{
	for (int i = 0; i < n; i++)
		buf_puts(b, text);
}

/* {"a":[[…]]} with depth brackets in all. */
static ssize_t
nested(int depth, bool objects)
{
	struct buf text = { 0 };
	struct buf out = { 0 };

	buf_puts(&text, "{\"a\":");
	put_many(&text, objects ? "{\"a\":" : "[", depth - 1);
	buf_puts(&text, "1");
	put_many(&text, objects ? "}" : "]", depth - 1);
	buf_puts(&text, "}");
	ssize_t n = minify((struct span){ text.p, text.len }, &out);
	buf_free(&text);
	buf_free(&out);
	return n;
}

TEST(bounds_depth)
{
	CHECK(nested(JSON_DEPTH_MAX, true) > 0);
	CHECK(nested(JSON_DEPTH_MAX, false) > 0);
	CHECK_EQ_INT(nested(JSON_DEPTH_MAX + 1, true), -EINVAL);
	CHECK_EQ_INT(nested(JSON_DEPTH_MAX + 1, false), -EINVAL);
	CHECK_EQ_INT(nested(500000, false), -EINVAL);
}

struct seen {
	struct buf text;
	int stop_after;
};

static int
note_member(void *arg, const struct json_member *m)
{
	struct seen *seen = arg;

	buf_printf(&seen->text, "%.*s=%.*s/%d;", (int)m->key.len, m->key.p, (int)m->value.len, m->value.p,
	    m->depth);
	return --seen->stop_after == 0 ? -ENOMEM : 0;
}

TEST(shows_members)
{
	struct span text =
	    SPAN("{ \"a\" : 1, \"b\\u0041\":{\"x\":[ ],\"y\":1} ,\"c\":[[1, 2]], \"d\":{}, \"\": \"s\"}");
	struct seen seen = { .stop_after = 0 };
	const char *why = NULL;
	struct arena arena = { 0 };
	struct span out;

	CHECK_EQ_INT(json_object(text, &arena, note_member, &seen, &out, &why), 0);
	CHECK_EQ_STR(buf_text(&seen.text), "a=1/0;b\\u0041={\"x\":[],\"y\":1}/2;c=[[1,2]]/2;d={}/1;=\"s\"/0;");
	buf_clear(&seen.text);
	seen.stop_after = 2;
	CHECK_EQ_INT(json_object(text, &arena, note_member, &seen, &out, &why), -ENOMEM);
	CHECK_EQ_STR(buf_text(&seen.text), "a=1/0;b\\u0041={\"x\":[],\"y\":1}/2;");
	CHECK(why == NULL);
	arena_free(&arena);
	buf_free(&seen.text);
}

TEST(unescapes)
{
	static const char raw[] = "a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00df\\u20AC\\uD83D\\udc09z";
	static const char expected[] = "a\"\\/\b\f\n\r\tA\xc3\x9f\xe2\x82\xac\xf0\x9f\x90\x89z";
	char out[sizeof(raw)];

	ssize_t n = json_unescape(SPAN(raw), out);
	CHECK_EQ_MEM(out, (size_t)n, expected, sizeof(expected) - 1);
	CHECK_EQ_INT(json_unescape(SPAN(""), out), 0);
	CHECK_EQ_INT(json_unescape(SPAN("a\\u0000"), out), -EINVAL);
	CHECK_EQ_INT(json_unescape(SPAN("\\uffff"), out), 3);
}

TEST(unescapes_nul_where_it_may)
{
	static const char raw[] = "a\\u0000\\u00e9\\u0000";
	char out[sizeof(raw)];

	ssize_t n = json_unescape_any(SPAN(raw), out);
	CHECK_EQ_MEM(out, (size_t)n, "a\0\xc3\xa9\0", 5);
	CHECK_EQ_INT(json_unescape_any(SPAN("\\ud800"), out), -EINVAL);
}

/* How much of text the value takes that it begins with, or -1; from memory of exactly its size. */
static ssize_t
value_len(const char *text)
{
	size_t len = strlen(text);
	char *exact = malloc(len);

	memcpy(exact, text, len);
	const char *end = json_compact_value((struct span){ exact, len });
	ssize_t n = end != NULL ? end - exact : -1;
	free(exact);
	return n;
}

TEST(finds_the_end_of_a_value)
{
	static const char *const values[] = { "{}", "[]", "{\"a\":[1,{\"b\":\"}\"}]}", "\"\"", "\"a\\\"]\\\\\"", "0",
		"-1.50e+3", "12345678901234567890", "true", "false", "null" };
	static const char *const refused[] = { "}", ",", "nul", "{\"a\": 1}", "[1 ]", " 1", "\"a", "[1", "-", "1.", "1e" };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		for (size_t k = 0; k < 3; k++) {
			static const char *const behind[] = { "", ",\"x\":1}", "}x" };
			char text[64];
			snprintf(text, sizeof(text), "%s%s", values[i], behind[k]);
			CHECK_EQ_INT(value_len(text), (ssize_t)strlen(values[i]));
		}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		CHECK_EQ_INT(value_len(refused[i]), -1);
}

TEST(escapes)
{
	struct buf b = { 0 };

	json_put_string(&b, SPAN(""));
	json_put_string(&b, SPAN("plain, and long enough / for words"));
	json_put_string(&b, SPAN("\"\\\b\f\n\r\t\x01\x1f\x7f\xc3\x9f"));
	CHECK_EQ_STR(buf_text(&b), "\"\"\"plain, and long enough / for words\""
				   "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xc3\x9f\"");
	buf_free(&b);
}

TEST(escapes_reversibly)
{
	for (int c = 1; c < 0x80; c++)
		for (size_t at = 0; at < 20; at++) {
			char text[20], back[6 * sizeof(text)];
			struct buf b = { 0 };
			memset(text, 'x', sizeof(text));
			text[at] = (char)c;
			struct span s = { text, sizeof(text) };
			json_put_string(&b, s);
			REQUIRE(b.len == json_string_len(s));
			ssize_t n = json_unescape((struct span){ b.p + 1, b.len - 2 }, back);
			REQUIRE(n == sizeof(text) && memcmp(back, text, sizeof(text)) == 0);
			buf_free(&b);
		}
}

TESTS(T(drops_white_space_only), T(keeps_numbers), T(keeps_strings), T(refuses_what_is_no_object),
    T(refuses_other_values), T(agrees_with_cjson), T(finds_special_bytes_anywhere), T(bounds_depth), T(shows_members),
    T(unescapes), T(unescapes_nul_where_it_may), T(finds_the_end_of_a_value), T(escapes), T(escapes_reversibly))
