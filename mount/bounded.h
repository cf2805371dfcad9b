/*
 * Calls that may never return, because a daemon behind a mount has stopped: made by a child process, and given up in
 * time. A thread would not do, for a process whose thread is stuck in the kernel cannot end either. For use before
 * there are threads.
 */
#ifndef AETHER_MOUNT_BOUNDED_H
#define AETHER_MOUNT_BOUNDED_H

#include <sys/stat.h>

#include "../store/buf.h"

#define BOUNDED_MS 10000

/* stat(2). 0, or -errno; -ETIMEDOUT after timeout_ms, when the child is killed and left behind. */
int bounded_stat(const char *path, int timeout_ms, struct stat *st);

/* Append the whole content of a file, NUL-terminated too. Errors as above. */
int bounded_read(const char *path, int timeout_ms, struct buf *out);

#endif
