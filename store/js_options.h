/* The connection's options: servers, authentication, TLS, and how it is kept up. */
#ifndef AETHER_STORE_JS_OPTIONS_H
#define AETHER_STORE_JS_OPTIONS_H

#include <nats/nats.h>
#include <stddef.h>

#include "jetstream.h"

/* Make nats.c's options. 0 and *out is the caller's (natsOptions_Destroy), or -errno and a line in why. */
int js_options_make(natsOptions **out, const struct jetstream_options *options, struct buf *why);

/* The URL of the server connected to, without user and password; empty if there is none. */
void js_options_shown_url(natsConnection *nc, char *out, size_t size);

#endif
