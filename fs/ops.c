#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "attr.h"
#include "bridge.h"
#include "cluster_files.h"
#include "control.h"
#include "dir.h"
#include "env.h"
#include "notify.h"
#include "ops_bridge.h"
#include "ops_file.h"
#include "space.h"
#include "tree.h"
#include "xattr.h"

static void
init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	/* It would cut a large asynchronous write into pieces that arrive in any order, and end reads at a size that is
	 * out of date. */
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
	fuse_unset_feature_flag(conn, FUSE_CAP_ASYNC_DIO);
#else
	conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
#endif
}

static void
fill_entry(const struct fs_env *env, const struct node *n, const struct attr *a, struct fuse_entry_param *e)
{
	*e = (struct fuse_entry_param){ .ino = node_id(env->nodes, n),
		.attr = a->st,
		.attr_timeout = a->valid_s,
		.entry_timeout = a->entry_valid_s };
}

static bool
is_owned(const struct node *n)
{
	return n->kind == NODE_CONTROL && control_kind(n->control) == CONTROL_OWNED;
}

/* The namespace that is known as long as the kernel knows that node: a watch holds nothing but what is watched. */
static struct node *
namespace_of(struct node *n)
{
	if (n->kind == NODE_NAMESPACE)
		return n;
	return n->kind == NODE_ACTOR ? n->parent : is_owned(n) ? n->parent->parent : NULL;
}

/* The kernel is about to be told of a node. */
static void
count_lookup(fuse_req_t req, struct node *n)
{
	const struct fs_env *env = ops_env(req);
	struct node *ns = namespace_of(n);

	if (ns != NULL && node_count_lookups(env->nodes, ns, 1))
		bridge_known(env->bridge, ns->name, !bridge_is_helper(env->bridge, fuse_req_ctx(req)->pid));
	if (ns != NULL && is_owned(n))
		bridge_owned_known(env->bridge, ns->name);
}

/* What the kernel is told of a node that it shall know by name; on failure the count is given back. */
static int
describe(fuse_req_t req, struct node *n, struct fuse_entry_param *e)
{
	const struct fs_env *env = ops_env(req);
	struct attr a;
	int err = attr_get(env, n, &a);

	if (err != 0) {
		node_put(env->nodes, n, 1);
		return err;
	}
	count_lookup(req, n);
	fill_entry(env, n, &a, e);
	return 0;
}

/* The kernel has forgotten a node, or did not take it. */
static void
forget_node(struct fs_env *env, struct node *n, uint64_t count)
{
	struct node *ns = namespace_of(n);

	if (ns != NULL && node_count_lookups(env->nodes, ns, -(int64_t)count) && bridge_forgotten(env->bridge, ns->name, count))
		notify_forgotten(env->notify, ns);
	node_put(env->nodes, n, count);
}

static void
reply_entry(fuse_req_t req, int err, const struct fuse_entry_param *e)
{
	struct fs_env *env = ops_env(req);

	if (err != 0)
		ops_reply_error(req, err);
	else if (fuse_reply_entry(req, e) == -ENOENT)
		forget_node(env, node_of(env->nodes, e->ino), 1);
}

static void
lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e;
	struct node *n;

	if (ops_bridge_lookup(req, parent, name))
		return;
	int err = tree_lookup(ops_env(req), ops_node(req, parent), name, &n);

	if (err == 0)
		err = describe(req, n, &e);
	reply_entry(req, err, &e);
}

static void
forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	forget_node(ops_env(req), ops_node(req, ino), count);
	fuse_reply_none(req);
}

static void
forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget_node(ops_env(req), ops_node(req, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

static void
getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = ops_node(req, ino);
	struct attr a;

	(void)fi;
	if (ops_bridge_getattr(req, ino))
		return;
	int err = attr_get(ops_env(req), n, &a);
	if (err != 0)
		ops_reply_node_error(req, err);
	else
		fuse_reply_attr(req, &a.st, a.valid_s);
}

static void
setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int to_set, struct fuse_file_info *fi)
{
	struct node *n = ops_node(req, ino);
	struct attr a;

	(void)fi;
	if (ops_bridge_setattr(req, ino))
		return;
	int err = attr_set(ops_env(req), n, want, to_set, &a);
	if (err != 0)
		ops_reply_error(req, err);
	else
		fuse_reply_attr(req, &a.st, a.valid_s);
}

