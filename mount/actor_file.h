/*
 * An actor's file as a command sees it: opening it with the certainty that it is one, and saying why it refuses an append.
 */
#ifndef AETHER_MOUNT_ACTOR_FILE_H
#define AETHER_MOUNT_ACTOR_FILE_H

#include <stdint.h>

/*
 * Open the actor at path with those flags of open(2). Nothing is created outside of Aether, whatever the flags. A file
 * descriptor, or -1 after a message on standard error.
 */
int actor_file_open(const char *path, int flags);

/* The same of a name in a directory that is known to be on a mount of Aether; shown is what messages call it. */
int actor_file_open_at(int directory, const char *name, const char *shown, int flags);

/* The directory that path is or will be in, opened with O_PATH, if that is on a mount of Aether; or -1 after a message. */
int actor_file_parent(const char *path);

/* The version of the last event committed through fd, 0 if none. */
uint64_t actor_file_version(int fd);

/* The numbers of the refused append, as the mount describes it; "?" where it does not. */
struct actor_file_conflict {
	char current[24];
	char attempted[24];
};

/* After ESTALE from fd. */
void actor_file_conflict(int fd, struct actor_file_conflict *c);

/* What an errno of an append means. Static, or as strerror's. */
const char *actor_file_explain(int err);

#endif
