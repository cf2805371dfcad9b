/*
 * An open directory: its names as they were when it was opened or rewound, any number of them; of a namespace, as its index has them.
 *
 * Owns the list of names. One thread at a time: the kernel holds the directory while it reads it through a handle.
 */
#ifndef AETHER_FS_DIR_H
#define AETHER_FS_DIR_H

#include <stdint.h>
#include <sys/stat.h>

#include "env.h"
#include "node.h"

struct dir;

/* Take the names of a directory. Blocks. 0, -ENOMEM, -ENOTDIR, or -errno of the store. */
int dir_open(struct fs_env *env, struct node *n, struct dir **out);

/*
 * The entry at a position from 0 on, or behind it; *position becomes its successor. `.` and `..` come first, the hidden control tree
 * never. The name is borrowed; mode has only the file type. Blocks while a namespace is loading. 1, 0 behind the end, or -errno as
 * index_next.
 */
int dir_entry(struct dir *d, uint64_t *position, const char **name, uint64_t *ino, mode_t *mode);

/* Before reading from position 0: the names are taken anew unless this is the first time. Blocks. 0, or as dir_open,
 * which leaves the old list. */
int dir_rewind(struct dir *d);

/* NULL is fine. */
void dir_free(struct dir *d);

#endif