static void
mknod_actor(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_env *env = ops_env(req);
	struct fuse_entry_param e;
	struct node *n;
	int err = -EPERM;

	(void)rdev;
	if (S_ISREG(mode))
		err = tree_create(env, ops_node(req, parent), name, &n);
	if (err == -EEXIST)
		node_put(env->nodes, n, 1);
	if (err == 0)
		err = describe(req, n, &e);
	reply_entry(req, err, &e);
}

static void
mkdir_namespace(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct ns_attr attr = { .mode = mode & 07777, .uid = ctx->uid, .gid = ctx->gid };
	struct fuse_entry_param e;
	struct node *n;

	if (ops_bridge_mkdir(req, parent, name))
		return;
	int err = tree_mkdir(ops_env(req), ops_node(req, parent), name, &attr, &n);

	if (err == 0)
		err = describe(req, n, &e);
	reply_entry(req, err, &e);
}

static void
rmdir_namespace(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (ops_bridge_remove(req, parent, name))
		return;
	ops_reply_error(req, tree_rmdir(ops_env(req), ops_node(req, parent), name));
}

static void
unlink_actor(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (ops_bridge_remove(req, parent, name))
		return;
	ops_reply_error(req, tree_unlink(ops_env(req), ops_node(req, parent), name));
}

/* Make the actor and open it, or open it after all if it is there already. */
static int
create_and_open(
    fuse_req_t req, struct node *dir, const char *name, int flags, struct fuse_entry_param *e, struct file **f)
{
	struct fs_env *env = ops_env(req);
	struct node *n;
	int err = tree_create(env, dir, name, &n);
	bool existed = err == -EEXIST;

	if (err != 0 && !existed)
		return err;
	if (!existed || !(flags & O_EXCL))
		err = file_open(env, n, flags, !existed, f);
	if (err != 0) {
		node_put(env->nodes, n, 1);
		return err;
	}
	bridge_made_here(env->bridge, dir->name, name, existed);
	err = describe(req, n, e);
	if (err != 0)
		file_free(*f);
	return err;
}

static void
create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs_env *env = ops_env(req);
	struct fuse_entry_param e;
	struct file *f;

	(void)mode; /* an actor's mode is its namespace's */
	if (ops_bridge_create(req, parent, name, fi))
		return;
	int err = create_and_open(req, ops_node(req, parent), name, fi->flags, &e, &f);
	if (err != 0) {
		ops_reply_error(req, err);
		return;
	}
	ops_file_show(env, fi, f);
	if (fuse_reply_create(req, &e, fi) == -ENOENT) {
		file_free(f);
		forget_node(env, node_of(env->nodes, e.ino), 1);
	}
}

static struct dir *
dir_of(const struct fs_env *env, const struct fuse_file_info *fi)
{
	return ops_handle(env, fi);
}

static void
opendir_node(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct dir *d;
	int err = dir_open(ops_env(req), ops_node(req, ino), &d);

	if (err != 0) {
		ops_reply_error(req, err);
		return;
	}
	ops_set_handle(ops_env(req), fi, d);
	if (dir_index(d) != NULL) {
		fi->cache_readdir = 1;
		fi->keep_cache = dir_keep_cached(d);
	}
	if (fuse_reply_open(req, fi) == -ENOENT)
		dir_free(d);
}

/* Room for the answer to a request for a directory's entries: what has come so far. */
struct listing {
	char *out;
	size_t size;
	size_t used;
	struct buf nodes; /* those that are told of in it (struct node *), each counted for the kernel */
};

