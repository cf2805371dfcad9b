#include "appends.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <nats/nats.h>
#include <xxhash.h>

#include "../store/actor.h"
#include "../store/json.h"
#include "../store/name.h"
#include "appends_state.h"
#include "message.h"

/* What a request costs besides its bytes. */
#define REQUEST_COST 1024

/* A request that is being carried out. */
struct job {
	struct appends *appends;
	natsMsg *msg; /* its data are what is appended */
	bool handed;
	char *reply;
	struct actor *actor;
	struct append append;
	size_t at; /* what is stored already, of lines that exceed a record, and up to which version */
	uint64_t version;
	size_t cost;
	char names[];
};

static void
send_reply(struct job *j, struct buf *text)
{
	/* Whoever asked and is not told finds out by asking again: ids tell what is stored. */
	if (j->reply != NULL && !text->failed)
		(void)natsConnection_Publish(cluster_nats(j->appends->cluster), j->reply, text->p, (int)text->len);
	buf_free(text);
}

static void
job_end(struct job *j)
{
	struct appends *a = j->appends;

	if (j->actor != NULL)
		actor_put(j->actor);
	natsMsg_Destroy(j->msg);
	atomic_fetch_sub(&a->bytes, j->cost);
	free(j);
}

static const struct {
	int err;
	const char *code, *text;
} errors[] = {
	{ -EINVAL, "EINVAL", "malformed event, or none" },
	{ -EILSEQ, "EILSEQ", "not UTF-8" },
	{ -EEXIST, "EEXIST", "the id is stored already, with other content" },
	{ -EMSGSIZE, "EMSGSIZE", "too large" },
	{ -ENOENT, "ENOENT", "no such namespace" },
	{ -ENOSPC, "ENOSPC", "JetStream is out of storage, or the stream is at its limit" },
	{ -EACCES, "EACCES", "NATS refuses" },
	{ -ETIMEDOUT, "ETIMEDOUT", "no acknowledgement in time: whether it is stored is not known" },
	{ -EAGAIN, "EAGAIN", "busy: too much is under way" },
	{ -ENAMETOOLONG, "ENAMETOOLONG", "the name is too long" },
	{ -EPERM, "EPERM", "a name that begins with a dot is reserved" },
	{ -EIO, "EIO", "the actor's last record was not written by Aether" },
};

static void
put_error(struct buf *out, int err)
{
	const char *code = "EIO", *text = strerror(-err);

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (errors[i].err == err) {
			code = errors[i].code;
			text = errors[i].text;
		}
	}
	buf_puts(out, "{\"error\":");
	json_put_string(out, span_of(text));
	buf_printf(out, ",\"code\":\"%s\"}", code);
}

static void
put_conflict(struct buf *out, const char *actor, const struct conflict *c)
{
	buf_puts(out, "{\"error\":\"version conflict\",\"actorId\":");
	json_put_string(out, span_of(actor));
	buf_printf(out, ",\"currentVersion\":%" PRIu64 ",\"attemptedVersion\":%" PRIu64 "}", c->current, c->attempted);
}

/* The answer to any program's request. */
static void
answer(struct job *j, int err)
{
	struct buf text = { 0 };

	if (err == -ESTALE)
		put_conflict(&text, j->names + strlen(j->names) + 1, &j->append.conflict);
	else if (err != 0)
		put_error(&text, err);
	if (err != 0 && j->version != 0) {
		/* Of lines that exceed a record the first are stored. */
		text.len--;
		buf_printf(&text, ",\"version\":%" PRIu64 "}", j->version);
	}
	if (err == 0)
		buf_printf(&text, "{\"version\":%" PRIu64 "}", j->append.version);
	send_reply(j, &text);
	job_end(j);
}

static void
answer_handed(struct job *j, int err)
{
	struct handed h = { .err = err == 0 || err == -ETIMEDOUT ? err : -EHOSTUNREACH, .version = j->append.version, .head = j->append.head };
	struct buf text = { 0 };

	handed_encode(&h, &text);
	send_reply(j, &text);
	job_end(j);
}

/* Lines that exceed a record are several, one behind the other. */
static void
appended(struct append *ap, int err)
{
	struct job *j = ap->user;
	size_t size = (size_t)natsMsg_GetDataLength(j->msg);

	if (j->handed) {
		answer_handed(j, err);
		return;
	}
	j->at += ap->consumed;
	if (err != 0 || j->at >= size || ap->consumed == 0) {
		answer(j, err == 0 && ap->version == 0 ? -EINVAL : err);
		return;
	}
	j->version = ap->version;
	j->append = (struct append){ .data = natsMsg_GetData(j->msg) + j->at, .size = size - j->at, .done = appended, .for_other = true, .user = j };
	actor_append(j->actor, &j->append);
}

static const char *
header(natsMsg *msg, const char *key)
{
	const char *value = NULL;

	return natsMsgHeader_Get(msg, key, &value) == NATS_OK ? value : "";
}

static bool
take_headers(struct job *j)
{
	struct append *ap = &j->append;

	ap->forwarded = true;
	ap->since_seq = strtoull(header(j->msg, HANDED_SINCE), NULL, 10);
	ap->since_life = strtoull(header(j->msg, HANDED_LIFE), NULL, 10);
	ap->for_node = strtoull(header(j->msg, HANDED_NODE), NULL, 16);
	return header(j->msg, HANDED_SINCE)[0] != '\0' && header(j->msg, HANDED_LIFE)[0] != '\0';
}

