/* Feeds over a store of the test's own: who gets what, from where on, and what ends it. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "store/clock.h"
#include "feed_store.h"
#include "store/feed.h"

/* The feeds */

static struct feeds *feeds;
static _Atomic unsigned wakes;

static void
woken(void *arg)
{
	(void)arg;
	atomic_fetch_add(&wakes, 1);
}

static void
begin_with(size_t queue_bytes)
{
	struct feed_options options = { .ops = &fake_ops,
		.clock = clock_system(),
		.timeout_ns = 10 * NS_PER_SEC,
		.queue_bytes = queue_bytes,
		.wake = woken };

	fake_begin();
	atomic_store(&wakes, 0);
	make("t");
	REQUIRE(feeds_new(&feeds, &options) == 0);
}

static void
begin(void)
{
	begin_with(FEED_QUEUE_BYTES);
}

static void
end(void)
{
	feeds_free(feeds);
	CHECK_EQ_UINT(fake.follows_now, 0);
	CHECK(fake.names == NULL);
}

static struct feed_reader *
open_feed(const char *ns)
{
	struct feed_reader *r = NULL;

	CHECK_EQ_INT(feed_open(feeds, ns, NULL, &r), 0);
	return r;
}

static struct feed_reader *
open_for(const char *ns, void *user)
{
	struct feed_reader *r = NULL;

	CHECK_EQ_INT(feed_open(feeds, ns, user, &r), 0);
	return r;
}

/* After this all that the worker had to do is done. */
static void
end_readers(struct feed_reader *first, struct feed_reader *second)
{
	feed_close(first);
	feed_close(second);
	end();
}

/* Everything that there is to read, as one text; "END" behind it at the end, "EOVERFLOW" instead of what was forgotten. */
static const char *
all_of(struct feed_reader *r)
{
	static char text[4096];
	size_t len = 0;

	for (;;) {
		struct feed_bytes bytes;
		int err = feed_read(r, 256, &bytes);
		if (err == -EAGAIN)
			break;
		if (err != 0 || bytes.len == 0) {
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", err != 0 ? "EOVERFLOW " : "END");
			if (err == 0)
				break;
			continue;
		}
		for (int i = 0; i < bytes.count; i++) {
			memcpy(text + len, bytes.pieces[i].iov_base, bytes.pieces[i].iov_len);
			len += bytes.pieces[i].iov_len;
		}
		feed_bytes_free(&bytes);
	}
	text[len] = '\0';
	return text;
}

/* Until the store has been followed so often. */
static void
wait_followed(unsigned count)
{
	wait_until(&fake.follow_count, count);
}

/* Until there are so many who follow. */
static void
wait_follows(unsigned count)
{
	wait_until(&fake.follows_now, count);
}

TEST(what_is_stored_after_the_open)
{
	begin();
	put("t", "before\n");
	struct feed_reader *r = open_feed("t");
	CHECK_EQ_STR(all_of(r), "");
	put("t", "one\n");
	put("t", "two\nthree\n");
	CHECK_EQ_STR(all_of(r), "one\ntwo\nthree\n");
	CHECK_EQ_STR(all_of(r), "");
	feed_close(r);
	end();
}

TEST(what_is_no_event_is_not_told)
{
	begin();
	struct feed_reader *r = open_feed("t");
	store_record("t", (struct record){ .payload = { "", 0 } });
	store_record("t", (struct record){ .foreign = true, .payload = SPAN("foreign\n") });
	store_record("t", (struct record){ .payload = SPAN("no line") });
	put("t", "event\n");
	CHECK_EQ_STR(all_of(r), "event\n");
	feed_close(r);
	end();
}

TEST(no_such_namespace)
{
	struct feed_reader *r;

	begin();
	CHECK_EQ_INT(feed_open(feeds, "absent", NULL, &r), -ENOENT);
	fake.info_err = -ETIMEDOUT;
	CHECK_EQ_INT(feed_open(feeds, "t", NULL, &r), -ETIMEDOUT);
	CHECK_EQ_INT(feed_open(feeds, NULL, NULL, &r), -ETIMEDOUT);
	fake.info_err = 0;
	r = open_feed("t");
	put("t", "event\n");
	CHECK_EQ_STR(all_of(r), "event\n");
	feed_close(r);
	end();
}

