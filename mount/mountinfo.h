/*
 * The kernel's list of mounts, as far as Aether is concerned. Reads /proc/self/mountinfo; keeps nothing. Any thread.
 * The format: proc_pid_mountinfo(5).
 */
#ifndef AETHER_MOUNT_MOUNTINFO_H
#define AETHER_MOUNT_MOUNTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MOUNTINFO_TYPE "fuse.aether"

struct mountinfo {
	char *target; /* unescaped */
	char *type;
	char *source; /* unescaped */
	dev_t dev;
};

/*
 * All mounts, in the order of the kernel: of two at one place the later hides the earlier. Returns how many, with *out
 * for mountinfo_free; or -errno.
 */
int mountinfo_read(struct mountinfo **out);

/* The same of a text of that format; modifies it. */
int mountinfo_parse(char *text, struct mountinfo **out);

void mountinfo_free(struct mountinfo *list, int n);

/* Is what one sees at that absolute path, without symbolic links, a mount of Aether? Asks no file system. False when
 * the list is not readable. */
bool mountinfo_aether_at(const char *path);

/* Is it a device of a mount of Aether? */
bool mountinfo_aether_dev(dev_t dev);

#endif
