#include "js_erase.h"

#include <errno.h>
#include <stdlib.h>

#include "js_api.h"
#include "js_many.h"
#include "name.h"
#include "wait.h"

/* Purging */

/* So many are looked for one by one, before a scan is opened, and a scan finds so many at once. */
#define SINGLY 32
#define LIST_MAX 4096
/* Requests under way. */
#define WINDOW 64

struct purge {
	struct jetstream *js;
	struct actor_name name;
	uint64_t before_seq;
	int64_t timeout_ns; /* for each request */
	struct buf stream;
	uint64_t list[LIST_MAX];
	size_t count;
};

static int
purge_at_once(struct jetstream *js, struct actor_name name, uint64_t before_seq, int64_t deadline_ns)
{
	struct buf subject = { 0 }, stream = { 0 };
	cJSON *request = cJSON_CreateObject(), *reply = NULL;
	int err = -ENOMEM;

	js_subject(js, "ev", name.ns, name.actor, &subject);
	js_stream_name(js, name.ns, &stream);
	const char *text = buf_text(&subject), *to = buf_text(&stream);
	if (text != NULL && to != NULL && cJSON_AddStringToObject(request, "filter", text) != NULL &&
	    cJSON_AddNumberToObject(request, "seq", (double)before_seq) != NULL)
		err = js_api_call(js->rpc, js->lg, "STREAM.PURGE", to, request, deadline_ns, &reply);
	else
		cJSON_Delete(request);
	cJSON_Delete(reply);
	buf_free(&subject);
	buf_free(&stream);
	return err;
}

struct deletion {
	struct js_many *many;
	struct logger *lg;
};

static void
on_deleted(void *arg, int err, natsMsg *reply)
{
	struct deletion *d = arg;
	cJSON *answer = NULL;

	if (err == 0)
		err = js_api_parse(d->lg, reply, &answer);
	else if (err == -EHOSTUNREACH)
		err = -ENOTCONN;
	cJSON_Delete(answer);
	/* Somebody else has done it. */
	js_many_end(d->many, err == -ENOENT ? 0 : err);
}

static int
delete_listed(struct purge *p)
{
	struct js_many many;
	struct deletion d = { &many, p->js->lg };
	struct buf subject = { 0 };
	char body[64];

	buf_printf(&subject, "$JS.API.STREAM.MSG.DELETE.%s", p->stream.p);
	const char *to = buf_text(&subject);
	if (to == NULL)
		return -ENOMEM;
	js_many_init(&many);
	for (size_t i = 0; i < p->count && js_many_begin(&many, WINDOW) == 0; i++) {
		/* Overwriting it on the disk too takes several times as long, and a purge does not either. */
		int len = snprintf(body, sizeof(body), "{\"seq\":%llu,\"no_erase\":true}", (unsigned long long)p->list[i]);
		rpc_request(p->js->rpc, to, NULL, 0, body, (size_t)len, clock_mono(p->js->clock) + p->timeout_ns, on_deleted, &d);
	}
	int err = js_many_finish(&many);
	buf_free(&subject);
	return err;
}

static int
on_scanned(void *arg, const struct scanned *m)
{
	struct purge *p = arg;

	if (m == NULL)
		return 0;
	p->list[p->count++] = m->seq;
	return p->count == LIST_MAX ? 1 : 0;
}

/* The next one, at or behind from; 0 with nothing in the list: there is none. */
static int
list_one(struct purge *p, uint64_t from)
{
	struct backend_get g = { .kind = GET_NEXT, .seq = from, .fresh = true };
	struct owned_record r = { 0 };

	p->count = 0;
	int err = wait_get(&p->js->base, p->js->clock, p->name, g, clock_mono(p->js->clock) + p->timeout_ns, &r);
	if (err == 0 && r.record.seq < p->before_seq)
		p->list[p->count++] = r.record.seq;
	owned_record_free(&r);
	return err == -ENOENT ? 0 : err;
}

static int
purge_singly(struct purge *p)
{
	struct backend_range range = { .from_seq = 1, .to_seq = p->before_seq - 1 };
	unsigned singly = 0;
	int err;

	do {
		if (singly++ < SINGLY) {
			err = list_one(p, range.from_seq);
			if (err == 0 && p->count == 0)
				return 0;
		} else {
			p->count = 0;
			err = js_scan(&p->js->base, p->name, range, p->timeout_ns, on_scanned, p);
			/* It may have ended early. */
			singly = 0;
		}
		if (err == 0)
			err = delete_listed(p);
		if (p->count > 0)
			range.from_seq = p->list[p->count - 1] + 1;
	} while (err == 0);
	return err;
}