TEST(readers_share_one_follow)
{
	begin();
	struct feed_reader *first = open_feed("t");
	put("t", "one\n");
	struct feed_reader *second = open_feed("t"), *all = open_feed(NULL);
	put("t", "two\n");
	CHECK_EQ_UINT(fake.follow_count, 1);
	CHECK_EQ_STR(all_of(first), "one\ntwo\n");
	CHECK_EQ_STR(all_of(second), "two\n");
	CHECK_EQ_STR(all_of(all), "two\n");
	feed_close(first);
	put("t", "three\n");
	CHECK_EQ_STR(all_of(second), "three\n");
	feed_close(second);
	feed_close(all);
	wait_follows(0);
	end();
}

TEST(who_joins_a_follow_that_is_behind)
{
	begin();
	struct feed_reader *first = open_feed("t");
	fake.deliver = false;
	put("t", "one\n");
	struct feed_reader *second = open_feed("t"), *all = open_feed(NULL);
	fake.deliver = true;
	deliver_late("t", 1, "one\n");
	put("t", "two\n");
	CHECK_EQ_STR(all_of(first), "one\ntwo\n");
	CHECK_EQ_STR(all_of(second), "two\n");
	CHECK_EQ_STR(all_of(all), "two\n");
	feed_close(first);
	feed_close(second);
	feed_close(all);
	end();
}

static void
put_two(const char *ns)
{
	deliver_late(ns, 1, "one\n");
	put(ns, "two\n");
}

TEST(what_comes_while_who_joins_is_asking)
{
	begin();
	struct feed_reader *first = open_feed("t");
	fake.deliver = false;
	put("t", "one\n");
	fake.deliver = true;
	fake.in_info = put_two;
	struct feed_reader *second = open_feed("t");
	put("t", "three\n");
	CHECK_EQ_STR(all_of(first), "one\ntwo\nthree\n");
	CHECK_EQ_STR(all_of(second), "two\nthree\n");
	feed_close(first);
	feed_close(second);
	end();
}

TEST(the_namespace_is_removed)
{
	struct feed_reader *r;

	begin();
	struct feed_reader *first = open_feed("t"), *all = open_feed(NULL);
	put("t", "last\n");
	unmake("t", false, true);
	CHECK_EQ_STR(all_of(first), "last\nEND");
	CHECK_EQ_STR(all_of(first), "END");
	CHECK_EQ_INT(feed_poll(first), FEED_ENDED);
	CHECK_EQ_STR(all_of(all), "last\n");
	CHECK_EQ_INT(feed_open(feeds, "t", NULL, &r), -ENOENT);
	make("t");
	r = open_feed("t");
	put("t", "new\n");
	CHECK_EQ_STR(all_of(r), "new\n");
	CHECK_EQ_STR(all_of(first), "END");
	feed_close(first);
	feed_close(all);
	feed_close(r);
	end();
}

TEST(the_namespace_is_made_anew)
{
	begin();
	struct feed_reader *r = open_feed("t"), *all = open_feed(NULL);
	unmake("t", true, true);
	CHECK_EQ_STR(all_of(r), "END");
	wait_followed(2);
	wait_follows(1);
	CHECK_EQ_UINT(fake.follows->after_seq, 0);
	put("t", "new\n");
	CHECK_EQ_STR(all_of(all), "new\n");
	feed_close(r);
	feed_close(all);
	end();
}

TEST(a_follow_that_has_not_learnt_that_it_is_over_is_not_joined)
{
	begin();
	struct feed_reader *old = open_feed("t");
	unmake("t", true, false);
	struct feed_reader *r = open_feed("t");
	put("t", "new\n");
	CHECK_EQ_STR(all_of(r), "new\n");
	CHECK_EQ_STR(all_of(old), "");
	CHECK_EQ_UINT(fake.follow_count, 2);
	feed_close(old);
	feed_close(r);
	end();
}

