/*
 * The tree as a FUSE file system: what mount/ needs to serve it.
 *
 * Owns the FUSE session, the inode table and the open handles. Knows the store and nothing of NATS.
 */
#ifndef AETHER_FS_FS_H
#define AETHER_FS_FS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/types.h>

#include "../store/clock.h"
#include "../store/logger.h"
#include "../store/store.h"

/* What the tree shows of the cluster: wired by mount, which knows it. All is set. None of them blocks. */
struct fs_cluster {
	void *arg;
	unsigned (*shard_of)(const char *ns, const char *actor);
	/* Does this node own that shard just now? */
	bool (*owns)(void *arg, unsigned shard);
	/* The id of who owns it; nothing if nobody does. */
	void (*put_owner)(void *arg, unsigned shard, struct buf *out);
	/* A line: the leader's id; nothing if there is none. */
	void (*put_leader)(void *arg, struct buf *out);
	void (*put_shards)(void *arg, struct buf *out);
	/* A line of JSON; false: there is no such node. */
	bool (*put_node)(void *arg, const char *id, struct buf *out);
	/* fn for each node's id, until it says something else than 0, which is returned. */
	int (*each_node)(void *arg, int (*fn)(void *fn_arg, const char *id), void *fn_arg);
};

/* Texts are copied. */
struct fs_options {
	const char *node_id;
	const char *version;    /* of Aether, for .aether/version and .aether/status */
	const char *mountpoint; /* absolute */
	const char *source;     /* what mountinfo shows as the source: "aether" or the NATS URL without secrets */
	const char
	    *state_dir; /* of a private server: df shows the disk under it where JetStream has no limit. May be NULL */
	const char *fuse_opts; /* more options for libfuse, comma-separated ("allow_other,ro"); may be NULL */
	bool read_only;
	bool allow_delete; /* actors may be unlinked, and namespaces that hold some removed */
	bool commit_async; /* writes are answered before they are stored; see file.h */
	bool set_uid; /* show uid as the owner of everything, likewise gid */
	bool set_gid;
	uid_t uid;
	gid_t gid;
	bool set_umask;
	mode_t umask; /* bits removed from the modes shown */
	struct fs_cluster cluster;
};

struct fs;

/* Make the session and mount it. store, clock and lg are borrowed until fs_free. 0 or -errno with a log line. */
int fs_new(struct fs **out, struct store *store, const struct clock *clock, struct logger *lg,
    const struct fs_options *options);

/* Serve until unmounted, or until SIGINT, SIGTERM or SIGHUP. Blocks. 0 or -errno. */
int fs_serve(struct fs *fs);

/*
 * The mount was taken away while files of it are open. What waits for an event ends with EIO, now and from here on, so that the files are
 * closed and fs_serve can return. Any thread, until fs_free.
 */
void fs_detached(struct fs *fs);

/* What happened in the cluster, as one line with its newline: for `.aether/cluster/events`. Any thread, until fs_free. Does not block. */
void fs_cluster_event(struct fs *fs, struct span line);

/* This node owns other shards than it did: the `owned` of namespaces changes. Likewise. */
void fs_cluster_changed(struct fs *fs);

/* Unmount if still mounted, wait for appends under way, free. NULL is fine. */
void fs_free(struct fs *fs);

/* ioctl(2) on an actor's handle: the version of the last event committed through this handle, 0 if none. */
#define FS_IOC_VERSION _IOR('A', 1, uint64_t)

/*
 * On the live feed of all namespaces: from now on each line begins with the name of its namespace and a tab. What came before, and was not
 * read, is dropped. On other feeds EINVAL.
 */
#define FS_IOC_NAMES _IO('A', 2)

#endif
