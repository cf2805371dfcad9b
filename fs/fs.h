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
	bool commit_async; /* writes are answered before they are stored; see file.h */
	bool set_uid; /* show uid as the owner of everything, likewise gid */
	bool set_gid;
	uid_t uid;
	gid_t gid;
	bool set_umask;
	mode_t umask; /* bits removed from the modes shown */
	/* Wired by mount: cluster's shard of an actor, for the xattr user.aether.shard. */
	unsigned (*shard_of)(const char *ns, const char *actor);
};

struct fs;

/* Make the session and mount it. store, clock and lg are borrowed until fs_free. 0 or -errno with a log line. */
int fs_new(struct fs **out, struct store *store, const struct clock *clock, struct logger *lg,
    const struct fs_options *options);

/* Serve until unmounted, or until SIGINT, SIGTERM or SIGHUP. Blocks. 0 or -errno. */
int fs_serve(struct fs *fs);

/* Unmount if still mounted, wait for appends under way, free. NULL is fine. */
void fs_free(struct fs *fs);

/* ioctl(2) on an actor's handle: the version of the last event committed through this handle, 0 if none. */
#define FS_IOC_VERSION _IOR('A', 1, uint64_t)

#endif
