/*
 * The requests of the process that repeats other nodes' changes on the mount (poker.h): answered without asking NATS, and without
 * changing anything. bridge.h says how.
 *
 * Each is called first by the handler of that name, and returns false if the request is a user's. Owns nothing.
 */
#ifndef AETHER_FS_OPS_BRIDGE_H
#define AETHER_FS_OPS_BRIDGE_H

#include <stdbool.h>

#include "libfuse.h"

bool ops_bridge_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_bridge_getattr(fuse_req_t req, fuse_ino_t ino);
bool ops_bridge_setattr(fuse_req_t req, fuse_ino_t ino);
bool ops_bridge_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_bridge_symlink(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_bridge_remove(fuse_req_t req, fuse_ino_t parent, const char *name);
bool ops_bridge_create(fuse_req_t req, fuse_ino_t parent, const char *name, struct fuse_file_info *fi);
bool ops_bridge_open(fuse_req_t req, struct fuse_file_info *fi);

/* Was that handle given out by ops_bridge_create or ops_bridge_open? The kernel releases it whenever it likes, in anybody's name. */
bool ops_bridge_handle(const struct fuse_file_info *fi);

#endif
