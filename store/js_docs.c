/*
 * Documents as messages of one stream, which the first of them makes: the backend's doc_put, doc_get and doc_drop. FORMAT.md, section 7.
 *
 * They are asked of the stream's leader, which never lags behind.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "js_api.h"
#include "js_message.h"
#include "js_state.h"

static const char *const tokens[] = { [DOC_SNAPSHOT] = "snapshot", [DOC_STATE] = "state" };

static void
put_stream(const struct jetstream *js, struct buf *out)
{
	buf_printf(out, "%s_snapshots", js->prefix);
}

static void
put_subject(const struct jetstream *js, const struct doc_name *name, struct buf *out)
{
	js_subject(js, tokens[name->kind], name->ns, name->actor, out);
}

static cJSON *
stream_config(const struct jetstream *js, const char *stream)
{
	cJSON *config = cJSON_CreateObject(), *subjects = cJSON_AddArrayToObject(config, "subjects");

	for (int kind = 0; kind < DOC_KINDS; kind++) {
		struct buf subject = { 0 };
		buf_printf(&subject, "%s.%s.*.*", js->prefix, tokens[kind]);
		cJSON_AddItemToArray(subjects, cJSON_CreateString(buf_text(&subject) != NULL ? subject.p : ""));
		buf_free(&subject);
	}
	cJSON_AddStringToObject(config, "name", stream);
	cJSON_AddStringToObject(config, "retention", "limits");
	cJSON_AddStringToObject(config, "storage", "file");
	cJSON_AddStringToObject(config, "discard", "old");
	cJSON_AddNumberToObject(config, "max_msgs_per_subject", DOC_KEPT);
	cJSON_AddNumberToObject(config, "num_replicas", js->replicas);
	return config;
}

static int
make_stream(struct jetstream *js, const char *stream, int64_t deadline_ns)
{
	cJSON *reply = NULL;
	int err = js_api_call(js->rpc, js->lg, "STREAM.CREATE", stream, stream_config(js, stream), deadline_ns, &reply);

	cJSON_Delete(reply);
	/* Another node was first, perhaps one with other options. */
	return err == -EEXIST ? 0 : err;
}

/* One try. -EHOSTUNREACH: nobody listens, so that it is not stored. */
static int
publish(struct jetstream *js, const char *subject, const uint64_t *behind, struct span text, int64_t deadline_ns, uint64_t *seq)
{
	struct rpc_header header = { "Nats-Expected-Last-Subject-Sequence", NULL };
	natsMsg *msg = NULL;
	cJSON *ack = NULL;
	char number[24];

	if (behind != NULL) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)*behind);
		header.value = number;
	}
	int err = rpc_call(js->rpc, subject, &header, behind != NULL, text.p, text.len, deadline_ns, &msg);
	if (err == 0)
		err = js_api_parse(js->lg, msg, &ack);
	if (err == 0) {
		*seq = js_number(ack, "seq", 0);
		err = *seq == 0 ? -EIO : 0;
	}
	cJSON_Delete(ack);
	natsMsg_Destroy(msg);
	return err;
}

int
js_doc_put(struct backend *b, const struct doc_name *name, const uint64_t *behind, struct span text, int64_t deadline_ns,
    uint64_t *seq)
{
	struct jetstream *js = js_of(b);
	struct buf subject = { 0 }, stream = { 0 };
	int err = -ENOMEM;

	put_subject(js, name, &subject);
	put_stream(js, &stream);
	if (buf_text(&subject) != NULL && buf_text(&stream) != NULL)
		err = publish(js, subject.p, behind, text, deadline_ns, seq);
	if (err == -EHOSTUNREACH) {
		err = make_stream(js, stream.p, deadline_ns);
		if (err == 0)
			err = publish(js, subject.p, behind, text, deadline_ns, seq);
	}
	buf_free(&subject);
	buf_free(&stream);
	return err == -EHOSTUNREACH ? -ENOTCONN : err;
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
	put_stream(js, &to);
	if (buf_text(&subject) != NULL && from_seq == 0)
		buf_printf(&body, "{\"last_by_subj\":\"%s\"}", subject.p);
	else if (buf_text(&subject) != NULL)
		buf_printf(&body, "{\"seq\":%llu,\"next_by_subj\":\"%s\"}", (unsigned long long)from_seq, subject.p);
	if (buf_text(&to) != NULL && buf_text(&body) != NULL)
		err = rpc_call(js->rpc, to.p, NULL, 0, body.p, body.len, deadline_ns, &msg);
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
	put_stream(js, &stream);
	if (buf_text(&filter) != NULL && buf_text(&stream) != NULL && cJSON_AddStringToObject(request, "filter", filter.p) != NULL)
		err = js_api_call(js->rpc, js->lg, "STREAM.PURGE", stream.p, request, deadline_ns, &reply);
	else
		cJSON_Delete(request);
	cJSON_Delete(reply);
	buf_free(&filter);
	buf_free(&stream);
	return err == -ENOENT ? 0 : err == -EHOSTUNREACH ? -ENOTCONN : err;
}
