/*
 * Calls that may never return, because a daemon behind a mount has stopped: run on a thread, and given up in time. For
 * processes that end soon after.
 */
#ifndef AETHER_MOUNT_BOUNDED_H
#define AETHER_MOUNT_BOUNDED_H

#include <sys/stat.h>

#include "../store/buf.h"

#define BOUNDED_MS 10000

/* stat(2). 0, or -errno; -ETIMEDOUT after timeout_ms, when the thread is left behind and ends with the process. */
int bounded_stat(const char *path, int timeout_ms, struct stat *st);

/* Append the whole content of a file, NUL-terminated too. Errors as above. */
int bounded_read(const char *path, int timeout_ms, struct buf *out);

#endif
