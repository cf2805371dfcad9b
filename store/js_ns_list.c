/*
 * The names of all namespaces. Streams that listen on a fence's subject (js_ns_state.h) are asked about one by one, for they may be of
 * namespaces that have been removed.
 */
#include <errno.h>

#include "js_api.h"
#include "js_state.h"
#include "name.h"

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

/* Call fn with the name of each stream that listens on a subject that filter covers; NULL: of all. */
static int
each_stream(struct jetstream *js, const char *filter, int64_t deadline_ns, backend_name_fn fn, void *arg)
{
	uint64_t offset = 0, total = 1;
	int err = 0;

	while (err == 0 && offset < total) {
		cJSON *request = cJSON_CreateObject(), *reply = NULL;
		const cJSON *stream;
		cJSON_AddNumberToObject(request, "offset", (double)offset);
		if (filter != NULL)
			cJSON_AddStringToObject(request, "subject", filter);
		err = js_api_call(js->rpc, js->lg, "STREAM.NAMES", NULL, request, deadline_ns, &reply);
		const cJSON *streams = cJSON_GetObjectItemCaseSensitive(reply, "streams");
		cJSON_ArrayForEach(stream, streams)
		{
			offset++;
			if (err == 0 && cJSON_IsString(stream))
				err = fn(arg, stream->valuestring);
		}
		total = cJSON_GetArraySize(streams) > 0 ? js_number(reply, "total", 0) : 0;
		cJSON_Delete(reply);
	}
	return err;
}

struct list {
	struct jetstream *js;
	int64_t deadline_ns;
	backend_name_fn fn;
	void *arg;
	struct buf name;
	struct buf closed; /* the streams of which it is not sure that they are there, each with a NUL */
};

static int
on_closed(void *arg, const char *stream)
{
	struct list *l = arg;

	buf_put(&l->closed, stream, strlen(stream) + 1);
	return l->closed.failed ? -ENOMEM : 0;
}

static bool
is_closed(const struct list *l, const char *stream)
{
	for (size_t at = 0; at < l->closed.len; at += strlen(l->closed.p + at) + 1)
		if (strcmp(l->closed.p + at, stream) == 0)
			return true;
	return false;
}

/* Is it a namespace that is being removed, rather than one that was? */
static int
is_there(struct jetstream *js, const char *stream, int64_t deadline_ns, bool *there)
{
	cJSON *info = NULL;

	int err = js_api_call(js->rpc, js->lg, "STREAM.INFO", stream, NULL, deadline_ns, &info);
	*there = err == 0 && !js_stream_removed(info);
	cJSON_Delete(info);
	return err == -ENOENT ? 0 : err;
}

static int
on_stream(void *arg, const char *stream)
{
	struct list *l = arg;
	bool there = true;
	int err = ns_of_stream(l->js, stream, l->deadline_ns, &l->name);

	/* Its name could not be asked for: a list without it would be wrong. */
	if (err == -ENOTCONN || err == -ETIMEDOUT || err == -ENOMEM)
		return err;
	/* Not one of ours. */
	if (err != 0 || buf_text(&l->name) == NULL)
		return 0;
	if (is_closed(l, stream))
		err = is_there(l->js, stream, l->deadline_ns, &there);
	return err == 0 && there ? l->fn(l->arg, l->name.p) : err;
}

int
js_ns_list(struct backend *b, int64_t deadline_ns, backend_name_fn fn, void *arg)
{
	struct list l = { .js = js_of(b), .deadline_ns = deadline_ns, .fn = fn, .arg = arg };
	struct buf filter = { 0 };
	int err = -ENOMEM;

	buf_printf(&filter, "%s.rm.>", l.js->prefix);
	/* In this order, so that one that is opened or closed meanwhile is not passed over. */
	if (buf_text(&filter) != NULL)
		err = each_stream(l.js, filter.p, deadline_ns, on_closed, &l);
	if (err == 0)
		err = each_stream(l.js, NULL, deadline_ns, on_stream, &l);
	buf_free(&filter);
	buf_free(&l.closed);
	buf_free(&l.name);
	return err;
}
