/*
 * Namespaces as streams. A stream's description holds the namespace's attributes (store/FORMAT.md).
 *
 * Removing, without losing what another node appends at that moment. JetStream deletes a stream whatever it holds, so:
 *   OPEN    subjects <prefix>.ev.<ns>.*: appends are stored
 *   FENCED  subjects <prefix>.rm.<ns>: appends find nobody and are tried again by their nodes; what was on its way when
 *           the fence came is flushed by a probe, published through the stream's queue and acknowledged. From then on
 *           the set of actors cannot change.
 *   gone    deleted
 *
 * Moves: OPEN -> FENCED by a remover that saw no actor; FENCED -> gone only if there is no actor; FENCED -> OPEN only
 * if there is one. As the set is frozen, every node that looks at a fence decides the same, and only the one whose
 * probe was stored acts: it is published with the stream's last sequence as its remover knew it. One that was held up
 * for FENCE_OWN_NS leaves the fence to others, who finish it when they have seen it for FENCE_ABANDONED_NS
 * (js_streams.c) of their own clocks: so that no late delete meets a namespace made anew.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "js_api.h"
#include "js_state.h"
#include "name.h"
#include "wait.h"

#define FENCE_OWN_NS (4 * NS_PER_SEC)
#define STREAM_NAME_MAX 200
#define NONCE_BYTES 16

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

static cJSON *
new_description(const struct ns_attr *attr, const char *nonce)
{
	cJSON *d = cJSON_CreateObject();

	cJSON_AddNumberToObject(d, "aether", RECORD_FORMAT);
	cJSON_AddNumberToObject(d, "mode", attr->mode);
	cJSON_AddNumberToObject(d, "uid", attr->uid);
	cJSON_AddNumberToObject(d, "gid", attr->gid);
	cJSON_AddStringToObject(d, "nonce", nonce);
	return d;
}

static cJSON *
get_description(const cJSON *info)
{
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(info, "config");

	return cJSON_Parse(js_text(config, "description", ""));
}

static int
set_description(cJSON *config, const cJSON *description)
{
	char *text = cJSON_PrintUnformatted(description);

	if (text == NULL)
		return -ENOMEM;
	cJSON_DeleteItemFromObjectCaseSensitive(config, "description");
	cJSON *added = cJSON_AddStringToObject(config, "description", text);
	cJSON_free(text);
	return added != NULL ? 0 : -ENOMEM;
}

static int
set_subject(const struct jetstream *js, const char *kind, const char *ns, cJSON *config)
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

static void
new_nonce(const struct jetstream *js, char out[2 * NONCE_BYTES + 1])
{
	unsigned char bytes[NONCE_BYTES];

	js->clock->random(js->clock, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* Calls */

static int
call(struct jetstream *js, const char *what, const char *ns, cJSON *request, int64_t deadline_ns, cJSON **reply)
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

static int
get_info(struct jetstream *js, const char *ns, bool with_subjects, uint64_t offset, int64_t deadline_ns, cJSON **info)
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
	return call(js, "STREAM.INFO", ns, request, deadline_ns, info);
}

/* Send the stream's configuration back with other subjects or another description. */
static int
update(struct jetstream *js, const char *ns, const cJSON *info, const char *kind, const cJSON *description,
    int64_t deadline_ns)
{
	cJSON *config = cJSON_Duplicate(cJSON_GetObjectItemCaseSensitive(info, "config"), true);
	cJSON *reply = NULL;
	int err = config == NULL ? -ENOMEM : 0;

	if (err == 0 && kind != NULL)
		err = set_subject(js, kind, ns, config);
	if (err == 0 && description != NULL)
		err = set_description(config, description);
	if (err != 0)
		cJSON_Delete(config);
	else
		err = call(js, "STREAM.UPDATE", ns, config, deadline_ns, &reply);
	cJSON_Delete(reply);
	return err;
}

/* Create */

