/*
 * Following the records of namespaces: backend.h's watch on JetStream.
 *
 * A watch is an ordered push consumer: headers only, the last message of each subject or from a sequence on, no acknowledgements, flow
 * control, idle heartbeats. nats.c has such consumers too, but creates them with a wait that blocks its caller, starts them anew by
 * itself when it must be known whether the stream still is the same one, and cannot end them safely (js_scan). So the consumer is
 * made here, named by us, and all of them deliver to one plain subscription that lasts as long as the backend.
 *
 * On a connection of its own, made with the first watch: a server creates a consumer while it reads the request, and does not read on
 * until it has found the last message of a million subjects, seconds later; and a million headers on their way would delay the answers
 * to others.
 *
 * A watch is interrupted, and ends, when its connection is lost, a message is missing, or nothing has come for LOST_NS, not even a
 * heartbeat. Whoever asked for it watches again.
 */
#ifndef AETHER_STORE_JS_WATCH_H
#define AETHER_STORE_JS_WATCH_H

#include "js_state.h"

struct js_watches;

/* Takes options, with which the connection will be made, also if this fails. 0 or -errno. Nothing is connected yet. */
int js_watches_new(struct js_watches **out, struct jetstream *js, natsOptions *options);

/* Close the connection, end the thread. All watches have been stopped. The timer must still live, and be freed afterwards. */
void js_watches_close(struct js_watches *ws);
/* After that. NULL is fine. */
void js_watches_free(struct js_watches *ws);

int js_watch(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns, void *arg,
    struct backend_watch **out);
void js_watch_stop(struct backend *b, struct backend_watch *w);

#endif
