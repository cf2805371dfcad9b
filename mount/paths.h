/*
 * Where Aether keeps a user's files. Pure but for the environment and mkdir; any thread.
 */
#ifndef AETHER_MOUNT_PATHS_H
#define AETHER_MOUNT_PATHS_H

#include <sys/types.h>

#include "../store/buf.h"

/*
 * Append $XDG_STATE_HOME/aether; without that variable ~/.local/state/aether, where ~ is $HOME or, without it, the
 * user's home directory of passwd. Relative values of either variable are ignored. 0, or -ENOENT if there is no home
 * either.
 */
int paths_state(struct buf *out);

/* Append the default log file of a mount at that absolute path: <state>/log/<path with / as ->.log. 0 or -errno. */
int paths_log(struct buf *out, const char *mountpoint);

/* Append path, made absolute with the current directory, without following links or removing "..". 0 or -errno. */
int paths_absolute(struct buf *out, const char *path);

/* Create the directory and those above it that are missing, with that mode. 0, also if it is there, or -errno. */
int paths_mkdirs(const char *path, mode_t mode);

#endif
