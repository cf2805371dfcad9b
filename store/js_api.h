/*
 * JetStream's JSON API: requests on $JS.API, their answers and errors.
 * Source: nats-server's JSON schemas (jetstream api v1) and its errors.json; the codes are stable across versions.
 */
#ifndef AETHER_STORE_JS_API_H
#define AETHER_STORE_JS_API_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "logger.h"
#include "rpc.h"

/*
 * Call $JS.API.<what>, or $JS.API.<what>.<stream> if stream is not NULL, with request as the body (NULL: none; always
 * taken and freed). One try, not past deadline_ns. Blocks. 0 and *reply is the caller's (cJSON_Delete), or -errno: JetStream's error
 * by js_api_errno, else as rpc_try.
 */
int js_api_call(struct rpc *rpc, struct logger *lg, const char *what, const char *stream, cJSON *request,
    int64_t deadline_ns, cJSON **reply);

/* Parse an answer. 0 and *reply, or -errno by js_api_error (-EIO if it is no JSON). */
int js_api_parse(struct logger *lg, natsMsg *msg, cJSON **reply);

/* Is msg a publish's acknowledgement of the plain kind, {"stream":"…","seq":N} and nothing else? Then *seq is N, which is
 * not 0. For the many; js_api_parse takes any. */
bool js_api_plain_ack(natsMsg *msg, uint64_t *seq);

/* The errno of an error with HTTP-like code (0 if there is none), JetStream's err_code and its text. One that is not
 * known gets a log line. */
int js_api_error(struct logger *lg, int code, int err_code, const char *description);

/* Does it refuse a publish because the subject has no message at all, so that its last sequence counts as 0? */
bool js_api_refused_for_none(natsMsg *msg);

/* The errno of JetStream's err_code: the one place where they are translated. */
int js_api_errno(int err_code);

/* Fields of an answer by path, with a value for where they are missing. Texts are borrowed from json. */
const char *js_text(const cJSON *json, const char *key, const char *missing);
uint64_t js_number(const cJSON *json, const char *key, uint64_t missing);

#endif