TEST(sequences_that_go_back_are_not_read_again)
{
	begin();
	struct feed_reader *all = open_feed(NULL);
	put("t", "one\n");
	put("t", "two\n");
	/* The same namespace, of which some is lost. */
	fake.namespaces[0].last_seq = 1;
	fake.follows->told_end = true;
	fake.follows->fns->anew(fake.follows->arg);
	wait_followed(2);
	wait_follows(1);
	CHECK_EQ_UINT(fake.follows->after_seq, 1);
	feed_close(all);
	end();
}

static void
heal(const char *ns)
{
	(void)ns;
	fake.info_err = 0;
}

TEST(a_namespace_that_cannot_be_asked_for_and_one_that_nobody_tells_of)
{
	begin();
	make("u");
	struct feed_reader *all = open_feed(NULL);
	fake.info_err = -ETIMEDOUT;
	fake.in_info = heal;
	unmake("t", true, true);
	wait_followed(3);
	unmake("u", false, true);
	wait_until(&fake.absent, 1);
	make("u");
	wait_followed(4);
	wait_follows(2);
	put("t", "t\n");
	put("u", "u\n");
	CHECK_EQ_STR(all_of(all), "t\nu\n");
	feed_close(all);
	end();
}

static void
remove_it(const char *ns)
{
	unmake(ns, false, true);
}

static void
renew_it(const char *ns)
{
	unmake(ns, true, true);
}

TEST(it_ends_while_somebody_opens)
{
	struct feed_reader *r = NULL;

	begin();
	fake.in_info = remove_it; /* nobody follows yet: the follow will say so */
	CHECK_EQ_INT(feed_open(feeds, "t", NULL, &r), 0);
	feed_close(r);
	make("t");
	struct feed_reader *first = open_feed("t");
	fake.in_info = remove_it;
	CHECK_EQ_INT(feed_open(feeds, "t", NULL, &r), -ENOENT);
	CHECK_EQ_STR(all_of(first), "END");
	feed_close(first);
	make("t");
	first = open_feed("t");
	fake.in_info = renew_it;
	r = open_feed("t");
	put("t", "new\n");
	CHECK_EQ_STR(all_of(first), "END");
	CHECK_EQ_STR(all_of(r), "new\n");
	feed_close(first);
	feed_close(r);
	end();
}

static void
anew_at_once(struct follow *f)
{
	f->told_end = true;
	f->fns->anew(f->arg);
	f->fns->record(f->arg, "a", &(struct record){ .seq = 1, .payload = SPAN("of another\n") });
}

TEST(it_ends_before_it_has_begun)
{
	begin();
	fake.in_follow = anew_at_once;
	struct feed_reader *r = open_feed("t");
	CHECK_EQ_STR(all_of(r), "END");
	feed_close(r);
	end();
}

TEST(who_does_not_read_does_not_hold_up_others)
{
	begin_with(200);
	struct feed_reader *slow = open_feed("t"), *quick = open_feed("t");
	for (int i = 0; i < 100; i++) {
		put("t", "0123456789\n");
		CHECK_EQ_STR(all_of(quick), "0123456789\n");
	}
	CHECK_EQ_INT(memcmp(all_of(slow), "EOVERFLOW 0123456789\n", 20), 0);
	put("t", "again\n");
	CHECK_EQ_STR(all_of(slow), "again\n");
	feed_close(slow);
	feed_close(quick);
	end();
}

TEST(it_is_told_once_that_there_is_something)
{
	int user;

	begin();
	struct feed_reader *r = open_for("t", &user);
	put("t", "one\n");
	/* Nobody has asked. */
	CHECK(feeds_next(feeds) == NULL);
	CHECK_EQ_INT(feed_poll(r), FEED_READABLE);
	CHECK_EQ_STR(all_of(r), "one\n");
	CHECK_EQ_UINT(atomic_exchange(&wakes, 0), 0);
	put("t", "two\n");
	put("t", "three\n");
	CHECK_EQ_UINT(atomic_exchange(&wakes, 0), 1);
	CHECK(feeds_next(feeds) == &user);
	CHECK(feeds_next(feeds) == NULL);
	CHECK_EQ_STR(all_of(r), "two\nthree\n");
	CHECK_EQ_INT(feed_poll(r), FEED_NOTHING);
	unmake("t", false, true);
	CHECK(feeds_next(feeds) == &user);
	CHECK_EQ_UINT(atomic_exchange(&wakes, 0), 1);
	feed_close(r);
	end();
}

