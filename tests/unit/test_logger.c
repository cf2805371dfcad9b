#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../store/buf.h"
#include "../../store/clock.h"
#include "../../store/logger.h"
#include "check.h"

struct fixture {
	char path[64];
	struct logger *lg;
	struct buf text;
};

static void
setup(struct fixture *f, enum log_level least)
{
	*f = (struct fixture){ .path = "/tmp/test_logger.XXXXXX" };
	int fd = mkstemp(f->path);
	CHECK(fd >= 0);
	close(fd);
	CHECK_EQ_INT(logger_new(&f->lg, f->path, least), 0);
}

/* All of the log so far; valid until teardown. */
static const char *
content(struct fixture *f)
{
	FILE *file = fopen(f->path, "r");

	buf_clear(&f->text);
	for (int c; file != NULL && (c = getc(file)) != EOF;)
		buf_putc(&f->text, (char)c);
	if (file != NULL)
		fclose(file);
	return buf_text(&f->text);
}

static void
teardown(struct fixture *f)
{
	logger_free(f->lg);
	unlink(f->path);
	buf_free(&f->text);
}

TEST(writes_time_level_text)
{
	struct fixture f;

	setup(&f, LOG_LEVEL_INFO);
	errno = ENOSPC;
	log_at(f.lg, LOG_LEVEL_DEBUG, "dropped");
	log_info(f.lg, "n=%d %s", 5, "x");
	CHECK_EQ_INT(errno, ENOSPC);
	const char *line = content(&f);
	CHECK(strlen(line) > CLOCK_RFC3339_LEN);
	CHECK_EQ_INT(clock_parse_rfc3339(line, CLOCK_RFC3339_LEN, NULL), 0);
	CHECK_EQ_STR(line + CLOCK_RFC3339_LEN, " INFO n=5 x\n");
	teardown(&f);
}

TEST(names_levels)
{
	struct fixture f;

	setup(&f, LOG_LEVEL_DEBUG);
	log_at(f.lg, LOG_LEVEL_DEBUG, "a");
	log_warn(f.lg, "b");
	log_error(f.lg, "c");
	const char *text = content(&f);
	CHECK(strstr(text, " DEBUG a\n") != NULL);
	CHECK(strstr(text, " WARN b\n") != NULL);
	CHECK(strstr(text, " ERROR c\n") != NULL);
	teardown(&f);
}

TEST(keeps_an_entry_on_one_line)
{
	struct fixture f;

	setup(&f, LOG_LEVEL_INFO);
	log_info(f.lg, "a\nb\tc\x1b[31m\x7f\r%c gr\xc3\xbc\xc3\x9f", 0);
	CHECK_EQ_STR(
	    content(&f) + CLOCK_RFC3339_LEN, " INFO a\\x0ab\\x09c\\x1b[31m\\x7f\\x0d\\x00 gr\xc3\xbc\xc3\x9f\n");
	teardown(&f);
}

TEST(writes_any_length)
{
	struct fixture f;
	size_t n = 200000;
	char *longest = malloc(n + 1);

	memset(longest, 'x', n);
	longest[n] = '\0';
	setup(&f, LOG_LEVEL_INFO);
	log_info(f.lg, "%s.", longest);
	const char *text = content(&f);
	CHECK_EQ_UINT(f.text.len, CLOCK_RFC3339_LEN + strlen(" INFO ") + n + 2);
	CHECK(strstr(text, "x.\n") != NULL);
	teardown(&f);
	free(longest);
}

static void *
log_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info(arg, "abcdefghijklmnopqrstuvwxyz");
	return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
	struct fixture f;
	pthread_t threads[4];
	size_t lines = 0;

	setup(&f, LOG_LEVEL_INFO);
	for (int i = 0; i < 4; i++)
		CHECK_EQ_INT(pthread_create(&threads[i], NULL, log_many, f.lg), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (const char *p = content(&f); *p != '\0'; p = strchr(p, '\n') + 1, lines++)
		REQUIRE(strncmp(p + CLOCK_RFC3339_LEN, " INFO abcdefghijklmnopqrstuvwxyz\n", 33) == 0);
	CHECK_EQ_UINT(lines, 2000);
	teardown(&f);
}

TEST(opens_the_file_for_its_owner_alone)
{
	struct fixture f;
	struct stat st;

	setup(&f, LOG_LEVEL_INFO);
	logger_free(f.lg);
	unlink(f.path);
	CHECK_EQ_INT(logger_new(&f.lg, f.path, LOG_LEVEL_INFO), 0);
	CHECK_EQ_INT(stat(f.path, &st), 0);
	CHECK_EQ_UINT(st.st_mode & 0777, 0600);
	teardown(&f);
}

TEST(tells_why_it_cannot_open)
{
	struct logger *lg = NULL;

	CHECK_EQ_INT(logger_new(&lg, "/nonexistent/log", LOG_LEVEL_INFO), -ENOENT);
	log_info(NULL, "nowhere");
	logger_free(NULL);
}

TESTS(T(writes_time_level_text), T(names_levels), T(keeps_an_entry_on_one_line), T(writes_any_length),
    T(lines_of_threads_do_not_mix), T(opens_the_file_for_its_owner_alone), T(tells_why_it_cannot_open))
