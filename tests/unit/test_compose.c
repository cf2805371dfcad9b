/* The lines that `aether append` builds, and the lists of mounts that the commands read. */
#include <errno.h>

#include "../../mount/compose.h"
#include "../../mount/mountinfo.h"
#include "check.h"

static int64_t
fixed_wall(const struct clock *c)
{
	(void)c;
	return 0;
}

static void
fixed_random(const struct clock *c, void *out, size_t n)
{
	(void)c;
	memset(out, 0, n);
}

static const struct clock fixed = { .wall_us = fixed_wall, .mono_ns = fixed_wall, .random = fixed_random };

#define ID "\"id\":\"00000000-0000-7000-8000-000000000000\""

static void
check_line(int line, const char *type, uint64_t version, const char *input, const char *expected)
{
	struct compose c = { .clock = &fixed, .type = type, .version = version };
	struct buf out = { 0 };
	const char *why = NULL;
	int err = compose_line(&c, span_of(input), &out, &why);

	check_int(err, expected != NULL ? 0 : -EINVAL, input, __FILE__, line);
	if (expected != NULL)
		check_str(buf_text(&out), expected, input, __FILE__, line);
	else
		check_true(why != NULL, "a reason is given", __FILE__, line);
	buf_free(&out);
}

#define LINE(...) check_line(__LINE__, __VA_ARGS__)

TEST(as_it_is)
{
	LINE(NULL, 0, "some text", "some text\n");
	LINE(NULL, 0, "{ \"a\" : 1.10 }", "{\"a\":1.10}\n");
	LINE(NULL, 0, "{\n\t\"eventType\": \"X\"\n}", "{\"eventType\":\"X\"}\n");
	LINE(NULL, 0, "{\"a\":", NULL);
}

TEST(with_type)
{
	LINE("Paid", 0, "{\"n\":1e400}", "{\"eventType\":\"Paid\"," ID ",\"data\":{\"n\":1e400}}\n");
	LINE("a\"b", 7, "{}", "{\"eventType\":\"a\\\"b\",\"version\":7," ID ",\"data\":{}}\n");
	LINE("Paid", 0, "[1]", NULL);
	LINE("Paid", 0, "text", NULL);
	LINE("Paid", 0, "", NULL);
	/* The data cannot break out of its place. */
	LINE("Paid", 0, "{},\"metadata\":{\"a\":\"b\"}", NULL);
	LINE("Paid", 0, "{}}{", NULL);
}

TEST(with_version)
{
	LINE(NULL, 3, "{\"n\":1}", "{\"eventType\":\"Event\",\"version\":3," ID ",\"data\":{\"n\":1}}\n");
	LINE(NULL, 3, "a \"b\"", "{\"eventType\":\"Text\",\"version\":3," ID ",\"data\":{\"text\":\"a \\\"b\\\"\"}}\n");
	LINE(NULL, 3, "{\"eventType\":\"X\"}", "{\"version\":3," ID ",\"eventType\":\"X\"}\n");
	LINE(NULL, 3, "{\"id\":\"i\",\"eventType\":\"X\"}", "{\"version\":3,\"id\":\"i\",\"eventType\":\"X\"}\n");
	LINE(NULL, 3, "{\"eventType\":\"X\",\"version\":3}", NULL);
	LINE(NULL, INT64_MAX, "{}", "{\"eventType\":\"Event\",\"version\":9223372036854775807," ID ",\"data\":{}}\n");
}

TEST(versions_rise)
{
	struct compose c = { .clock = &fixed, .version = INT64_MAX };
	struct buf out = { 0 };
	const char *why;

	CHECK_EQ_INT(compose_line(&c, SPAN("{}"), &out, &why), 0);
	CHECK_EQ_INT(compose_line(&c, SPAN("{}"), &out, &why), -EINVAL);
	buf_free(&out);
}

TEST(mounts)
{
	char text[] =
	    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
	    "36 22 0:40 / /mnt/a\\040b\\134c rw,nosuid shared:5 master:1 - fuse.aether nats://h:1,h2 rw,user_id=0\n"
	    "37 22 0:41 / /x rw - tmpfs\n"
	    "broken\n";
	struct mountinfo *list;
	int n = mountinfo_parse(text, &list);

	REQUIRE(n == 2);
	CHECK_EQ_STR(list[0].target, "/");
	CHECK_EQ_STR(list[1].target, "/mnt/a b\\c");
	CHECK_EQ_STR(list[1].type, "fuse.aether");
	CHECK_EQ_STR(list[1].source, "nats://h:1,h2");
	CHECK_EQ_UINT(list[1].dev, 40);
	mountinfo_free(list, n);
}

TESTS(T(as_it_is), T(with_type), T(with_version), T(versions_rise), T(mounts))