TEST(what_was_read_before_it_was_told_is_told_of_again)
{
	int user;

	begin();
	struct feed_reader *r = open_for("t", &user);
	CHECK_EQ_STR(all_of(r), "");
	put("t", "zero\n");
	CHECK_EQ_STR(all_of(r), "zero\n");
	put("t", "one\n");
	CHECK_EQ_STR(all_of(r), "one\n");
	CHECK(feeds_next(feeds) == &user);
	CHECK(feeds_next(feeds) == NULL);
	put("t", "two\n");
	CHECK(feeds_next(feeds) == &user);
	CHECK_EQ_STR(all_of(r), "two\n");
	put("t", "three\n");
	feed_close(r);
	CHECK(feeds_next(feeds) == NULL);
	end();
}

TEST(all_namespaces)
{
	begin();
	make("u");
	put("u", "before\n");
	struct feed_reader *all = open_feed(NULL);
	put("t", "t1\n");
	put("u", "u1\n");
	put("t", "t2\n");
	CHECK_EQ_STR(all_of(all), "t1\nu1\nt2\n");
	feed_close(all);
	end();
}

TEST(lines_with_the_names_of_their_namespaces)
{
	begin();
	make("u");
	struct feed_reader *all = open_feed(NULL), *plain = open_feed(NULL), *one = open_feed("t");
	put("t", "before\n");
	CHECK_EQ_INT(feed_name(all), 0);
	CHECK_EQ_INT(feed_name(one), -EINVAL);
	put("t", "one\ntwo\n");
	put("u", "three\n");
	CHECK_EQ_STR(all_of(all), "t\tone\nt\ttwo\nu\tthree\n");
	CHECK_EQ_STR(all_of(plain), "before\none\ntwo\nthree\n");
	CHECK_EQ_STR(all_of(one), "before\none\ntwo\n");
	feed_close(all);
	feed_close(plain);
	feed_close(one);
	end();
}

TEST(a_namespace_that_appears_is_read_from_its_first_record)
{
	begin();
	struct feed_reader *all = open_feed(NULL), *other = open_feed(NULL);
	make("u");
	struct feed_reader *own = open_feed("u");
	wait_follows(2);
	/* What comes before those who read all have heard of it. */
	fake.names(fake.names_arg, "u", true, false);
	fake.names(fake.names_arg, "u", true, false);
	fake.names(fake.names_arg, "never", true, false);
	wait_until(&fake.absent, 1);
	wait_follows(3);
	put("u", "first\n");
	CHECK_EQ_STR(all_of(all), "first\n");
	CHECK_EQ_STR(all_of(other), "first\n");
	CHECK_EQ_STR(all_of(own), "first\n");
	unsigned asked = fake.asked;
	fake.names(fake.names_arg, "u", true, false);
	wait_until(&fake.asked, asked + 1);
	feed_close(own);
	end_readers(all, other);
	CHECK_EQ_UINT(fake.follow_count, 3);
}

static void
appear(void)
{
	unsigned asked = fake.asked;

	make("u");
	fake.names(fake.names_arg, "u", true, false);
	fake.names(fake.names_arg, "t", true, false);
	wait_until(&fake.asked, asked + 2);
}

TEST(a_namespace_that_appears_while_somebody_opens)
{
	begin();
	put("t", "before\n");
	fake.in_list = appear;
	struct feed_reader *all = open_feed(NULL);
	wait_follows(2);
	put("t", "t\n");
	put("u", "u\n");
	CHECK_EQ_STR(all_of(all), "t\nu\n");
	end_readers(all, NULL);
	CHECK_EQ_UINT(fake.follow_count, 2);
}

