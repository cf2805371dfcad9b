/*
 * Mutexes with a rank: in debug and sanitizer builds every thread checks the order in which it takes them.
 *
 * A thread may take a lock only while all that it holds are of lower rank; whoever breaks that is told on standard
 * error, with the names of both ranks, and the process aborts, even where no deadlock came of it. In release builds a
 * lock is a pthread_mutex_t and nothing else. What each lock guards is listed in state.h and in fs/env.h.
 *
 * LOCK_CHECKS, 0 or 1, chooses; the Makefile sets it. Any thread may call.
 */
#ifndef AETHER_STORE_LOCK_H
#define AETHER_STORE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#ifndef LOCK_CHECKS
#define LOCK_CHECKS 0
#endif

/* Lowest first. */
enum lock_rank {
	LOCK_STORE,      /* store.lock */
	LOCK_ACTOR,      /* actor.lock */
	LOCK_CACHE_FILE, /* cache_file.lock */
	LOCK_CACHE,      /* cache.lock */
	LOCK_BACKEND,    /* a backend's own, one of them at a time */
	LOCK_LEAF,       /* nothing is taken while it is held */
	LOCK_ALONE, /* that, and it is not taken while anything is held: so a callback that takes it is called without
		       locks */
	LOCK_RANKS
};

struct lock {
	pthread_mutex_t mutex;
#if LOCK_CHECKS
	enum lock_rank rank;
#endif
};

/* The checks themselves, for the functions below. lock tells apart locks of one rank. */
void lock_check_take(const void *lock, enum lock_rank rank);
void lock_check_got(const void *lock, enum lock_rank rank);
void lock_check_give(const void *lock);
void lock_check_wait(const void *lock);

static inline void
lock_init(struct lock *l, enum lock_rank rank)
{
	pthread_mutex_init(&l->mutex, NULL);
#if LOCK_CHECKS
	l->rank = rank;
#else
	(void)rank;
	_Static_assert(sizeof(*l) == sizeof(pthread_mutex_t), "a lock costs nothing");
#endif
}

/* Nobody holds it. */
static inline void
lock_destroy(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

static inline void
lock_take(struct lock *l)
{
#if LOCK_CHECKS
	lock_check_take(l, l->rank);
#endif
	pthread_mutex_lock(&l->mutex);
#if LOCK_CHECKS
	lock_check_got(l, l->rank);
#endif
}

/* Take it unless somebody has it. It cannot wait, so it may be of any rank. */
static inline bool
lock_try(struct lock *l)
{
	bool taken = pthread_mutex_trylock(&l->mutex) == 0;

#if LOCK_CHECKS
	if (taken)
		lock_check_got(l, l->rank);
#endif
	return taken;
}

static inline void
lock_give(struct lock *l)
{
#if LOCK_CHECKS
	lock_check_give(l);
#endif
	pthread_mutex_unlock(&l->mutex);
}

/* pthread_cond_wait and _timedwait (0 or ETIMEDOUT). No other lock may be held: whoever ends the wait may need it. */
static inline void
lock_wait(struct lock *l, pthread_cond_t *c)
{
#if LOCK_CHECKS
	lock_check_wait(l);
#endif
	pthread_cond_wait(c, &l->mutex);
}

static inline int
lock_wait_until(struct lock *l, pthread_cond_t *c, const struct timespec *until)
{
#if LOCK_CHECKS
	lock_check_wait(l);
#endif
	return pthread_cond_timedwait(c, &l->mutex, until);
}

#endif
