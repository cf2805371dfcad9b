/* Records as NATS messages: what the three ways of getting a message give, as a record. Payloads are borrowed from the
 * message. */
#ifndef AETHER_STORE_JS_MESSAGE_H
#define AETHER_STORE_JS_MESSAGE_H

#include <nats/nats.h>
#include <stdbool.h>
#include <stdint.h>

#include "logger.h"
#include "record.h"

/* The name of the actor whose subject that is, which may be NULL; appended. 0 or -EINVAL. */
int js_message_actor(const char *subject, struct buf *name);

/*
 * The answer to a direct get, of that subject or, if that ends in a "*", of one that it stands for. 0, -ENOENT (none, or the message is not of that subject), or -EIO after a log line.
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

/* A message that came without its payload. All of r but seq is set: payload.p to NULL, payload.len to what the server says. */
void js_message_headers(natsMsg *msg, struct record *r);

/* A message that a consumer delivered. */
struct js_delivered {
	uint64_t seq;          /* the stream's */
	uint64_t consumer_seq; /* from 1, without gaps */
	uint64_t pending;      /* how many the consumer has behind it */
	struct span payload;
};

/* Reads the reply subject alone. False: it is no such message. */
bool js_message_delivered(natsMsg *msg, struct js_delivered *d);

/* The whole of it, with its headers, for which nats.c reads them all. */
void js_message_decode(natsMsg *msg, uint64_t seq, struct record *r);

#endif
