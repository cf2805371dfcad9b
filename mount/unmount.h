/* Taking a mount away: umount2(2) where that is allowed, else fusermount3. Any thread; blocks. */
#ifndef AETHER_MOUNT_UNMOUNT_H
#define AETHER_MOUNT_UNMOUNT_H

#include <stdbool.h>

#include "../store/buf.h"

/*
 * Unmount what is at target (absolute, without links). lazy: also when it is in use or dead. 0; or -errno with a line
 * of text in why: -EBUSY while a process has a file open in it or its directory there.
 */
int unmount(const char *target, bool lazy, struct buf *why);

#endif
