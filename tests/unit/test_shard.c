/* The shard of an actor is the same on every node for ever: these values must never change. */
#include "../../cluster/shard.h"
#include "check.h"

TEST(golden)
{
	CHECK_EQ_UINT(shard_of("orders", "order-123"), 570);
	CHECK_EQ_UINT(shard_of("dpkg", "libc6"), 774);
	CHECK_EQ_UINT(shard_of("a", "b"), 516);
	CHECK_EQ_UINT(shard_of("\xc3\xbc", "a.b *>%"), 733);
}

TEST(long_names)
{
	char actor[256];

	memset(actor, 'x', 255);
	actor[255] = '\0';
	CHECK_EQ_UINT(shard_of("orders", actor), 170);
}

/* 100,000 names: no shard is empty, and none has twice its part. */
TEST(spread)
{
	unsigned count[SHARD_COUNT] = { 0 };
	char actor[32];

	for (int i = 0; i < 100000; i++) {
		snprintf(actor, sizeof(actor), "actor-%d", i);
		count[shard_of("orders", actor)]++;
	}
	for (int i = 0; i < SHARD_COUNT; i++)
		CHECK(count[i] > 40 && count[i] < 200);
}

TESTS(T(golden), T(long_names), T(spread))
