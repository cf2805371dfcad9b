/* The extended attributes of an actor, all read-only. Owns nothing; any thread. Other nodes have none. */
#ifndef AETHER_FS_XATTR_H
#define AETHER_FS_XATTR_H

#include "env.h"
#include "node.h"

/* The value called name into out (empty). Blocks. 0, -ENODATA, -EOPNOTSUPP (system.*, security.*: not for any node), -ENOMEM,
 * or -errno of the store. */
int xattr_get(const struct fs_env *env, struct node *n, const char *name, struct buf *out);

/* The names, each with a NUL, into out (empty). 0 or -ENOMEM. */
int xattr_list(const struct fs_env *env, struct node *n, struct buf *out);

#endif
