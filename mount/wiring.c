#include "wiring.h"

static bool
owns(void *arg, unsigned shard)
{
	return cluster_owns(arg, shard);
}

static void
put_owner(void *arg, unsigned shard, struct buf *out)
{
	char owner[CLUSTER_ID_MAX + 1];

	cluster_owner(arg, shard, owner);
	buf_puts(out, owner);
}

static void
put_leader(void *arg, struct buf *out)
{
	cluster_put_leader(arg, out);
}

static void
put_shards(void *arg, struct buf *out)
{
	cluster_put_shards(arg, out);
}

static bool
put_node(void *arg, const char *id, struct buf *out)
{
	return cluster_put_node(arg, id, out);
}

static int
each_node(void *arg, int (*fn)(void *fn_arg, const char *id), void *fn_arg)
{
	return cluster_each_node(arg, fn, fn_arg);
}

struct fs_cluster
wiring_cluster(struct cluster *c)
{
	return (struct fs_cluster){
		.arg = c,
		.shard_of = shard_of,
		.owns = owns,
		.put_owner = put_owner,
		.put_leader = put_leader,
		.put_shards = put_shards,
		.put_node = put_node,
		.each_node = each_node,
	};
}
