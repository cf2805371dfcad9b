#include "attr.h"

#include <errno.h>
#include <string.h>

#include "control.h"
#include "entries.h"
#include "libfuse.h"
#include "notify.h"
#include "type_file.h"

#define ROOT_MODE 0755
#define ACTOR_BITS 0666 /* an actor is readable and writable for whom its namespace is */
#define BLOCK_SIZE (128 * 1024)

/* With the age that the store may answer from, what another node changes shows in a quarter and half a second at most.
 */
#define NAMESPACE_VALID_S 0.25
/* Where no index follows the changes. Actors hardly ever go away, and are then found out by the attributes; their namespace is looked
 * up before them; but the size must be right. */
#define ACTOR_VALID_S 0.0
#define ACTOR_ENTRY_VALID_S 1.0
#define CONTROL_VALID_S 1.0

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

/* Who may append to the actors of the namespace may write what belongs to them. */
static int
as_actors(const struct fs_env *env, const char *ns, struct stat *st)
{
	struct ns_info info;
	int err = store_ns_info(env->store, ns, ENV_NAMESPACE_AGE_NS, true, &info);

	st->st_mode = S_IFREG | (info.attr.mode & ACTOR_BITS);
	set_owner(env, st, info.attr.uid, info.attr.gid);
	return err;
}

static int
of_control(const struct fs_env *env, const struct node *n, struct stat *st)
{
	int64_t changed_us = env->start_us;
	uint64_t size = 0;

	int err = 0;
	if (control_is_entry(n->control))
		err = entries_stat(n, &size, &changed_us);
	else if (control_kind(n->control) == CONTROL_TYPE)
		err = type_file_stat(env, n, &size, &changed_us);
	if (err != 0)
		return err;
	st->st_mode = control_mode(n->control);
	st->st_nlink = S_ISDIR(st->st_mode) ? 2 : 1;
	st->st_uid = env->options.set_uid ? env->options.uid : env->uid;
	st->st_gid = env->options.set_gid ? env->options.gid : env->gid;
	set_size(st, size);
	set_times(st, changed_us);
	return control_takes(n->control) ? as_actors(env, node_namespace(n), st) : 0;
}

static void
namespace_stat(const struct fs_env *env, const struct ns_info *info, struct stat *st)
{
	st->st_mode = S_IFDIR | (info->attr.mode & 07777);
	st->st_nlink = 2;
	set_owner(env, st, info->attr.uid, info->attr.gid);
	set_times(st, info->changed_us);
}

static int
of_namespace(const struct fs_env *env, struct node *n, struct stat *st)
{
	struct ns_info info;
	int err = store_ns_info(env->store, n->name, ENV_NAMESPACE_AGE_NS, true, &info);

	if (err != 0)
		return err;
	/* The kernel goes from the namespace to its actors, and enforces what it knows of them. */
	if (notify_owner(env->notify, n, &info.attr))
		notify_namespace(env->notify, n);
	namespace_stat(env, &info, st);
	return 0;
}

static void
of_actor(const struct fs_env *env, const struct ns_info *info, const struct head *head, struct stat *st)
{
	st->st_mode = S_IFREG | (info->attr.mode & ACTOR_BITS);
	st->st_nlink = 1;
	set_owner(env, st, info->attr.uid, info->attr.gid);
	set_size(st, head->size);
	set_times(st, head->time_us);
}

static int
ask_head(const struct fs_env *env, struct node *n, struct head *head)
{
	struct actor *actor;
	int err = node_actor(env->nodes, n, &actor);

	return err != 0 ? err : actor_head(actor, ENV_ACTOR_AGE_NS, true, head);
}

int
attr_head(const struct fs_env *env, struct node *n, struct head *head)
{
	bool settled = store_settle(env->store, n->parent->name, n->name) == 0;
	struct index *x = settled ? index_peek(env->store, n->parent->name) : NULL;
	int err = x != NULL ? index_find(x, n->name, head) : -EAGAIN;

	if (x != NULL)
		index_put(x);
	return err == 0 ? 0 : ask_head(env, n, head);
}

static void
prepare(const struct node *n, struct attr *a)
{
	memset(a, 0, sizeof(*a));
	a->st.st_ino = node_ino(n);
	a->st.st_blksize = BLOCK_SIZE;
}

int
attr_listed(const struct fs_env *env, struct node *n, struct index *x, const struct ns_info *info, struct attr *a)
{
	struct head head;

	prepare(n, a);
	/* In this order, see notify.h. */
	bool lasting = notify_tell(env->notify, n, x);
	(void)notify_owner(env->notify, n->parent, &info->attr);
	int err = index_find(x, n->name, &head);
	if (err != 0)
		return err;
	notify_told(n, &head);
	of_actor(env, info, &head, &a->st);
	a->valid_s = lasting ? NOTIFY_VALID_S : ACTOR_VALID_S;
	a->entry_valid_s = lasting ? NOTIFY_VALID_S : ACTOR_ENTRY_VALID_S;
	return 0;
}

