/*
 * What every part of the file system is given: the store, clock, log and options of one mount, and its tables.
 *
 * Plain values, set before the first request and never changed, but for the atomic ones.
 *
 * Locks of fs. They are all leaves: none is taken while another is held, also of the store (LOCK_ALONE in ../store/lock.h), but for
 * node_table.lock under notify.lock; and none is held across a call of the store, a reply, a callback or a notification of the kernel.
 *   files.lock       the list of open actor files (file.c)
 *   file.lock        one open file: its queue of operations, what it has seen of its actor (file.c)
 *   notify.lock      what the kernel was told of namespaces, what it must be told (notify.c)
 *   node_table.lock  the nodes and their counts (node.c)
 *   handles.lock     the list of other open handles (handles.c)
 *   space.lock       what is known of the storage (space.c)
 */
#ifndef AETHER_FS_ENV_H
#define AETHER_FS_ENV_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs.h"
#include "handles.h"

struct files;
struct node_table;
struct notify;
struct space;

struct fs_env {
	struct store *store;
	const struct clock *clock;
	struct logger *lg;
	struct fs_options options; /* texts live as long as this */
	uid_t uid;                 /* who owns the root and the control trees */
	gid_t gid;
	int64_t start_us;      /* Unix microseconds */
	int64_t start_mono_ns; /* for the uptime */
	struct node_table *nodes;
	struct notify *notify;
	struct files *files;
	struct handles handles; /* of directories and control files */
	_Atomic unsigned handles_given; /* see ops_set_handle */
	struct space *space;
	_Atomic int64_t root_changed_us; /* when this node last made or removed a namespace, at first start_us */
};

/* How old an answer may be: for an actor that is known, and for a namespace. */
#define ENV_ACTOR_AGE_NS (5 * NS_PER_MS)
#define ENV_NAMESPACE_AGE_NS (250 * NS_PER_MS)

#endif
