/* What import makes of lines, how it finds where to go on, lines of any length, and the bar. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../mount/import_line.h"
#include "../../mount/line_reader.h"
#include "../../mount/prefix.h"
#include "../../mount/progress.h"
#include "check.h"

/* A file without a name that holds a text, from its beginning. */
static int
file_of(const char *p, size_t len)
{
	char path[] = "/tmp/aether-unit-XXXXXX";
	int fd = mkstemp(path);

	if (fd < 0 || unlink(path) != 0 || write(fd, p, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)
		abort();
	return fd;
}

static const char *
taken(struct import_line *l, const char *line)
{
	static char text[512];
	const char *why = NULL;

	if (import_line_take(l, span_of(line), &why) != 0)
		return why;
	snprintf(text, sizeof(text), "%.*s", (int)l->text.len, l->text.p);
	return text;
}

TEST(stored_lines_and_ids_stay_as_they_are)
{
	static const char stored[] = "{\"version\":3,\"id\":\"a\",\"eventType\":\"T\",\"actorId\":\"x\",\"timestamp\":\"t\",\"data\":{}}";
	static const char with_id[] = "{\"eventType\":\"T\",\"id\":\"\\u0061\"}";
	struct import_line l = { 0 };

	import_line_begin(&l, "f");
	CHECK_EQ_STR(taken(&l, stored), stored);
	CHECK(l.own_id && l.versioned && import_line_is(&l, span_of(stored)));
	CHECK_EQ_STR(taken(&l, with_id), with_id);
	CHECK(l.own_id && !l.versioned && import_line_is(&l, span_of(stored)));
	CHECK(!import_line_is(&l, SPAN("{\"version\":3,\"id\":\"ab\",\"eventType\":\"T\"}")));
	CHECK(!import_line_is(&l, SPAN("{\"version\":3,\"id\":\"b\",\"eventType\":\"T\"}")));
	import_line_free(&l);
}

TEST(a_line_without_id_gets_one_that_follows_from_name_and_lines_before)
{
	struct import_line a = { 0 }, b = { 0 }, other = { 0 };

	import_line_begin(&a, "f");
	import_line_begin(&b, "f");
	import_line_begin(&other, "g");
	char *first = strdup(taken(&a, "one"));
	CHECK_EQ_STR(taken(&b, "one"), first);
	CHECK(strstr(first, "{\"eventType\":\"Text\",\"id\":\"import-") == first && strstr(first, "\"data\":{\"text\":\"one\"}}") != NULL);
	CHECK(strcmp(taken(&other, "one"), first) != 0);
	CHECK(strcmp(taken(&a, "one"), first) != 0);
	/* Lines that have ids change nothing for those behind them. */
	taken(&b, "{\"eventType\":\"T\",\"id\":\"i\"}");
	taken(&b, "one");
	CHECK_EQ_MEM(a.id.p, a.id.len, b.id.p, b.id.len);
	free(first);
	import_line_free(&a);
	import_line_free(&b);
	import_line_free(&other);
}

TEST(what_a_line_says_besides_is_kept)
{
	struct import_line l = { 0 };

	import_line_begin(&l, "f");
	const char *text = taken(&l, "{ \"data\":{\"n\": 1.10}, \"eventType\":\"T\", \"version\":7, \"metadata\":{\"k\":\"v\"}, \"commandId\":\"c\"}");
	CHECK(strstr(text, ",\"version\":7,\"commandId\":\"c\",\"data\":{\"n\":1.10},\"metadata\":{\"k\":\"v\"}}") != NULL);
	CHECK(!l.own_id && l.versioned);
	CHECK(strstr(taken(&l, "{\"data\":1}"), "\"eventType\":\"Event\"") != NULL);
	CHECK_EQ_STR(taken(&l, "{\"eventType\":\"T\",\"x\":1}") != NULL ? "refused" : "taken", "refused");
	import_line_free(&l);
}

TEST(a_stored_line_is_compared_by_its_content)
{
	struct import_line l = { 0 };

	import_line_begin(&l, "f");
	taken(&l, "{\"eventType\":\"T\",\"id\":\"a\",\"data\":{ \"n\":1}}");
	CHECK(import_line_same(&l, SPAN("{\"version\":3,\"id\":\"a\",\"eventType\":\"T\",\"data\":{\"n\":1}}")));
	CHECK(!import_line_same(&l, SPAN("{\"version\":3,\"id\":\"a\",\"eventType\":\"T\",\"data\":{\"n\":2}}")));
	import_line_free(&l);
}

TEST(lines_of_any_length_and_a_last_one_without_newline)
{
	size_t len = 1000000;
	char *text = malloc(len);
	struct line_reader r = { 0 };
	struct span line;

	memset(text, 'x', len);
	text[1] = text[2] = text[900000] = '\n';
	r.fd = file_of(text, len);
	CHECK_EQ_INT(line_reader_next(&r, &line), 1);
	CHECK_EQ_UINT(line.len, 1);
	CHECK_EQ_INT(line_reader_next(&r, &line), 1);
	CHECK_EQ_UINT(line.len, 0);
	CHECK_EQ_INT(line_reader_next(&r, &line), 1);
	CHECK_EQ_UINT(line.len, 900000 - 3);
	CHECK_EQ_UINT(r.offset, 900001);
	CHECK_EQ_INT(line_reader_next(&r, &line), 1);
	CHECK_EQ_UINT(line.len, 1000000 - 900001);
	CHECK_EQ_INT(line_reader_next(&r, &line), 0);
	CHECK_EQ_UINT(r.offset, len);
	CHECK_EQ_UINT(r.line, 4);
	CHECK_EQ_INT(line_reader_seek(&r, 2), 0);
	CHECK_EQ_INT(line_reader_next(&r, &line), 1);
	CHECK_EQ_UINT(line.len, 0);
	line_reader_free(&r);
	close(r.fd);
	free(text);
}

TEST(a_prefix_is_told_by_its_two_ends)
{
	size_t len = 1000000;
	char *text = malloc(len);

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(i * 7919 >> 3);
	int a = file_of(text, len), b = file_of(text, len - 10);
	CHECK_EQ_INT(prefix_matches(a, b, len - 10), 1);
	CHECK_EQ_INT(prefix_matches(a, b, 0), 1);
	CHECK_EQ_INT(prefix_matches(a, b, len - 9), 0);
	CHECK_EQ_INT(pwrite(b, "!", 1, 5), 1);
	CHECK_EQ_INT(prefix_matches(a, b, len - 10), 0);
	CHECK_EQ_INT(pwrite(b, text + 5, 1, 5), 1);
	CHECK_EQ_INT(pwrite(b, "!", 1, (off_t)len - 1000), 1);
	CHECK_EQ_INT(prefix_matches(a, b, len - 10), 0);
	close(a);
	close(b);
	free(text);
}

static int64_t
no_time(const struct clock *c)
{
	(void)c;
	return 0;
}

static void
check_bar(uint64_t total, uint64_t moved, uint64_t skipped, unsigned columns, const char *expected)
{
	static const struct clock still = { .wall_us = no_time, .mono_ns = no_time };
	struct buf line = { 0 };
	struct progress p;

	progress_begin(&p, &still, false, total);
	progress_moved(&p, moved);
	progress_skipped(&p, skipped);
	progress_line(&p, 2 * NS_PER_SEC, columns, &line);
	CHECK_EQ_STR(buf_text(&line), expected);
	CHECK(line.len < columns);
	buf_free(&line);
}

TEST(the_bar)
{
	check_bar(4 << 20, 1 << 20, 1 << 20, 80, " 50% [==============>              ] 2.0 MiB of 4.0 MiB  512.0 KiB/s  0:04 left");
	check_bar(4 << 20, 0, 0, 80, "  0% [>                                       ] 0 B of 4.0 MiB");
	check_bar(4 << 20, 4 << 20, 0, 60, "100% [===========] 4.0 MiB of 4.0 MiB  2.0 MiB/s  0:00 left");
	check_bar(4 << 20, 4 << 20, 0, 20, "100% 4.0 MiB of 4.0");
	check_bar(0, 1 << 20, 0, 80, "1.0 MiB  512.0 KiB/s");
	check_bar(10, 20, 0, 80, "100% [========================================] 20 B of 20 B  10 B/s  0:00 left");
	check_bar((uint64_t)1 << 40, 1 << 20, 0, 80, "  0% [>                                       ] 1.0 MiB of 1.0 TiB  512.0 KiB/s");
}

TESTS(T(stored_lines_and_ids_stay_as_they_are), T(a_line_without_id_gets_one_that_follows_from_name_and_lines_before),
    T(what_a_line_says_besides_is_kept), T(a_stored_line_is_compared_by_its_content),
    T(lines_of_any_length_and_a_last_one_without_newline), T(a_prefix_is_told_by_its_two_ends), T(the_bar))