static int
get_actor(const struct fs_env *env, struct node *n, struct attr *a)
{
	bool settled = store_settle(env->store, n->parent->name, n->name) == 0;
	struct index *x = settled ? index_peek(env->store, n->parent->name) : NULL;
	struct ns_info info;
	struct head head;
	int err = store_ns_info(env->store, n->parent->name, ENV_NAMESPACE_AGE_NS, true, &info);

	if (err == 0 && x != NULL && attr_listed(env, n, x, &info, a) == 0) {
		index_put(x);
		return 0;
	}
	if (x != NULL)
		index_put(x);
	if (err == 0)
		err = ask_head(env, n, &head);
	if (err != 0)
		return err;
	prepare(n, a);
	of_actor(env, &info, &head, &a->st);
	a->valid_s = ACTOR_VALID_S;
	a->entry_valid_s = ACTOR_ENTRY_VALID_S;
	return 0;
}

int
attr_get(const struct fs_env *env, struct node *n, struct attr *a)
{
	prepare(n, a);
	switch (n->kind) {
	case NODE_ROOT:
		of_root(env, &a->st);
		a->valid_s = a->entry_valid_s = NAMESPACE_VALID_S;
		return 0;
	case NODE_NAMESPACE:
		a->valid_s = a->entry_valid_s = NAMESPACE_VALID_S;
		return of_namespace(env, n, &a->st);
	case NODE_ACTOR:
		return get_actor(env, n, a);
	case NODE_CONTROL:
		a->valid_s = control_grows(n->control) ? 0 : CONTROL_VALID_S;
		a->entry_valid_s = control_comes_and_goes(n->control) ? 0 : CONTROL_VALID_S;
		return of_control(env, n, &a->st);
	}
	return -EIO;
}

/* From the store's answer to a user's question if that can be had, else whatever is known. */
static bool
told_namespace(const struct fs_env *env, const char *ns, bool ask, struct ns_info *info)
{
	*info = (struct ns_info){ .attr = { .mode = ROOT_MODE, .uid = env->uid, .gid = env->gid } };
	if (ask && store_ns_info(env->store, ns, ENV_NAMESPACE_AGE_NS, true, info) == 0)
		return true;
	(void)store_ns_info(env->store, ns, INT64_MAX, true, info);
	return false;
}

static void
told_actor(const struct fs_env *env, struct node *n, const struct head *head, struct attr *a)
{
	const char *ns = n->parent->name;
	struct index *x = index_peek(env->store, ns);
	struct head newest = *head, known;
	struct ns_info info;

	if (x != NULL && index_find(x, n->name, &known) == 0 && known.seq > newest.seq)
		newest = known;
	if (x != NULL)
		index_put(x);
	struct actor *actor = n->actor;
	if (actor != NULL && actor_head(actor, INT64_MAX, true, &known) == 0 && known.seq > newest.seq)
		newest = known;
	(void)told_namespace(env, ns, false, &info);
	of_actor(env, &info, &newest, &a->st);
}

void
attr_told(const struct fs_env *env, struct node *n, const struct head *head, struct attr *a)
{
	struct ns_info info;

	prepare(n, a);
	switch (n->kind) {
	case NODE_ROOT:
		of_root(env, &a->st);
		a->valid_s = a->entry_valid_s = NAMESPACE_VALID_S;
		break;
	case NODE_NAMESPACE:
		if (told_namespace(env, n->name, true, &info))
			a->valid_s = a->entry_valid_s = NAMESPACE_VALID_S;
		namespace_stat(env, &info, &a->st);
		break;
	case NODE_ACTOR:
		told_actor(env, n, head, a);
		break;
	case NODE_CONTROL:
		break;
	}
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
attr_set(const struct fs_env *env, struct node *n, const struct stat *want, int to_set, struct attr *a)
{
	const int who = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
	bool atime = (to_set & FUSE_SET_ATTR_ATIME) && !(to_set & FUSE_SET_ATTR_ATIME_NOW);
	bool mtime = (to_set & FUSE_SET_ATTR_MTIME) && !(to_set & FUSE_SET_ATTR_MTIME_NOW);
	int err = 0;

	if (env->options.read_only)
		return -EROFS;
	/* What is written to it takes the place of what was there in any case. */
	if (n->kind == NODE_CONTROL && control_takes(n->control) && !(to_set & who) && (!(to_set & FUSE_SET_ATTR_SIZE) || want->st_size == 0))
		return attr_get(env, n, a);
	if (atime || mtime || (to_set & FUSE_SET_ATTR_SIZE))
		return -EPERM;
	if (n->kind == NODE_CONTROL || ((to_set & who) && n->kind != NODE_NAMESPACE))
		return -EPERM;
	if (to_set & who)
		err = set_namespace(env, n->name, want, to_set);
	/* Its actors have another mode or owner now, and must show it when this returns. */
	if (err == 0 && (to_set & who))
		notify_namespace(env->notify, n);
	return err != 0 ? err : attr_get(env, n, a);
}
