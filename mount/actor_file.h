/*
 * An actor's file as a command sees it: opening it with the certainty that it is one.
 */
#ifndef AETHER_MOUNT_ACTOR_FILE_H
#define AETHER_MOUNT_ACTOR_FILE_H

#include <stdint.h>

/*
 * Open the actor at path with those flags of open(2). Nothing is created outside of Aether, whatever the flags. A file
 * descriptor, or -1 after a message on standard error.
 */
int actor_file_open(const char *path, int flags);

/* The version of the last event committed through fd, 0 if none. */
uint64_t actor_file_version(int fd);

#endif
