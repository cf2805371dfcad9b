/*
 * The tree's names: finding what a name stands for, making and removing namespaces, making actors.
 *
 * Owns nothing. Any thread may call. All of it blocks, bounded by the store's timeout.
 */
#ifndef AETHER_FS_TREE_H
#define AETHER_FS_TREE_H

#include "env.h"
#include "node.h"

/* The node called name in a directory, counted. 0, -ENOENT, -ENAMETOOLONG, or -errno of the store. */
int tree_lookup(const struct fs_env *env, struct node *dir, const char *name, struct node **out);

/* Make a namespace. 0 and its node, counted; -EEXIST, -EPERM (not in the root, or a reserved name), or an error of the
 * name or the store. */
int tree_mkdir(struct fs_env *env, struct node *dir, const char *name, const struct ns_attr *attr, struct node **out);

/* Remove a namespace. 0, -ENOTEMPTY, -ENOENT, -EPERM (not a namespace), or -errno of the store. */
int tree_rmdir(struct fs_env *env, const struct node *dir, const char *name);

/*
 * Make an actor that has no events; every node sees it on return. 0 or -EEXIST (it is there already), with its node,
 * counted, in both cases; -EPERM (not in a namespace, or a reserved name), or an error of the name or the store.
 */
int tree_create(const struct fs_env *env, struct node *dir, const char *name, struct node **out);

#endif
