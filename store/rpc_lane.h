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
	/* A reply has come (borrowed). On the lane's thread. */
	void (*reply)(void *arg, natsMsg *msg);
	/*
	 * The message that lane_send was given with tag was not sent, or nobody listens there (NATS_NO_RESPONDERS). On
	 * the thread of any sender, or the lane's.
	 */
	void (*failed)(void *arg, uint64_t tag, natsStatus why);
	/* The connection is lost: what was sent on it has no reply any more. On the lane's thread. */
	void (*down)(void *arg);
	natsErrHandler error; /* as nats.c's; on a thread of nats.c */
	void *arg;
};

/*
 * A place for one reply: its subject begins with "<inbox>.<index>". There is one for each request under way, because
 * nats.c tells that nobody listens without telling what was asked.
 */
struct lane_way {
	uint32_t index;
	uint32_t life; /* of the connection; 0: this is no way */
};

/*
 * Start it; it is down at first. inbox is the subject below which to listen (copied). options: how to connect; servers,
 * callbacks and the event loop are set here; taken on success. spent is borrowed. 0 or -errno.
 */
int lane_new(struct lane **out, natsOptions *options, const char *inbox, struct rpc_spent *spent,
    const struct lane_events *events);

/* Take a way for one request; life 0: there is none, as the lane is down or as many requests are under way as it
 * takes. */
struct lane_way lane_take(struct lane *l);

/*
 * The request has ended. answered: what it was sent for has come, or it was not sent; else the way is not used again
 * before the reply comes late, so that this one is not taken for the next request's.
 */
void lane_give_back(struct lane *l, struct lane_way way, bool answered);

/*
 * Send msg, which asks for a reply on the way, and is taken if the result is true; false: the lane is down, or there is
 * no memory. Blocks while the server takes nothing more, but not on the lane's own thread, where it is sent soon after
 * the event.
 */
bool lane_send(struct lane *l, struct lane_way way, natsMsg *msg, uint64_t tag);

/* Close the connection that is there, if any, and make another as soon as there is somewhere to connect to. */
void lane_renew(struct lane *l);

/* Close the connection, with a last call of down if it was up, and stop the thread. Not on that thread. */
void lane_stop(struct lane *l);

/* After lane_stop. NULL is fine. */
void lane_free(struct lane *l);

#endif
