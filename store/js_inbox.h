/*
 * Inboxes for answers of many messages, which their reader takes one by one.
 *
 * Owns their subscriptions. The reading thread of nats.c 3.4 and 3.5 may still be putting a message into a subscription
 * that is freed (its issue 637), so one is freed only when that thread has seen the answer to a ping behind the end of the
 * subscription, or when the connection has been closed.
 *
 * Any thread may call that may block; an inbox is one thread's at a time.
 */
#ifndef AETHER_STORE_JS_INBOX_H
#define AETHER_STORE_JS_INBOX_H

#include "js_state.h"

struct js_inbox {
	natsSubscription *sub; /* without limits on what is pending: what is asked for is the limit */
	natsInbox *subject;
	struct js_inbox *next; /* js_inbox.c's */
};

/* One that nothing is on its way to. Give it back with js_inbox_give. 0 or -errno. */
int js_inbox_take(struct jetstream *js, struct js_inbox **out);

/*
 * NULL is fine. JS_INBOX_CLEAN: nothing is on its way to it; it is kept for the next taker. JS_INBOX_BUSY: it is ended, which
 * blocks for a round trip. JS_INBOX_SILENT: the same, but the server does not answer now, so it is left for the next such end.
 */
enum js_inbox_state { JS_INBOX_CLEAN, JS_INBOX_BUSY, JS_INBOX_SILENT };
void js_inbox_give(struct jetstream *js, struct js_inbox *in, enum js_inbox_state state);

/* After the connection has been closed. */
void js_inboxes_free(struct jetstream *js);

#endif
