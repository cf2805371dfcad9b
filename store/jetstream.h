/*
 * The JetStream backend: one stream per namespace, one message per record. store/FORMAT.md has the names and headers.
 *
 * Owns one NATS connection, its request multiplexer (rpc.h) and one timer thread. Knows nothing of events.
 */
#ifndef AETHER_STORE_JETSTREAM_H
#define AETHER_STORE_JETSTREAM_H

#include "backend.h"
#include "buf.h"
#include "clock.h"
#include "logger.h"

/* Texts are borrowed for the call only; NULL where not wanted. */
struct jetstream_options {
	const char *urls; /* one or more, separated by commas */
	const char *user; /* with password: for the private server */
	const char *password;
	const char *creds;    /* path of a credentials file (JWT and seed) */
	const char *nkey;     /* path of a file with an NKey's seed and public key, a line each; must outlive the backend */
	const char *tls_ca;   /* paths of PEM files; any of them asks for TLS */
	const char *tls_cert; /* with tls_key */
	const char *tls_key;
	const char *prefix;      /* letters and digits; of streams and subjects */
	const char *client_name; /* shown by the server's monitoring */
	int replicas;            /* of streams created from here: 1, 3 or 5 */
	int64_t connect_timeout_ns;
	/* Called on a thread of the backend whenever the connection is lost, before it is tried again. May be NULL. Must not block long. */
	void (*on_disconnect)(void *arg);
	void *arg;
};

/*
 * Connect and check that the account has JetStream. Blocks up to connect_timeout_ns. Returns 0; or -errno with one line of text in why (which
 * never holds a secret). After the first connection it reconnects for ever. clock and lg are borrowed for the backend's life.
 */
int jetstream_new(struct backend **out, const struct jetstream_options *options, const struct clock *clock, struct logger *lg,
    struct buf *why);

#endif
