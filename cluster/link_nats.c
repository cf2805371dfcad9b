/*
 * The cluster over NATS: a connection of its own, so that heartbeats never wait behind events.
 *
 * Keys are read by direct get and written by publishing with the expected last sequence, both without nats.c's own key-value calls, which do not say
 * whether a write was refused or could not be delivered. The bucket is an ordinary one all the same: `nats kv` shows it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <nats/nats.h>

#include "../store/js_api.h"
#include "../store/js_options.h"
#include "../store/js_sub.h"
#include "../store/name.h"
#include "../store/rpc.h"
#include "../store/timer.h"
#include "cluster_state.h"

#define VIEW_WRITE_NS (2 * NS_PER_SEC)
#define READ_NS (1 * NS_PER_SEC)

/* Longer than any heartbeat or news of ours; and so many wait at most, of which the oldest would be out of date. */
#define MESSAGE_MAX 4096
#define MESSAGES_WAITING 65536

/* The heartbeats of one term. Those of terms that are over stay until the end: nats.c cannot free one earlier without a race (#637). */
struct listening {
	struct listening *next;
	struct js_sub sub;
	struct cluster *cluster;
};

struct link_nats {
	struct timer *timer;
	struct rpc *rpc;
	char *prefix;
	int replicas;
	bool closed; /* the connection is */
	struct buf bucket; /* its stream's name */
	struct js_sub news;
	struct listening *listening; /* the thread's; the first is the one that listens, if listens */
	bool listens;
	atomic_bool told_large; /* that a view is larger than a message may be */
};

/* A request under way. */
struct call {
	struct cluster *cluster;
	struct post post;
};

static const char *const key_names[] = { [CORE_LEASE] = "lease", [CORE_VIEW] = "view" };

static void
put_key(const struct link_nats *l, enum core_key key, struct buf *out)
{
	buf_printf(out, "$KV.%s_cluster.%s", l->prefix, key_names[key]);
}

static struct call *
call_new(struct cluster *c, const struct post *p)
{
	struct call *call = malloc(sizeof(*call));

	if (call != NULL) {
		*call = (struct call){ c, *p };
		return call;
	}
	struct post failed = *p;
	failed.err = -ENOMEM;
	cluster_post(c, &failed, (struct span){ NULL, 0 }, NULL);
	return NULL;
}

static void
call_end(struct call *call, int err, struct span text)
{
	call->post.err = err;
	cluster_post(call->cluster, &call->post, text, NULL);
	free(call);
}

static void
request(struct call *call, struct buf *subject, const struct rpc_header *headers, size_t header_count, struct span body, int64_t timeout_ns,
    rpc_fn fn)
{
	struct cluster *c = call->cluster;
	const char *to = buf_text(subject);

	if (to != NULL)
		rpc_request(c->nats->rpc, to, headers, header_count, body.p, body.len, clock_mono(c->clock) + timeout_ns, fn, call);
	else
		call_end(call, -ENOMEM, (struct span){ NULL, 0 });
	buf_free(subject);
}

/* The bucket */

static void
put_config(const struct link_nats *l, struct buf *out)
{
	buf_printf(out,
	    "{\"name\":\"%s\",\"subjects\":[\"$KV.%s_cluster.>\"],\"max_msgs_per_subject\":1,\"storage\":\"file\",\"num_replicas\":%d,"
	    "\"discard\":\"new\",\"allow_direct\":true,\"allow_rollup_hdrs\":true,\"deny_delete\":true}",
	    l->bucket.p, l->prefix, l->replicas);
}

/* Whether it was made or is there: what had to be done is to be tried again. A read of what was made just now says that there is nothing. */
static void
on_made(void *arg, int err, natsMsg *reply)
{
	struct call *call = arg;
	cJSON *json = NULL;

	if (err == 0)
		err = js_api_parse(call->cluster->lg, reply, &json);
	bool made = err == 0 && cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "did_create"));
	cJSON_Delete(json);
	if (err == -EACCES)
		cluster_denied(call->cluster, "to make the cluster's bucket");
	call_end(call, made && call->post.kind == POST_READ ? -ENOENT : -ENOTCONN, (struct span){ NULL, 0 });
}

