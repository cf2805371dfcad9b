/*
 * The command lines of `aether mount` and `aether node`. Pure: no file, no clock, no environment is looked at. Any thread.
 */
#ifndef AETHER_MOUNT_OPTIONS_H
#define AETHER_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../store/buf.h"

#define OPTIONS_TIMEOUT_MIN_NS (10 * INT64_C(1000000))
#define OPTIONS_TIMEOUT_MAX_NS (3600 * INT64_C(1000000000))
#define OPTIONS_CACHE_MIN 4096
#define OPTIONS_CACHE_MAX (UINT64_C(1) << 44)
#define OPTIONS_SNAPSHOT_MAX 1000000000
#define OPTIONS_PREFIX_MAX 32

/* Texts are owned by it; NULL where nothing was given. Paths are as written. */
struct options {
	const char *mountpoint;
	const char *nats; /* URLs, maybe with credentials; NULL: the private server, or memory */
	bool memory;      /* --store memory */
	int replicas;
	const char *node_id;
	const char *state_dir;
	bool foreground;

	int64_t timeout_ns;
	bool eventual;
	bool commit_async;
	const char *prefix;
	bool set_uid, set_gid, set_umask;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool read_only;
	bool allow_delete;
	const char *creds, *nkey, *tls_ca, *tls_cert, *tls_key;
	const char *log;
	uint64_t cache_bytes;
	uint64_t snapshot_every; /* events; 0: never */
	const char *fuse_opts; /* for libfuse, comma-separated; NULL if there is none */

	struct arena texts;
};

/*
 * Read argv (argv[0] is not looked at). env_nats is the value of AETHER_NATS, which stands in for --nats where neither
 * it nor --store memory is given; NULL or empty for none. 0; -EINVAL with one line in why that names the option or
 * argument and holds no secret; -ENOMEM. options_free in any case.
 */
int options_parse(struct options *o, int argc, char *const argv[], const char *env_nats, struct buf *why);

/* The same for `aether node`: there is no mount point, and no option that only a mount has. */
int options_parse_node(struct options *o, int argc, char *const argv[], const char *env_nats, struct buf *why);

void options_free(struct options *o);

#endif
