/*
 * Hints that a namespace may have been made or removed: backend.h's names_listen on JetStream.
 *
 * Owns two subscriptions: to the server's advisories about streams, which say what any client does, but which a user may not be allowed
 * to hear, and of which servers 2.9 and 2.10 lose some; and to <prefix>.names, where every node says so after it has made or removed one.
 * What a message says does not matter. Both may be refused; then namespaces of other nodes are noticed later.
 */
#ifndef AETHER_STORE_JS_NAMES_H
#define AETHER_STORE_JS_NAMES_H

#include "js_state.h"

/* Before the connection is made. 0 or -ENOMEM. */
int js_names_new(struct js_names **out, struct jetstream *js);
/* Subscribe, once there is one. 0 or -errno. */
int js_names_open(struct js_names *n);
/* After it has been closed. NULL is fine, as below. */
void js_names_close(struct js_names *n);
void js_names_free(struct js_names *n);

void js_names_listen(struct backend *b, void (*changed)(void *arg, bool elected), void *arg);

/* Call who listens: something may have gone unnoticed. */
void js_names_hint(struct js_names *n);

/* Tell all nodes that a namespace has been made or removed. */
void js_names_tell(struct jetstream *js);

#endif
