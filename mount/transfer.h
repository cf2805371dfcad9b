/*
 * Directories whose files import and export take one by one: on one side namespaces, on the other ordinary directories. Keeps nothing; one
 * thread.
 */
#ifndef AETHER_MOUNT_TRANSFER_H
#define AETHER_MOUNT_TRANSFER_H

#include <stdint.h>
#include <sys/stat.h>

#include "cli.h"
#include "progress.h"

/* A directory, opened, and what messages call it. */
struct transfer_place {
	int fd;
	const char *shown;
};

/* A name in both directories, and what messages call it there. st is of the one that is read. All is borrowed. */
struct transfer_entry {
	const char *name;
	struct transfer_place from; /* the directories */
	struct transfer_place to;
	const char *from_shown; /* the entry */
	const char *to_shown;
};

/* What a command does with a regular file. Returns an exit code of cli.h, after a message if it is not CLI_DONE. */
typedef int (*transfer_file_fn)(const struct transfer_entry *entry, struct progress *progress);

/*
 * fn for each regular file of a directory, and of the directories in it, which are made in the other one with the modes that they have; a symbolic
 * link is what it leads to. Names that begin with a dot are passed over: no actor has one, and an export that was interrupted leaves some.
 * Stops at the first failure, and when interrupt_seen. Goes in the order in which directories are listed, and keeps no names. sync: what is made
 * is on the disk when it returns. An exit code, after a message if it is not CLI_DONE.
 */
int transfer_directory(struct transfer_place from, struct transfer_place to, transfer_file_fn fn, bool sync,
    struct progress *progress);

/* The bytes of all these files, as far as they can be told. */
uint64_t transfer_total(int directory);

/* What the command lines of both say. Texts are borrowed from argv. */
struct transfer_arguments {
	const char *path, *file;
	bool quiet;
};

/* CLI_DONE, or CLI_USAGE after a message on standard error. */
int transfer_arguments(const struct cli_command *command, int argc, char **argv, struct transfer_arguments *a);

#endif
