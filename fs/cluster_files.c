#include "cluster_files.h"

#include <errno.h>

#include "../store/actor.h"
#include "../store/name.h"

static unsigned
shard_of(const struct fs_env *env, const char *ns, const char *actor)
{
	return env->options.cluster.shard_of(ns, actor);
}

int
cluster_text_self(struct fs_env *env, const struct node *n, struct buf *out)
{
	(void)n;
	buf_printf(out, "%s\n", env->options.node_id);
	return 0;
}

int
cluster_text_leader(struct fs_env *env, const struct node *n, struct buf *out)
{
	const struct fs_cluster *c = &env->options.cluster;

	(void)n;
	c->put_leader(c->arg, out);
	return 0;
}

int
cluster_text_shards(struct fs_env *env, const struct node *n, struct buf *out)
{
	const struct fs_cluster *c = &env->options.cluster;

	(void)n;
	c->put_shards(c->arg, out);
	return 0;
}

int
cluster_text_node(struct fs_env *env, const struct node *n, struct buf *out)
{
	const struct fs_cluster *c = &env->options.cluster;

	return c->put_node(c->arg, n->name, out) ? 0 : -ENOENT;
}

int
cluster_text_actor_shard(struct fs_env *env, const struct node *n, struct buf *out)
{
	buf_printf(out, "%u\n", shard_of(env, node_namespace(n), n->parent->name));
	return 0;
}

void
cluster_put_actor_owner(const struct fs_env *env, const char *ns, const char *actor, struct buf *out)
{
	const struct fs_cluster *c = &env->options.cluster;

	c->put_owner(c->arg, shard_of(env, ns, actor), out);
}

int
cluster_text_actor_owner(struct fs_env *env, const struct node *n, struct buf *out)
{
	cluster_put_actor_owner(env, node_namespace(n), n->parent->name, out);
	if (out->len > 0)
		buf_putc(out, '\n');
	return 0;
}

int
cluster_node_exists(const struct fs_env *env, const struct node *dir, const char *name)
{
	const struct fs_cluster *c = &env->options.cluster;
	struct buf ignored = { 0 };

	(void)dir;
	bool exists = c->put_node(c->arg, name, &ignored);
	buf_free(&ignored);
	return exists ? 0 : -ENOENT;
}

int
cluster_list_nodes(const struct fs_env *env, const struct node *dir, backend_name_fn fn, void *arg)
{
	const struct fs_cluster *c = &env->options.cluster;

	(void)dir;
	return c->each_node(c->arg, fn, arg);
}

bool
cluster_owns_actor(const struct fs_env *env, const char *ns, const char *actor)
{
	const struct fs_cluster *c = &env->options.cluster;

	return c->owns(c->arg, shard_of(env, ns, actor));
}

int
cluster_owned_exists(const struct fs_env *env, const struct node *dir, const char *name)
{
	struct head head;
	int err = name_check_actor(span_of(name));

	if (err != 0)
		return err == -ENAMETOOLONG ? err : -ENOENT;
	if (!cluster_owns_actor(env, node_namespace(dir), name))
		return -ENOENT;
	return store_head(env->store, node_namespace(dir), name, ENV_ACTOR_AGE_NS, true, &head);
}

void
cluster_link(const struct node *n, struct buf *out)
{
	buf_printf(out, "../../%s", n->name);
}