static int
fill(fuse_req_t req, struct dir *d, uint64_t position, struct listing *l)
{
	struct dir_entry e;
	int more;

	for (; (more = dir_next(d, position, &e)) == 1; position = e.next) {
		struct stat st = { .st_ino = e.ino, .st_mode = e.mode };
		size_t n = fuse_add_direntry(
		    req, l->out + l->used, l->size - l->used, e.name, &st, (off_t)e.next);
		if (n > l->size - l->used)
			break;
		l->used += n;
	}
	if (more == 0 && l->used == 0)
		dir_ended(d, position);
	return more;
}

/* Tell of an actor's node along with its name. If that does not work out, the kernel will ask for it when it needs it. */
static void
fill_actor(fuse_req_t req, struct node *ns, struct index *x, const struct ns_info *info, const char *name,
    struct fuse_entry_param *p, struct buf *nodes)
{
	const struct fs_env *env = ops_env(req);
	struct node *n;
	struct attr a;

	if (node_get(env->nodes, ns, NODE_ACTOR, NULL, name, &n) != 0)
		return;
	int err = attr_listed(env, n, x, info, &a);
	if (err == 0)
		buf_put(nodes, &n, sizeof(n));
	if (err == 0 && !nodes->failed) {
		count_lookup(req, n);
		fill_entry(env, n, &a, p);
	} else {
		node_put(env->nodes, n, 1);
	}
}

static int
fill_plus(fuse_req_t req, struct node *n, struct dir *d, uint64_t position, struct listing *l)
{
	struct fs_env *env = ops_env(req);
	struct index *x = dir_index(d);
	struct dir_entry e;
	struct ns_info info;
	int more;

	/* While the index is loading nothing may be believed for long, and what is looked up by name costs the same. */
	bool tell = x != NULL && index_is_live(x) &&
	    store_ns_info(env->store, n->name, ENV_NAMESPACE_AGE_NS, true, &info) == 0;
	for (; (more = dir_next(d, position, &e)) == 1; position = e.next) {
		struct fuse_entry_param p = { .attr = { .st_ino = e.ino, .st_mode = e.mode } };
		if (fuse_add_direntry_plus(req, NULL, 0, e.name, NULL, 0) > l->size - l->used)
			break;
		if (tell && e.actor && !l->nodes.failed)
			fill_actor(req, n, x, &info, e.name, &p, &l->nodes);
		l->used += fuse_add_direntry_plus(
		    req, l->out + l->used, l->size - l->used, e.name, &p, (off_t)e.next);
	}
	if (more == 0 && l->used == 0)
		dir_ended(d, position);
	return more;
}

/* The kernel has not taken what a listing tells of. */
static void
take_back(struct fs_env *env, const struct buf *nodes)
{
	for (size_t at = 0; at < nodes->len; at += sizeof(struct node *)) {
		struct node *n;
		memcpy(&n, nodes->p + at, sizeof(n));
		forget_node(env, n, 1);
	}
}

static void
list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, const struct fuse_file_info *fi, bool plus)
{
	struct fs_env *env = ops_env(req);
	struct dir *d = dir_of(env, fi);
	struct listing l = { .out = malloc(size), .size = size };
	int err = l.out == NULL ? -ENOMEM : 0;

	if (err == 0 && offset == 0)
		err = dir_rewind(d);
	if (err == 0 && plus)
		err = fill_plus(req, ops_node(req, ino), d, (uint64_t)offset, &l);
	else if (err == 0)
		err = fill(req, d, (uint64_t)offset, &l);
	/* An error after some entries will come again with the next request. */
	if (err < 0 && l.used == 0)
		ops_reply_error(req, err);
	else if (fuse_reply_buf(req, l.out, l.used) != 0)
		take_back(env, &l.nodes);
	buf_free(&l.nodes);
	free(l.out);
}

static void
readdir_node(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, false);
}

static void
readdirplus_node(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	list(req, ino, size, offset, fi, true);
}

