/*
 * The connection that requests travel on: one that a thread of ours reads and that whoever sends writes to.
 *
 * By itself nats.c reads on one thread, hands each message to another, and writes to the socket once for each message
 * while the other senders wait for its lock. Here a reply is handed on by the thread that has read it, and what several
 * threads send at the same time goes out in one system call; a request that is alone goes out at once, on its sender's
 * thread. nats.c does the rest (logging in, TLS, the protocol) by its interface for event loops.
 *
 * Owns that connection, its subscription and its thread, which makes a new connection when one is lost: nats.c's own
 * reconnecting goes on with a half-read message in this mode. A lane that is down is no error: rpc.c has a connection
 * of the usual kind beside it. Knows nothing of requests or deadlines.
 */
#ifndef AETHER_STORE_RPC_LANE_H
#define AETHER_STORE_RPC_LANE_H

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc_spent.h"

struct lane;

/* What the lane tells; none of these is called with a lock held, none may block. */
struct lane_events {
	/* Where to connect to, as a NATS URL; false: nowhere at this moment. On the lane's thread. */
	bool (*url)(void *arg, char *out, size_t size);
	/* A message for the inbox has come (borrowed). On the lane's thread. */
	void (*reply)(void *arg, natsMsg *msg);
	/* The message that lane_send was given with tag was not sent. On the thread of any sender, or the lane's. */
	void (*unsent)(void *arg, uint64_t tag, natsStatus why);
	/* The connection is lost: what was sent on it has no reply any more. On the lane's thread. */
	void (*down)(void *arg);
	natsErrHandler error; /* as nats.c's; on a thread of nats.c */
	void *arg;
};

/*
 * Start it; it is down at first. inbox is the subject to listen on (copied). options: how to connect; servers,
 * callbacks and the event loop are set here; taken on success. spent is borrowed. 0 or -errno.
 */
int lane_new(struct lane **out, natsOptions *options, const char *inbox, struct rpc_spent *spent,
    const struct lane_events *events);

bool lane_is_up(struct lane *l);

/*
 * Send msg, which is taken if the result is true; false: the lane is down, or there is no memory. Blocks while the
 * server takes nothing more, but not on the lane's own thread, where it is sent soon after the event.
 */
bool lane_send(struct lane *l, natsMsg *msg, uint64_t tag);

/* Close the connection that is there, if any, and make another as soon as there is somewhere to connect to. */
void lane_renew(struct lane *l);

/* Close the connection, with a last call of down if it was up, and stop the thread. Not on that thread. */
void lane_stop(struct lane *l);

/* After lane_stop. NULL is fine. */
void lane_free(struct lane *l);

#endif
