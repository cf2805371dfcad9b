#include <errno.h>
#include <stdlib.h>

#include "../../store/event.h"
#include "../../store/json.h"
#include "check.h"

/* One line, read, filled in as the daemon does, and written. Returns event_parse's result. */
static int
canonical(struct span line, struct buf *out)
{
	struct arena arena = { 0 };
	struct event ev;
	const char *why = "";

	/* Exactly as long as the line: what reads beyond it is seen. */
	char *copy = malloc(line.len + (line.len == 0));
	memcpy(copy, line.p, line.len);
	int err = event_parse((struct span){ copy, line.len }, &arena, &ev, &why);
	CHECK((err == 0) == (why[0] == '\0'));
	buf_clear(out);
	if (err == 0) {
		if (ev.version == 0)
			ev.version = 7;
		if (ev.id.p == NULL)
			ev.id = SPAN("ID");
		if (ev.actor_id.p == NULL)
			ev.actor_id = SPAN("A");
		if (ev.timestamp.p == NULL)
			ev.timestamp = SPAN("2026-11-23T05:27:33.123456Z");
		event_encode(&ev, out);
	} else {
		buf_puts(out, why);
	}
	free(copy);
	arena_free(&arena);
	return err;
}

static void
check_line(struct span line, const char *expected)
{
	struct buf once = { 0 };
	struct buf twice = { 0 };

	CHECK_EQ_INT(canonical(line, &once), 0);
	CHECK_EQ_STR(buf_text(&once), expected);
	CHECK_EQ_INT(canonical((struct span){ once.p, once.len - 1 }, &twice), 0);
	CHECK_EQ_STR(buf_text(&twice), expected);
	buf_free(&once);
	buf_free(&twice);
}

static void
check_refused(struct span line, int err, const char *why)
{
	struct buf b = { 0 };

	CHECK_EQ_INT(canonical(line, &b), err);
	if (strcmp(buf_text(&b), why) != 0)
		printf("# of: %.*s\n", (int)line.len, line.p);
	CHECK_EQ_STR(buf_text(&b), why);
	buf_free(&b);
}

#define HEAD "{\"version\":7,\"id\":\"ID\",\"eventType\":"
#define REST ",\"actorId\":\"A\",\"timestamp\":\"2026-11-23T05:27:33.123456Z\",\"data\":"

TEST(fills_in_what_is_absent)
{
	check_line(SPAN("{\"eventType\":\"OrderPlaced\",\"data\":{\"total\":100.00}}"),
	    HEAD "\"OrderPlaced\"" REST "{\"total\":100.00}}\n");
	check_line(SPAN("{\"eventType\":\"X\"}"), HEAD "\"X\"" REST "{}}\n");
	check_line(SPAN("{ \"data\" : { \"a\" : [ 1 , 2 ] } , \"eventType\" : \"X\" } \r"),
	    HEAD "\"X\"" REST "{\"a\":[1,2]}}\n");
}

TEST(writes_the_keys_in_order)
{
	check_line(SPAN("{\"metadata\":{\"m\": \"n\"},\"data\":{},\"timestamp\":\"2026-01-01T00:00:00+01:00\","
			"\"commandId\":\"C\",\"actorId\":\"order-1\",\"eventType\":\"X\",\"id\":\"I\",\"version\":12}"),
	    "{\"version\":12,\"id\":\"I\",\"eventType\":\"X\",\"actorId\":\"order-1\",\"commandId\":\"C\","
	    "\"timestamp\":\"2026-01-01T00:00:00+01:00\",\"data\":{},\"metadata\":{\"m\":\"n\"}}\n");
}

