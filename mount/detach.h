/*
 * Notices that a mount was taken away while files of it are open (`umount -l`): the kernel tells the daemon only when the last one is closed.
 *
 * Owns a thread, which sleeps until the kernel's list of mounts changes.
 */
#ifndef AETHER_MOUNT_DETACH_H
#define AETHER_MOUNT_DETACH_H

struct detach;

/*
 * Call fn(arg) once, on the thread, when the mount that is at that absolute path now is nowhere any more, as far as this process sees.
 * If that cannot be told *out is NULL, and fn is never called. 0 or -errno.
 */
int detach_new(struct detach **out, const char *mountpoint, void (*fn)(void *arg), void *arg);

/* fn is not called any more after this. NULL is fine. */
void detach_free(struct detach *d);

#endif
