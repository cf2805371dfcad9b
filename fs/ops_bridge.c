#include "ops_bridge.h"

#include <errno.h>
#include <string.h>

#include "attr.h"
#include "bridge.h"
#include "control.h"
#include "ops_file.h"
#include "tree.h"

/* What the process has open: nothing. */
static const char nothing_open;

static bool
is_ours(fuse_req_t req)
{
	return bridge_is_helper(ops_env(req)->bridge, fuse_req_ctx(req)->pid);
}

static bool
is_owned(const struct node *n)
{
	return n->kind == NODE_CONTROL && control_kind(n->control) == CONTROL_OWNED;
}

static void
give_back(struct fs_env *env, struct node *n)
{
	struct node *ns = n->kind == NODE_NAMESPACE ? n : n->parent;

	if (n->kind != NODE_CONTROL && node_count_lookups(env->nodes, ns, -1))
		bridge_forgotten(env->bridge, ns->name, 1);
	node_put(env->nodes, n, 1);
}

/* The node of that name, counted for the kernel, and what it is told of it. */
static int
describe(struct fs_env *env, struct node *parent, const char *name, const struct head *head, struct fuse_entry_param *e)
{
	enum node_kind kind = parent->kind == NODE_ROOT ? NODE_NAMESPACE : is_owned(parent) ? NODE_CONTROL : NODE_ACTOR;
	struct node *n;
	struct attr a;
	int err = node_get(env->nodes, parent, kind, kind == NODE_CONTROL ? control_member(parent->control) : NULL, name, &n);

	if (err != 0)
		return err;
	if (kind == NODE_CONTROL)
		err = attr_get(env, n, &a);
	else
		attr_told(env, n, head, &a);
	if (err != 0) {
		node_put(env->nodes, n, 1);
		return err;
	}
	*e = (struct fuse_entry_param){ .ino = node_id(env->nodes, n),
		.attr = a.st,
		.attr_timeout = a.valid_s,
		.entry_timeout = a.entry_valid_s };
	struct node *ns = kind == NODE_NAMESPACE ? n : parent;
	if (kind != NODE_CONTROL && node_count_lookups(env->nodes, ns, 1))
		bridge_known(env->bridge, ns->name, false);
	return 0;
}

static void
reply_entry(fuse_req_t req, int err, const struct fuse_entry_param *e)
{
	struct fs_env *env = ops_env(req);

	if (err != 0)
		ops_reply_error(req, err);
	else if (fuse_reply_entry(req, e) == -ENOENT)
		give_back(env, node_of(env->nodes, e->ino));
}

/* What is being done with a link of a namespace's `owned`. */
static enum poke_step
step_of_link(const struct fs_env *env, const struct node *dir, const char *name)
{
	struct buf place = { 0 };
	struct head ignored;
	enum poke_step step = POKE_NONE;

	buf_printf(&place, "%s/%s/%s", node_namespace(dir), dir->parent->name, dir->name);
	if (buf_text(&place) != NULL)
		step = bridge_step(env->bridge, place.p, name, &ignored);
	buf_free(&place);
	return step;
}

/* What is being done with a name of a directory; names elsewhere are no business of the process. */
static int
step_of(struct fs_env *env, const struct node *parent, const char *name, enum poke_step *step, struct head *head)
{
	if (parent->kind == NODE_ROOT && strcmp(name, CONTROL_NAME) != 0)
		*step = bridge_step(env->bridge, name, NULL, head);
	else if (parent->kind == NODE_NAMESPACE)
		*step = bridge_step(env->bridge, parent->name, name, head);
	else if (is_owned(parent))
		*step = step_of_link(env, parent, name);
	else
		return -ENOENT;
	return 0;
}

bool
ops_bridge_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;
	enum poke_step step;
	struct head head;

	const struct node *dir = ops_node(req, parent);

	/* On the way to the links everybody is told the same. */
	if (!is_ours(req) || (dir->kind == NODE_NAMESPACE && strcmp(name, CONTROL_NAME) == 0) || (dir->kind == NODE_CONTROL && !is_owned(dir)))
		return false;
	int err = step_of(ops_env(req), ops_node(req, parent), name, &step, &head);
	if (err == 0 && ops_node(req, parent)->kind == NODE_ROOT && bridge_hides(ops_env(req)->bridge, name))
		err = -ENOENT;
	/* While nothing is being done with it, it is there only if it is. */
	if (err == 0 && step == POKE_NONE)
		err = tree_exists(ops_env(req), ops_node(req, parent), name);
	if (err == 0)
		err = step == POKE_MADE ? -ENOENT : describe(ops_env(req), ops_node(req, parent), name, &head, &e);
	reply_entry(req, err, &e);
	return true;
}

bool
ops_bridge_getattr(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_env *env = ops_env(req);
	struct node *n = ops_node(req, ino);
	struct head head = { 0 };
	struct attr a;

	if (!is_ours(req) || n->kind == NODE_CONTROL)
		return false;
	if (n->kind == NODE_ACTOR)
		(void)bridge_step(env->bridge, n->parent->name, n->name, &head);
	attr_told(env, n, &head, &a);
	fuse_reply_attr(req, &a.st, a.valid_s);
	return true;
}

bool
ops_bridge_setattr(fuse_req_t req, fuse_ino_t ino)
{
	return ops_bridge_getattr(req, ino);
}

bool
ops_bridge_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;
	enum poke_step step;
	struct head head;

	if (!is_ours(req))
		return false;
	int err = step_of(ops_env(req), ops_node(req, parent), name, &step, &head);
	if (err == 0)
		err = step != POKE_MADE ? -EEXIST : describe(ops_env(req), ops_node(req, parent), name, &head, &e);
	reply_entry(req, err, &e);
	return true;
}

bool
ops_bridge_symlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	return ops_bridge_mkdir(req, parent, name);
}

bool
ops_bridge_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_env *env = ops_env(req);
	struct node *dir = ops_node(req, parent);
	enum poke_step step;
	struct head head;

	if (!is_ours(req))
		return false;
	int err = step_of(env, dir, name, &step, &head);
	/* It may have been made anew meanwhile. */
	if (err == 0 && step != POKE_GONE)
		err = -EBUSY;
	if (err == 0 && is_owned(dir))
		(void)node_remove(env->nodes, dir, name);
	else if (err == 0)
		tree_removed(env, dir, name);
	ops_reply_error(req, err);
	return true;
}

static void
open_nothing(struct fuse_file_info *fi)
{
	fi->fh = (uint64_t)(uintptr_t)&nothing_open;
	fi->direct_io = 1;
	fi->noflush = 1;
}

bool
ops_bridge_create(fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi)
{
	struct fs_env *env = ops_env(req);
	struct fuse_entry_param e;
	enum poke_step step;
	struct head head;

	if (!is_ours(req))
		return false;
	int err = step_of(env, ops_node(req, parent), name, &step, &head);
	if (err == 0)
		err = step != POKE_MADE ? -EEXIST : describe(env, ops_node(req, parent), name, &head, &e);
	open_nothing(fi);
	if (err != 0)
		ops_reply_error(req, err);
	else if (fuse_reply_create(req, &e, fi) == -ENOENT)
		give_back(env, node_of(env->nodes, e.ino));
	return true;
}

bool
ops_bridge_open(fuse_req_t req, struct fuse_file_info *fi)
{
	if (!is_ours(req))
		return false;
	open_nothing(fi);
	fuse_reply_open(req, fi);
	return true;
}

bool
ops_bridge_handle(const struct fuse_file_info *fi)
{
	return fi->fh == (uint64_t)(uintptr_t)&nothing_open;
}
