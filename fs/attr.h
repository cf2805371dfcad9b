/*
 * Attributes: what stat(2) shows of a node, and what may be changed about it.
 *
 * Owns nothing. Any thread may call. What blocks is bounded by the store's timeout.
 */
#ifndef AETHER_FS_ATTR_H
#define AETHER_FS_ATTR_H

#include <sys/stat.h>

#include "env.h"
#include "node.h"

/* Blocks. 0, -ENOENT if the namespace or actor does not exist (any more), or -errno of the store. */
int attr_get(const struct fs_env *env, const struct node *n, struct stat *st);

/*
 * Change what to_set (FUSE_SET_ATTR_*) names to what want says, then as attr_get. A namespace's mode and owner can be
 * changed; setting times to now is allowed on a namespace, an actor and the root and stores nothing; all else is
 * -EPERM. Blocks.
 */
int attr_set(const struct fs_env *env, const struct node *n, const struct stat *want, int to_set, struct stat *st);

/* For how many seconds the kernel may believe the attributes, and the name, of a node. */
double attr_valid_s(const struct node *n);
double attr_entry_valid_s(const struct node *n);

#endif
