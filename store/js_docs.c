/*
 * Documents as messages of two streams, that of the snapshots and that of the models, which the first of them makes. FORMAT.md, sections 7 and 8.
 *
 * They are asked of the stream's leader, which never lags behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "js_api.h"
#include "js_docs.h"
#include "js_message.h"
#include "js_sub.h"
#include "listener.h"
#include "name.h"
#include "wait.h"

struct js_docs {
	struct jetstream *js;
	struct js_sub sub;
	struct listener listener;
	struct buf lead; /* of the subject of a model */
};

static const char *const tokens[] = { [DOC_SNAPSHOT] = "snapshot", [DOC_STATE] = "state", [DOC_MODEL] = "model" };

static void
put_stream(const struct jetstream *js, enum doc_kind kind, struct buf *out)
{
	buf_printf(out, "%s_%s", js->prefix, kind == DOC_MODEL ? "models" : "snapshots");
}

static void
put_subject(const struct jetstream *js, const struct doc_name *name, struct buf *out)
{
	if (name->actor != NULL) {
		js_subject(js, tokens[name->kind], name->ns, name->actor, out);
		return;
	}
	buf_puts(out, js->docs->lead.p);
	name_encode(out, span_of(name->ns));
}

static void
add_subject(const struct jetstream *js, cJSON *subjects, enum doc_kind kind)
{
	struct buf subject = { 0 };

	buf_printf(&subject, "%s.%s.%s", js->prefix, tokens[kind], kind == DOC_MODEL ? "*" : "*.*");
	cJSON_AddItemToArray(subjects, cJSON_CreateString(buf_text(&subject) != NULL ? subject.p : ""));
	buf_free(&subject);
}

static cJSON *
stream_config(const struct jetstream *js, enum doc_kind kind, const char *stream)
{
	cJSON *config = cJSON_CreateObject(), *subjects = cJSON_AddArrayToObject(config, "subjects");

	if (kind == DOC_MODEL) {
		add_subject(js, subjects, DOC_MODEL);
	} else {
		add_subject(js, subjects, DOC_SNAPSHOT);
		add_subject(js, subjects, DOC_STATE);
		cJSON_AddNumberToObject(config, "max_msgs_per_subject", DOC_KEPT);
	}
	cJSON_AddStringToObject(config, "name", stream);
	cJSON_AddStringToObject(config, "retention", "limits");
	cJSON_AddStringToObject(config, "storage", "file");
	cJSON_AddStringToObject(config, "discard", "old");
	cJSON_AddNumberToObject(config, "num_replicas", js->replicas);
	return config;
}

static int
make_stream(struct jetstream *js, enum doc_kind kind, const char *stream, int64_t deadline_ns)
{
	cJSON *reply = NULL;
	int err = js_api_call(js->rpc, js->lg, "STREAM.CREATE", stream, stream_config(js, kind, stream), deadline_ns, &reply);

	cJSON_Delete(reply);
	/* Another node was first, perhaps one with other options. */
	return err == -EEXIST ? 0 : err;
}

/* One document that is to be stored once, however often it is sent. */
struct put {
	struct jetstream *js;
	const char *subject;
	const uint64_t *behind;
	struct span text;
	char id[33]; /* in the window in which the server knows it again it is stored once */
};

/* One try. -EHOSTUNREACH: nobody listens, so that it is not stored. */
static int
publish(const struct put *p, int64_t deadline_ns, uint64_t *seq)
{
	struct rpc_header headers[2] = { { "Nats-Msg-Id", p->id } };
	natsMsg *msg = NULL;
	cJSON *ack = NULL;
	char number[24];

	if (p->behind != NULL) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)*p->behind);
		headers[1] = (struct rpc_header){ "Nats-Expected-Last-Subject-Sequence", number };
	}
	int err = rpc_try(p->js->rpc, p->subject, headers, p->behind != NULL ? 2 : 1, p->text.p, p->text.len, deadline_ns, &msg);
	if (err == 0)
		err = js_api_parse(p->js->lg, msg, &ack);
	if (err == 0) {
		*seq = js_number(ack, "seq", 0);
		/* It is still being stored (jetstream.c). */
		err = *seq == 0 ? -ENOTCONN : 0;
	}
	cJSON_Delete(ack);
	natsMsg_Destroy(msg);
	return err;
}

