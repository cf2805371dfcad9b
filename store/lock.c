#include "lock.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define HELD_MAX 8

/* What this thread holds, in the order in which it was taken. */
static _Thread_local struct {
	const void *lock;
	enum lock_rank rank;
	const char *name;
} held[HELD_MAX];
static _Thread_local size_t held_count;

_Noreturn static void
stop(const char *what, const char *name, const char *holding)
{
	fprintf(stderr, "runtime error: lock order: %s %s while holding %s\n", what, name, holding);
	abort();
}

void
lock_check_take(const void *lock, enum lock_rank rank, const char *name)
{
	for (size_t i = 0; i < held_count; i++) {
		if (held[i].lock == lock)
			stop("taking again", name, held[i].name);
		if (held[i].rank <= rank || rank > LOCK_INNER)
			stop("taking", name, held[i].name);
	}
}

void
lock_check_got(const void *lock, enum lock_rank rank, const char *name)
{
	if (held_count == HELD_MAX)
		stop("taking one too many,", name, held[HELD_MAX - 1].name);
	held[held_count].lock = lock;
	held[held_count].rank = rank;
	held[held_count++].name = name;
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
	const char *name = NULL, *other = NULL;

	for (size_t i = 0; i < held_count; i++)
		*(held[i].lock == lock ? &name : &other) = held[i].name;
	if (name == NULL)
		not_held("waiting with");
	if (other != NULL)
		stop("waiting with", name, other);
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
