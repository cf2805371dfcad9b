/*
 * The requests of the kernel: each handler takes its arguments apart, calls the part of fs that does the work, and
 * replies.
 *
 * Owns nothing; the session's user data is the struct fs_env. Called on the session's threads.
 */
#ifndef AETHER_FS_OPS_H
#define AETHER_FS_OPS_H

#include "libfuse.h"

extern const struct fuse_lowlevel_ops ops_table;

#endif
