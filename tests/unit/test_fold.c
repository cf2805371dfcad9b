#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "../../store/fold.h"
#include "../../store/json.h"
#include "check.h"
#include "merge_cjson.h"

static struct fold *
new_fold(struct span state)
{
	struct fold *f = NULL;

	CHECK_EQ_INT(fold_new(&f), 0);
	CHECK_EQ_INT(fold_load(f, state), 0);
	return f;
}

static struct span
span_in(const struct buf *b)
{
	return (struct span){ b->p, b->len };
}

/* Merge or load from memory of exactly its size, so that a sanitizer sees a byte too much. */
static int
exactly(int (*fn)(struct fold *f, struct span text), struct fold *f, struct span text)
{
	char *exact = malloc(text.len + (text.len == 0));

	memcpy(exact, text.p, text.len);
	int err = fn(f, (struct span){ exact, text.len });
	free(exact);
	return err;
}

static void
read_fold(const struct fold *f, struct buf *out)
{
	buf_clear(out);
	CHECK_EQ_INT(fold_text(f, out), 0);
	CHECK_EQ_UINT(out->len, fold_len(f));
}

static void
check_text(const struct fold *f, const char *expected)
{
	struct buf b = { 0 };

	read_fold(f, &b);
	CHECK_EQ_STR(buf_text(&b), expected);
	buf_free(&b);
}

static void
check_merge(const char *state, const char *patch, const char *expected)
{
	struct fold *f = new_fold(span_of(state));

	CHECK_EQ_INT(exactly(fold_merge, f, span_of(patch)), 0);
	check_text(f, expected);
	CHECK_EQ_INT(exactly(fold_load, f, SPAN("{}")), 0);
	struct fold *fresh = new_fold(SPAN("{}"));
	CHECK_EQ_UINT(fold_bytes(f), fold_bytes(fresh));
	fold_free(fresh);
	fold_free(f);
}

