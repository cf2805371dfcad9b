/*
 * Messages that have been used, kept for a moment so that many are given back to nats.c at once.
 *
 * natsMsg_Destroy hands a message to nats.c's collector thread and wakes it: two system calls and a switch of threads,
 * twice for each request, on the processors that the server needs just then. Owns the messages that it was given. Knows
 * nothing of requests. Any thread may call.
 */
#ifndef AETHER_STORE_RPC_SPENT_H
#define AETHER_STORE_RPC_SPENT_H

#include <nats/nats.h>

#include "lock.h"

/* Messages kept at most, and the longest payload of one that is: together the memory that may wait here. */
#define SPENT_MAX 128
#define SPENT_BYTES_MAX 4096

struct rpc_spent {
	struct lock lock;
	/* Guarded by lock. */
	natsMsg *messages[SPENT_MAX];
	unsigned count;
};

void rpc_spent_init(struct rpc_spent *s);

/* Takes msg, which is not to be used any more. NULL is fine. */
void rpc_spent_add(struct rpc_spent *s, natsMsg *msg);

/* When nobody adds any more. */
void rpc_spent_free(struct rpc_spent *s);

#endif
