#include "space.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../store/lock.h"

#define BLOCK_SIZE 4096
#define NAME_LIMIT 255
#define UNLIMITED_FREE (1ULL << 50) /* shown as free where nothing bounds it */

#define GLANCE_NS (200 * NS_PER_MS)

struct space {
	struct store *store;
	struct lock lock;
	/* Guarded by lock. */
	pthread_cond_t answered; /* asking has become false */
	bool asking;
	struct backend_limits known;
};

int
space_new(struct space **out, struct store *store)
{
	struct space *sp = calloc(1, sizeof(*sp));

	if (sp == NULL)
		return -ENOMEM;
	int err = store_limits(store, &sp->known);
	if (err != 0) {
		free(sp);
		return err;
	}
	sp->store = store;
	lock_init(&sp->lock, LOCK_SPACE);
	lock_cond_init(&sp->answered);
	*out = sp;
	return 0;
}

void
space_free(struct space *sp)
{
	if (sp == NULL)
		return;
	lock_take(&sp->lock);
	while (sp->asking)
		lock_wait(&sp->lock, &sp->answered);
	lock_give(&sp->lock);
	pthread_cond_destroy(&sp->answered);
	lock_destroy(&sp->lock);
	free(sp);
}

static void *
ask(void *arg)
{
	struct space *sp = arg;
	struct backend_limits limits;
	int err = store_limits(sp->store, &limits);

	lock_take(&sp->lock);
	if (err == 0)
		sp->known = limits;
	sp->asking = false;
	pthread_cond_broadcast(&sp->answered);
	lock_give(&sp->lock);
	return NULL;
}

void
space_glance(struct space *sp, struct backend_limits *limits)
{
	int64_t until_ns = clock_mono(clock_system()) + GLANCE_NS;
	pthread_t thread;
	bool in_time = true;

	lock_take(&sp->lock);
	/* The thread cannot end before this lock is given back. */
	if (!sp->asking && pthread_create(&thread, NULL, ask, sp) == 0) {
		pthread_detach(thread);
		sp->asking = true;
	}
	while (sp->asking && in_time)
		in_time = lock_wait_until(&sp->lock, &sp->answered, until_ns);
	*limits = sp->known;
	lock_give(&sp->lock);
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
