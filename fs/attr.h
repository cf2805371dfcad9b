/*
 * Attributes: what stat(2) shows of a node, and what may be changed about it.
 *
 * Owns nothing. Any thread may call. What blocks is bounded by the store's timeout.
 */
#ifndef AETHER_FS_ATTR_H
#define AETHER_FS_ATTR_H

#include <sys/stat.h>

#include "../store/index.h"
#include "env.h"
#include "node.h"

/* What the kernel is told: for how many seconds it may believe the attributes, and the name. */
struct attr {
	struct stat st;
	double valid_s;
	double entry_valid_s;
};

/* Blocks. 0, -ENOENT if the namespace or actor does not exist (any more), or -errno of the store. */
int attr_get(const struct fs_env *env, struct node *n, struct attr *a);

/* The same for an actor that was found in that index of its namespace, with what is known of that. Does not block. 0 or -ENOENT. */
int attr_listed(
    const struct fs_env *env, struct node *n, struct index *x, const struct ns_info *info, struct attr *a);

/*
 * What the process that repeats changes is told (ops_bridge.h): what is known, and of an actor that head, if nothing newer is; made up
 * where the thing is not there any more. The kernel may believe it as long as what a user is told if it is as good, else not at all.
 * Blocks only where nothing is known of a namespace, or what is known of it is old; never long.
 */
void attr_told(const struct fs_env *env, struct node *n, const struct head *head, struct attr *a);

/*
 * Change what to_set (FUSE_SET_ATTR_*) names to what want says, then as attr_get. A namespace's mode and owner can be
 * changed; setting times to now is allowed on a namespace, an actor and the root and stores nothing; all else is
 * -EPERM. Blocks.
 */
int attr_set(const struct fs_env *env, struct node *n, const struct stat *want, int to_set, struct attr *a);

/* The head of an actor: from the index of its namespace if there is one that has it, else the store is asked. Blocks. 0, -ENOENT, or
 * -errno of the store. */
int attr_head(const struct fs_env *env, struct node *n, struct head *head);

#endif
