#include "space.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_SIZE 4096
#define NAME_LIMIT 255
#define UNLIMITED_FREE (1ULL << 50) /* shown as free where nothing bounds it */

#define GLANCE_NS (200 * NS_PER_MS)

struct space {
	struct store *store;
	pthread_mutex_t lock;
	/* Guarded by lock. */
	pthread_cond_t answered; /* asking has become false */
	bool asking;
	struct backend_limits known;
};

int
space_new(struct space **out, struct store *store)
{
	struct space *sp = calloc(1, sizeof(*sp));
	pthread_condattr_t monotonic;

	if (sp == NULL)
		return -ENOMEM;
	int err = store_limits(store, &sp->known);
	if (err != 0) {
		free(sp);
		return err;
	}
	sp->store = store;
	pthread_mutex_init(&sp->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&sp->answered, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*out = sp;
	return 0;
}

void
space_free(struct space *sp)
{
	if (sp == NULL)
		return;
	pthread_mutex_lock(&sp->lock);
	while (sp->asking)
		pthread_cond_wait(&sp->answered, &sp->lock);
	pthread_mutex_unlock(&sp->lock);
	pthread_cond_destroy(&sp->answered);
	pthread_mutex_destroy(&sp->lock);
	free(sp);
}

static void *
ask(void *arg)
{
	struct space *sp = arg;
	struct backend_limits limits;
	int err = store_limits(sp->store, &limits);

	pthread_mutex_lock(&sp->lock);
	if (err == 0)
		sp->known = limits;
	sp->asking = false;
	pthread_cond_broadcast(&sp->answered);
	pthread_mutex_unlock(&sp->lock);
	return NULL;
}

void
space_glance(struct space *sp, struct backend_limits *limits)
{
	struct timespec until;
	pthread_t thread;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GLANCE_NS;
	until.tv_sec += until.tv_nsec / NS_PER_SEC;
	until.tv_nsec %= NS_PER_SEC;
	pthread_mutex_lock(&sp->lock);
	/* The thread cannot end before this lock is given back. */
	if (!sp->asking && pthread_create(&thread, NULL, ask, sp) == 0) {
		pthread_detach(thread);
		sp->asking = true;
	}
	while (sp->asking && err == 0)
		err = pthread_cond_timedwait(&sp->answered, &sp->lock, &until);
	*limits = sp->known;
	pthread_mutex_unlock(&sp->lock);
}

/* The disk under a private server's data: what is in use there counts, whoever uses it. */
static bool
from_disk(const struct fs_env *env, struct statvfs *st)
{
	struct statvfs disk;

	if (env->options.state_dir == NULL || statvfs(env->options.state_dir, &disk) != 0)
		return false;
	uint64_t unit = disk.f_frsize != 0 ? disk.f_frsize : disk.f_bsize;
	st->f_blocks = (fsblkcnt_t)(disk.f_blocks * unit / BLOCK_SIZE);
	st->f_bfree = (fsblkcnt_t)(disk.f_bfree * unit / BLOCK_SIZE);
	st->f_bavail = (fsblkcnt_t)(disk.f_bavail * unit / BLOCK_SIZE);
	return true;
}

int
space_statvfs(const struct fs_env *env, struct statvfs *st)
{
	struct backend_limits limits;
	int err = store_limits(env->store, &limits);

	if (err != 0)
		return err;
	memset(st, 0, sizeof(*st));
	st->f_bsize = BLOCK_SIZE;
	st->f_frsize = BLOCK_SIZE;
	st->f_namemax = NAME_LIMIT;
	if (limits.max_bytes == UINT64_MAX && from_disk(env, st))
		return 0;
	uint64_t used = (limits.used_bytes + BLOCK_SIZE - 1) / BLOCK_SIZE;
	uint64_t total =
	    limits.max_bytes == UINT64_MAX ? used + UNLIMITED_FREE / BLOCK_SIZE : limits.max_bytes / BLOCK_SIZE;
	st->f_blocks = total;
	st->f_bfree = total > used ? total - used : 0;
	st->f_bavail = st->f_bfree;
	return 0;
}
