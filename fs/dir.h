/*
 * An open directory. Actors are listed from the index of their namespace, however many there are, and events piece by piece
 * (entries.h); of other directories the names are kept as they were when it was opened or rewound.
 *
 * A position means the same entry as long as the directory is open, so what is there all the time is listed once, whatever
 * comes and goes meanwhile. One thread at a time: the kernel holds the directory while it reads it through a handle.
 */
#ifndef AETHER_FS_DIR_H
#define AETHER_FS_DIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "../store/index.h"
#include "env.h"
#include "node.h"

struct dir;

/* Blocks. 0, -ENOMEM, -ENOTDIR, or -errno of the store. */
int dir_open(struct fs_env *env, struct node *n, struct dir **out);

struct dir_entry {
	const char *name; /* borrowed until the next call */
	uint64_t ino;
	mode_t mode;   /* file type only */
	uint64_t next; /* position of the entry behind it */
	bool actor;    /* the child of a namespace */
};

/*
 * The entry at a position from 0 on, or the first one behind it: `.` and `..` come first, the hidden control tree never.
 * Blocks while actors are still coming. 1, 0 behind the end, or -errno of the store.
 */
int dir_next(struct dir *d, uint64_t position, struct dir_entry *e);

/* Before reading from position 0: what is listed is as of now. Blocks. 0, or as dir_open, which leaves the old names. */
int dir_rewind(struct dir *d);

/* The index that its actors are listed from, borrowed; NULL: it is not a namespace. */
struct index *dir_index(const struct dir *d);

/* For the kernel's cached listing: see notify_list and notify_listed. Of a namespace only. */
bool dir_keep_cached(struct dir *d);
void dir_ended(struct dir *d, uint64_t position);

/* NULL is fine. */
void dir_free(struct dir *d);

#endif