TEST(reads_data_without_event_type)
{
	check_line(SPAN("{}"), HEAD "\"Event\"" REST "{}}\n");
	check_line(SPAN("{\"total\": 1e400}"), HEAD "\"Event\"" REST "{\"total\":1e400}}\n");
	check_line(SPAN("{\"version\":\"x\",\"id\":0,\"data\":1,\"id\":2}"),
	    HEAD "\"Event\"" REST "{\"version\":\"x\",\"id\":0,\"data\":1,\"id\":2}}\n");
	check_line(SPAN("{\"a\":{\"eventType\":1}}"), HEAD "\"Event\"" REST "{\"a\":{\"eventType\":1}}}\n");
}

TEST(reads_text)
{
	check_line(SPAN("hello world"), HEAD "\"Text\"" REST "{\"text\":\"hello world\"}}\n");
	check_line(SPAN(" {\"a\":1}"), HEAD "\"Text\"" REST "{\"text\":\" {\\\"a\\\":1}\"}}\n");
	check_line(SPAN("[1]\t\\ gr\xc3\xbc\xc3\x9f\x1b\r"),
	    HEAD "\"Text\"" REST "{\"text\":\"[1]\\t\\\\ gr\xc3\xbc\xc3\x9f\\u001b\\r\"}}\n");
	check_line(SPAN(""), HEAD "\"Text\"" REST "{\"text\":\"\"}}\n");
}

TEST(keeps_data_and_metadata_bytes)
{
	check_line(SPAN("{\"eventType\":\"X\",\"data\":{\"n\":9007199254740993,\"m\":1.10,\"s\":\"\\u00e9\\/\"},"
			"\"metadata\":{\"\\u006b\":\"\\u00e9 \\\" }\",\"e\":\"\"}}"),
	    HEAD "\"X\"" REST "{\"n\":9007199254740993,\"m\":1.10,\"s\":\"\\u00e9\\/\"},"
		 "\"metadata\":{\"\\u006b\":\"\\u00e9 \\\" }\",\"e\":\"\"}}\n");
	check_line(SPAN("{\"eventType\":\"X\",\"metadata\":{ }}"), HEAD "\"X\"" REST "{},\"metadata\":{}}\n");
}

TEST(decodes_escapes_in_keys_and_strings)
{
	check_line(SPAN("{\"event\\u0054ype\":\"\\u0041\\n\\\"\\/\",\"\\u0069\\u0064\":\"\\uD83D\\uDC09\"}"),
	    "{\"version\":7,\"id\":\"\xf0\x9f\x90\x89\",\"eventType\":\"A\\n\\\"/\"" REST "{}}\n");
	check_refused(SPAN("{\"id\":\"a\",\"\\u0069d\":\"a\",\"eventType\":\"X\"}"), -EINVAL, "repeated key");
	check_refused(SPAN("{\"id\\u0000\":\"a\",\"eventType\":\"X\"}"), -EINVAL, "unknown key");
}

TEST(checks_versions)
{
	static const char *const bad[] = { "0", "-1", "1.0", "1e3", "01", "\"1\"", "null", "true",
		"9223372036854775808", "10000000000000000000", "92233720368547758070", "{}", "[1]" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf line = { 0 };
		buf_printf(&line, "{\"eventType\":\"X\",\"version\":%s}", bad[i]);
		const char *why = strcmp(bad[i], "01") == 0
				      ? "not JSON: a ',' or '}' is missing in an object"
				      : "version: must be a whole number from 1 to 9223372036854775807";
		check_refused((struct span){ line.p, line.len }, -EINVAL, why);
		buf_free(&line);
	}
	check_line(SPAN("{\"eventType\":\"X\",\"version\":9223372036854775807}"),
	    "{\"version\":9223372036854775807,\"id\":\"ID\",\"eventType\":\"X\"" REST "{}}\n");
}

