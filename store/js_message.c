#include "js_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "js_api.h"
#include "name.h"

static void
decode(natsMsg *msg, struct record *r)
{
	const char *values[RECORD_HEADERS] = { NULL };

	for (int i = 0; i < RECORD_HEADERS; i++)
		if (natsMsgHeader_Get(msg, record_header_names[i], &values[i]) != NATS_OK)
			values[i] = NULL;
	r->payload = (struct span){ natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg) };
	record_decode(r, values);
}

int
js_message_actor(const char *subject, struct buf *name)
{
	const char *dot = subject != NULL ? strrchr(subject, '.') : NULL;

	return dot == NULL ? -EINVAL : name_decode(name, span_of(dot + 1));
}

/* An actor's subject never ends in a "*". */
static bool
is_of(const char *subject, const char *wanted)
{
	size_t len = strlen(wanted);

	if (len < 2 || strcmp(wanted + len - 2, ".*") != 0)
		return strcmp(subject, wanted) == 0;
	return strncmp(subject, wanted, len - 1) == 0 && strchr(subject + len - 1, '.') == NULL;
}

int
js_message_direct(struct logger *lg, natsMsg *msg, const char *subject, struct record *r)
{
	const char *value = NULL, *text = NULL;

	*r = (struct record){ 0 };
	if (natsMsgHeader_Get(msg, "Status", &value) == NATS_OK && value != NULL) {
		if (strcmp(value, "404") == 0)
			return -ENOENT;
		if (natsMsgHeader_Get(msg, "Description", &text) != NATS_OK || text == NULL)
			text = "an error without a description";
		log_error(lg, "JetStream: get: %s (code %s)", text, value);
		return -EIO;
	}
	if (natsMsgHeader_Get(msg, "Nats-Subject", &value) != NATS_OK || !is_of(value, subject))
		return -ENOENT;
	if (natsMsgHeader_Get(msg, "Nats-Sequence", &value) != NATS_OK)
		return -EIO;
	r->seq = strtoull(value, NULL, 10);
	decode(msg, r);
	return 0;
}

void
js_message_headers(natsMsg *msg, struct record *r)
{
	const char *size;
	uint64_t seq = r->seq;

	*r = (struct record){ .seq = seq };
	decode(msg, r);
	r->payload = (struct span){ NULL, 0 };
	if (natsMsgHeader_Get(msg, "Nats-Msg-Size", &size) == NATS_OK)
		r->payload.len = strtoull(size, NULL, 10);
	else
		r->foreign = true;
}

/*
 * $JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>, or with
 * <domain>.<account> before the stream, and perhaps more at the end (NATS' ADR-15).
 */
#define TOKENS_SHORT 9
#define TOKENS_LONG 11

/* One pass, for this is done for every message: each token's value, if it is a decimal number; the count of tokens. */
static size_t
read_tokens(const char *p, uint64_t values[TOKENS_LONG], unsigned *numbers)
{
	size_t count = 0;
	uint64_t value = 0;
	bool number = false, other = false;

	*numbers = 0;
	for (;; p++) {
		if (*p >= '0' && *p <= '9') {
			value = value * 10 + (uint64_t)(*p - '0');
			number = true;
		} else if (*p != '.' && *p != '\0') {
			other = true;
		} else {
			if (count < TOKENS_LONG) {
				values[count] = value;
				*numbers |= (number && !other ? 1U : 0U) << count;
			}
			count++;
			value = 0;
			number = other = false;
			if (*p == '\0')
				return count;
		}
	}
}

bool
js_message_delivered(natsMsg *msg, struct js_delivered *d)
{
	const char *reply = natsMsg_GetReply(msg);
	uint64_t values[TOKENS_LONG];
	unsigned numbers;

	if (reply == NULL || strncmp(reply, "$JS.ACK.", 8) != 0)
		return false;
	size_t count = read_tokens(reply, values, &numbers);
	size_t stream = count == TOKENS_SHORT ? 2 : 4;
	if (count != TOKENS_SHORT && count < TOKENS_LONG)
		return false;
	d->payload = (struct span){ natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg) };
	d->seq = values[stream + 3];
	d->consumer_seq = values[stream + 4];
	d->pending = values[stream + 6];
	return ((numbers >> stream) & 0x58) == 0x58;
}

void
js_message_decode(natsMsg *msg, uint64_t seq, struct record *r)
{
	*r = (struct record){ .seq = seq };
	decode(msg, r);
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648, section 4. A NUL is put behind. NULL for want of memory or if it is no base64. */
static unsigned char *
base64_decode(const char *text, size_t *len)
{
	unsigned char *out = malloc(strlen(text) / 4 * 3 + 4);
	unsigned bits = 0, count = 0;

	*len = 0;
	for (; out != NULL && *text != '\0' && *text != '='; text++) {
		int value = base64_value(*text);
		if (value < 0) {
			free(out);
			return NULL;
		}
		bits = bits << 6 | (unsigned)value;
		if (++count % 4 != 1)
			out[(*len)++] = (unsigned char)(bits >> (6 - 2 * ((count - 1) % 4)));
	}
	if (out != NULL)
		out[*len] = '\0';
	return out;
}

/* Cut "NATS/1.0\r\nKey: value\r\n..." in place and find our headers in it. */
static void
find_headers(char *text, const char *values[RECORD_HEADERS])
{
	char *rest = NULL;

	for (char *line = strtok_r(text, "\r\n", &rest); line != NULL; line = strtok_r(NULL, "\r\n", &rest)) {
		char *colon = strchr(line, ':');
		if (colon == NULL)
			continue;
		*colon = '\0';
		const char *value = colon + 1 + strspn(colon + 1, " ");
		for (int i = 0; i < RECORD_HEADERS; i++)
			if (strcasecmp(line, record_header_names[i]) == 0)
				values[i] = value;
	}
}

int
js_message_leader(struct logger *lg, natsMsg *msg, const char *subject, struct js_leader_message *m, struct record *r)
{
	const char *values[RECORD_HEADERS] = { NULL };
	cJSON *reply = NULL;
	size_t len, headers_len;

	*r = (struct record){ 0 };
	int err = js_api_parse(lg, msg, &reply);
	if (err != 0)
		return err;
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(reply, "message");
	if (!is_of(js_text(message, "subject", ""), subject)) {
		err = -ENOENT;
	} else {
		m->headers = base64_decode(js_text(message, "hdrs", ""), &headers_len);
		m->payload = base64_decode(js_text(message, "data", ""), &len);
		err = m->headers == NULL || m->payload == NULL ? -EIO : 0;
	}
	if (err == 0) {
		r->seq = js_number(message, "seq", 0);
		r->payload = (struct span){ (char *)m->payload, len };
		find_headers((char *)m->headers, values);
		record_decode(r, values);
	}
	cJSON_Delete(reply);
	return err;
}

void
js_leader_message_free(struct js_leader_message *m)
{
	free(m->headers);
	free(m->payload);
	*m = (struct js_leader_message){ 0 };
}
