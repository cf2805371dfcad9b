#include "js_consumer.h"

#include <errno.h>
#include <stdlib.h>

#include "js_api.h"
#include "lock.h"

#define HEARTBEAT_NS (1 * NS_PER_SEC)
#define INFO_NS (5 * NS_PER_SEC)
/* nats-server 2.9 takes some 6 s for a million subjects. */
#define CREATE_NS (120 * NS_PER_SEC)
/* While a consumer is being made: how often the server is asked whether it lives. */
#define BUSY_NS (1 * NS_PER_SEC)

static void
ignore(void *arg, int err, natsMsg *reply)
{
	(void)arg, (void)err, (void)reply;
}

void
js_consumer_delete(const struct js_consumer *c)
{
	struct buf subject = { 0 };

	buf_printf(&subject, "$JS.API.CONSUMER.DELETE.%s.%s", c->stream, c->name);
	if (buf_text(&subject) != NULL)
		rpc_request(c->rpc, subject.p, NULL, 0, NULL, 0, clock_mono(c->js->clock) + INFO_NS, ignore, NULL);
	buf_free(&subject);
}

static cJSON *
new_request(const struct js_consumer *c)
{
	cJSON *request = cJSON_CreateObject(), *config;
	struct buf filter = { 0 };

	js_subject(c->js, "ev", c->ns, NULL, &filter);
	cJSON_AddStringToObject(request, "stream_name", c->stream);
	config = cJSON_AddObjectToObject(request, "config");
	cJSON_AddStringToObject(config, "name", c->name);
	cJSON_AddStringToObject(config, "deliver_subject", c->inbox);
	cJSON_AddStringToObject(config, "filter_subject", buf_text(&filter));
	if (c->from_seq == 0) {
		cJSON_AddStringToObject(config, "deliver_policy", "last_per_subject");
	} else {
		cJSON_AddStringToObject(config, "deliver_policy", "by_start_sequence");
		cJSON_AddNumberToObject(config, "opt_start_seq", (double)c->from_seq);
	}
	cJSON_AddStringToObject(config, "ack_policy", "none");
	cJSON_AddStringToObject(config, "replay_policy", "instant");
	cJSON_AddNumberToObject(config, "max_deliver", 1);
	cJSON_AddNumberToObject(config, "num_replicas", 1);
	cJSON_AddTrueToObject(config, "mem_storage");
	cJSON_AddTrueToObject(config, "headers_only");
	cJSON_AddTrueToObject(config, "flow_control");
	cJSON_AddNumberToObject(config, "idle_heartbeat", (double)HEARTBEAT_NS);
	if (filter.failed) {
		cJSON_Delete(request);
		request = NULL;
	}
	buf_free(&filter);
	return request;
}

struct creation {
	struct logger *lg;
	struct lock lock;
	pthread_cond_t wake;
	bool done;
	int err;
	bool empty; /* it has nothing to deliver yet */
};

static void
on_created(void *arg, int err, natsMsg *reply)
{
	struct creation *c = arg;
	cJSON *info = NULL;

	if (err == 0)
		err = js_api_parse(c->lg, reply, &info);
	const cJSON *delivered = cJSON_GetObjectItemCaseSensitive(info, "delivered");
	lock_take(&c->lock);
	c->empty = js_number(info, "num_pending", 1) == 0 && js_number(delivered, "consumer_seq", 1) == 0;
	c->err = err == -EHOSTUNREACH ? -ENOTCONN : err;
	c->done = true;
	pthread_cond_signal(&c->wake);
	lock_give(&c->lock);
	cJSON_Delete(info);
}

/* Does the server answer on the other connection? That nobody listens is an answer. */
static bool
server_lives(struct jetstream *js)
{
	struct buf subject = { 0 };
	natsMsg *reply = NULL;
	int err = -ENOMEM;

	buf_printf(&subject, "%s.nobody", js->prefix);
	if (buf_text(&subject) != NULL)
		err = rpc_call(js->rpc, subject.p, NULL, 0, NULL, 0, clock_mono(js->clock) + BUSY_NS, &reply);
	natsMsg_Destroy(reply);
	buf_free(&subject);
	return err == 0 || err == -EHOSTUNREACH || err == -EACCES;
}

static void
wait_for_creation(struct jetstream *js, struct creation *c, void (*busy)(void *arg), void *arg)
{
	lock_take(&c->lock);
	while (!c->done) {
		int64_t at = clock_mono(js->clock) + BUSY_NS;
		if (lock_wait_until(&c->lock, &c->wake, at))
			continue;
		lock_give(&c->lock);
		if (server_lives(js))
			busy(arg);
		lock_take(&c->lock);
	}
	lock_give(&c->lock);
}

int
js_consumer_make(const struct js_consumer *c, void (*busy)(void *arg), void *arg, bool *empty)
{
	struct creation creation = { .lg = c->js->lg };
	struct buf subject = { 0 };

	cJSON *request = new_request(c);
	char *body = cJSON_PrintUnformatted(request);
	cJSON_Delete(request);
	buf_printf(&subject, "$JS.API.CONSUMER.CREATE.%s.%s", c->stream, c->name);
	lock_init(&creation.lock, LOCK_CREATION);
	lock_cond_init(&creation.wake);
	if (body != NULL && buf_text(&subject) != NULL) {
		rpc_request(c->rpc, subject.p, NULL, 0, body, strlen(body), clock_mono(c->js->clock) + CREATE_NS, on_created,
		    &creation);
		wait_for_creation(c->js, &creation, busy, arg);
	} else {
		creation.err = -ENOMEM;
	}
	pthread_cond_destroy(&creation.wake);
	lock_destroy(&creation.lock);
	cJSON_free(body);
	buf_free(&subject);
	*empty = creation.empty;
	return creation.err;
}

int
js_consumer_stream(const struct js_consumer *c, uint64_t *epoch, uint64_t *last_seq)
{
	cJSON *info = NULL;

	int err =
	    js_api_call(c->rpc, c->js->lg, "STREAM.INFO", c->stream, NULL, clock_mono(c->js->clock) + INFO_NS, &info);
	if (err != 0)
		return err;
	js_stream_state(info, epoch, last_seq);
	if (js_stream_removed(info))
		err = -ENOENT;
	cJSON_Delete(info);
	return err;
}
