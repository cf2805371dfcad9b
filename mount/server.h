/*
 * A mount's share in the private nats-server of its user: takes part in supervise.h's protocol from the mount's side.
 *
 * Owns the lock on users.lock, and one thread that brings the server back when the mount has lost it. Must not know
 * NATS beyond its greeting. Any thread may call server_lost; the rest is for the thread that started it.
 */
#ifndef AETHER_MOUNT_SERVER_H
#define AETHER_MOUNT_SERVER_H

#include <stdint.h>

#include "../store/buf.h"
#include "../store/clock.h"
#include "../store/logger.h"

struct server;

#define SERVER_START_NS (60 * NS_PER_SEC) /* longer than JetStream needs to recover a large store */

/*
 * Find the server of the state directory at the absolute path dir, or start it, and wait until it answers, at most
 * timeout_ns. It runs at least until server_free. Blocks. clock and lg are borrowed until then. 0; or -errno with one
 * line of text in why.
 */
int server_start(struct server **out, const char *dir, int64_t timeout_ns, const struct clock *clock, struct logger *lg,
    struct buf *why);

/* Where it is, and the credentials. The same for the life of s, also after the server was restarted. Owned by s. */
const char *server_url(const struct server *s);
const char *server_user(const struct server *s);
const char *server_password(const struct server *s);

/* Tell it that the connection was lost: see that there is a server again. Does not block. Fits
 * jetstream_options.on_disconnect. */
void server_lost(void *s);

/* Give up the share: the last one out has the server stopped, which goes on after this returns. NULL is fine. */
void server_free(struct server *s);

#endif
