/*
 * What the tree shows of the cluster: `.aether/cluster` of the root, an actor's `shard` and `owner`, and `owned/` of a namespace, with a symbolic link for
 * each actor whose shard this node owns.
 *
 * Owns nothing. Any thread may call.
 */
#ifndef AETHER_FS_CLUSTER_FILES_H
#define AETHER_FS_CLUSTER_FILES_H

#include "../store/backend.h"
#include "env.h"
#include "node.h"

/* Texts of control files, as control.h has them. n is the file's node. */
int cluster_text_self(struct fs_env *env, const struct node *n, struct buf *out);
int cluster_text_leader(struct fs_env *env, const struct node *n, struct buf *out);
int cluster_text_shards(struct fs_env *env, const struct node *n, struct buf *out);
int cluster_text_node(struct fs_env *env, const struct node *n, struct buf *out);
int cluster_text_actor_shard(struct fs_env *env, const struct node *n, struct buf *out);
int cluster_text_actor_owner(struct fs_env *env, const struct node *n, struct buf *out);

/* The directory of nodes. */
int cluster_node_exists(const struct fs_env *env, const struct node *dir, const char *name);
int cluster_list_nodes(const struct fs_env *env, const struct node *dir, backend_name_fn fn, void *arg);

/* Is that actor in the `owned` of its namespace? dir is an `owned`. Blocks. 0, -ENOENT, or -errno of the store. */
int cluster_owned_exists(const struct fs_env *env, const struct node *dir, const char *name);

/* Would it be, if there were such an actor? */
bool cluster_owns_actor(const struct fs_env *env, const char *ns, const char *actor);

/* Where a link of an `owned` points to. */
void cluster_link(const struct node *n, struct buf *out);

/* The id of the node that owns the actor's shard; nothing if nobody does. */
void cluster_put_actor_owner(const struct fs_env *env, const char *ns, const char *actor, struct buf *out);

#endif
