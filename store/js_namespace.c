/* Namespaces: made, described, changed. */
#include "js_ns_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "js_api.h"
#include "js_names.h"
#include "wait.h"

/* Create */

static cJSON *
new_config(struct jetstream *js, const char *ns, const struct ns_attr *attr, const char *nonce)
{
	cJSON *config = cJSON_CreateObject(), *description = js_ns_new_description(attr, nonce);
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
	if (text == NULL || js_ns_set_subject(js, "ev", ns, config) != 0 || js_ns_set_description(config, description) != 0) {
		cJSON_Delete(config);
		config = NULL;
	}
	buf_free(&name);
	cJSON_Delete(description);
	return config;
}

/* Was the namespace made with that nonce? 1, 0, or -errno; -ENOENT: there is no stream. */
static int
has_nonce(struct jetstream *js, const char *ns, const char *nonce, int64_t deadline_ns)
{
	cJSON *info = NULL;

	int err = js_ns_any_info(js, ns, false, 0, deadline_ns, &info);
	if (err != 0)
		return err;
	cJSON *description = js_ns_description(info);
	int same = strcmp(js_text(description, "nonce", ""), nonce) == 0;
	cJSON_Delete(description);
	cJSON_Delete(info);
	return same;
}

/* There is something of that name after a try of unknown outcome: -EEXIST if it is not ours. What is being made yet cannot be found. */
static int
made_by_us(struct jetstream *js, const char *ns, const char *nonce, int64_t deadline_ns)
{
	int same = has_nonce(js, ns, nonce, deadline_ns);

	return same == 1 ? 0 : same == 0 ? -EEXIST : same == -ENOENT ? -ENOTCONN : same;
}

/* Is nobody else opening it? What somebody began may have been left behind. */
static bool
may_open(struct jetstream *js, const char *ns, const cJSON *info)
{
	cJSON *description = js_ns_description(info);
	uint64_t removed = js_number(description, "removed", 0), last = js_ns_last_seq(info);
	char maker[32];

	cJSON_Delete(description);
	if (last == removed)
		return true;
	snprintf(maker, sizeof(maker), "after %llu", (unsigned long long)last);
	return js_note_stream(js, ns, js_known_replicas(js, ns), maker);
}

/*
 * There is a stream of that name. If it is that of a namespace that was removed, it is open again on 0; else -EEXIST. unknown: an earlier
 * try may have gone half-way, so that it may be ourselves who are in the way.
 */
static int
open_removed(struct jetstream *js, const char *ns, const struct ns_attr *attr, const char *nonce, bool unknown, int64_t deadline_ns)
{
	int64_t give_up_ns = clock_mono(js->clock) + FENCE_OWN_NS;
	cJSON *info = NULL;

	int err = js_ns_any_info(js, ns, false, 0, deadline_ns, &info);
	bool removed = err == 0 && js_stream_removed(info);
	if (err == 0 && !removed)
		err = -EEXIST;
	else if (err == 0 && !may_open(js, ns, info))
		err = unknown ? -ETIMEDOUT : -EEXIST;
	if (err == 0)
		err = js_ns_probe(js, ns, js_ns_last_seq(info), deadline_ns);
	if (err == 0 && clock_mono(js->clock) >= give_up_ns)
		err = -ETIMEDOUT;
	if (err == 0) {
		cJSON *description = js_ns_new_description(attr, nonce);
		cJSON_AddNumberToObject(description, "created", (double)clock_wall(js->clock));
		err = js_ns_update(js, ns, info, "ev", description, deadline_ns);
		cJSON_Delete(description);
	}
	cJSON_Delete(info);
	/* Another node is doing it, or has deleted what was there. */
	return err == -ESTALE || err == -ENOENT ? -EEXIST : err;
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
	js_ns_new_nonce(js, nonce);
	for (;;) {
		cJSON *config = new_config(js, ns, attr, nonce);
		if (config == NULL)
			return -ENOMEM;
		err = js_ns_call(js, "STREAM.CREATE", ns, config, deadline_ns, &reply);
		cJSON_Delete(reply);
		reply = NULL;
		if (err == -EEXIST && unknown)
			err = made_by_us(js, ns, nonce, deadline_ns);
		if (err == 0)
			js_note_replicas(js, ns, (uint64_t)js->replicas);
		else if (err == -EEXIST)
			err = open_removed(js, ns, attr, nonce, unknown, deadline_ns);
		if (err == 0)
			js_names_tell(js);
		if (err != -ENOTCONN)
			return err;
		unknown = true;
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

	int err = js_ns_any_info(js, ns, false, 0, deadline_ns, &info);
	if (err == -ENOENT)
		js_forget_stream(js, ns);
	if (err != 0)
		return err;
	if (js_stream_removed(info)) {
		cJSON_Delete(info);
		return -ENOENT;
	}
	cJSON *description = js_ns_description(info);
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(info, "state");
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(info, "config");
	/* Whoever does something about a fence stores a probe: the others then wait for as long as for a new one. */
	const char *nonce = js_text(description, "fence", "");
	char fence[64] = "";
	if (nonce[0] != '\0')
		snprintf(fence, sizeof(fence), "%.32s after %llu", nonce, (unsigned long long)js_ns_last_seq(info));
	bool abandoned = js_note_stream(js, ns, js_number(config, "num_replicas", 1), fence);
	/* Servers state their version since 2.11, and since then they do not forget. */
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(config, "metadata");
	js_note_trusted(js, ns, js_text(metadata, "_nats.ver", NULL) != NULL);
	out->attr.mode = (uint32_t)js_number(description, "mode", 0755);
	out->attr.uid = (uint32_t)js_number(description, "uid", 0);
	out->attr.gid = (uint32_t)js_number(description, "gid", 0);
	out->created_us = (int64_t)js_number(description, "created", 0);
	if (out->created_us == 0)
		out->created_us = time_or(info, "created", 0);
	out->changed_us = time_or(state, "last_ts", out->created_us);
	if (out->changed_us < out->created_us)
		out->changed_us = out->created_us;
	out->actors = js_number(state, "num_subjects", 0);
	js_stream_state(info, &out->epoch, &out->last_seq);
	cJSON_Delete(description);
	cJSON_Delete(info);
	return abandoned ? js_ns_finish_abandoned(js, ns, deadline_ns) : 0;
}

int
js_ns_set(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	cJSON *info = NULL;

	int err = js_ns_live_info(js, ns, false, deadline_ns, &info);
	if (err == 0) {
		cJSON *old = js_ns_description(info), *description = js_ns_new_description(attr, js_text(old, "nonce", ""));
		js_ns_keep(old, description, "fence");
		js_ns_keep(old, description, "created");
		err = js_ns_update(js, ns, info, NULL, description, deadline_ns);
		cJSON_Delete(description);
		cJSON_Delete(old);
	}
	cJSON_Delete(info);
	return err;
}
