/* Records as NATS messages: what the three ways of getting a message give, as a record. Payloads are borrowed from the
 * message. */
#ifndef AETHER_STORE_JS_MESSAGE_H
#define AETHER_STORE_JS_MESSAGE_H

#include <nats/nats.h>
#include <stdint.h>

#include "logger.h"
#include "record.h"

/*
 * The answer to a direct get. 0, -ENOENT (none, or the message is not of that subject), or -EIO after a log line.
 */
int js_message_direct(struct logger *lg, natsMsg *msg, const char *subject, struct record *r);

/* The decoded parts of an answer of the stream's leader, which come as base64 in JSON. All zeros is empty. */
struct js_leader_message {
	unsigned char *headers;
	unsigned char *payload;
};

/* The answer to a get by STREAM.MSG.GET; r borrows from m. 0, -ENOENT, or as js_api_parse. */
int js_message_leader(
    struct logger *lg, natsMsg *msg, const char *subject, struct js_leader_message *m, struct record *r);
void js_leader_message_free(struct js_leader_message *m);

/* What a consumer's message says of itself in its reply subject; the texts are borrowed from that, and not terminated. */
struct js_delivery {
	struct span stream;
	struct span consumer;
	uint64_t seq;          /* the stream's */
	uint64_t consumer_seq; /* counts what the consumer has sent, from 1 */
	uint64_t pending;      /* how many messages the consumer has behind this one */
};

/* Parse that; false if it is no such subject. reply may be NULL. */
bool js_message_delivery(const char *reply, struct js_delivery *d);

/* A message that came without its payload. All of r but seq is set: payload.p to NULL, payload.len to what the server says. */
void js_message_headers(natsMsg *msg, struct record *r);

/* A message that a consumer delivered; *pending is how many the consumer has behind it. 0 or -EIO. */
int js_message_delivered(natsMsg *msg, struct record *r, uint64_t *pending);

#endif
