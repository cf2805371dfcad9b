/*
 * One file's lines into one actor, going on where an import of the same file was interrupted. Its threads: the caller's.
 */
#ifndef AETHER_MOUNT_IMPORT_ACTOR_H
#define AETHER_MOUNT_IMPORT_ACTOR_H

#include "progress.h"

struct import_source {
	int fd;           /* stands at the beginning */
	const char *name; /* of the file, without folders: ids follow from it */
	const char *shown;
};

/*
 * Append what the actor does not hold yet; it is made if it does not exist. directory is its namespace, shown what messages call it. All is
 * borrowed. An exit code of cli.h, after a message if it is not CLI_DONE; CLI_CONFLICT for a version conflict.
 */
int import_actor(int directory, const char *actor, const char *shown, const struct import_source *from,
    struct progress *progress);

#endif