static void
releasedir_node(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dir_free(dir_of(ops_env(req), fi));
	fuse_reply_err(req, 0);
}

static void
statfs_root(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;
	int err = space_statvfs(ops_env(req), &st);

	(void)ino;
	if (err != 0)
		ops_reply_error(req, err);
	else
		fuse_reply_statfs(req, &st);
}

static void
reply_xattr(fuse_req_t req, int err, struct buf *value, size_t size)
{
	if (err != 0)
		ops_reply_error(req, err);
	else if (size == 0)
		fuse_reply_xattr(req, value->len);
	else if (value->len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value->p, value->len);
	buf_free(value);
}

static void
getxattr_node(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct buf value = { 0 };
	int err = xattr_get(ops_env(req), ops_node(req, ino), name, &value);

	reply_xattr(req, err, &value, size);
}

static void
listxattr_node(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct buf names = { 0 };
	int err = xattr_list(ops_env(req), ops_node(req, ino), &names);

	reply_xattr(req, err, &names, size);
}

/* What nothing in the tree allows. Left out of the table these would be ENOSYS, and no error that an append-only file
 * gives. */

static void
refuse_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	(void)ino, (void)name, (void)value, (void)size, (void)flags;
	fuse_reply_err(req, EPERM);
}

static void
refuse_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)ino, (void)name;
	fuse_reply_err(req, EPERM);
}

static void
readlink_node(fuse_req_t req, fuse_ino_t ino)
{
	const struct node *n = ops_node(req, ino);
	struct buf target = { 0 };

	if (n->kind != NODE_CONTROL || control_kind(n->control) != CONTROL_LINK) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	cluster_link(n, &target);
	const char *text = buf_text(&target);
	if (text != NULL)
		fuse_reply_readlink(req, text);
	else
		fuse_reply_err(req, ENOMEM);
	buf_free(&target);
}

static void
refuse_rename(fuse_req_t req, fuse_ino_t from, const char *name, fuse_ino_t to, const char *new_name, unsigned flags)
{
	(void)from, (void)name, (void)to, (void)new_name, (void)flags;
	fuse_reply_err(req, EPERM);
}

static void
refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino, (void)parent, (void)name;
	fuse_reply_err(req, EPERM);
}

static void
symlink_node(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	if (!ops_bridge_symlink(req, parent, name))
		fuse_reply_err(req, EPERM);
}

/* To make room beyond the end changes nothing and cannot be done; all else would change what is stored. */
static void
refuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
	(void)ino, (void)offset, (void)length, (void)fi;
	fuse_reply_err(req, mode & ~FALLOC_FL_KEEP_SIZE ? EPERM : EOPNOTSUPP);
}

/* Not there: access (the kernel decides, default_permissions), locks (the kernel keeps them), lseek (its default
 * fits). */
const struct fuse_lowlevel_ops ops_table = {
	.init = init,
	.lookup = lookup,
	.forget = forget,
	.forget_multi = forget_multi,
	.getattr = getattr,
	.setattr = setattr,
	.mknod = mknod_actor,
	.mkdir = mkdir_namespace,
	.unlink = unlink_actor,
	.rmdir = rmdir_namespace,
	.symlink = symlink_node,
	.readlink = readlink_node,
	.rename = refuse_rename,
	.link = refuse_link,
	.open = ops_file_open,
	.read = ops_file_read,
	.write = ops_file_write,
	.flush = ops_file_flush,
	.release = ops_file_release,
	.fsync = ops_file_fsync,
	.ioctl = ops_file_ioctl,
	.poll = ops_file_poll,
	.opendir = opendir_node,
	.readdir = readdir_node,
	.readdirplus = readdirplus_node,
	.releasedir = releasedir_node,
	.statfs = statfs_root,
	.setxattr = refuse_setxattr,
	.getxattr = getxattr_node,
	.listxattr = listxattr_node,
	.removexattr = refuse_removexattr,
	.create = create,
	.fallocate = refuse_fallocate,
};
