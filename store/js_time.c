/*
 * What was stored up to a time: the backend's seq_at. JetStream stamps what it stores, and finds the place of a time in a stream
 * when a consumer is made that begins there; the answer also says what time it is there. So one question does, of any
 * version of the server.
 */
#include <errno.h>
#include <string.h>

#include "js_api.h"
#include "js_state.h"

/* For how long after a time something may still be stored under it: stamped already, and on its way through the replicas. */
#define SETTLE_NS (100 * NS_PER_MS)
/* How long the server has for deleting the consumer, and after which it does so by itself. */
#define DELETE_NS NS_PER_SEC
#define INACTIVE_NS (5 * NS_PER_SEC)
#define NANOS_LEN (CLOCK_RFC3339_LEN + 3)

static void
nanos_text(int64_t ns, char out[NANOS_LEN + 1])
{
	int64_t us = ns / 1000;

	clock_rfc3339(us, out);
	snprintf(out + CLOCK_RFC3339_LEN - 1, 5, "%03dZ", (int)(ns - us * 1000));
}

static cJSON *
request_from(const char *stream, int64_t time_ns)
{
	cJSON *request = cJSON_CreateObject(), *config = cJSON_AddObjectToObject(request, "config");
	char text[NANOS_LEN + 1];

	nanos_text(time_ns, text);
	if (cJSON_AddStringToObject(request, "stream_name", stream) != NULL &&
	    cJSON_AddStringToObject(config, "deliver_policy", "by_start_time") != NULL &&
	    cJSON_AddStringToObject(config, "opt_start_time", text) != NULL &&
	    cJSON_AddStringToObject(config, "ack_policy", "none") != NULL &&
	    cJSON_AddStringToObject(config, "replay_policy", "instant") != NULL &&
	    cJSON_AddNumberToObject(config, "inactive_threshold", (double)INACTIVE_NS) != NULL &&
	    cJSON_AddNumberToObject(config, "num_replicas", 1) != NULL && cJSON_AddTrueToObject(config, "mem_storage") != NULL)
		return request;
	cJSON_Delete(request);
	return NULL;
}

static void
on_deleted(void *arg, int err, natsMsg *reply)
{
	(void)arg, (void)err, (void)reply;
}

static void
delete_consumer(struct jetstream *js, const char *stream, const char *name)
{
	struct buf subject = { 0 };

	buf_printf(&subject, "$JS.API.CONSUMER.DELETE.%s.%s", stream, name);
	if (buf_text(&subject) != NULL)
		rpc_request(js->rpc, subject.p, NULL, 0, NULL, 0, clock_mono(js->clock) + DELETE_NS, on_deleted, NULL);
	buf_free(&subject);
}

/* What the answer says, about a consumer that begins one nanosecond after the time. */
static int
read_answer(const cJSON *info, int64_t time_ns, uint64_t *seq, int64_t *wait_ns)
{
	const char *created = js_text(info, "created", "");
	const cJSON *delivered = cJSON_GetObjectItemCaseSensitive(info, "delivered");
	int64_t now_ns;

	*seq = js_number(delivered, "stream_seq", UINT64_MAX);
	if (clock_parse_rfc3339_ns(created, strlen(created), &now_ns) != 0 || *seq == UINT64_MAX)
		return -EIO;
	if (now_ns - SETTLE_NS >= time_ns)
		return 0;
	*wait_ns = time_ns - now_ns + SETTLE_NS;
	return -EAGAIN;
}

/* The consumer may have been made by a server whose copy of the stream is behind: what follows, says the leader, must be later than the time. */
static int
check_behind(struct jetstream *js, const char *stream, uint64_t seq, int64_t time_ns, int64_t deadline_ns)
{
	cJSON *request = cJSON_CreateObject(), *reply = NULL;
	int64_t stored_ns = 0;

	cJSON_AddNumberToObject(request, "seq", (double)(seq + 1));
	cJSON_AddStringToObject(request, "next_by_subj", ">");
	int err = js_api_call(js->rpc, js->lg, "STREAM.MSG.GET", stream, request, deadline_ns, &reply);
	const char *stored = js_text(cJSON_GetObjectItemCaseSensitive(reply, "message"), "time", "");
	if (err == 0 && clock_parse_rfc3339_ns(stored, strlen(stored), &stored_ns) != 0)
		err = -EIO;
	if (err == 0 && stored_ns <= time_ns)
		err = -ENOTCONN; /* ask again, perhaps another */
	cJSON_Delete(reply);
	return err == -ENOENT ? 0 : err;
}

int
js_seq_at(struct backend *b, const char *ns, int64_t time_ns, int64_t deadline_ns, uint64_t *seq, int64_t *wait_ns)
{
	struct jetstream *js = js_of(b);
	struct buf stream = { 0 };
	cJSON *info = NULL;

	/* Nothing was stored before, and the server knows no time far off. */
	time_ns = time_ns < 0 ? 0 : time_ns > INT64_MAX / 2 ? INT64_MAX / 2 : time_ns;
	js_stream_name(js, ns, &stream);
	cJSON *request = buf_text(&stream) != NULL ? request_from(stream.p, time_ns + 1) : NULL;
	int err = request == NULL
	    ? -ENOMEM
	    : js_api_call(js->rpc, js->lg, "CONSUMER.CREATE", stream.p, request, deadline_ns, &info);
	if (err == 0) {
		delete_consumer(js, stream.p, js_text(info, "name", ""));
		err = read_answer(info, time_ns, seq, wait_ns);
	}
	if (err == 0 && js_known_replicas(js, ns) != 1)
		err = check_behind(js, stream.p, *seq, time_ns, deadline_ns);
	cJSON_Delete(info);
	buf_free(&stream);
	return err;
}
