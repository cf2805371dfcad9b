/*
 * Requests over one NATS connection: many under way at once, each with its deadline and a function that gets the
 * answer.
 *
 * Owns the connection, perhaps a second one that the requests go over while it is up (rpc_lane.h), the inbox that carries all
 * replies, and the table of requests under way. Knows NATS, not JetStream. nats.c's own asynchronous publish has no per-message callback before 3.9 and no deadline of its
 * own, hence this.
 *
 * Any thread may call. Functions given here run on nats.c's delivery thread or on the timer's; they must not block.
 */
#ifndef AETHER_STORE_RPC_H
#define AETHER_STORE_RPC_H

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "clock.h"
#include "logger.h"
#include "timer.h"

struct rpc;

struct rpc_header {
	const char *key;
	const char *value;
};

/* What nats.c says, in the errors below. */
int rpc_errno(natsStatus s);

/*
 * err 0 and the reply (borrowed until return), or NULL and: -ETIMEDOUT (the deadline), -ENOTCONN (connection lost, or
 * none), -EHOSTUNREACH (nobody listens on the subject), -EACCES (the server refuses the subject), -EMSGSIZE, -ENOMEM,
 * -EIO. After -ETIMEDOUT and -ENOTCONN the request may have been carried out all the same.
 */
typedef void (*rpc_fn)(void *arg, int err, natsMsg *reply);

struct rpc_options {
	natsOptions *nats; /* servers, authentication, TLS; borrowed. The callbacks are set here */
	/* The same for a connection of their own for the requests (rpc_lane.h), taken in any case; NULL: they share the one. */
	natsOptions *lane;
	/* Called on a nats.c thread after the connection was lost. May be NULL. */
	void (*on_disconnect)(void *arg);
	/* The same after there was one again. */
	void (*on_reconnect)(void *arg);
	/* The same when the server refuses a subscription. */
	void (*on_refused)(void *arg, struct span subject);
	void *arg;
};

/* Connect. clock, timer and lg are borrowed. 0, or -errno with a line in why. Blocks as long as the options' timeout.
 */
int rpc_new(struct rpc **out, const struct rpc_options *options, const struct clock *clock, struct timer *timer,
    struct logger *lg, struct buf *why);

/* Requests still under way end with -ENOTCONN. Then the connection is closed. The timer must still live and be freed
 * afterwards. */
void rpc_close(struct rpc *r);

/* After rpc_close and after the timer has been freed. NULL is fine. */
void rpc_free(struct rpc *r);

/* Send a request; fn is called once, perhaps before this returns. Everything is copied. */
void rpc_request(struct rpc *r, const char *subject, const struct rpc_header *headers, size_t header_count,
    const void *data, size_t size, int64_t deadline_ns, rpc_fn fn, void *arg);

/* The same, blocking. On success *reply is the caller's, to be destroyed with natsMsg_Destroy. Not on the threads named
 * above. */
int rpc_call(struct rpc *r, const char *subject, const struct rpc_header *headers, size_t header_count,
    const void *data, size_t size, int64_t deadline_ns, natsMsg **reply);

/*
 * Until when one of several tries is waited for: a server drops what comes while it has no leader, and says nothing. A quarter of the time
 * that is left, but RPC_TRY_NS at least, and not past deadline_ns.
 */
#define RPC_TRY_NS (2 * NS_PER_SEC)
int64_t rpc_try_deadline(struct rpc *r, int64_t deadline_ns);

/* As rpc_call, for what may be asked again: -ENOTCONN, too, if that time is over and the deadline is not. */
int rpc_try(struct rpc *r, const char *subject, const struct rpc_header *headers, size_t header_count,
    const void *data, size_t size, int64_t deadline_ns, natsMsg **reply);

/* As backend.h's wait. */
bool rpc_wait(struct rpc *r, int64_t deadline_ns, void (*fn)(void *arg), void *arg);

bool rpc_connected(struct rpc *r);
/* Connected, but a request had no answer by its deadline, and nothing has been heard since it was sent. */
bool rpc_is_silent(struct rpc *r);
uint64_t rpc_reconnects(struct rpc *r);
int64_t rpc_max_payload(struct rpc *r);

/* Borrowed; for subscriptions. */
natsConnection *rpc_connection(struct rpc *r);

#endif