static void
keep(struct appends *a, const char *ns, const char *actor, struct actor *is)
{
	size_t at = XXH3_64bits_withSeed(actor, strlen(actor), XXH3_64bits(ns, strlen(ns))) % APPENDS_KEPT;
	struct actor *fresh;

	lock_take(&a->lock);
	bool kept = a->kept[at] == is;
	lock_give(&a->lock);
	if (kept || actor_get(a->store, ns, actor, &fresh) != 0)
		return;
	lock_take(&a->lock);
	struct actor *was = a->kept[at];
	a->kept[at] = fresh;
	lock_give(&a->lock);
	if (was != NULL)
		actor_put(was);
}

static int
check_names(const char *ns, const char *actor)
{
	int err = name_check_namespace(span_of(ns));

	return err != 0 ? err : name_check_actor(span_of(actor));
}

/* Is there room for it? */
static bool
admit(struct appends *a, struct job *j)
{
	size_t cost = REQUEST_COST + 2 * (size_t)natsMsg_GetDataLength(j->msg);

	j->cost = cost;
	return atomic_fetch_add(&a->bytes, cost) + cost <= APPENDS_BYTES_MAX;
}

static void
begin(struct job *j, const char *ns, const char *actor)
{
	struct appends *a = j->appends;
	size_t size = (size_t)natsMsg_GetDataLength(j->msg);
	int err = check_names(ns, actor);

	if (err == 0 && size == 0)
		err = -EINVAL; /* it would be a creation marker */
	if (err == 0)
		err = actor_get(a->store, ns, actor, &j->actor);
	if (err != 0) {
		(j->handed ? answer_handed : answer)(j, err);
		return;
	}
	keep(a, ns, actor, j->actor);
	j->append = (struct append){ .data = natsMsg_GetData(j->msg), .size = size, .done = appended, .for_other = true, .user = j };
	if (j->handed && !take_headers(j)) {
		answer_handed(j, -EINVAL);
		return;
	}
	actor_append(j->actor, &j->append);
}

/* Takes msg. */
static void
serve(struct appends *a, natsMsg *msg, bool handed)
{
	struct buf ns = { 0 }, actor = { 0 };
	int err = message_names(natsMsg_GetSubject(msg), &ns, &actor);
	const char *reply = natsMsg_GetReply(msg);

	if (reply != NULL && !cluster_may_answer(a->cluster, reply)) {
		log_warn(a->lg, "a request to append wants its answer at %s, and is refused", reply);
		natsMsg_Destroy(msg);
		buf_free(&ns);
		buf_free(&actor);
		return;
	}
	struct job *j = err != -ENOMEM ? calloc(1, sizeof(*j) + ns.len + 1 + actor.len + 1) : NULL;

	if (j == NULL) {
		natsMsg_Destroy(msg);
	} else {
		*j = (struct job){ .appends = a, .msg = msg, .handed = handed };
		j->reply = (char *)(uintptr_t)natsMsg_GetReply(msg);
		if (err == 0) {
			memcpy(j->names, ns.p, ns.len + 1);
			memcpy(j->names + ns.len + 1, actor.p, actor.len + 1);
		}
		if (!admit(a, j))
			err = -EAGAIN;
		if (err != 0)
			(handed ? answer_handed : answer)(j, err);
		else
			begin(j, ns.p, actor.p);
	}
	buf_free(&ns);
	buf_free(&actor);
}

static void
on_request(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	(void)nc, (void)sub;
	serve(closure, msg, false);
}

static void
on_handed(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	(void)nc, (void)sub;
	serve(closure, msg, true);
}

/* Life */

int
appends_new(struct appends **out, struct cluster *c, struct store *s, struct logger *lg, bool serves)
{
	struct appends *a = calloc(1, sizeof(*a));
	struct buf subject = { 0 };
	int err = 0;

	if (a == NULL)
		return -ENOMEM;
	*a = (struct appends){ .cluster = c, .store = s, .lg = lg };
	lock_init(&a->lock, LOCK_APPENDS);
	*out = a;
	if (cluster_nats(c) == NULL)
		return 0;
	/* Before the first request can come. */
	store_set_forward(s, appends_forward, a);
	if (!serves)
		return 0;
	buf_printf(&subject, "%s.append.*.*", cluster_prefix(c));
	err = buf_text(&subject) != NULL ? js_sub_open_queue(&a->requests, cluster_nats(c), subject.p, "aether", on_request, a) : -ENOMEM;
	if (err == 0)
		(void)natsSubscription_SetPendingLimits(a->requests.sub, -1, APPENDS_BYTES_MAX);
	buf_clear(&subject);
	cluster_subject(c, "append", c->boot, NULL, NULL, &subject);
	if (err == 0)
		err = buf_text(&subject) != NULL ? js_sub_open(&a->handed, cluster_nats(c), subject.p, on_handed, a) : -ENOMEM;
	if (err == 0)
		(void)natsSubscription_SetPendingLimits(a->handed.sub, -1, APPENDS_BYTES_MAX);
	buf_free(&subject);
	return err;
}

void
appends_stop(struct appends *a)
{
	if (a == NULL)
		return;
	if (a->requests.sub != NULL)
		natsSubscription_Unsubscribe(a->requests.sub);
	if (a->handed.sub != NULL)
		natsSubscription_Unsubscribe(a->handed.sub);
	js_sub_wait(&a->requests);
	js_sub_wait(&a->handed);
	for (size_t i = 0; i < APPENDS_KEPT; i++) {
		if (a->kept[i] != NULL)
			actor_put(a->kept[i]);
		a->kept[i] = NULL;
	}
}

void
appends_free(struct appends *a)
{
	if (a == NULL)
		return;
	/* Only when the connection has been closed may the subscriptions be freed. */
	cluster_disconnect(a->cluster);
	js_sub_close(&a->requests);
	js_sub_close(&a->handed);
	lock_destroy(&a->lock);
	free(a);
}