TEST(checks_ids)
{
	struct buf line = { 0 };

	for (int n = 127; n <= 129; n++) {
		struct buf out = { 0 };
		buf_clear(&line);
		buf_printf(&line, "{\"eventType\":\"X\",\"id\":\"%0*d\\u0041\"}", n - 1, 0);
		CHECK_EQ_INT(canonical((struct span){ line.p, line.len }, &out), n <= EVENT_ID_MAX ? 0 : -EINVAL);
		buf_free(&out);
	}
	buf_free(&line);
	check_refused(
	    SPAN("{\"eventType\":\"X\",\"id\":\"\"}"), -EINVAL, "id: must be a string of 1 to 128 bytes without NUL");
	check_refused(
	    SPAN("{\"eventType\":\"X\",\"id\":5}"), -EINVAL, "id: must be a string of 1 to 128 bytes without NUL");
	check_refused(SPAN("{\"eventType\":\"X\",\"id\":\"a\\u0000\"}"), -EINVAL,
	    "id: must be a string of 1 to 128 bytes without NUL");
}

TEST(checks_strings)
{
	static const char *const keys[] = { "eventType", "actorId", "commandId" };
	static const char *const bad[] = { "\"\"", "1", "null", "{}", "[\"a\"]", "\"a\\u0000b\"" };

	for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			struct buf line = { 0 };
			struct buf why = { 0 };
			buf_printf(&line, "{%s\"%s\":%s}", k > 0 ? "\"eventType\":\"X\"," : "", keys[k], bad[i]);
			buf_printf(&why, "%s: must be a string, not empty and without NUL", keys[k]);
			check_refused((struct span){ line.p, line.len }, -EINVAL, buf_text(&why));
			buf_free(&line);
			buf_free(&why);
		}
}

TEST(checks_the_other_keys)
{
	check_refused(SPAN("{\"foo\":1,\"eventType\":\"X\"}"), -EINVAL, "unknown key");
	check_refused(SPAN("{\"eventType\":\"X\",\"EventType\":\"Y\"}"), -EINVAL, "unknown key");
	check_refused(SPAN("{\"eventType\":\"X\",\"eventType\":\"X\"}"), -EINVAL, "repeated key");
	check_refused(SPAN("{\"eventType\":\"X\",\"data\":[]}"), -EINVAL, "data: must be an object");
	check_refused(SPAN("{\"eventType\":\"X\",\"data\":null}"), -EINVAL, "data: must be an object");
	check_refused(
	    SPAN("{\"eventType\":\"X\",\"timestamp\":\"today\"}"), -EINVAL, "timestamp: must be an RFC 3339 time");
	check_refused(SPAN("{\"eventType\":\"X\",\"timestamp\":17}"), -EINVAL, "timestamp: must be an RFC 3339 time");
}

TEST(checks_metadata)
{
	static const char *const bad[] = { "null", "\"\"", "[]", "{\"a\":1}", "{\"a\":null}", "{\"a\":\"\",\"b\":{}}",
		"{\"a\":\"\\\\\",\"b\":[\"c\"]}", "{\"a\\\"\":true}" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf line = { 0 };
		buf_printf(&line, "{\"eventType\":\"X\",\"metadata\":%s}", bad[i]);
		check_refused(
		    (struct span){ line.p, line.len }, -EINVAL, "metadata: must be an object whose values are strings");
		buf_free(&line);
	}
}

TEST(refuses_what_is_not_text)
{
	check_refused(SPAN("a\0b"), -EILSEQ, "a NUL byte");
	check_refused(SPAN("{\"a\":\"\0\"}"), -EILSEQ, "a NUL byte");
	check_refused(SPAN("\xff"), -EILSEQ, "not UTF-8");
	check_refused(SPAN("{\"a\":\"\xc3\"}"), -EILSEQ, "not UTF-8");
	check_refused(SPAN("{\"a\":\"\xed\xa0\x80\"}"), -EILSEQ, "not UTF-8");
	check_refused(SPAN("{"), -EINVAL, "not JSON: a string in quotes is missing");
	check_refused(SPAN("{} {}"), -EINVAL, "not JSON: something follows the object");
}

