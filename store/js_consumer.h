/*
 * The consumer of one watch (js_watch.h): making it, and telling whether its stream still is the one that it was.
 *
 * Owns nothing. All but js_consumer_delete blocks, and is called on the watches' own thread.
 */
#ifndef AETHER_STORE_JS_CONSUMER_H
#define AETHER_STORE_JS_CONSUMER_H

#include "js_state.h"

struct js_consumer {
	struct jetstream *js;
	struct rpc *rpc;    /* by which it is asked for */
	const char *ns;     /* not encoded */
	const char *stream; /* the stream's name */
	const char *name;   /* the consumer's, drawn by us, so that it can be deleted though no answer came */
	const char *inbox;  /* where it sends to; a subscription for just that must be there */
	uint64_t from_seq;  /* 0: from the last message of each subject on */
};

/*
 * Make it. A server takes seconds for a million subjects: busy is called every second in which it shows, by an answer on the other
 * connection, that it lives. *empty: it has had nothing to send so far. 0, or -errno as js_api_call.
 */
int js_consumer_make(const struct js_consumer *c, void (*busy)(void *arg), void *arg, bool *empty);

/* Nobody waits for the answer: without interest in its messages the server removes it too, only later. */
void js_consumer_delete(const struct js_consumer *c);

/* What tells one stream from another of the same name, never 0, and its last sequence. 0, or -errno as js_api_call. */
int js_consumer_stream(const struct js_consumer *c, uint64_t *epoch, uint64_t *last_seq);

#endif
