#include "space.h"

#include <string.h>

#define BLOCK_SIZE 4096
#define NAME_LIMIT 255
#define UNLIMITED_FREE (1ULL << 50) /* shown as free where nothing bounds it */

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
