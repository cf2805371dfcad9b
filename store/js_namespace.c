/*
 * Namespaces as streams. A stream's description holds the namespace's attributes (store/FORMAT.md).
 *
 * Removing, without losing what another node appends at that moment. JetStream deletes a stream whatever it holds, so:
 *   OPEN    subjects <prefix>.ev.<ns>.*: appends are stored
 *   FENCED  subjects <prefix>.rm.<ns>: appends find nobody and are tried again by their nodes; what was on its way when
 *           the fence came is flushed by a probe, published through the stream's queue and acknowledged. From then on
 *           the set of actors cannot change.
 *   REMOVED the same subjects; the description says so, and the namespace does not exist
 *   gone    deleted
 *
 * Moves: OPEN -> FENCED by a remover that saw no actor; FENCED -> gone only if there never was an actor; FENCED -> REMOVED only
 * if all that there were have been erased; FENCED -> OPEN only if there is one. As the set is frozen, every node that looks at a fence
 * decides the same, and only the one whose probe was stored acts: it is published with the stream's last sequence as its remover knew it,
 * when it looked. One that was held up for FENCE_OWN_NS leaves the fence to others, who finish it when they have seen it for
 * FENCE_ABANDONED_NS (js_streams.c) of their own clocks: so that no late delete meets a namespace made anew.
 *
 * Why a stream that has tombstones is kept: nodes, and files that are open on them, may know the ends of actors as they were before. If
 * the sequences began anew, one of these could by chance be the end of an actor of the new namespace; what is appended behind it would be
 * stored, and break the chain. With the stream the sequences go on, and with the tombstones the lives of the actors. So nothing with a
 * past is ever deleted, and no remover or eraser that is held up, however long, can harm what came after it.
 * REMOVED -> OPEN by whoever makes the namespace again: of several, by the one whose probe is stored as the first message behind what the
 * description says was the last. If it is not opened after that, others may try when they have seen it so for FENCE_ABANDONED_NS.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "js_api.h"
#include "js_erase.h"
#include "js_names.h"
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

/* Take over a member, if it is there. */
static void
keep(const cJSON *from, cJSON *description, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(from, key);

	if (item != NULL)
		cJSON_AddItemToObject(description, key, cJSON_Duplicate(item, true));
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

void
js_stream_state(const cJSON *info, uint64_t *epoch, uint64_t *last_seq)
{
	/* Our nonce; of a stream that others made, when it was created. */
	cJSON *description = get_description(info);
	const char *text = js_text(description, "nonce", js_text(info, "created", ""));

	*epoch = XXH3_64bits(text, strlen(text)) | 1;
	*last_seq = js_number(cJSON_GetObjectItemCaseSensitive(info, "state"), "last_seq", 0);
	cJSON_Delete(description);
}

bool
js_stream_fenced(const cJSON *info)
{
	cJSON *description = get_description(info);
	bool fenced = js_text(description, "fence", NULL) != NULL;

	cJSON_Delete(description);
	return fenced;
}

bool
js_stream_removed(const cJSON *info)
{
	cJSON *description = get_description(info);
	bool removed = cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(description, "removed"));

	cJSON_Delete(description);
	return removed;
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

/* Of a stream in whatever state. */
static int
get_any_info(struct jetstream *js, const char *ns, bool with_subjects, uint64_t offset, int64_t deadline_ns, cJSON **info)
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

static int
get_info(struct jetstream *js, const char *ns, bool with_subjects, int64_t deadline_ns, cJSON **info)
{
	int err = get_any_info(js, ns, with_subjects, 0, deadline_ns, info);

	if (err != 0 || !js_stream_removed(*info))
		return err;
	cJSON_Delete(*info);
	*info = NULL;
	return -ENOENT;
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

	if (get_info(js, ns, false, deadline_ns, &info) == 0) {
		cJSON *description = get_description(info);
		same = strcmp(js_text(description, "nonce", ""), nonce) == 0;
		cJSON_Delete(description);
	}
	cJSON_Delete(info);
	return same;
}

static int publish_probe(struct jetstream *js, const char *ns, uint64_t last_seq, int64_t deadline_ns);
static uint64_t last_seq_of(const cJSON *info);

/* Is nobody else opening it? What somebody began may have been left behind. */
static bool
may_open(struct jetstream *js, const char *ns, const cJSON *info)
{
	cJSON *description = get_description(info);
	uint64_t removed = js_number(description, "removed", 0), last = last_seq_of(info);
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

	int err = get_any_info(js, ns, false, 0, deadline_ns, &info);
	bool removed = err == 0 && js_stream_removed(info);
	if (err == 0 && !removed)
		err = -EEXIST;
	else if (err == 0 && !may_open(js, ns, info))
		err = unknown ? -ETIMEDOUT : -EEXIST;
	if (err == 0)
		err = publish_probe(js, ns, last_seq_of(info), deadline_ns);
	if (err == 0 && clock_mono(js->clock) >= give_up_ns)
		err = -ETIMEDOUT;
	if (err == 0) {
		cJSON *description = new_description(attr, nonce);
		cJSON_AddNumberToObject(description, "created", (double)clock_wall(js->clock));
		err = update(js, ns, info, "ev", description, deadline_ns);
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

static uint64_t
last_seq_of(const cJSON *info)
{
	uint64_t epoch, last_seq;

	js_stream_state(info, &epoch, &last_seq);
	return last_seq;
}

/* Who is in it as of info; other pages of its subjects are asked for. *deadline_ns moves on with the time that this took. */
static int
look(struct jetstream *js, const char *ns, const cJSON *info, int64_t *deadline_ns, enum js_inhabitants *who)
{
	int64_t began_ns = clock_mono(js->clock), timeout_ns = *deadline_ns - began_ns;
	uint64_t total = js_number(info, "total", 0), offset = 0;
	cJSON *page = NULL;
	int err = 0;

	*who = JS_NOBODY;
	for (const cJSON *part = info; err == 0 && *who != JS_SOMEBODY;) {
		const cJSON *state = cJSON_GetObjectItemCaseSensitive(part, "state");
		const cJSON *subjects = cJSON_GetObjectItemCaseSensitive(state, "subjects");
		uint64_t count = (uint64_t)cJSON_GetArraySize(subjects);
		if (count > 0)
			err = js_inhabited(js, ns, subjects, timeout_ns, who);
		offset += count;
		if (count == 0 || offset >= total)
			break;
		cJSON_Delete(page);
		page = NULL;
		if (err == 0 && *who != JS_SOMEBODY)
			err = get_any_info(js, ns, true, offset, clock_mono(js->clock) + timeout_ns, &page);
		part = page;
	}
	cJSON_Delete(page);
	*deadline_ns += clock_mono(js->clock) - began_ns;
	return err;
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

static int
set_removed(struct jetstream *js, const char *ns, const cJSON *info, int64_t deadline_ns)
{
	cJSON *description = get_description(info);

	cJSON_DeleteItemFromObjectCaseSensitive(description, "fence");
	cJSON_AddNumberToObject(description, "removed", (double)last_seq_of(info));
	int err = update(js, ns, info, NULL, description, deadline_ns);
	cJSON_Delete(description);
	return err;
}

/*
 * A move that ends a fence had no answer. It may still come to be carried out, and is not sent again: the second could meet what somebody
 * has made anew behind the first. What becomes of it is seen, or the fence is left to others.
 */
#define MOVE_UNKNOWN (-EINPROGRESS)

static int
moved(int err)
{
	return err == -ENOTCONN ? MOVE_UNKNOWN : err;
}

/*
 * The namespace is fenced, and who is in it was found out when it had last_seq: do the one move that is left. give_up_ns: it is not made
 * after that. -ESTALE: somebody else is doing it, or something was appended before the fence. Or MOVE_UNKNOWN.
 */
static int
finish_fence(struct jetstream *js, const char *ns, uint64_t last_seq, enum js_inhabitants who, int64_t give_up_ns, int64_t deadline_ns)
{
	cJSON *info = NULL, *reply = NULL;

	int err = publish_probe(js, ns, last_seq, deadline_ns);
	if (err == 0)
		err = get_info(js, ns, false, deadline_ns, &info);
	if (err == 0 && who == JS_SOMEBODY) {
		err = moved(open_again(js, ns, info, deadline_ns));
		err = err == 0 ? -ENOTEMPTY : err;
	} else if (err == 0 && clock_mono(js->clock) >= give_up_ns) {
		err = -ETIMEDOUT;
	} else if (err == 0) {
		err = moved(who == JS_ERASED ? set_removed(js, ns, info, deadline_ns)
					     : call(js, "STREAM.DELETE", ns, NULL, deadline_ns, &reply));
		js_forget_stream(js, ns);
		if (err == 0)
			js_names_tell(js);
	}
	cJSON_Delete(info);
	cJSON_Delete(reply);
	return err;
}

/* One removal. */
struct removal {
	char nonce[2 * NONCE_BYTES + 1]; /* of its fence */
	int64_t give_up_ns;
	bool fenced; /* it may have put one up */
};

/* One try, from what info says. */
static int
fence_and_finish(struct jetstream *js, const char *ns, struct removal *r, const cJSON *info, int64_t deadline_ns)
{
	cJSON *description = get_description(info);
	const char *fence = js_text(description, "fence", NULL);
	/* Something was stored just before it came: what there is now is looked at, and cannot change any more. */
	bool ours = fence != NULL && strcmp(fence, r->nonce) == 0;
	enum js_inhabitants who;

	int err = look(js, ns, info, &deadline_ns, &who);
	if (err == 0 && who == JS_SOMEBODY) {
		err = fence != NULL ? moved(open_again(js, ns, info, deadline_ns)) : 0;
		err = err == 0 ? -ENOTEMPTY : err;
	} else if (err == 0 && fence != NULL && !ours) {
		err = -ESTALE;
	}
	if (err == 0 && !ours) {
		r->give_up_ns = clock_mono(js->clock) + FENCE_OWN_NS;
		r->fenced = true;
		cJSON_AddStringToObject(description, "fence", r->nonce);
		err = update(js, ns, info, "rm", description, deadline_ns);
	}
	if (err == 0)
		err = finish_fence(js, ns, last_seq_of(info), who, r->give_up_ns, deadline_ns);
	cJSON_Delete(description);
	return err;
}

/* A fence that its remover left behind. 0: the namespace is there after all, as far as is known. */
static int
finish_abandoned(struct jetstream *js, const char *ns, int64_t deadline_ns)
{
	enum js_inhabitants who;
	cJSON *info = NULL;

	log_warn(js->lg, "namespace %s: finishing a removal that its node left undone", ns);
	int64_t give_up_ns = clock_mono(js->clock) + FENCE_OWN_NS;
	int err = get_info(js, ns, true, deadline_ns, &info);
	if (err == 0)
		err = look(js, ns, info, &deadline_ns, &who);
	if (err == 0)
		err = finish_fence(js, ns, last_seq_of(info), who, give_up_ns, deadline_ns);
	cJSON_Delete(info);
	/* The probe has told the others, and ourselves, to wait before the next try. */
	return err == 0 ? -ENOENT : err == -ENOTEMPTY || err == -ESTALE ? 0 : err == MOVE_UNKNOWN ? -ENOTCONN : err;
}

/*
 * One try has ended with *err: is another to follow? If not, *err is the outcome. What a lost answer was to, the next try sees: a fence of
 * ours goes on being ours, and where there is no namespace any more, it was ours that is done. A fence that we were held up behind, or whose
 * end is under way as far as we know, is left to whoever looks, as that of others; we do.
 */
static bool
remove_again(struct backend *b, const char *ns, struct removal *r, int64_t deadline_ns, int *err)
{
	struct jetstream *js = js_of(b);
	struct ns_info info;

	if (*err == MOVE_UNKNOWN || (*err == -ETIMEDOUT && clock_mono(js->clock) < deadline_ns)) {
		new_nonce(js, r->nonce);
		*err = -ESTALE;
	}
	if (*err == -ESTALE && js_ns_info(b, ns, deadline_ns, &info) == -ENOENT)
		*err = -ENOENT;
	if (*err == -ENOENT && r->fenced)
		*err = 0;
	return *err == -ESTALE || *err == -ENOTCONN;
}

int
js_ns_remove(struct backend *b, const char *ns, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	struct removal r = { .fenced = false };
	unsigned tries = 0;
	int err;

	new_nonce(js, r.nonce);
	for (;;) {
		cJSON *info = NULL;
		err = get_info(js, ns, true, deadline_ns, &info);
		if (err == 0)
			err = fence_and_finish(js, ns, &r, info, deadline_ns);
		cJSON_Delete(info);
		if (err == 0 || !remove_again(b, ns, &r, deadline_ns, &err))
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

	int err = get_any_info(js, ns, false, 0, deadline_ns, &info);
	if (err == -ENOENT)
		js_forget_stream(js, ns);
	if (err != 0)
		return err;
	if (js_stream_removed(info)) {
		cJSON_Delete(info);
		return -ENOENT;
	}
	cJSON *description = get_description(info);
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(info, "state");
	const cJSON *config = cJSON_GetObjectItemCaseSensitive(info, "config");
	/* Whoever does something about a fence stores a probe: the others then wait for as long as for a new one. */
	const char *nonce = js_text(description, "fence", "");
	char fence[64] = "";
	if (nonce[0] != '\0')
		snprintf(fence, sizeof(fence), "%.32s after %llu", nonce, (unsigned long long)last_seq_of(info));
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
	return abandoned ? finish_abandoned(js, ns, deadline_ns) : 0;
}

int
js_ns_set(struct backend *b, const char *ns, const struct ns_attr *attr, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	cJSON *info = NULL;

	int err = get_info(js, ns, false, deadline_ns, &info);
	if (err == 0) {
		cJSON *old = get_description(info), *description = new_description(attr, js_text(old, "nonce", ""));
		keep(old, description, "fence");
		keep(old, description, "created");
		err = update(js, ns, info, NULL, description, deadline_ns);
		cJSON_Delete(description);
		cJSON_Delete(old);
	}
	cJSON_Delete(info);
	return err;
}