/* Writers, readers that come and go, and namespaces that are made anew, all at once. */

#define STORM_READERS 4
#define STORM_RECORDS 20000

static _Atomic bool storm_over;

static void *
storm_write(void *arg)
{
	const char *ns = arg;
	char text[64];

	for (unsigned i = 1; i <= STORM_RECORDS; i++) {
		snprintf(text, sizeof(text), "%s %u\n", ns, i);
		put(ns, text);
	}
	return NULL;
}

/* What a reader has seen of one namespace, whose numbers follow one on the other. */
static void
storm_line(const char *line, unsigned last[NAMESPACES])
{
	unsigned n, *seen = &last[line[0] - 't'];

	REQUIRE(sscanf(line + 2, "%u", &n) == 1);
	CHECK(*seen == 0 || n == *seen + 1);
	*seen = n;
}

static void
storm_take(struct feed_reader *r, unsigned last[NAMESPACES])
{
	struct feed_bytes bytes;
	char text[512];
	size_t len = 0;

	if (feed_read(r, sizeof(text) - 1, &bytes) != 0)
		return;
	for (int i = 0; i < bytes.count; i++) {
		memcpy(text + len, bytes.pieces[i].iov_base, bytes.pieces[i].iov_len);
		len += bytes.pieces[i].iov_len;
	}
	text[len] = '\0';
	feed_bytes_free(&bytes);
	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		storm_line(line, last);
}

static void *
storm_read(void *arg)
{
	const char *ns = arg;

	while (!atomic_load(&storm_over)) {
		unsigned last[NAMESPACES] = { 0 };
		struct feed_reader *r = open_feed(ns);
		for (int i = 0; i < 2000 && !atomic_load(&storm_over); i++)
			storm_take(r, last);
		while (feeds_next(feeds) != NULL)
			;
		feed_close(r);
	}
	return NULL;
}

TEST(a_storm)
{
	static char t[] = "t", u[] = "u";
	char *const names[STORM_READERS] = { t, u, NULL, NULL };
	pthread_t writers[2], readers[STORM_READERS];

	begin_with(SIZE_MAX);
	make("u");
	atomic_store(&storm_over, false);
	struct feed_reader *whole = open_feed(NULL);
	for (size_t i = 0; i < STORM_READERS; i++)
		pthread_create(&readers[i], NULL, storm_read, names[i]);
	for (size_t i = 0; i < 2; i++)
		pthread_create(&writers[i], NULL, storm_write, names[i]);
	for (size_t i = 0; i < 2; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&storm_over, true);
	for (size_t i = 0; i < STORM_READERS; i++)
		pthread_join(readers[i], NULL);
	unsigned last[NAMESPACES] = { 0 };
	while (feed_poll(whole) == FEED_READABLE)
		storm_take(whole, last);
	CHECK_EQ_UINT(last[0], STORM_RECORDS);
	CHECK_EQ_UINT(last[1], STORM_RECORDS);
	feed_close(whole);
	end();
}

TESTS(T(what_is_stored_after_the_open), T(what_is_no_event_is_not_told), T(no_such_namespace), T(readers_share_one_follow),
    T(who_joins_a_follow_that_is_behind), T(what_comes_while_who_joins_is_asking), T(the_namespace_is_removed),
    T(the_namespace_is_made_anew), T(sequences_that_go_back_are_not_read_again),
    T(a_namespace_that_cannot_be_asked_for_and_one_that_nobody_tells_of),
    T(a_follow_that_has_not_learnt_that_it_is_over_is_not_joined), T(it_ends_while_somebody_opens), T(it_ends_before_it_has_begun),
    T(who_does_not_read_does_not_hold_up_others), T(it_is_told_once_that_there_is_something),
    T(what_was_read_before_it_was_told_is_told_of_again), T(all_namespaces), T(lines_with_the_names_of_their_namespaces),
    T(a_namespace_that_appears_is_read_from_its_first_record), T(a_namespace_that_appears_while_somebody_opens), T(a_storm))
