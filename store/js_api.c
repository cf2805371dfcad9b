#include "js_api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
js_api_errno(int err_code)
{
	switch (err_code) {
	case 10037: /* no message found */
	case 10057: /* message delete failed: there is none */
	case 10059: /* stream not found */
		return -ENOENT;
	case 10058: /* stream name already in use with a different configuration */
	case 10065: /* its subjects are in use; 2.9 says so to one of two that create the same stream at once */
		return -EEXIST;
	case 10071: /* wrong last sequence */
	case 10164: /* the same, in newer servers where the sequence is not known to the leader */
		return -ESTALE;
	case 10054: /* message size exceeds the stream's maximum */
		return -EMSGSIZE;
	case 10002: /* resource limits exceeded for the account */
	case 10023: /* insufficient resources */
	case 10027: /* maximum number of streams reached */
	case 10028: /* memory resources exceeded */
	case 10047: /* insufficient storage */
	case 10053: /* stream limits exceed the account's */
	case 10122: /* stream's maximum bytes exceed the account's */
	case 10077: /* the stream's own limit: maximum bytes or messages */
		return -ENOSPC;
	case 10035: /* not authorised for that API */
	case 10039: /* JetStream not enabled for the account */
	case 10110: /* message deletes not permitted */
		return -EACCES;
	case 10074: /* more than one replica without a cluster */
		return -EINVAL;
	case 10005: /* no suitable peers: too few servers, or one that has just started, or stopped */
	case 10006: /* cluster not active */
	case 10008: /* temporarily unavailable */
	case 10009: /* not the leader */
	case 10076: /* JetStream not enabled, as while the server starts */
	case 10118: /* stream offline */
	case 10158: /* a duplicate of what is still being stored */
		return -ENOTCONN;
	default:
		return -EIO;
	}
}

const char *
js_text(const cJSON *json, const char *key, const char *missing)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	return cJSON_IsString(item) ? item->valuestring : missing;
}

uint64_t
js_number(const cJSON *json, const char *key, uint64_t missing)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	/* A double holds whole numbers up to 2^53: sequences and sizes that a store can reach. */
	return cJSON_IsNumber(item) && item->valuedouble >= 0 ? (uint64_t)item->valuedouble : missing;
}

int
js_api_error(struct logger *lg, int code, int err_code, const char *description)
{
	int err = js_api_errno(err_code);

	/* Servers answer 503 with codes of their own while they have no leader, and 429 when more comes in than they take. */
	if (err == -EIO && (code == 503 || code == 429))
		err = -ENOTCONN;
	if (err == -EIO)
		log_error(lg, "JetStream: %s (code %d, err_code %d)", description, code, err_code);
	/* What is in the way may be a stream that is not ours, and so is not seen in the tree; what is too few does not pass by itself. */
	if (err_code == 10065 || err_code == 10005)
		log_warn(lg, "JetStream: %s (err_code %d)", description, err_code);
	return err;
}

bool
js_api_refused_for_none(natsMsg *msg)
{
	static const char text[] = "wrong last sequence: 0\"";

	return memmem(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg), text, sizeof(text) - 1) != NULL;
}

/* The text that p begins with, and then spaces; NULL if it does not. */
static const char *
skip_text(const char *p, const char *end, const char *text)
{
	size_t len = strlen(text);

	if (p == NULL || (size_t)(end - p) < len || memcmp(p, text, len) != 0)
		return NULL;
	for (p += len; p < end && *p == ' '; p++)
		;
	return p;
}

bool
js_api_plain_ack(natsMsg *msg, uint64_t *seq)
{
	const char *data = natsMsg_GetData(msg), *end = data + natsMsg_GetDataLength(msg);
	const char *p = skip_text(data, end, "{\"stream\":");
	uint64_t value = 0;

	p = skip_text(p, end, "\"");
	/* A name with an escape in it is not plain. */
	for (; p != NULL && p < end && *p != '"' && *p != '\\'; p++)
		;
	p = skip_text(p, end, "\"");
	p = skip_text(p, end, ",");
	p = skip_text(p, end, "\"seq\":");
	/* So many digits fit in any case. */
	for (int i = 0; p != NULL && p < end && *p >= '0' && *p <= '9' && i < 18; p++, i++)
		value = value * 10 + (uint64_t)(*p - '0');
	p = skip_text(p, end, "}");
	*seq = value;
	return p == end && value != 0;
}

int
js_api_parse(struct logger *lg, natsMsg *msg, cJSON **reply)
{
	cJSON *json = cJSON_ParseWithLength(natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg));
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(json, "error");

	if (json == NULL) {
		log_error(lg, "JetStream: an answer that is no JSON");
		return -EIO;
	}
	if (error != NULL) {
		int err = js_api_error(lg, (int)js_number(error, "code", 0), (int)js_number(error, "err_code", 0),
		    js_text(error, "description", "an error without a description"));
		cJSON_Delete(json);
		return err;
	}
	*reply = json;
	return 0;
}

int
js_api_call(struct rpc *rpc, struct logger *lg, const char *what, const char *stream, cJSON *request,
    int64_t deadline_ns, cJSON **reply)
{
	struct buf subject = { 0 };
	char *body = request != NULL ? cJSON_PrintUnformatted(request) : NULL;
	natsMsg *msg = NULL;
	int err = -ENOMEM;

	buf_puts(&subject, "$JS.API.");
	buf_puts(&subject, what);
	if (stream != NULL) {
		buf_putc(&subject, '.');
		buf_puts(&subject, stream);
	}
	const char *to = buf_text(&subject);
	if (to != NULL && (request == NULL || body != NULL))
		err = rpc_try(rpc, to, NULL, 0, body, body != NULL ? strlen(body) : 0, deadline_ns, &msg);
	/* JetStream is not there, or not yet. */
	if (err == -EHOSTUNREACH)
		err = -ENOTCONN;
	if (err == 0)
		err = js_api_parse(lg, msg, reply);
	natsMsg_Destroy(msg);
	cJSON_free(body);
	cJSON_Delete(request);
	buf_free(&subject);
	return err;
}
