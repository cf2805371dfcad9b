/*
 * Going to the background, and telling the process that stayed in front how it went.
 *
 * The reports travel through a pipe: the front sees readiness, a failure's reason, or that the daemon ended without a
 * word. To be used before there are threads.
 */
#ifndef AETHER_MOUNT_DAEMON_H
#define AETHER_MOUNT_DAEMON_H

#include <sys/types.h>

#include "../store/buf.h"

struct daemon {
	int pipe; /* -1: none, reports go nowhere */
};

#define DAEMON_FOREGROUND ((struct daemon){ -1 })

/*
 * Fork. Returns the child's pid in the front. In the child, 0: it has a session of its own, / as its directory,
 * /dev/null for standard input and output, log_fd for standard error, and no other descriptor that was open before. Or
 * -errno, and nothing was forked.
 */
pid_t daemon_fork(struct daemon *d, int log_fd);

/* In the child: it serves; or it ends, for that reason (one line). The first report counts. */
void daemon_ready(struct daemon *d);
void daemon_failed(struct daemon *d, const char *reason);

/* In the front: wait for the report. 0 when ready, else -EIO with the reason in why. */
int daemon_wait(struct daemon *d, struct buf *why);

#endif