static cJSON *
new_config(struct jetstream *js, const char *ns, const struct ns_attr *attr, const char *nonce)
{
	cJSON *config = cJSON_CreateObject(), *description = new_description(attr, nonce);
	struct buf name = { 0 };

	js_stream_name(js, ns, &name);
	const char *text = buf_text(&name);
	cJSON_AddStringToObject(config, "name", text != NULL ? text : "");
	cJSON_AddStringToObject(config, "retention", "limits");
	cJSON_AddStringToObject(config, "storage", "file");
	cJSON_AddNumberToObject(config, "num_replicas", js->replicas);
	cJSON_AddNumberToObject(config, "max_consumers", -1);
	cJSON_AddNumberToObject(config, "max_msgs", -1);
	cJSON_AddNumberToObject(config, "max_bytes", -1);
	cJSON_AddNumberToObject(config, "max_msgs_per_subject", -1);
	cJSON_AddNumberToObject(config, "max_msg_size", -1);
	cJSON_AddNumberToObject(config, "max_age", 0);
	cJSON_AddNumberToObject(config, "duplicate_window", (double)js->base.dedup_window_ns);
	/* Should an administrator ever set a limit: refuse new events rather than drop old ones. */
	cJSON_AddStringToObject(config, "discard", "new");
	cJSON_AddTrueToObject(config, "allow_direct");
	if (text == NULL || set_subject(js, "ev", ns, config) != 0 || set_description(config, description) != 0) {
		cJSON_Delete(config);
		config = NULL;
	}
	buf_free(&name);
	cJSON_Delete(description);
	return config;
}

static bool
has_nonce(struct jetstream *js, const char *ns, const char *nonce, int64_t deadline_ns)
{
	cJSON *info = NULL;
	bool same = false;

	if (get_info(js, ns, false, 0, deadline_ns, &info) == 0) {
		cJSON *description = get_description(info);
		same = strcmp(js_text(description, "nonce", ""), nonce) == 0;
		cJSON_Delete(description);
	}
	cJSON_Delete(info);
	return same;
}

int
js_ns_create(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	char nonce[2 * NONCE_BYTES + 1];
	unsigned tries = 0;
	bool unknown = false;
	cJSON *reply = NULL;
	int err;

	/* Creating what is there already with the same configuration succeeds; the nonce makes every maker's
	 * configuration another. */
	new_nonce(js, nonce);
	for (;;) {
		cJSON *config = new_config(js, ns, attr, nonce);
		if (config == NULL)
			return -ENOMEM;
		err = call(js, "STREAM.CREATE", ns, config, deadline_ns, &reply);
		cJSON_Delete(reply);
		reply = NULL;
		if (err == -EEXIST && unknown && has_nonce(js, ns, nonce, deadline_ns))
			err = 0;
		if (err == 0)
			js_note_replicas(js, ns, (uint64_t)js->replicas);
		if (err != -ENOTCONN)
			return err;
		unknown = true;
		err = wait_retry(b, js->clock, deadline_ns, &tries);
		if (err != 0)
			return err;
	}
}

/* Remove */

/*
 * Flush what is on its way, and become the one who may go on: stored only if nothing was since last_seq. 0, or -ESTALE
 * if something was.
 */
static int
publish_probe(struct jetstream *js, const char *ns, uint64_t last_seq, int64_t deadline_ns)
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
		err = rpc_call(js->rpc, to, headers, 2, NULL, 0, deadline_ns, &msg);
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

static uint64_t
last_seq_of(const cJSON *info)
{
	return js_number(cJSON_GetObjectItemCaseSensitive(info, "state"), "last_seq", 0);
}

static bool
has_actors(const cJSON *info)
{
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(info, "state");

	return cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(state, "subjects")) > 0;
}

static int
open_again(struct jetstream *js, const char *ns, const cJSON *info, int64_t deadline_ns)
{
	cJSON *description = get_description(info);

	cJSON_DeleteItemFromObjectCaseSensitive(description, "fence");
	int err = update(js, ns, info, "ev", description, deadline_ns);
	cJSON_Delete(description);
	return err;
}

/*
 * The namespace is fenced, and had last_seq when that was decided: do the one move that is left. give_up_ns: no delete
 * is sent after that. -ESTALE: somebody else is doing it, or something was appended before the fence.
 */
