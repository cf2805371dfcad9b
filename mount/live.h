/*
 * A live feed as a command reads it: line by line, without waiting but in live_wait.
 *
 * Owns the descriptor and the line that is not complete yet. One thread.
 */
#ifndef AETHER_MOUNT_LIVE_H
#define AETHER_MOUNT_LIVE_H

#include <stddef.h>

#include "../store/buf.h"

struct live {
	int fd; /* -1: none */
	struct buf text;
	size_t at; /* in text: behind the line that was given last */
	size_t looked; /* no newline before this */
};

/* Open the feed called name in that directory (AT_FDCWD: as open(2)). 0 or -errno. */
int live_open(struct live *l, int dir, const char *name);

/*
 * The next line, with its newline, borrowed until the next call. 1; 0 if there is none now; -EOVERFLOW: some are missed here, and it goes
 * on behind them; -ENODATA: the end; or another -errno.
 */
int live_next(struct live *l, struct span *line);

/*
 * Wait until one of the feeds has something, for timeout_ms (-1: for ever). Who reads standard output may go away meanwhile, and then
 * this is the end of the process, as a write would be. 0 or -errno.
 */
int live_wait(struct live *const *lives, size_t count, int timeout_ms);

void live_close(struct live *l);

#endif
