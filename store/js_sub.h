/*
 * A subscription that lasts as long as the backend's connection.
 *
 * Owns it, and knows nothing of what comes. It is freed only when the connection has been closed (see js_inbox.h), and only when
 * the last call for a message has returned. Any thread may call.
 */
#ifndef AETHER_STORE_JS_SUB_H
#define AETHER_STORE_JS_SUB_H

#include <nats/nats.h>
#include <pthread.h>
#include <stdbool.h>

#include "lock.h"

/* All zeros is one that nobody has opened; js_sub_close is due only for others. */
struct js_sub {
	natsSubscription *sub;
	struct lock lock;
	pthread_cond_t ended;
	bool on; /* there may be calls; guarded by lock */
};

/* fn is called on a thread of its own for each message, which it takes, without a limit on those that wait for it. 0 or -errno. */
int js_sub_open(struct js_sub *s, natsConnection *nc, const char *subject, natsMsgHandler fn, void *arg);

/* The same as one of a group, of which one gets each message. */
int js_sub_open_queue(struct js_sub *s, natsConnection *nc, const char *subject, const char *group, natsMsgHandler fn, void *arg);

/* After natsSubscription_Unsubscribe: returns when no call is under way, nor will be. One that nobody has opened is fine, as below. */
void js_sub_wait(struct js_sub *s);

/* After the connection has been closed. */
void js_sub_close(struct js_sub *s);

#endif
