/*
 * What every part of the file system is given: the store, clock, log and options of one mount, and its tables.
 *
 * Plain values, set before the first request and never changed, but for the atomic ones. In which order
 * the locks of fs are taken: ../store/lock.h.
 */
#ifndef AETHER_FS_ENV_H
#define AETHER_FS_ENV_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs.h"
#include "handles.h"

struct bridge;
struct feed_files;
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
	struct bridge *bridge;
	struct files *files;
	struct feed_files *feed_files;
	struct handles handles; /* of directories and control files */
	_Atomic unsigned handles_given; /* see ops_set_handle */
	struct space *space;
	_Atomic int64_t root_changed_us; /* when this node last made or removed a namespace, at first start_us */
};

/* How old an answer may be: for an actor that is known, and for a namespace. */
#define ENV_ACTOR_AGE_NS (5 * NS_PER_MS)
#define ENV_NAMESPACE_AGE_NS (250 * NS_PER_MS)

#endif