/* Appendix A, as far as target and patch are objects, and the example of section 3. */
TEST(merges_as_rfc_7396_says)
{
	check_merge("{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
	check_merge("{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}");
	check_merge("{\"a\":\"b\"}", "{\"a\":null}", "{}");
	check_merge("{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}");
	check_merge("{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
	check_merge("{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}");
	check_merge("{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}");
	check_merge("{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}");
	check_merge("{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}");
	check_merge("{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}");
	check_merge("{\"title\":\"Goodbye!\",\"author\":{\"givenName\":\"John\",\"familyName\":\"Doe\"},"
		    "\"tags\":[\"example\",\"sample\"],\"content\":\"This will be unchanged\"}",
	    "{\"title\":\"Hello!\",\"phoneNumber\":\"+01-123-456-7890\",\"author\":{\"familyName\":null},"
	    "\"tags\":[\"example\"]}",
	    "{\"title\":\"Hello!\",\"author\":{\"givenName\":\"John\"},\"tags\":[\"example\"],"
	    "\"content\":\"This will be unchanged\",\"phoneNumber\":\"+01-123-456-7890\"}");
}

TEST(replaces_across_kinds)
{
	check_merge("{\"a\":{\"b\":1}}", "{\"a\":{}}", "{\"a\":{\"b\":1}}");
	check_merge("{\"a\":{\"b\":1}}", "{\"a\":\"\"}", "{\"a\":\"\"}");
	check_merge("{\"a\":{\"b\":1}}", "{\"a\":[]}", "{\"a\":[]}");
	check_merge("{\"a\":[1,2]}", "{\"a\":{\"b\":null,\"c\":{\"d\":null,\"e\":1}}}", "{\"a\":{\"c\":{\"e\":1}}}");
	check_merge("{\"a\":null}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}");
	check_merge("{\"a\":{\"b\":{\"c\":1}}}", "{\"a\":{\"b\":null}}", "{\"a\":{}}");
	check_merge("{\"a\":{\"b\":1},\"c\":2}", "{\"a\":null}", "{\"c\":2}");
	check_merge("{}", "{\"a\":null,\"b\":{\"c\":null}}", "{\"b\":{}}");
	check_merge("{\"a\":1}", "{}", "{\"a\":1}");
	check_merge("{}", "{}", "{}");
	check_merge("{\"\":1}", "{\"\":{\"\":2}}", "{\"\":{\"\":2}}");
	/* Inside an array nothing is merged or deleted. */
	check_merge("{\"a\":[1]}", "{\"a\":[null,{\"b\":null,\"b\":[\"]\",{}]}]}",
	    "{\"a\":[null,{\"b\":null,\"b\":[\"]\",{}]}]}");
}

TEST(keeps_text_as_written)
{
	check_merge(
	    "{\"a\":1.10}", "{\"b\":9007199254740993,\"c\":1e400}", "{\"a\":1.10,\"b\":9007199254740993,\"c\":1e400}");
	check_merge("{\"a\":1}", "{\"a\":-0,\"b\":[1.0E+2,0e0],\"c\":{\"d\":1.50}}",
	    "{\"a\":-0,\"b\":[1.0E+2,0e0],\"c\":{\"d\":1.50}}");
	check_merge("{\"a\":\"\\u00e9\\/\"}", "{\"b\":\"\\\"\\\\\\u0000\\uD83D\\uDC09\"}",
	    "{\"a\":\"\\u00e9\\/\",\"b\":\"\\\"\\\\\\u0000\\uD83D\\uDC09\"}");
	check_merge("{}", "{\"a\":true,\"b\":false,\"c\":\"null\"}", "{\"a\":true,\"b\":false,\"c\":\"null\"}");
	check_merge(" { \"a\" : { \"b c\" : [ 1 , 2 ] } } ", "\t{ \"a\" : { \"d\" : \" x \" } }\n",
	    "{\"a\":{\"b c\":[1,2],\"d\":\" x \"}}");
}

TEST(compares_keys_decoded)
{
	check_merge("{\"a\":1}", "{\"\\u0061\":2}", "{\"a\":2}");
	check_merge("{\"\\u0061\":1}", "{\"a\":2}", "{\"\\u0061\":2}");
	check_merge("{\"\\u0061\":1,\"b\":1}", "{\"a\":null,\"\\u0062\":null}", "{}");
	check_merge("{\"\\/\":1}", "{\"/\":2,\"\\u002F\":3}", "{\"\\/\":3}");
	check_merge("{\"\xf0\x9f\x90\x89\":1}", "{\"\\uD83D\\udc09\":2}", "{\"\xf0\x9f\x90\x89\":2}");
	check_merge("{\"\xc3\xbc\":1}", "{\"\\u00fc\":{\"\\u00FC\":2}}", "{\"\xc3\xbc\":{\"\\u00FC\":2}}");
	check_merge("{\"\\u0061\":{\"x\":1}}", "{\"a\":{\"\\u0079\":2}}", "{\"\\u0061\":{\"x\":1,\"\\u0079\":2}}");
	/* A NUL is a character like others, and ends nothing. */
	check_merge("{\"\\u0000\":1}", "{\"\":2}", "{\"\\u0000\":1,\"\":2}");
	check_merge("{\"\\u0000\":1,\"a\\u0000b\":1,\"a\":1}",
	    "{\"\\u0000\":null,\"a\\u0000\":2,\"\\u0061\\u0000b\":3}", "{\"a\\u0000b\":3,\"a\":1,\"a\\u0000\":2}");
	/* What looks like another's decoded form. */
	check_merge("{\"\\\\u0061\":1}", "{\"a\":2,\"\\\\\":3}", "{\"\\\\u0061\":1,\"a\":2,\"\\\\\":3}");
}

TEST(merges_repeated_keys_in_order)
{
	check_merge("{}", "{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
	check_merge("{}", "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "{\"a\":{\"b\":1,\"c\":2}}");
	check_merge("{}", "{\"a\":{\"b\":1},\"a\":5,\"a\":{\"c\":2}}", "{\"a\":{\"c\":2}}");
	check_merge("{\"a\":1}", "{\"a\":2,\"\\u0061\":null}", "{}");
	check_merge("{\"a\":1,\"b\":1}", "{\"a\":null,\"a\":2}", "{\"b\":1,\"a\":2}");
}

TEST(keeps_the_order_of_insertion)
{
	struct fold *f = new_fold(SPAN("{}"));

	CHECK_EQ_INT(fold_merge(f, SPAN("{\"z\":1,\"a\":1,\"m\":1}")), 0);
	CHECK_EQ_INT(fold_merge(f, SPAN("{\"m\":2,\"b\":1,\"z\":2}")), 0);
	check_text(f, "{\"z\":2,\"a\":1,\"m\":2,\"b\":1}");
	CHECK_EQ_INT(fold_merge(f, SPAN("{\"z\":null}")), 0);
	CHECK_EQ_INT(fold_merge(f, SPAN("{\"m\":null}")), 0);
	CHECK_EQ_INT(fold_merge(f, SPAN("{\"z\":3,\"a\":{}}")), 0);
	check_text(f, "{\"a\":{},\"b\":1,\"z\":3}");
	CHECK_EQ_INT(fold_merge(f, SPAN("{\"z\":null,\"a\":null}")), 0);
	check_text(f, "{\"b\":1}");
	fold_free(f);
}

TEST(loads_without_merging)
{
	struct fold *f = new_fold(SPAN("{\"old\":{\"x\":1}}"));

	CHECK_EQ_INT(exactly(fold_load, f, SPAN(" { \"a\" : null, \"b\" : { \"c\" : null } } ")), 0);
	check_text(f, "{\"a\":null,\"b\":{\"c\":null}}");
	CHECK_EQ_INT(fold_merge(f, SPAN("{\"b\":{\"c\":null,\"d\":1}}")), 0);
	check_text(f, "{\"a\":null,\"b\":{\"d\":1}}");
	CHECK_EQ_INT(exactly(fold_load, f, SPAN("{\"a\":{\"x\":1},\"b\":1,\"\\u0061\":{\"y\":null}}")), 0);
	check_text(f, "{\"a\":{\"y\":null},\"b\":1}");
	CHECK_EQ_INT(exactly(fold_load, f, SPAN("{}")), 0);
	check_text(f, "{}");
	fold_free(f);
	fold_free(NULL);
}

TEST(appends_its_text)
{
	struct fold *f = new_fold(SPAN("{\"a\":1}"));
	struct buf b = { 0 };

	buf_puts(&b, "state=");
	CHECK_EQ_INT(fold_text(f, &b), 0);
	CHECK_EQ_STR(buf_text(&b), "state={\"a\":1}");
	b.failed = true;
	CHECK_EQ_INT(fold_text(f, &b), -ENOMEM);
	buf_free(&b);
	fold_free(f);
}

/* Also: nothing of a patch is merged whose error comes late. */
TEST(is_unchanged_by_malformed_text)
{
	static const char whole[] = "{\"a\":null,\"k\":{\"x\":[1,{\"y\":\"z\"}],\"w\":-1.5e3},\"\\u0062\":true}";
	static const char *const cases[] = { "", " ", "null", "[]", "\"a\"", "1", "{\"a\":null,}", "{\"a\":null}x",
		"{\"a\":2,\"b\":{\"c\":01}}", "{\"a\":2,\"\\ud800\":1}", "{\"a\":2,\"b\":[}]}", "{\"a\":nul}",
		"{\"a\":2}{}", "{\"a\":2,\"b\":\"\t\"}", "{a:2}", "{\"a\" 2}", "{\"a\":2 \"b\":3}" };
	static const char state[] = "{\"a\":1,\"k\":{\"x\":0}}";
	struct fold *f = new_fold(SPAN(state));
	size_t bytes = fold_bytes(f);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (exactly(fold_merge, f, span_of(cases[i])) != -EINVAL ||
		    exactly(fold_load, f, span_of(cases[i])) != -EINVAL)
			CHECK_EQ_STR("refused", cases[i]);
	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		CHECK_EQ_INT(exactly(fold_merge, f, (struct span){ whole, len }), -EINVAL);
		CHECK_EQ_INT(exactly(fold_load, f, (struct span){ whole, len }), -EINVAL);
	}
	CHECK_EQ_INT(fold_merge(f, (struct span){ 0 }), -EINVAL);
	CHECK_EQ_INT(fold_load(f, (struct span){ 0 }), -EINVAL);
	check_text(f, state);
	CHECK_EQ_UINT(fold_bytes(f), bytes);
	CHECK_EQ_INT(exactly(fold_merge, f, SPAN(whole)), 0);
	check_text(f, "{\"k\":{\"x\":[1,{\"y\":\"z\"}],\"w\":-1.5e3},\"\\u0062\":true}");
	fold_free(f);
}

/* {"k":{"k": … value … }} with depth objects in all. */
static void
put_nested(struct buf *b, int depth, const char *value)
{
	buf_clear(b);
	for (int i = 0; i < depth; i++)
		buf_puts(b, "{\"k\":");
	buf_puts(b, value);
	for (int i = 0; i < depth; i++)
		buf_putc(b, '}');
}

TEST(bounds_depth)
{
	struct fold *f = new_fold(SPAN("{}"));
	struct buf text = { 0 };

	for (int depth = 1; depth <= JSON_DEPTH_MAX; depth++) {
		put_nested(&text, depth, "1");
		CHECK_EQ_INT(exactly(fold_merge, f, span_in(&text)), 0);
		check_text(f, buf_text(&text));
	}
	CHECK_EQ_INT(fold_load(f, span_in(&text)), 0);
	put_nested(&text, JSON_DEPTH_MAX, "[]");
	CHECK_EQ_INT(fold_merge(f, span_in(&text)), -EINVAL);
	put_nested(&text, 500000, "1");
	CHECK_EQ_INT(fold_merge(f, span_in(&text)), -EINVAL);
	CHECK_EQ_INT(fold_load(f, span_in(&text)), -EINVAL);
	put_nested(&text, JSON_DEPTH_MAX, "null");
	CHECK_EQ_INT(fold_merge(f, span_in(&text)), 0);
	put_nested(&text, JSON_DEPTH_MAX - 1, "{}");
	check_text(f, buf_text(&text));
	buf_free(&text);
	fold_free(f);
}

#define MANY 100000

static void
put_member(struct buf *b, int number, const char *value)
{
	buf_printf(b, "%s\"key-%d\":%s", b->len > 1 ? "," : "", number, value);
}

/* Quadratic would be minutes. */
TEST(holds_many_members)
{
	struct fold *f = new_fold(SPAN("{}"));
	struct buf all = { 0 }, one = { 0 }, text = { 0 };
	size_t empty = fold_bytes(f);
	clock_t start = clock();

	buf_putc(&all, '{');
	for (int i = 0; i < MANY; i++) {
		put_member(&all, i, "17");
		buf_clear(&one);
		buf_printf(&one, "{\"key-%d\":17}", i);
		REQUIRE(fold_merge(f, span_in(&one)) == 0);
	}
	buf_putc(&all, '}');
	read_fold(f, &text);
	CHECK(span_eq(span_in(&text), span_in(&all)));
	CHECK_EQ_INT(fold_load(f, span_in(&all)), 0);
	CHECK_EQ_INT(fold_merge(f, span_in(&all)), 0);
	read_fold(f, &text);
	CHECK(span_eq(span_in(&text), span_in(&all)));
	/* Out again from the middle, then all. */
	for (int i = 0; i < MANY; i++) {
		buf_clear(&one);
		buf_printf(&one, "{\"key-%d\":null}", (i + MANY / 2) % MANY);
		REQUIRE(fold_merge(f, span_in(&one)) == 0);
		if (i == MANY - 3)
			check_text(f, "{\"key-49998\":17,\"key-49999\":17}");
	}
	check_text(f, "{}");
	CHECK_EQ_UINT(fold_bytes(f), empty);
	CHECK((clock() - start) / CLOCKS_PER_SEC < 5);
	buf_free(&all);
	buf_free(&one);
	buf_free(&text);
	fold_free(f);
}

TEST(does_not_grow_with_merges)
{
	struct fold *f = new_fold(SPAN("{}"));
	struct buf patch = { 0 };
	size_t bytes = 0;

	for (int i = 0; i < 100000; i++) {
		buf_clear(&patch);
		buf_printf(&patch, "{\"total\":%d.%02d,\"n\":%d,\"item\":{\"sku\":\"x-%06d\"},\"gone\":{\"x\":%d}}",
		    100 + i % 900, i % 100, i % 10, i, i % 10);
		REQUIRE(fold_merge(f, span_in(&patch)) == 0);
		REQUIRE(i == 0 || fold_bytes(f) == bytes);
		bytes = fold_bytes(f);
		if (i % 3 == 0)
			REQUIRE(fold_merge(f, SPAN("{\"gone\":null}")) == 0);
	}
	check_text(f, "{\"total\":199.99,\"n\":9,\"item\":{\"sku\":\"x-099999\"}}");
	buf_free(&patch);
	fold_free(f);
}

TEST(gives_back_what_a_long_value_took)
{
	struct fold *f = new_fold(SPAN("{\"a\":1}"));
	struct buf patch = { 0 };

	buf_printf(&patch, "{\"a\":\"%0100000d\"}", 0);
	CHECK_EQ_INT(fold_merge(f, span_in(&patch)), 0);
	CHECK(fold_bytes(f) > 100000);
	CHECK_EQ_INT(fold_merge(f, SPAN("{\"a\":1}")), 0);
	CHECK(fold_bytes(f) < 1000);
	check_text(f, "{\"a\":1}");
	buf_free(&patch);
	fold_free(f);
}

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 16;
}

/* One key in four has an escape. */
static void
put_random_key(struct buf *b, uint64_t *rnd)
{
	unsigned c = 'a' + (unsigned)(next_random(rnd) % 14);

	if (next_random(rnd) % 4 == 0)
		buf_printf(b, "\"\\u00%02x\":", c);
	else
		buf_printf(b, "\"%c\":", (int)c);
}

/* With nulls_in_8 of 8 nulls among the values. */
static void
put_random_object(struct buf *b, uint64_t *rnd, unsigned nulls_in_8, int depth)
{
	size_t n = next_random(rnd) % 7;

	buf_putc(b, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_puts(b, next_random(rnd) % 4 == 0 ? " ,\n" : ",");
		put_random_key(b, rnd);
		if (next_random(rnd) % 8 < nulls_in_8)
			buf_puts(b, "null");
		else if (depth < 4 && next_random(rnd) % 2 == 0)
			put_random_object(b, rnd, nulls_in_8, depth + 1);
		else if (next_random(rnd) % 4 == 0)
			buf_puts(b, "[1, null,{\"a\":null}]");
		else if (next_random(rnd) % 4 == 0)
			buf_printf(b, "\"%0*d\\n\"", (int)(next_random(rnd) % 100), 7);
		else
			buf_printf(b, "%d", (int)(next_random(rnd) % 100000) - 50000);
	}
	buf_putc(b, '}');
}

static void
check_like_tree(const struct fold *f, const cJSON *tree, const char *patch)
{
	struct buf text = { 0 };

	read_fold(f, &text);
	cJSON *parsed = cJSON_Parse(buf_text(&text));
	char *a = cJSON_PrintUnformatted(parsed);
	char *b = cJSON_PrintUnformatted(tree);
	CHECK_EQ_STR(a, b);
	if (a == NULL || strcmp(a, b) != 0)
		CHECK_EQ_STR("merges as cJSON does", patch);
	free(a);
	free(b);
	cJSON_Delete(parsed);
	buf_free(&text);
}

/* Times of many nulls and of few take turns, so that objects become small and large again. */
TEST(merges_as_a_slow_merge_does)
{
	struct fold *f = new_fold(SPAN("{}"));
	struct buf text = { 0 };
	cJSON *tree = cJSON_CreateObject();
	uint64_t rnd = 0x9e3779b97f4a7c15;

	for (unsigned i = 0; i < 20000 && atomic_load(&check_failures) == 0; i++) {
		buf_clear(&text);
		put_random_object(&text, &rnd, 1 + i / 20 % 7, 1);
		cJSON *patch = cJSON_Parse(buf_text(&text));
		bool load = i % 500 == 0;
		if (load) {
			cJSON_Delete(tree);
			tree = cJSON_CreateObject();
		}
		merge_cjson(tree, patch, !load);
		CHECK_EQ_INT(exactly(load ? fold_load : fold_merge, f, span_in(&text)), 0);
		check_like_tree(f, tree, text.p);
		cJSON_Delete(patch);
		if (i % 100 == 0) {
			read_fold(f, &text);
			struct fold *loaded = new_fold(span_in(&text));
			check_text(loaded, buf_text(&text));
			fold_free(loaded);
		}
	}
	cJSON_Delete(tree);
	buf_free(&text);
	fold_free(f);
}

TESTS(T(merges_as_rfc_7396_says), T(replaces_across_kinds), T(keeps_text_as_written), T(compares_keys_decoded),
    T(merges_repeated_keys_in_order), T(keeps_the_order_of_insertion), T(loads_without_merging), T(appends_its_text),
    T(is_unchanged_by_malformed_text), T(bounds_depth), T(holds_many_members), T(does_not_grow_with_merges),
    T(gives_back_what_a_long_value_took), T(merges_as_a_slow_merge_does))
