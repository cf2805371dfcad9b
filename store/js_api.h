/*
 * JetStream's JSON API: requests on $JS.API, their answers and errors.
 * Source: nats-server's JSON schemas (jetstream api v1) and its errors.json; the codes are stable across versions.
 */
#ifndef AETHER_STORE_JS_API_H
#define AETHER_STORE_JS_API_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "rpc.h"

/*
 * Call $JS.API.<what>, or $JS.API.<what>.<stream> if stream is not NULL, with request as the body (NULL: none; always taken and freed).
 * Blocks until deadline_ns. 0 and *reply is the caller's (cJSON_Delete), or -errno: JetStream's error by js_api_errno, else as rpc.h.
 */
int js_api_call(struct rpc *rpc, const char *what, const char *stream, cJSON *request, int64_t deadline_ns, cJSON **reply);

/* Parse an answer. 0 and *reply, or -errno (-EIO if it is no JSON). */
int js_api_parse(natsMsg *msg, cJSON **reply);

/* The errno of JetStream's err_code: the one place where they are translated. */
int js_api_errno(int err_code);

/* Fields of an answer by path, with a value for where they are missing. Texts are borrowed from json. */
const char *js_text(const cJSON *json, const char *key, const char *missing);
uint64_t js_number(const cJSON *json, const char *key, uint64_t missing);

#endif