static int
finish_fence(struct jetstream *js, const char *ns, uint64_t last_seq, int64_t give_up_ns, int64_t deadline_ns)
{
	cJSON *info = NULL, *reply = NULL;

	int err = publish_probe(js, ns, last_seq, deadline_ns);
	if (err == 0)
		err = get_info(js, ns, true, 0, deadline_ns, &info);
	if (err == 0 && has_actors(info)) {
		err = open_again(js, ns, info, deadline_ns);
		err = err == 0 ? -ENOTEMPTY : err;
	} else if (err == 0 && clock_mono(js->clock) >= give_up_ns) {
		err = -ETIMEDOUT;
	} else if (err == 0) {
		err = call(js, "STREAM.DELETE", ns, NULL, deadline_ns, &reply);
		js_forget_stream(js, ns);
	}
	cJSON_Delete(info);
	cJSON_Delete(reply);
	return err;
}

/* One try, from what info says. */
static int
fence_and_finish(struct jetstream *js, const char *ns, const cJSON *info, int64_t deadline_ns)
{
	int64_t give_up_ns = clock_mono(js->clock) + FENCE_OWN_NS;
	cJSON *description = get_description(info);
	char nonce[2 * NONCE_BYTES + 1];
	int err = 0;

	bool fenced = js_text(description, "fence", NULL) != NULL;
	if (has_actors(info)) {
		err = fenced ? open_again(js, ns, info, deadline_ns) : 0;
		err = err == 0 ? -ENOTEMPTY : err;
	} else if (fenced) {
		err = -ESTALE;
	}
	if (err == 0) {
		new_nonce(js, nonce);
		cJSON_AddStringToObject(description, "fence", nonce);
		err = update(js, ns, info, "rm", description, deadline_ns);
	}
	if (err == 0)
		err = finish_fence(js, ns, last_seq_of(info), give_up_ns, deadline_ns);
	cJSON_Delete(description);
	return err;
}

int
js_ns_remove(struct backend *b, const char *ns, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	unsigned tries = 0;

	for (;;) {
		cJSON *info = NULL;
		int err = get_info(js, ns, true, 0, deadline_ns, &info);
		if (err == 0)
			err = fence_and_finish(js, ns, info, deadline_ns);
		cJSON_Delete(info);
		if (err != -ESTALE)
			return err;
		err = wait_retry(b, js->clock, deadline_ns, &tries);
		if (err != 0)
			return err;
	}
}

static int64_t
time_or(const cJSON *json, const char *key, int64_t otherwise)
{
	const char *text = js_text(json, key, "");
	int64_t us;

	return clock_parse_rfc3339(text, strlen(text), &us) == 0 && us > 0 ? us : otherwise;
}

int
js_ns_info(struct backend *b, const char *ns, int64_t deadline_ns, struct ns_info *out)
{
	struct jetstream *js = js_of(b);
	cJSON *info = NULL;

	int err = get_info(js, ns, false, 0, deadline_ns, &info);
	if (err == -ENOENT)
		js_forget_stream(js, ns);
	if (err != 0)
		return err;
	cJSON *description = get_description(info);
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(info, "state");
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(info, "config");
	bool abandoned =
	    js_note_stream(js, ns, js_number(config, "num_replicas", 1), js_text(description, "fence", ""));
	/* Servers state their version since 2.11, and since then they do not forget. */
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(config, "metadata");
	js_note_trusted(js, ns, js_text(metadata, "_nats.ver", NULL) != NULL);
	out->attr.mode = (uint32_t)js_number(description, "mode", 0755);
	out->attr.uid = (uint32_t)js_number(description, "uid", 0);
	out->attr.gid = (uint32_t)js_number(description, "gid", 0);
	out->created_us = time_or(info, "created", 0);
	out->changed_us = time_or(state, "last_ts", out->created_us);
	out->actors = js_number(state, "num_subjects", 0);
	uint64_t last_seq = last_seq_of(info);
	cJSON_Delete(description);
	cJSON_Delete(info);
	if (abandoned) {
		log_warn(js->lg, "namespace %s: finishing a removal that its node left undone", ns);
		err = finish_fence(js, ns, last_seq, INT64_MAX, deadline_ns);
		return err == 0 ? -ENOENT : err == -ENOTEMPTY || err == -ESTALE ? 0 : err;
	}
	return 0;
}

