/*
 * One nats-server process of the private server: finding the program, its configuration, starting it.
 *
 * Knows the state directory's layout; keeps nothing, restarts nothing: that is supervise.h's. One thread at a time.
 */
#ifndef AETHER_MOUNT_NATSD_H
#define AETHER_MOUNT_NATSD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../store/clock.h"
#include "../store/logger.h"
#include "statedir.h"

/*
 * Where nats-server is: $AETHER_NATS_SERVER if set, else the first in PATH, /usr/sbin, /usr/local/sbin, /sbin. 0, or
 * -ENOENT. Of several it may name one that does not run; only starting it tells.
 */
int natsd_find(char *path, size_t size);

/* Ask the program for its version. Blocks until it has answered. 0; -EINVAL when the answer has no version in it, or
 * another -errno. */
int natsd_version(const char *path, int *major, int *minor);

/*
 * Does a server of this version know `sync_interval: always` (fsync before it acknowledges)? Since 2.10.0; an older one
 * refuses a configuration that has it.
 */
bool natsd_syncs(int major, int minor);

/*
 * A TCP port of 127.0.0.1 that nobody has at the moment, outside of the range that the kernel gives to outgoing
 * connections: a client that tries to reconnect to a port within it can be given that port as its own, and so block the
 * server's return. 0 for none.
 */
unsigned natsd_free_port(const struct clock *clock);

/* Can that port be bound now? */
bool natsd_port_free(unsigned port);

/* Write nats.conf into the state directory, of which dir is the absolute path and dirfd the descriptor. 0 or -errno. */
int natsd_configure(int dirfd, const char *dir, const struct statedir_server *server, bool sync_always);

/*
 * Start it. It inherits lock_fd (server.lock, held exclusively), which is closed here in any case; gets SIGTERM when
 * the calling thread ends, however it ends; and writes to STATEDIR_LOG. Its pid, or -errno. A program that cannot be
 * executed exits with 127.
 */
pid_t natsd_start(int dirfd, const char *dir, const char *path, int lock_fd);

#endif
