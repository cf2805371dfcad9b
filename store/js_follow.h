/*
 * Every record of a namespace as it is stored: backend.h's follow on JetStream.
 *
 * A follow is an ephemeral pull consumer, made from a sequence on and without a filter (servers 2.9 count a filter's messages when
 * they make one; what is not an actor's is passed over here). Pulled, because a push of each message costs the server, and the writers
 * beside it, more than the message: one is waited for, and what has gathered a moment later is fetched at once (js_pull.c).
 *
 * Nothing here blocks, so that one follow whose consumer hangs never delays another: all goes on in answers, messages and timers. One
 * subscription, which lasts as long as the backend, gets the messages of all follows; the last token of a subject says whose they are.
 *
 * A follow is interrupted, and ends, when the connection is lost, a message is missing, its consumer is gone, or nothing has come for
 * LOST_NS, not even a heartbeat. Whoever asked for it follows again. Any thread may call.
 */
#ifndef AETHER_STORE_JS_FOLLOW_H
#define AETHER_STORE_JS_FOLLOW_H

#include "js_state.h"

/* Before the connection is made. 0 or -ENOMEM. */
int js_follows_new(struct js_follows **out, struct jetstream *js);
/* Subscribe, once there is one. 0 or -errno. */
int js_follows_open(struct js_follows *fs);
/* The connection has been lost: all end. */
void js_follows_lost(struct js_follows *fs);
/* All follows have been stopped, the connection closed. NULL is fine, as below. */
void js_follows_close(struct js_follows *fs);
/* After the timer has been freed. */
void js_follows_free(struct js_follows *fs);

int js_follow(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, bool payload, const struct backend_follow_fns *fns,
    void *arg, struct backend_follow **out);
void js_follow_hold(struct backend *b, struct backend_follow *f, bool hold);
void js_follow_stop(struct backend *b, struct backend_follow *f);

#endif
