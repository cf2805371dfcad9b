#include "attr.h"

#include <errno.h>
#include <string.h>

#include "control.h"
#include "entries.h"
#include "libfuse.h"

#define ROOT_MODE 0755
#define ACTOR_BITS 0666 /* an actor is readable and writable for whom its namespace is */
#define BLOCK_SIZE (128 * 1024)

/* With the age that the store may answer from, what another node changes shows in a quarter and half a second at most.
 */
#define NAMESPACE_VALID_S 0.25
/* Actors do not go away, and their namespace is looked up before them. */
#define ACTOR_ENTRY_VALID_S 1.0
#define CONTROL_VALID_S 1.0

double
attr_valid_s(const struct node *n)
{
	switch (n->kind) {
	case NODE_ROOT:
	case NODE_NAMESPACE:
		return NAMESPACE_VALID_S;
	case NODE_ACTOR:
		return 0; /* the size must be right */
	case NODE_CONTROL:
		return control_kind(n->control) == CONTROL_FROM ? 0 : CONTROL_VALID_S;
	}
	return 0;
}

double
attr_entry_valid_s(const struct node *n)
{
	switch (n->kind) {
	case NODE_ROOT:
	case NODE_NAMESPACE:
		return NAMESPACE_VALID_S;
	case NODE_ACTOR:
		return ACTOR_ENTRY_VALID_S;
	case NODE_CONTROL:
		return CONTROL_VALID_S;
	}
	return 0;
}

static void
set_times(struct stat *st, int64_t us)
{
	struct timespec t = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000 };

	st->st_atim = t;
	st->st_mtim = t;
	st->st_ctim = t;
}

static void
set_size(struct stat *st, uint64_t size)
{
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)((size + 511) / 512);
}

static void
set_owner(const struct fs_env *env, struct stat *st, uid_t uid, gid_t gid)
{
	st->st_uid = env->options.set_uid ? env->options.uid : uid;
	st->st_gid = env->options.set_gid ? env->options.gid : gid;
	if (env->options.set_umask)
		st->st_mode &= ~(env->options.umask & 07777);
}

static void
of_root(const struct fs_env *env, struct stat *st)
{
	st->st_mode = S_IFDIR | ROOT_MODE;
	/* 1 is what programs take for "not counted"; the number of namespaces would have to be asked for. */
	st->st_nlink = 1;
	set_owner(env, st, env->uid, env->gid);
	set_times(st, atomic_load(&env->root_changed_us));
}

static int
of_control(const struct fs_env *env, const struct node *n, struct stat *st)
{
	enum control_kind kind = control_kind(n->control);
	int64_t changed_us = env->start_us;
	uint64_t size = 0;

	if (kind == CONTROL_EVENT || kind == CONTROL_FROM) {
		int err = entries_stat(n, &size, &changed_us);
		if (err != 0)
			return err;
	}
	st->st_mode = control_mode(n->control);
	st->st_nlink = S_ISDIR(st->st_mode) ? 2 : 1;
	st->st_uid = env->options.set_uid ? env->options.uid : env->uid;
	st->st_gid = env->options.set_gid ? env->options.gid : env->gid;
	set_size(st, size);
	set_times(st, changed_us);
	return 0;
}

static int
of_namespace(const struct fs_env *env, const struct node *n, struct stat *st)
{
	struct ns_info info;
	int err = store_ns_info(env->store, n->name, ENV_NAMESPACE_AGE_NS, true, &info);

	if (err != 0)
		return err;
	st->st_mode = S_IFDIR | (info.attr.mode & 07777);
	st->st_nlink = 2;
	set_owner(env, st, info.attr.uid, info.attr.gid);
	set_times(st, info.changed_us);
	return 0;
}

static int
of_actor(const struct fs_env *env, const struct node *n, struct stat *st)
{
	struct ns_info info;
	struct head head;
	int err = store_ns_info(env->store, n->parent->name, ENV_NAMESPACE_AGE_NS, true, &info);

	if (err == 0)
		err = actor_head(n->actor, ENV_ACTOR_AGE_NS, true, &head);
	if (err != 0)
		return err;
	st->st_mode = S_IFREG | (info.attr.mode & ACTOR_BITS);
	st->st_nlink = 1;
	set_owner(env, st, info.attr.uid, info.attr.gid);
	set_size(st, head.size);
	set_times(st, head.time_us);
	return 0;
}

int
attr_get(const struct fs_env *env, const struct node *n, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = n->ino;
	st->st_blksize = BLOCK_SIZE;
	switch (n->kind) {
	case NODE_ROOT:
		of_root(env, st);
		return 0;
	case NODE_NAMESPACE:
		return of_namespace(env, n, st);
	case NODE_ACTOR:
		return of_actor(env, n, st);
	case NODE_CONTROL:
		return of_control(env, n, st);
	}
	return -EIO;
}

static int
set_namespace(const struct fs_env *env, const char *ns, const struct stat *want, int to_set)
{
	struct ns_info info;
	int err = store_ns_info(env->store, ns, 0, false, &info);

	if (err != 0)
		return err;
	if (to_set & FUSE_SET_ATTR_MODE)
		info.attr.mode = want->st_mode & 07777;
	if (to_set & FUSE_SET_ATTR_UID)
		info.attr.uid = want->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		info.attr.gid = want->st_gid;
	return store_ns_set(env->store, ns, &info.attr);
}

int
attr_set(const struct fs_env *env, const struct node *n, const struct stat *want, int to_set, struct stat *st)
{
	const int who = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
	bool atime = (to_set & FUSE_SET_ATTR_ATIME) && !(to_set & FUSE_SET_ATTR_ATIME_NOW);
	bool mtime = (to_set & FUSE_SET_ATTR_MTIME) && !(to_set & FUSE_SET_ATTR_MTIME_NOW);
	int err = 0;

	if (env->options.read_only)
		return -EROFS;
	if (atime || mtime || (to_set & FUSE_SET_ATTR_SIZE))
		return -EPERM;
	if (n->kind == NODE_CONTROL || ((to_set & who) && n->kind != NODE_NAMESPACE))
		return -EPERM;
	if (to_set & who)
		err = set_namespace(env, n->name, want, to_set);
	return err != 0 ? err : attr_get(env, n, st);
}
