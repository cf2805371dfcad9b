/* The storage that the file system has, as df shows it. Owns nothing; any thread. */
#ifndef AETHER_FS_SPACE_H
#define AETHER_FS_SPACE_H

#include <sys/statvfs.h>

#include "env.h"

/* The answer to statfs(2). Blocks. 0 or -errno. */
int space_statvfs(const struct fs_env *env, struct statvfs *st);

#endif
