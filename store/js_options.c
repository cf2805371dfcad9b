#include "js_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server that does not answer two pings is gone: half-open connections are noticed within this time. */
#define PING_INTERVAL_MS 2000
#define PINGS_OUT 2
#define RECONNECT_WAIT_MS 100
#define RECONNECT_JITTER_MS 50
/* While away nats.c would collect publishes to send them later, unasked; the smallest buffer that it takes. */
#define RECONNECT_BUFFER 1
#define URLS_MAX 64

static natsStatus
set_servers(natsOptions *o, const char *urls)
{
	const char *list[URLS_MAX];
	int count = 0;
	char *rest = NULL, *copy = strdup(urls);

	if (copy == NULL)
		return NATS_NO_MEMORY;
	for (char *url = strtok_r(copy, ",", &rest); url != NULL && count < URLS_MAX; url = strtok_r(NULL, ",", &rest))
		list[count++] = url;
	natsStatus s = natsOptions_SetServers(o, list, count);
	free(copy);
	return s;
}

static natsStatus
set_tls(natsOptions *o, const struct jetstream_options *options)
{
	natsStatus s = NATS_OK;

	if (options->tls_ca != NULL || options->tls_cert != NULL || options->tls_key != NULL)
		s = natsOptions_SetSecure(o, true);
	if (s == NATS_OK && options->tls_ca != NULL)
		s = natsOptions_LoadCATrustedCertificates(o, options->tls_ca);
	if (s == NATS_OK && options->tls_cert != NULL)
		s = natsOptions_LoadCertificatesChain(o, options->tls_cert, options->tls_key);
	return s;
}

static natsStatus
set_login(natsOptions *o, const struct jetstream_options *options)
{
	natsStatus s = NATS_OK;

	if (options->user != NULL)
		s = natsOptions_SetUserInfo(o, options->user, options->password);
	if (s == NATS_OK && options->creds != NULL)
		s = natsOptions_SetUserCredentialsFromFiles(o, options->creds, NULL);
	return s;
}

static natsStatus
set_behaviour(natsOptions *o, const struct jetstream_options *options)
{
	natsStatus s = natsOptions_SetName(o, options->client_name);

	if (s == NATS_OK)
		s = natsOptions_SetTimeout(o, options->connect_timeout_ns / NS_PER_MS);
	if (s == NATS_OK)
		s = natsOptions_SetMaxReconnect(o, -1);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectWait(o, RECONNECT_WAIT_MS);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectJitter(o, RECONNECT_JITTER_MS, RECONNECT_JITTER_MS);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectBufSize(o, RECONNECT_BUFFER);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(o, PING_INTERVAL_MS);
	if (s == NATS_OK)
		s = natsOptions_SetMaxPingsOut(o, PINGS_OUT);
	/* Else nats.c's flusher lets every publish wait for about a millisecond. */
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(o, true);
	if (s == NATS_OK)
		s = natsOptions_SetFailRequestsOnDisconnect(o, true);
	return s;
}

/* The first word in the file that begins so, the way `nk -gen user -pubout` writes seed and public key. Owned by the caller. */
static char *
key_in_file(const char *path, const char *lead)
{
	FILE *file = fopen(path, "re");
	char *line = NULL, *found = NULL;
	size_t cap = 0;

	while (file != NULL && found == NULL && getline(&line, &cap, file) > 0) {
		line[strcspn(line, " \t\r\n")] = '\0';
		if (strncmp(line, lead, strlen(lead)) == 0)
			found = strdup(line);
	}
	if (line != NULL)
		explicit_bzero(line, cap);
	free(line);
	if (file != NULL)
		fclose(file);
	return found;
}

/* The seed is read for each connection and not kept. */
static natsStatus
sign_nonce(char **error, unsigned char **signature, int *length, const char *nonce, void *closure)
{
	char *seed = key_in_file(closure, "SU");

	if (seed == NULL) {
		*error = strdup("cannot read the NKey seed");
		return NATS_ERR;
	}
	natsStatus s = nats_Sign(seed, nonce, signature, length);
	explicit_bzero(seed, strlen(seed));
	free(seed);
	return s;
}

/* path is kept by the connection for its life. */
static natsStatus
set_nkey(natsOptions *o, const char *path)
{
	char *public_key = key_in_file(path, "U"), *seed = key_in_file(path, "SU");
	natsStatus s = NATS_INVALID_ARG;

	if (public_key != NULL && seed != NULL)
		s = natsOptions_SetNKey(o, public_key, sign_nonce, (void *)path);
	if (seed != NULL)
		explicit_bzero(seed, strlen(seed));
	free(seed);
	free(public_key);
	return s;
}

int
js_options_make(natsOptions **out, const struct jetstream_options *options, struct buf *why)
{
	/* No spinning for locks that are held during a system call. */
	natsStatus s = nats_Open(0);
	const char *what = "options";

	if (s == NATS_OK)
		s = natsOptions_Create(out);
	if (s == NATS_OK)
		s = set_behaviour(*out, options);
	if (s == NATS_OK) {
		what = "server list";
		s = set_servers(*out, options->urls);
	}
	if (s == NATS_OK) {
		what = "TLS files";
		s = set_tls(*out, options);
	}
	if (s == NATS_OK) {
		what = "credentials";
		s = set_login(*out, options);
	}
	if (s == NATS_OK && options->nkey != NULL) {
		what = "NKey file (it must hold the seed and the public key, a line each)";
		s = set_nkey(*out, options->nkey);
	}
	if (s == NATS_OK)
		return 0;
	buf_printf(why, "NATS %s: %s", what, natsStatus_GetText(s));
	return s == NATS_NO_MEMORY ? -ENOMEM : -EINVAL;
}

void
js_options_shown_url(natsConnection *nc, char *out, size_t size)
{
	out[0] = '\0';
	if (natsConnection_GetConnectedUrl(nc, out, size) != NATS_OK) {
		out[0] = '\0';
		return;
	}
	char *scheme = strstr(out, "://"), *at = strrchr(out, '@');
	if (at == NULL)
		return;
	char *host = scheme != NULL && scheme < at ? scheme + 3 : out;
	memmove(host, at + 1, strlen(at));
}
