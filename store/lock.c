#include "lock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define HELD_MAX 8

static const char *const names[LOCK_RANKS] = {
	[LOCK_TIMER] = "timer",
	[LOCK_QUOTA] = "quota",
	[LOCK_CACHE] = "cache",
	[LOCK_CACHE_FILE] = "cache file",
	[LOCK_ACTOR] = "actor",
	[LOCK_NODES] = "nodes",
	[LOCK_SPENT] = "spent",
	[LOCK_SLOTS] = "slots",
	[LOCK_LANE] = "lane",
	[LOCK_RPC] = "rpc",
	[LOCK_CALL] = "call",
	[LOCK_CREATION] = "creation",
	[LOCK_WATCHES] = "watches",
	[LOCK_STREAMS] = "streams",
	[LOCK_MEMORY] = "memory",
	[LOCK_WAITER] = "waiter",
	[LOCK_INDEX] = "index",
	[LOCK_INDEXES] = "indexes",
	[LOCK_STORE] = "store",
	[LOCK_HANDLES] = "handles",
	[LOCK_SPACE] = "space",
	[LOCK_FILE] = "file",
	[LOCK_FILES] = "files",
	[LOCK_NOTIFY] = "notify",
	[LOCK_SERVER] = "server",
};

/* What this thread holds, in the order in which it was taken. */
static _Thread_local struct {
	const void *lock;
	enum lock_rank rank;
} held[HELD_MAX];
static _Thread_local size_t held_count;

_Noreturn static void
stop(const char *what, enum lock_rank rank, enum lock_rank holding)
{
	fprintf(
	    stderr, "runtime error: lock order: %s \"%s\" while holding \"%s\"\n", what, names[rank], names[holding]);
	abort();
}

void
lock_check_take(const void *lock, enum lock_rank rank)
{
	for (size_t i = 0; i < held_count; i++) {
		if (held[i].lock == lock)
			stop("taking again", rank, held[i].rank);
		if (held[i].rank <= rank || rank > LOCK_INNER)
			stop("taking", rank, held[i].rank);
	}
}

void
lock_check_got(const void *lock, enum lock_rank rank)
{
	if (held_count == HELD_MAX)
		stop("taking one too many,", rank, held[HELD_MAX - 1].rank);
	held[held_count].lock = lock;
	held[held_count++].rank = rank;
}

_Noreturn static void
not_held(const char *what)
{
	fprintf(stderr, "runtime error: lock order: %s a lock that this thread does not hold\n", what);
	abort();
}

void
lock_check_give(const void *lock)
{
	size_t i = held_count;

	while (i > 0 && held[i - 1].lock != lock)
		i--;
	if (i == 0)
		not_held("giving");
	held_count--;
	for (i--; i < held_count; i++)
		held[i] = held[i + 1];
}

void
lock_check_wait(const void *lock)
{
	for (size_t i = 0; i < held_count; i++)
		if (held[i].lock != lock)
			stop("waiting", held[held_count - 1].rank, held[i].rank);
	if (held_count == 0)
		not_held("waiting with");
}

void
lock_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(c, &monotonic);
	pthread_condattr_destroy(&monotonic);
}