static void
make_bucket(struct call *call)
{
	const struct link_nats *l = call->cluster->nats;
	struct buf subject = { 0 }, config = { 0 };

	buf_printf(&subject, "$JS.API.STREAM.CREATE.%s", l->bucket.p);
	put_config(l, &config);
	if (config.failed)
		subject.failed = true;
	request(call, &subject, NULL, 0, (struct span){ config.p, config.len }, READ_NS, on_made);
	buf_free(&config);
}

/* Reads and writes */

static const char *
header(natsMsg *msg, const char *key)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : NULL;
}

static void
on_read(void *arg, int err, natsMsg *reply)
{
	struct call *call = arg;

	/* Nobody answers for the bucket (nats-server 2.9 is silent where it was deleted). */
	if (err == -EHOSTUNREACH || (err == -ETIMEDOUT && rpc_connected(call->cluster->nats->rpc))) {
		make_bucket(call);
		return;
	}
	if (err == -EACCES)
		cluster_denied(call->cluster, "to read the cluster's bucket");
	if (err != 0) {
		call_end(call, err, (struct span){ NULL, 0 });
		return;
	}
	const char *status = header(reply, "Status"), *seq = header(reply, "Nats-Sequence");
	if (status != NULL || seq == NULL) {
		call_end(call, status != NULL && strcmp(status, "404") == 0 ? -ENOENT : -EIO, (struct span){ NULL, 0 });
		return;
	}
	call->post.revision = strtoull(seq, NULL, 10);
	/* What was deleted or purged reads as nothing that can be read. */
	struct span value = { natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply) };
	if (header(reply, "KV-Operation") != NULL)
		value.len = 0;
	call_end(call, 0, value);
}

static void
nats_read(void *arg, enum core_key key)
{
	struct cluster *c = arg;
	struct post p = { .kind = POST_READ, .key = key };
	struct call *call = call_new(c, &p);
	struct buf subject = { 0 }, body = { 0 };

	if (call == NULL)
		return;
	buf_printf(&subject, "$JS.API.DIRECT.GET.%s", c->nats->bucket.p);
	buf_puts(&body, "{\"last_by_subj\":\"");
	put_key(c->nats, key, &body);
	buf_puts(&body, "\"}");
	if (body.failed)
		subject.failed = true;
	request(call, &subject, NULL, 0, (struct span){ body.p, body.len }, READ_NS, on_read);
	buf_free(&body);
}

static void
tell_large(struct cluster *c, int err)
{
	if (err == 0)
		atomic_store(&c->nats->told_large, false);
	else if (err == -EMSGSIZE && !atomic_exchange(&c->nats->told_large, true))
		log_error(c->lg, "the map of the cluster is larger than NATS lets a message be: nodes that come are not taken in");
}

static void
on_written(void *arg, int err, natsMsg *reply)
{
	struct call *call = arg;
	cJSON *ack = NULL;

	if (err == -EHOSTUNREACH) {
		make_bucket(call);
		return;
	}
	if (err == -EACCES)
		cluster_denied(call->cluster, "to write the cluster's bucket");
	if (call->post.key == CORE_VIEW)
		tell_large(call->cluster, err);
	if (err == 0 && !js_api_plain_ack(reply, &call->post.revision)) {
		err = js_api_parse(call->cluster->lg, reply, &ack);
		call->post.revision = err == 0 ? js_number(ack, "seq", 0) : 0;
		cJSON_Delete(ack);
	}
	call_end(call, err, (struct span){ NULL, 0 });
}

static void
nats_write(void *arg, enum core_key key, uint64_t id, uint64_t revision, struct span value)
{
	struct cluster *c = arg;
	struct post p = { .kind = POST_WRITTEN, .key = key, .id = id };
	struct call *call = call_new(c, &p);
	struct buf subject = { 0 };
	char expected[24];
	const struct rpc_header headers[] = { { "Nats-Expected-Last-Subject-Sequence", expected } };

	if (call == NULL)
		return;
	snprintf(expected, sizeof(expected), "%" PRIu64, revision);
	put_key(c->nats, key, &subject);
	request(call, &subject, headers, 1, value, key == CORE_LEASE ? ELECTION_ANSWER_NS : VIEW_WRITE_NS, on_written);
}

/* Messages */