static int
try_put(const struct put *p, enum doc_kind kind, const char *stream, int64_t deadline_ns, uint64_t *seq)
{
	/* Where nodes listen it could not be told that there is no stream. */
	int err = kind == DOC_MODEL ? make_stream(p->js, kind, stream, deadline_ns) : 0;

	if (err == 0)
		err = publish(p, deadline_ns, seq);
	if (err == -EHOSTUNREACH) {
		err = make_stream(p->js, kind, stream, deadline_ns);
		if (err == 0)
			err = publish(p, deadline_ns, seq);
	}
	return err == -EHOSTUNREACH ? -ENOTCONN : err;
}

int
js_doc_put(struct backend *b, const struct doc_name *name, const uint64_t *behind, struct span text, int64_t deadline_ns,
    uint64_t *seq)
{
	struct jetstream *js = js_of(b);
	struct buf subject = { 0 }, stream = { 0 };
	struct put p = { .js = js, .behind = behind, .text = text };
	uint64_t random[2];
	unsigned tries = 0;
	int err = -ENOMEM;

	put_subject(js, name, &subject);
	put_stream(js, name->kind, &stream);
	js->clock->random(js->clock, random, sizeof(random));
	snprintf(p.id, sizeof(p.id), "%016llx%016llx", (unsigned long long)random[0], (unsigned long long)random[1]);
	p.subject = buf_text(&subject);
	if (p.subject != NULL && buf_text(&stream) != NULL) {
		do
			err = try_put(&p, name->kind, stream.p, deadline_ns, seq);
		while (err == -ENOTCONN && (err = wait_retry(b, js->clock, deadline_ns, &tries)) == 0);
	}
	buf_free(&subject);
	buf_free(&stream);
	return err;
}

int
js_doc_get(struct backend *b, const struct doc_name *name, uint64_t from_seq, int64_t deadline_ns, struct buf *text, uint64_t *seq)
{
	struct jetstream *js = js_of(b);
	struct buf subject = { 0 }, to = { 0 }, body = { 0 };
	struct js_leader_message m = { 0 };
	struct record r = { 0 };
	natsMsg *msg = NULL;
	int err = -ENOMEM;

	put_subject(js, name, &subject);
	buf_puts(&to, "$JS.API.STREAM.MSG.GET.");
	put_stream(js, name->kind, &to);
	if (buf_text(&subject) != NULL && from_seq == 0)
		buf_printf(&body, "{\"last_by_subj\":\"%s\"}", subject.p);
	else if (buf_text(&subject) != NULL)
		buf_printf(&body, "{\"seq\":%llu,\"next_by_subj\":\"%s\"}", (unsigned long long)from_seq, subject.p);
	if (buf_text(&to) != NULL && buf_text(&body) != NULL)
		err = rpc_try(js->rpc, to.p, NULL, 0, body.p, body.len, deadline_ns, &msg);
	if (err == 0)
		err = js_message_leader(js->lg, msg, subject.p, &m, &r);
	if (err == 0) {
		buf_put_span(text, r.payload);
		*seq = r.seq;
		err = text->failed ? -ENOMEM : 0;
	}
	js_leader_message_free(&m);
	natsMsg_Destroy(msg);
	buf_free(&subject);
	buf_free(&to);
	buf_free(&body);
	return err == -EHOSTUNREACH ? -ENOTCONN : err;
}

int
js_doc_drop(struct backend *b, const char *ns, const char *actor, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);
	struct buf filter = { 0 }, stream = { 0 };
	cJSON *request = cJSON_CreateObject(), *reply = NULL;
	int err = -ENOMEM;

	/* Of every kind: the stream holds nothing else. */
	js_subject(js, "*", ns, actor, &filter);
	put_stream(js, DOC_SNAPSHOT, &stream);
	if (buf_text(&filter) != NULL && buf_text(&stream) != NULL && cJSON_AddStringToObject(request, "filter", filter.p) != NULL)
		err = js_api_call(js->rpc, js->lg, "STREAM.PURGE", stream.p, request, deadline_ns, &reply);
	else
		cJSON_Delete(request);
	cJSON_Delete(reply);
	buf_free(&filter);
	buf_free(&stream);
	return err == -ENOENT ? 0 : err == -EHOSTUNREACH ? -ENOTCONN : err;
}

