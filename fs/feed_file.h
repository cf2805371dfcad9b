/*
 * Open live feeds (`events` in the control trees): reads that wait, and polls.
 *
 * Owns the open feeds, the requests that wait for an event, and the one thread that answers them, which holds no lock when it does: a
 * reader that waits keeps no thread of the session. What there is when a read comes is given at once. Any thread of the session may call.
 */
#ifndef AETHER_FS_FEED_FILE_H
#define AETHER_FS_FEED_FILE_H

#include "env.h"
#include "libfuse.h"
#include "node.h"

struct feed_files;
struct feed_file;

/* The environment is borrowed. 0 or -errno; *out, if it is not NULL then, is to be freed in any case. */
int feed_files_new(struct feed_files **out, struct fs_env *env);

/* From now on a read that would wait is EIO, as those that do. Does not block; any thread. */
void feed_files_end(struct feed_files *ff);

/* Answer all that waits with EIO, and stop the thread. No request may come any more. NULL is fine. */
void feed_files_stop(struct feed_files *ff);

/* After feed_files_stop and handles_destroy. NULL is fine. */
void feed_files_free(struct feed_files *ff);

/* A line for the readers of CONTROL_LINES. Does not block; any thread. */
void feed_files_tell(struct feed_files *ff, struct span line);

/* n is an `events`. Blocks. 0, -ENOENT, -ENOMEM, or -errno of the store. */
int feed_file_open(struct fs_env *env, const struct node *n, struct feed_file **out);

/* The answer to the open. When the kernel has not taken it, the feed is closed. */
void feed_file_reply_open(struct fs_env *env, fuse_req_t req, struct feed_file *f);

/* Reply now or later: -EAGAIN if nonblock and there is nothing. */
void feed_file_read(struct feed_file *f, fuse_req_t req, size_t size, bool nonblock);

/* FS_IOC_NAMES. 0 or -EINVAL. */
int feed_file_name(struct feed_file *f);

/* Takes ph, which may be NULL. */
void feed_file_poll(struct feed_file *f, fuse_req_t req, struct fuse_pollhandle *ph);

/* Its release. Replies, later; f is gone. */
void feed_file_release(struct feed_file *f, fuse_req_t req);

#endif
