/*
 * One actor's events into one file, going on where an export to the same file was interrupted or ended. Its threads: the caller's.
 */
#ifndef AETHER_MOUNT_EXPORT_ACTOR_H
#define AETHER_MOUNT_EXPORT_ACTOR_H

#include "progress.h"

/* A name in a directory, and what messages call it. All is borrowed. */
struct export_place {
	int directory;
	const char *name;
	const char *shown;
};

/*
 * Make file what the actor is now. It is written under another name, which begins with a dot, and gets its own when it is complete and on the
 * disk. What is there already, under either name, is kept if it is the actor's beginning; a file that is something else is not
 * touched, and an error. An exit code of cli.h, after a message if it is not CLI_DONE.
 */
int export_actor(const struct export_place *from, const struct export_place *file, struct progress *progress);

/* Write the actor to a descriptor. Likewise. */
int export_stream(const struct export_place *from, int to, const char *to_shown, struct progress *progress);

#endif