/* Tell of each subject of an answer of STREAM.INFO. */
static int
tell_subjects(const struct jetstream *js, const cJSON *info, backend_name_fn fn, void *arg)
{
	const cJSON *subjects = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(info, "state"), "subjects");
	const char *subject;
	int err = 0;

	for (const cJSON *item = subjects != NULL ? subjects->child : NULL; item != NULL && err == 0; item = item->next) {
		struct buf name = { 0 };
		subject = item->string;
		if (strlen(subject) > js->docs->lead.len && name_decode(&name, span_of(subject + js->docs->lead.len)) == 0)
			err = buf_text(&name) != NULL ? fn(arg, name.p) : -ENOMEM;
		buf_free(&name);
	}
	return err;
}

int
js_doc_list(struct backend *b, enum doc_kind kind, int64_t deadline_ns, uint64_t *last_seq, backend_name_fn fn, void *arg)
{
	struct jetstream *js = js_of(b);
	struct buf filter = { 0 }, stream = { 0 };
	cJSON *request = cJSON_CreateObject(), *info = NULL;
	int err = -ENOMEM;

	buf_printf(&filter, "%s>", js->docs->lead.p);
	put_stream(js, kind, &stream);
	*last_seq = 0;
	if (buf_text(&filter) != NULL && buf_text(&stream) != NULL &&
	    cJSON_AddStringToObject(request, "subjects_filter", filter.p) != NULL)
		err = js_api_call(js->rpc, js->lg, "STREAM.INFO", stream.p, request, deadline_ns, &info);
	else
		cJSON_Delete(request);
	if (err == 0) {
		*last_seq = js_number(cJSON_GetObjectItemCaseSensitive(info, "state"), "last_seq", 0);
		err = tell_subjects(js, info, fn, arg);
	}
	cJSON_Delete(info);
	buf_free(&filter);
	buf_free(&stream);
	return err == -ENOENT ? 0 : err == -EHOSTUNREACH ? -ENOTCONN : err;
}

/* What is published there may be refused, so this only says where to look. */
static void
on_model(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct js_docs *d = closure;
	struct buf ns = { 0 };

	(void)nc, (void)sub;
	if (name_decode(&ns, span_of(natsMsg_GetSubject(msg) + d->lead.len)) == 0 && buf_text(&ns) != NULL)
		listener_tell(&d->listener, ns.p);
	buf_free(&ns);
	natsMsg_Destroy(msg);
}

void
js_docs_hint(struct js_docs *d)
{
	listener_tell(&d->listener, NULL);
}

void
js_models_listen(struct backend *b, void (*changed)(void *arg, const char *ns), void *arg)
{
	listener_set(&js_of(b)->docs->listener, changed, arg);
}

int
js_docs_new(struct js_docs **out, struct jetstream *js)
{
	struct js_docs *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->js = js;
	listener_init(&d->listener);
	buf_printf(&d->lead, "%s.%s.", js->prefix, tokens[DOC_MODEL]);
	*out = d;
	return buf_text(&d->lead) != NULL ? 0 : -ENOMEM;
}

int
js_docs_open(struct js_docs *d)
{
	struct buf subject = { 0 };
	int err = -ENOMEM;

	buf_printf(&subject, "%s*", d->lead.p);
	if (buf_text(&subject) != NULL)
		err = js_sub_open(&d->sub, rpc_connection(d->js->rpc), subject.p, on_model, d);
	buf_free(&subject);
	return err;
}

void
js_docs_close(struct js_docs *d)
{
	if (d != NULL)
		js_sub_close(&d->sub);
}

void
js_docs_free(struct js_docs *d)
{
	if (d == NULL)
		return;
	buf_free(&d->lead);
	listener_destroy(&d->listener);
	free(d);
}