int
js_ns_set(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	cJSON *info = NULL;

	int err = get_info(js, ns, false, 0, deadline_ns, &info);
	if (err == 0) {
		cJSON *old = get_description(info), *description = new_description(attr, js_text(old, "nonce", ""));
		const char *fence = js_text(old, "fence", NULL);
		if (fence != NULL)
			cJSON_AddStringToObject(description, "fence", fence);
		err = update(js, ns, info, NULL, description, deadline_ns);
		cJSON_Delete(description);
		cJSON_Delete(old);
	}
	cJSON_Delete(info);
	return err;
}

/* Lists */

/* The last-but-one token of "<prefix>.ev.<ns>.*", decoded; for streams whose name does not hold the namespace's. */
static int
ns_from_subject(struct jetstream *js, const char *stream, int64_t deadline_ns, struct buf *out)
{
	cJSON *info = NULL;
	size_t lead = strlen(js->prefix) + strlen(".ev.");
	int err = js_api_call(js->rpc, js->lg, "STREAM.INFO", stream, NULL, deadline_ns, &info);

	if (err == 0) {
		const cJSON *config = cJSON_GetObjectItemCaseSensitive(info, "config");
		const cJSON *subject = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(config, "subjects"), 0);
		const char *text = cJSON_IsString(subject) ? subject->valuestring : "";
		size_t len = strlen(text);
		err = len > lead + 2 && strcmp(text + len - 2, ".*") == 0
			  ? name_decode(out, (struct span){ text + lead, len - lead - 2 })
			  : -EINVAL;
	}
	cJSON_Delete(info);
	return err;
}

/* The name of the namespace whose stream this is; -EINVAL if it is not one of ours. */
static int
ns_of_stream(struct jetstream *js, const char *stream, int64_t deadline_ns, struct buf *out)
{
	size_t lead = strlen(js->prefix);

	buf_clear(out);
	if (strncmp(stream, js->prefix, lead) != 0 || stream[lead] != '-')
		return -EINVAL;
	const char *encoded = stream + lead + 1;
	if (strncmp(encoded, "==", 2) == 0)
		return ns_from_subject(js, stream, deadline_ns, out);
	if (strchr(encoded, '%') != NULL)
		return -EINVAL;
	struct buf text = { 0 };
	buf_puts(&text, encoded);
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] == '=')
			text.p[i] = '%';
	int err = text.failed ? -ENOMEM : name_decode(out, (struct span){ text.p, text.len });
	buf_free(&text);
	return err;
}

int
js_ns_list(struct backend *b, int64_t deadline_ns, backend_name_fn fn, void *arg)
{
	struct jetstream *js = js_of(b);
	struct buf name = { 0 };
	uint64_t offset = 0, total = 1;
	int err = 0;

	while (err == 0 && offset < total) {
		cJSON *request = cJSON_CreateObject(), *reply = NULL;
		const cJSON *stream;
		cJSON_AddNumberToObject(request, "offset", (double)offset);
		err = js_api_call(js->rpc, js->lg, "STREAM.NAMES", NULL, request, deadline_ns, &reply);
		const cJSON *streams = cJSON_GetObjectItemCaseSensitive(reply, "streams");
		cJSON_ArrayForEach(stream, streams)
		{
			offset++;
			if (err == 0 && cJSON_IsString(stream) &&
			    ns_of_stream(js, stream->valuestring, deadline_ns, &name) == 0 && buf_text(&name) != NULL)
				err = fn(arg, name.p);
		}
		total = cJSON_GetArraySize(streams) > 0 ? js_number(reply, "total", 0) : 0;
		cJSON_Delete(reply);
	}
	buf_free(&name);
	return err;
}
