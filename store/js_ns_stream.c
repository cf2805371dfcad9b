#include "js_ns_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "js_api.h"
#include "name.h"

#define STREAM_NAME_MAX 200

/* Names */

void
js_stream_name(const struct jetstream *js, const char *ns, struct buf *out)
{
	size_t start = out->len;
	struct span name = span_of(ns);

	buf_puts(out, js->prefix);
	buf_putc(out, '-');
	size_t encoded_at = out->len;
	name_encode(out, name);
	/* Servers use the names of streams in formats of the reply subjects of deliveries, where "%" has a meaning. */
	for (size_t i = encoded_at; !out->failed && i < out->len; i++)
		if (out->p[i] == '%')
			out->p[i] = '=';
	if (out->failed || out->len - start <= STREAM_NAME_MAX)
		return;
	/* "==" begins no encoded name, so this cannot be another namespace's; the name itself can be read from the
	 * subjects. */
	XXH128_hash_t hash = XXH3_128bits(name.p, name.len);
	out->len = encoded_at;
	buf_printf(out, "==%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

void
js_subject(const struct jetstream *js, const char *kind, const char *ns, const char *actor, struct buf *out)
{
	buf_puts(out, js->prefix);
	buf_putc(out, '.');
	buf_puts(out, kind);
	buf_putc(out, '.');
	name_encode(out, span_of(ns));
	if (strcmp(kind, "rm") == 0)
		return;
	buf_putc(out, '.');
	if (actor != NULL)
		name_encode(out, span_of(actor));
	else
		buf_putc(out, '*');
}

/* Descriptions */

cJSON *
js_ns_new_description(const struct ns_attr *attr, const char *nonce)
{
	cJSON *d = cJSON_CreateObject();

	cJSON_AddNumberToObject(d, "aether", RECORD_FORMAT);
	cJSON_AddNumberToObject(d, "mode", attr->mode);
	cJSON_AddNumberToObject(d, "uid", attr->uid);
	cJSON_AddNumberToObject(d, "gid", attr->gid);
	cJSON_AddStringToObject(d, "nonce", nonce);
	return d;
}

/* Take over a member, if it is there. */
void
js_ns_keep(const cJSON *from, cJSON *description, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, key);

	if (item != NULL)
		cJSON_AddItemToObject(description, key, cJSON_Duplicate(item, true));
}

cJSON *
js_ns_description(const cJSON *info)
{
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(info, "config");

	return cJSON_Parse(js_text(config, "description", ""));
}

int
js_ns_set_description(cJSON *config, const cJSON *description)
{
	char *text = cJSON_PrintUnformatted(description);

	if (text == NULL)
		return -ENOMEM;
	cJSON_DeleteItemFromObjectCaseSensitive(config, "description");
	cJSON *added = cJSON_AddStringToObject(config, "description", text);
	cJSON_free(text);
	return added != NULL ? 0 : -ENOMEM;
}

int
js_ns_set_subject(const struct jetstream *js, const char *kind, const char *ns, cJSON *config)
{
	struct buf subject = { 0 };
	cJSON *list;

	js_subject(js, kind, ns, NULL, &subject);
	cJSON_DeleteItemFromObjectCaseSensitive(config, "subjects");
	list = cJSON_AddArrayToObject(config, "subjects");
	const char *text = buf_text(&subject);
	int ok = text != NULL && list != NULL && cJSON_AddItemToArray(list, cJSON_CreateString(text));
	buf_free(&subject);
	return ok ? 0 : -ENOMEM;
}

void
js_ns_new_nonce(const struct jetstream *js, char out[2 * NONCE_BYTES + 1])
{
	unsigned char bytes[NONCE_BYTES];

	js->clock->random(js->clock, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

void
js_stream_state(const cJSON *info, uint64_t *epoch, uint64_t *last_seq)
{
	/* Our nonce; of a stream that others made, when it was created. */
	cJSON *description = js_ns_description(info);
	const char *text = js_text(description, "nonce", js_text(info, "created", ""));

	*epoch = XXH3_64bits(text, strlen(text)) | 1;
	*last_seq = js_number(cJSON_GetObjectItemCaseSensitive(info, "state"), "last_seq", 0);
	cJSON_Delete(description);
}

bool
js_stream_fenced(const cJSON *info)
{
	cJSON *description = js_ns_description(info);
	bool fenced = js_text(description, "fence", NULL) != NULL;

	cJSON_Delete(description);
	return fenced;
}

bool
js_stream_removed(const cJSON *info)
{
	cJSON *description = js_ns_description(info);
	bool removed = cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(description, "removed"));

	cJSON_Delete(description);
	return removed;
}

/* Calls */

int
js_ns_call(struct jetstream *js, const char *what, const char *ns, cJSON *request, int64_t deadline_ns, cJSON **reply)
{
	struct buf stream = { 0 };
	int err = -ENOMEM;

	js_stream_name(js, ns, &stream);
	const char *name = buf_text(&stream);
	if (name != NULL)
		err = js_api_call(js->rpc, js->lg, what, name, request, deadline_ns, reply);
	else
		cJSON_Delete(request);
	buf_free(&stream);
	return err;
}

/* Of a stream in whatever state. */
int
js_ns_any_info(struct jetstream *js, const char *ns, bool with_subjects, uint64_t offset, int64_t deadline_ns, cJSON **info)
{
	cJSON *request = NULL;

	if (with_subjects) {
		struct buf filter = { 0 };
		js_subject(js, "ev", ns, NULL, &filter);
		request = cJSON_CreateObject();
		const char *text = buf_text(&filter);
		if (text != NULL)
			cJSON_AddStringToObject(request, "subjects_filter", text);
		cJSON_AddNumberToObject(request, "offset", (double)offset);
		buf_free(&filter);
	}
	return js_ns_call(js, "STREAM.INFO", ns, request, deadline_ns, info);
}

int
js_ns_live_info(struct jetstream *js, const char *ns, bool with_subjects, int64_t deadline_ns, cJSON **info)
{
	int err = js_ns_any_info(js, ns, with_subjects, 0, deadline_ns, info);

	if (err != 0 || !js_stream_removed(*info))
		return err;
	cJSON_Delete(*info);
	*info = NULL;
	return -ENOENT;
}

/* Send the stream's configuration back with other subjects or another description. */
int
js_ns_update(struct jetstream *js, const char *ns, const cJSON *info, const char *kind, const cJSON *description,
    int64_t deadline_ns)
{
	cJSON *config = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(info, "config"), true);
	cJSON *reply = NULL;
	int err = config == NULL ? -ENOMEM : 0;

	if (err == 0 && kind != NULL)
		err = js_ns_set_subject(js, kind, ns, config);
	if (err == 0 && description != NULL)
		err = js_ns_set_description(config, description);
	if (err != 0)
		cJSON_Delete(config);
	else
		err = js_ns_call(js, "STREAM.UPDATE", ns, config, deadline_ns, &reply);
	cJSON_Delete(reply);
	return err;
}

/*
 * Flush what is on its way, and become the one who may go on: stored only if nothing was since last_seq. 0, or -ESTALE
 * if something was.
 */
int
js_ns_probe(struct jetstream *js, const char *ns, uint64_t last_seq, int64_t deadline_ns)
{
	struct buf subject = { 0 }, stream = { 0 };
	char expected[24];
	natsMsg *msg = NULL;
	cJSON *reply = NULL;
	int err = -ENOMEM;

	js_subject(js, "rm", ns, NULL, &subject);
	js_stream_name(js, ns, &stream);
	snprintf(expected, sizeof(expected), "%llu", (unsigned long long)last_seq);
	struct rpc_header headers[] = { { "Nats-Expected-Last-Sequence", expected },
		{ "Nats-Expected-Stream", buf_text(&stream) } };
	const char *to = buf_text(&subject);
	if (to != NULL && headers[1].value != NULL)
		err = rpc_try(js->rpc, to, headers, 2, NULL, 0, deadline_ns, &msg);
	if (err == -EHOSTUNREACH)
		err = -ENOTCONN;
	if (err == 0)
		err = js_api_parse(js->lg, msg, &reply);
	natsMsg_Destroy(msg);
	cJSON_Delete(reply);
	buf_free(&subject);
	buf_free(&stream);
	return err;
}

uint64_t
js_ns_last_seq(const cJSON *info)
{
	uint64_t epoch, last_seq;

	js_stream_state(info, &epoch, &last_seq);
	return last_seq;
}
