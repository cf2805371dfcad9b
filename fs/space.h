/*
 * The storage that the file system has, as df and the status view show it.
 *
 * Owns what was last known of it, and the thread that asks, which lives only while it does. Any thread may call.
 */
#ifndef AETHER_FS_SPACE_H
#define AETHER_FS_SPACE_H

#include <stdbool.h>
#include <sys/statvfs.h>

#include "env.h"

struct space;

/* Asks the store once, so that there is always something to show. store is borrowed. Blocks. 0, -ENOMEM, or -errno of
 * the store. */
int space_new(struct space **out, struct store *store);

/* Waits for a question under way. NULL is fine. */
void space_free(struct space *sp);

/* The store's limits, or what they were when it last answered if it does not do so within a fifth of a second. */
void space_glance(struct space *sp, struct backend_limits *limits);

/* The answer to statfs(2). Blocks. 0 or -errno. */
int space_statvfs(const struct fs_env *env, struct statvfs *st);

#endif
