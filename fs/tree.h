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

/* Remove a namespace; with options.allow_delete also one that holds actors, which erases them. 0, -ENOTEMPTY, -ENOENT, -EPERM (not a
 * namespace), or -errno of the store. */
int tree_rmdir(struct fs_env *env, struct node *dir, const char *name);

/* What of a removal concerns the kernel's names: it was, or is just being, told that there is no such name any more. */
void tree_removed(struct fs_env *env, struct node *dir, const char *name);

/* Is there, as far as is known here, something of that name in the root or in a namespace? 0 or -ENOENT; does not wait for NATS. */
int tree_exists(const struct fs_env *env, struct node *dir, const char *name);

/* Erase an actor. 0, -ENOENT, -EPERM (not an actor, or not without options.allow_delete), or -errno of the store. */
int tree_unlink(struct fs_env *env, struct node *dir, const char *name);

/*
 * Make an actor that has no events; every node sees it on return. 0 or -EEXIST (it is there already), with its node,
 * counted, in both cases; -EPERM (not in a namespace, or a reserved name), or an error of the name or the store.
 */
int tree_create(const struct fs_env *env, struct node *dir, const char *name, struct node **out);

#endif