static void
on_answered(void *arg, int err, natsMsg *reply)
{
	struct call *call = arg;
	struct span text = { NULL, 0 };

	if (err == 0)
		text = (struct span){ natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply) };
	if (err == -EACCES)
		cluster_denied(call->cluster, "heartbeats");
	call_end(call, err, text);
}

static void
nats_beat(void *arg, uint64_t id, uint64_t term, struct span body)
{
	struct cluster *c = arg;
	struct post p = { .kind = POST_ANSWER, .id = id };
	struct call *call = call_new(c, &p);
	struct buf subject = { 0 };

	if (call == NULL)
		return;
	buf_printf(&subject, "%s.cluster.beat.%" PRIu64, c->nats->prefix, term);
	request(call, &subject, NULL, 0, body, CORE_BEAT_NS, on_answered);
}

static void
on_beat(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	const struct listening *l = closure;
	struct post p = { .kind = POST_BEAT };
	const char *reply = natsMsg_GetReply(msg);

	(void)nc, (void)sub;
	if (cluster_may_answer(l->cluster, reply) && natsMsg_GetDataLength(msg) <= MESSAGE_MAX)
		cluster_post(l->cluster, &p, (struct span){ natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg) }, reply);
	natsMsg_Destroy(msg);
}

static void
nats_answer(void *arg, void *from, struct span body)
{
	struct cluster *c = arg;

	/* One that is lost is asked for again. */
	(void)natsConnection_Publish(rpc_connection(c->nats->rpc), from, body.p, (int)body.len);
}

/* This node must not lead, or take part. */
static void
note_deaf(struct cluster *c, enum post_kind kind)
{
	struct post p = { .kind = kind };

	cluster_post(c, &p, (struct span){ NULL, 0 }, NULL);
}

static void
nats_listen(void *arg, uint64_t term)
{
	struct cluster *c = arg;
	struct link_nats *l = c->nats;
	struct buf subject = { 0 };

	if (l->listens)
		natsSubscription_Unsubscribe(l->listening->sub.sub);
	l->listens = false;
	if (term == 0)
		return;
	struct listening *fresh = calloc(1, sizeof(*fresh));
	buf_printf(&subject, "%s.cluster.beat.%" PRIu64, l->prefix, term);
	const char *text = buf_text(&subject);
	int err = fresh == NULL || text == NULL ? -ENOMEM : 0;
	if (err == 0) {
		fresh->cluster = c;
		err = js_sub_open(&fresh->sub, rpc_connection(l->rpc), text, on_beat, fresh);
		if (err == 0)
			(void)natsSubscription_SetPendingLimits(fresh->sub.sub, MESSAGES_WAITING, -1);
	}
	if (err == 0) {
		fresh->next = l->listening;
		l->listening = fresh;
		l->listens = true;
	} else {
		log_warn(c->lg, "cluster: this node cannot lead, for it cannot hear the others: %s", strerror(-err));
		free(fresh);
		note_deaf(c, POST_UNHEARD);
	}
	buf_free(&subject);
}

static void
nats_news(void *arg, struct span body)
{
	struct cluster *c = arg;
	struct buf subject = { 0 };

	buf_printf(&subject, "%s.cluster.news", c->nats->prefix);
	/* One that is lost is found out by the next heartbeat. */
	if (buf_text(&subject) != NULL)
		(void)natsConnection_Publish(rpc_connection(c->nats->rpc), subject.p, body.p, (int)body.len);
	buf_free(&subject);
}

static void
on_news(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct post p = { .kind = POST_NEWS };

	(void)nc, (void)sub;
	if (natsMsg_GetDataLength(msg) <= MESSAGE_MAX)
		cluster_post(closure, &p, (struct span){ natsMsg_GetData(msg), (size_t)natsMsg_GetDataLength(msg) }, NULL);
	natsMsg_Destroy(msg);
}

static void
on_reconnect(void *arg)
{
	struct post p = { .kind = POST_RECONNECT };

	cluster_post(arg, &p, (struct span){ NULL, 0 }, NULL);
}

/* NATS does not let this node listen to that. */
static void
on_refused(void *arg, struct span subject)
{
	static const char *const needed[] = { ".cluster.news", ".cluster.beat." };
	struct cluster *c = arg;
	size_t len = strlen(c->nats->prefix);

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		size_t size = strlen(needed[i]);
		if (subject.len < len + size || memcmp(subject.p, c->nats->prefix, len) != 0 || memcmp(subject.p + len, needed[i], size) != 0)
			continue;
		cluster_denied(c, "to listen to the others");
		note_deaf(c, POST_DEAF);
	}
}

