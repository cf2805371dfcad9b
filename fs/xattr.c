#include "xattr.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "attr.h"
#include "cluster_files.h"

struct entry {
	const char *name;
	/* Writes the value; nothing if the actor has none. */
	int (*value)(const struct fs_env *env, struct node *n, struct buf *out);
	bool optional; /* listed only if there is a value */
};

static int
value_version(const struct fs_env *env, struct node *n, struct buf *out)
{
	struct head head;
	int err = attr_head(env, n, &head);

	if (err == 0)
		buf_printf(out, "%" PRIu64, head.version);
	return err;
}

static int
value_count(const struct fs_env *env, struct node *n, struct buf *out)
{
	struct head head;
	int err = attr_head(env, n, &head);

	if (err == 0)
		buf_printf(out, "%" PRIu64, head.count);
	return err;
}

static int
value_shard(const struct fs_env *env, struct node *n, struct buf *out)
{
	buf_printf(out, "%u", env->options.cluster.shard_of(n->parent->name, n->name));
	return 0;
}

static int
value_owner(const struct fs_env *env, struct node *n, struct buf *out)
{
	cluster_put_actor_owner(env, n->parent->name, n->name, out);
	return 0;
}

static int
value_conflict(const struct fs_env *env, struct node *n, struct buf *out)
{
	store_conflict_last(env->store, n->parent->name, n->name, out);
	return 0;
}

static const struct entry entries[] = {
	{ "user.aether.version", value_version, false },
	{ "user.aether.count", value_count, false },
	{ "user.aether.shard", value_shard, false },
	{ "user.aether.owner", value_owner, true },
	{ "user.aether.conflict", value_conflict, true },
};
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

/*
 * Whole classes of attributes that no node can have: access lists, labels of the kernel. "Not supported" rather than
 * "no such attribute", for that is what ls asks about one file and then never again; the other answer it asks of each.
 */
static bool
is_unsupported(const char *name)
{
	return strncmp(name, "system.", strlen("system.")) == 0 || strncmp(name, "security.", strlen("security.")) == 0;
}

int
xattr_get(const struct fs_env *env, struct node *n, const char *name, struct buf *out)
{
	if (is_unsupported(name))
		return -EOPNOTSUPP;
	if (n->kind != NODE_ACTOR)
		return -ENODATA;
	for (size_t i = 0; i < ENTRIES; i++) {
		if (strcmp(entries[i].name, name) != 0)
			continue;
		int err = entries[i].value(env, n, out);
		if (err != 0)
			return err;
		if (out->failed)
			return -ENOMEM;
		return out->len > 0 ? 0 : -ENODATA;
	}
	return -ENODATA;
}

int
xattr_list(const struct fs_env *env, struct node *n, struct buf *out)
{
	struct buf value = { 0 };

	for (size_t i = 0; i < ENTRIES && n->kind == NODE_ACTOR; i++) {
		buf_clear(&value);
		if (entries[i].optional && (entries[i].value(env, n, &value) != 0 || value.len == 0))
			continue;
		buf_put(out, entries[i].name, strlen(entries[i].name) + 1);
	}
	buf_free(&value);
	return out->failed ? -ENOMEM : 0;
}