/* {"a":{"a":…1…}} with depth braces, as data or, with a type, as an event whose data has depth - 1. */
static int
nested(int depth, const char *open)
{
	struct buf line = { 0 };
	struct buf once = { 0 };
	struct buf twice = { 0 };

	buf_puts(&line, open);
	for (int i = 1; i < depth; i++)
		buf_puts(&line, "{\"a\":");
	buf_puts(&line, "1");
	for (int i = 0; i < depth; i++)
		buf_puts(&line, "}");
	int err = canonical((struct span){ line.p, line.len }, &once);
	if (err == 0)
		CHECK_EQ_INT(canonical((struct span){ once.p, once.len - 1 }, &twice), 0);
	buf_free(&line);
	buf_free(&once);
	buf_free(&twice);
	return err;
}

TEST(stores_no_line_that_is_too_deep_to_read)
{
	CHECK_EQ_INT(nested(JSON_DEPTH_MAX - 1, "{\"a\":"), 0);
	CHECK_EQ_INT(nested(JSON_DEPTH_MAX, "{\"a\":"), -EINVAL);
	CHECK_EQ_INT(nested(JSON_DEPTH_MAX, "{\"eventType\":\"X\",\"data\":"), 0);
	CHECK_EQ_INT(nested(JSON_DEPTH_MAX + 1, "{\"eventType\":\"X\",\"data\":"), -EINVAL);
}

static bool
same(const char *offered, const char *stored)
{
	struct arena arena = { 0 };
	struct event a, b;
	const char *why;

	CHECK_EQ_INT(event_parse(span_of(offered), &arena, &a, &why), 0);
	CHECK_EQ_INT(event_parse(span_of(stored), &arena, &b, &why), 0);
	bool result = event_same(&a, &b);
	arena_free(&arena);
	return result;
}

TEST(compares_what_was_offered)
{
	static const char stored[] =
	    "{\"version\":3,\"id\":\"I\",\"eventType\":\"X\",\"actorId\":\"A\",\"commandId\":\"C\","
	    "\"timestamp\":\"2026-01-01T00:00:00Z\",\"data\":{\"a\":1.0},\"metadata\":{\"m\":\"n\"}}";

	CHECK(same(stored, stored));
	CHECK(same("{\"eventType\":\"\\u0058\",\"id\":\"\\u0049\",\"data\":{ \"a\": 1.0 }}", stored));
	CHECK(same("{\"eventType\":\"X\",\"data\":{\"a\":1.0},\"version\":3,\"metadata\":{ \"m\":\"n\"}}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"data\":{\"a\":1.00}}", stored));
	CHECK(!same("{\"eventType\":\"X\"}", stored));
	CHECK(!same("{\"eventType\":\"Y\",\"data\":{\"a\":1.0}}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"data\":{\"a\":1.0},\"version\":4}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"data\":{\"a\":1.0},\"id\":\"i\"}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"data\":{\"a\":1.0},\"actorId\":\"B\"}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"data\":{\"a\":1.0},\"commandId\":\"D\"}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"data\":{\"a\":1.0},\"timestamp\":\"2026-01-01T00:00:01Z\"}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"data\":{\"a\":1.0},\"metadata\":{}}", stored));
	CHECK(!same("{\"eventType\":\"X\",\"metadata\":{\"m\":\"n\"}}", "{\"eventType\":\"X\"}"));
	CHECK(same("{\"a\":1.0}", "{\"eventType\":\"Event\",\"data\":{\"a\":1.0}}"));
	CHECK(same("hello", "{\"eventType\":\"Text\",\"data\":{\"text\":\"hello\"}}"));
}

TESTS(T(fills_in_what_is_absent), T(writes_the_keys_in_order), T(reads_data_without_event_type), T(reads_text),
    T(keeps_data_and_metadata_bytes), T(decodes_escapes_in_keys_and_strings), T(checks_versions), T(checks_ids),
    T(checks_strings), T(checks_the_other_keys), T(checks_metadata), T(refuses_what_is_not_text),
    T(stores_no_line_that_is_too_deep_to_read), T(compares_what_was_offered))
