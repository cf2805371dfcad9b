#include "tree.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "../store/name.h"
#include "attr.h"
#include "bridge.h"
#include "control.h"
#include "entries.h"

/* A name that nothing can have is not there, except that one is told when it is too long, as everywhere. */
static int
absent(int err)
{
	return err == -ENAMETOOLONG ? err : -ENOENT;
}

static int
lookup_namespace(const struct fs_env *env, struct node *root, const char *name, struct node **out)
{
	struct ns_info info;
	int err = name_check_namespace(span_of(name));

	if (err != 0)
		return absent(err);
	err = store_ns_info(env->store, name, ENV_NAMESPACE_AGE_NS, true, &info);
	return err != 0 ? err : node_get(env->nodes, root, NODE_NAMESPACE, NULL, name, out);
}

static int
lookup_actor(const struct fs_env *env, struct node *ns, const char *name, struct node **out)
{
	struct node *n;
	struct head head;
	int err = name_check_actor(span_of(name));

	if (err != 0)
		return absent(err);
	err = node_get(env->nodes, ns, NODE_ACTOR, NULL, name, &n);
	if (err != 0)
		return err;
	err = attr_head(env, n, &head);
	if (err != 0)
		node_put(env->nodes, n, 1);
	else
		*out = n;
	return err;
}

static int
lookup_control(const struct fs_env *env, struct node *dir, const char *name, struct node **out)
{
	const struct control_entry *e;
	struct node *n;
	int err = control_lookup(env, dir, name, &e);

	if (err == 0)
		err = node_get(env->nodes, dir, NODE_CONTROL, e, name, &n);
	if (err != 0)
		return err;
	if (control_is_entry(e))
		err = entries_settle(env, n);
	if (err != 0)
		node_put(env->nodes, n, 1);
	else
		*out = n;
	return err;
}

int
tree_lookup(const struct fs_env *env, struct node *dir, const char *name, struct node **out)
{
	if (dir->kind != NODE_CONTROL && strcmp(name, CONTROL_NAME) == 0)
		return node_get(env->nodes, dir, NODE_CONTROL, control_tree(dir), name, out);
	switch (dir->kind) {
	case NODE_ROOT:
		return lookup_namespace(env, dir, name, out);
	case NODE_NAMESPACE:
		return lookup_actor(env, dir, name, out);
	case NODE_CONTROL:
		return lookup_control(env, dir, name, out);
	case NODE_ACTOR:
		return -ENOTDIR;
	}
	return -ENOENT;
}

int
tree_mkdir(struct fs_env *env, struct node *dir, const char *name, const struct ns_attr *attr, struct node **out)
{
	if (env->options.read_only)
		return -EROFS;
	if (dir->kind != NODE_ROOT)
		return -EPERM;
	int err = name_check_namespace(span_of(name));
	if (err == 0)
		err = store_ns_create(env->store, name, attr);
	if (err != 0)
		return err;
	atomic_store(&env->root_changed_us, clock_wall(env->clock));
	return node_get(env->nodes, dir, NODE_NAMESPACE, NULL, name, out);
}

int
tree_rmdir(struct fs_env *env, struct node *dir, const char *name)
{
	if (env->options.read_only)
		return -EROFS;
	if (dir->kind != NODE_ROOT || strcmp(name, CONTROL_NAME) == 0)
		return -EPERM;
	int err = name_check_namespace(span_of(name));
	if (err != 0)
		return absent(err);
	err = store_ns_remove(env->store, name, env->options.allow_delete);
	if (err == 0) {
		atomic_store(&env->root_changed_us, clock_wall(env->clock));
		tree_removed(env, dir, name);
	}
	return err;
}

void
tree_removed(struct fs_env *env, struct node *dir, const char *name)
{
	uint64_t lookups = node_remove(env->nodes, dir, name);

	if (lookups > 0)
		(void)bridge_forgotten(env->bridge, name, lookups);
}

int
tree_exists(const struct fs_env *env, struct node *dir, const char *name)
{
	struct ns_info info;

	/* Of an actor nothing depends on it: what is opened for the process changes nothing. */
	if (dir->kind != NODE_ROOT)
		return 0;
	return store_ns_info(env->store, name, ENV_NAMESPACE_AGE_NS, true, &info) == -ENOENT ? -ENOENT : 0;
}

int
tree_unlink(struct fs_env *env, struct node *dir, const char *name)
{
	struct actor *actor;

	if (!env->options.allow_delete || dir->kind != NODE_NAMESPACE || strcmp(name, CONTROL_NAME) == 0)
		return -EPERM;
	if (env->options.read_only)
		return -EROFS;
	int err = name_check_actor(span_of(name));
	if (err != 0)
		return absent(err);
	err = actor_get(env->store, dir->name, name, &actor);
	if (err != 0)
		return err;
	struct head head;
	err = actor_erase(actor);
	/* Erased all the same, with something left to be cleaned up; or nobody knows. */
	if (err == -ETIMEDOUT && actor_head(actor, INT64_MAX, true, &head) == -ENOENT)
		err = 0;
	actor_put(actor);
	if (err == -ETIMEDOUT)
		bridge_doubt(env->bridge, dir->name, name);
	if (err == 0) {
		bridge_gone_here(env->bridge, dir->name, name);
		tree_removed(env, dir, name);
	}
	return err;
}

struct marker {
	struct append append;
	sem_t done;
	int err;
};

static void
marked(struct append *ap, int err)
{
	struct marker *m = ap->user;

	m->err = err;
	sem_post(&m->done);
}

static int
mark(struct actor *a)
{
	struct marker m = { .append = { .data = "", .done = marked } };

	m.append.user = &m;
	sem_init(&m.done, 0, 0);
	actor_append(a, &m.append);
	while (sem_wait(&m.done) != 0)
		;
	sem_destroy(&m.done);
	return m.err;
}

int
tree_create(const struct fs_env *env, struct node *dir, const char *name, struct node **out)
{
	if (env->options.read_only)
		return -EROFS;
	if (dir->kind != NODE_NAMESPACE)
		return -EPERM;
	struct actor *actor;
	int err = name_check_actor(span_of(name));
	if (err == 0)
		err = node_get(env->nodes, dir, NODE_ACTOR, NULL, name, out);
	if (err != 0)
		return err;
	err = node_actor(env->nodes, *out, &actor);
	if (err == 0)
		err = mark(actor);
	if (err == -ETIMEDOUT)
		bridge_doubt(env->bridge, dir->name, name);
	if (err != 0 && err != -EEXIST)
		node_put(env->nodes, *out, 1);
	return err;
}