/* Life */

static int
connect_to(struct cluster *c, const struct jetstream_options *nats, struct buf *why)
{
	struct link_nats *l = c->nats;
	struct rpc_options rpc = { .on_reconnect = on_reconnect, .on_refused = on_refused, .arg = c };
	struct buf news = { 0 };

	int err = js_options_make(&rpc.nats, nats, why);
	if (err == 0)
		err = js_options_make(&rpc.lane, nats, why);
	if (err == 0)
		err = rpc_new(&l->rpc, &rpc, c->clock, l->timer, c->lg, why);
	natsOptions_Destroy(rpc.nats);
	buf_printf(&news, "%s.cluster.news", l->prefix);
	if (err == 0)
		err = buf_text(&news) != NULL ? js_sub_open(&l->news, rpc_connection(l->rpc), news.p, on_news, c) : -ENOMEM;
	if (err == 0)
		(void)natsSubscription_SetPendingLimits(l->news.sub, MESSAGES_WAITING, -1);
	buf_free(&news);
	return err;
}

static int
nats_open(struct cluster *c, const struct jetstream_options *nats, struct buf *why)
{
	struct link_nats *l = calloc(1, sizeof(*l));

	c->nats = l;
	if (l == NULL)
		return -ENOMEM;
	l->replicas = nats->replicas > 0 ? nats->replicas : 1;
	l->prefix = strdup(nats->prefix);
	if (l->prefix == NULL)
		return -ENOMEM;
	buf_printf(&l->bucket, "KV_%s_cluster", l->prefix);
	if (buf_text(&l->bucket) == NULL)
		return -ENOMEM;
	int err = timer_new(&l->timer, c->clock);
	return err != 0 ? err : connect_to(c, nats, why);
}

static void
nats_close(struct cluster *c)
{
	struct link_nats *l = c->nats;

	if (l == NULL)
		return;
	cluster_disconnect(c);
	js_sub_close(&l->news);
	while (l->listening != NULL) {
		struct listening *gone = l->listening;
		l->listening = gone->next;
		js_sub_close(&gone->sub);
		free(gone);
	}
	timer_free(l->timer);
	rpc_free(l->rpc);
	buf_free(&l->bucket);
	free(l->prefix);
	free(l);
	c->nats = NULL;
}

void
cluster_subject(const struct cluster *c, const char *what, uint64_t boot, const char *ns, const char *actor, struct buf *out)
{
	buf_printf(out, "%s.cluster.%s.%016" PRIx64 ".", c->nats->prefix, what, boot);
	if (ns == NULL) {
		buf_puts(out, "*.*");
		return;
	}
	name_encode(out, span_of(ns));
	buf_putc(out, '.');
	name_encode(out, span_of(actor));
}

natsConnection *
cluster_nats(const struct cluster *c)
{
	return c->link == &link_nats ? rpc_connection(c->nats->rpc) : NULL;
}

bool
cluster_may_answer(const struct cluster *c, const char *subject)
{
	size_t len = strlen(c->nats->prefix);

	return subject != NULL && subject[0] != '$' && (strncmp(subject, c->nats->prefix, len) != 0 || subject[len] != '.');
}

struct rpc *
cluster_rpc(const struct cluster *c)
{
	return c->link == &link_nats ? c->nats->rpc : NULL;
}

const char *
cluster_prefix(const struct cluster *c)
{
	return c->link == &link_nats ? c->nats->prefix : NULL;
}

void
cluster_disconnect(struct cluster *c)
{
	if (c->link != &link_nats || c->nats == NULL || c->nats->rpc == NULL || c->nats->closed)
		return;
	c->nats->closed = true;
	rpc_close(c->nats->rpc);
	/* What it took out of the requests under way before they were closed is answered then. */
	timer_free(c->nats->timer);
	c->nats->timer = NULL;
}

const struct link link_nats = {
	.io = {
	    .read = nats_read,
	    .write = nats_write,
	    .beat = nats_beat,
	    .answer = nats_answer,
	    .listen = nats_listen,
	    .news = nats_news,
	},
	.open = nats_open,
	.close = nats_close,
};
