/* Units, those who wait for them, and their order. */
#include "check.h"
#include "store/quota.h"

static struct quota q;
static char log_text[64];

struct waiter {
	struct quota_wait wait;
	char name;
	size_t gives_back;
};

static void
called(void *arg, bool granted)
{
	struct waiter *w = arg;
	size_t len = strlen(log_text);

	log_text[len] = granted ? w->name : '-';
	log_text[len + 1] = '\0';
	if (granted && w->gives_back > 0)
		quota_give(&q, w->gives_back);
}

static bool
take(struct waiter *w, char name, size_t units)
{
	w->name = name;
	w->wait = (struct quota_wait){ .units = units, .deadline_ns = name, .fn = called, .arg = w };
	return quota_take(&q, &w->wait);
}

static void
begin(size_t limit)
{
	quota_init(&q, limit);
	log_text[0] = '\0';
}

TEST(first_come_first_served)
{
	struct waiter a = { 0 }, b = { 0 }, c = { 0 };

	begin(3);
	CHECK(take(&a, 'a', 2));
	CHECK(!take(&b, 'b', 2));
	/* There would be room for it, but another came before. */
	CHECK(!take(&c, 'c', 1));
	quota_give(&q, 2);
	CHECK_EQ_STR(log_text, "bc");
	quota_give(&q, 3);
	quota_destroy(&q);
}

TEST(more_than_the_limit_goes_alone)
{
	struct waiter a = { 0 }, b = { 0 }, c = { 0 };

	begin(3);
	CHECK(take(&a, 'a', 9));
	CHECK(!take(&b, 'b', 9));
	CHECK(!take(&c, 'c', 1));
	quota_give(&q, 9);
	CHECK_EQ_STR(log_text, "b");
	quota_give(&q, 9);
	CHECK_EQ_STR(log_text, "bc");
	quota_destroy(&q);
}

TEST(who_gives_back_inside_does_not_nest)
{
	static struct waiter many[20];
	struct waiter a = { 0 };

	begin(1);
	CHECK(take(&a, 'a', 1));
	for (int i = 0; i < 20; i++) {
		many[i].gives_back = 1;
		CHECK(!take(&many[i], (char)('a' + i), 1));
	}
	quota_give(&q, 1);
	CHECK_EQ_STR(log_text, "abcdefghijklmnopqrst");
	CHECK(take(&a, 'a', 1));
	quota_give(&q, 1);
	quota_destroy(&q);
}

TEST(to_drop_and_to_expire)
{
	struct waiter a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };

	begin(1);
	CHECK(take(&a, 'a', 1));
	CHECK(!take(&b, 'b', 1));
	CHECK(!take(&c, 'c', 1));
	CHECK(!take(&d, 'd', 1));
	CHECK(quota_drop(&q, &b.wait));
	CHECK(!quota_drop(&q, &b.wait));
	CHECK_EQ_INT(quota_expire(&q, 'a'), 'c');
	CHECK_EQ_STR(log_text, "");
	CHECK_EQ_INT(quota_expire(&q, 'c'), 'd');
	CHECK_EQ_STR(log_text, "-");
	quota_give(&q, 1);
	CHECK_EQ_STR(log_text, "-d");
	CHECK(!quota_drop(&q, &d.wait));
	CHECK_EQ_INT(quota_expire(&q, 127) == INT64_MAX, 1);
	quota_give(&q, 1);
	quota_destroy(&q);
}

TESTS(T(first_come_first_served), T(more_than_the_limit_goes_alone), T(who_gives_back_inside_does_not_nest),
    T(to_drop_and_to_expire))