int
js_purge(struct backend *b, struct actor_name name, uint64_t before_seq, int64_t deadline_ns)
{
	struct jetstream *js = js_of(b);

	if (js_is_trusted(js, name.ns))
		return purge_at_once(js, name, before_seq, deadline_ns);
	struct purge *p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	*p = (struct purge){ .js = js, .name = name, .before_seq = before_seq };
	p->timeout_ns = rpc_try_deadline(js->rpc, deadline_ns) - clock_mono(js->clock);
	js_stream_name(js, name.ns, &p->stream);
	int err = buf_text(&p->stream) != NULL ? purge_singly(p) : -ENOMEM;
	buf_free(&p->stream);
	free(p);
	return err;
}

/* Inhabitants */

struct census {
	struct jetstream *js;
	const char *ns;
	struct buf lead; /* of the subjects, before an actor's name */
	int64_t timeout_ns;
	struct js_many many;
	atomic_bool somebody;
	atomic_uint asked; /* and answered */
};

/* One that is asked for. */
struct inhabitant {
	struct census *census;
	struct buf name;
	uint64_t messages;
	uint64_t erased_seq; /* where its tombstone stands, if there is something before that */
};

static void
on_last(void *arg, int err, const struct record *r)
{
	struct inhabitant *i = arg;
	struct census *c = i->census;

	/* One that is listed and cannot be found is nothing that could be relied on. */
	if (err == -ENOENT || (err == 0 && !r->erased))
		atomic_store(&c->somebody, true);
	else if (err == 0 && i->messages > 1)
		i->erased_seq = r->seq;
	atomic_fetch_add(&c->asked, 1);
	js_many_end(&c->many, err == -ENOENT ? 0 : err);
}

static int
ask_for(struct census *c, const cJSON *subject, struct inhabitant *i)
{
	struct backend *b = &c->js->base;
	struct backend_get g = { .kind = GET_LAST, .fresh = true };
	unsigned window = atomic_load(&c->asked) + 1;

	*i = (struct inhabitant){ .census = c, .messages = (uint64_t)subject->valuedouble };
	if (strncmp(subject->string, c->lead.p, c->lead.len) != 0 ||
	    name_decode(&i->name, span_of(subject->string + c->lead.len)) != 0 || buf_text(&i->name) == NULL) {
		/* Nobody could have created it by a name of ours. */
		atomic_store(&c->somebody, true);
		return 0;
	}
	/* The first one is likely to be there, and then no more questions are needed. */
	int err = js_many_begin(&c->many, window < WINDOW ? window : WINDOW);
	if (err == 0)
		b->ops->get(b, (struct actor_name){ c->ns, i->name.p }, g,
		    rpc_try_deadline(c->js->rpc, clock_mono(c->js->clock) + c->timeout_ns), on_last, i);
	return err;
}

static int
purge_rests(struct census *c, const struct inhabitant *all, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count && err == 0; i++)
		if (all[i].erased_seq != 0)
			err = js_purge(&c->js->base, (struct actor_name){ c->ns, all[i].name.p }, all[i].erased_seq,
			    clock_mono(c->js->clock) + c->timeout_ns);
	return err;
}

int
js_inhabited(struct jetstream *js, const char *ns, const cJSON *subjects, int64_t timeout_ns, enum js_inhabitants *who)
{
	struct census c = { .js = js, .ns = ns, .timeout_ns = timeout_ns };
	size_t total = (size_t)cJSON_GetArraySize(subjects), count = 0;
	const cJSON *subject;
	int err = 0;

	*who = JS_NOBODY;
	if (total == 0)
		return 0;
	struct inhabitant *all = calloc(total, sizeof(*all));
	js_subject(js, "ev", ns, "", &c.lead);
	if (all == NULL || buf_text(&c.lead) == NULL) {
		free(all);
		return -ENOMEM;
	}
	js_many_init(&c.many);
	cJSON_ArrayForEach(subject, subjects)
	{
		if (err == 0 && !atomic_load(&c.somebody))
			err = ask_for(&c, subject, &all[count++]);
	}
	int failed = js_many_finish(&c.many);
	err = err == 0 ? failed : err;
	*who = atomic_load(&c.somebody) ? JS_SOMEBODY : JS_ERASED;
	if (*who == JS_SOMEBODY)
		err = 0;
	else if (err == 0)
		err = purge_rests(&c, all, count);
	for (size_t i = 0; i < count; i++)
		buf_free(&all[i].name);
	free(all);
	buf_free(&c.lead);
	return err == -ETIMEDOUT ? -ENOTCONN : err;
}
