#include "js_last.h"

#include <errno.h>
#include <stdlib.h>

#include "js_api.h"

/*
 * Two questions tell whether it is forgotten, in this order: is there a message of the subject, and is there a last
 * one? Asked the other way round a first append that comes in between would look the same.
 *
 * Then the search, for the largest sequence from which there is a next message: back from the stream's end in growing
 * steps, for the actor is likely to be the one that filled it, and then by halves.
 */
struct search {
	struct jetstream *js;
	int64_t deadline_ns;
	backend_get_fn found_fn; /* of js_last_find; NULL: it is js_last_refused */
	void (*refused_fn)(void *arg, int err);
	void *arg;
	uint64_t has;  /* a message of the subject has this sequence */
	uint64_t none; /* none has this one or a later */
	uint64_t step; /* how far back from none to look; 0: in the middle */
	uint64_t from; /* where it was looked last */
	struct actor_name name;
	char names[];
};

static struct search *
search_new(struct jetstream *js, struct actor_name name, int64_t deadline_ns, void *arg)
{
	size_t ns_size = strlen(name.ns) + 1, actor_size = strlen(name.actor) + 1;
	struct search *s = calloc(1, sizeof(*s) + ns_size + actor_size);

	if (s == NULL)
		return NULL;
	*s = (struct search){ .js = js, .deadline_ns = deadline_ns, .arg = arg };
	s->name.ns = memcpy(s->names, name.ns, ns_size);
	s->name.actor = memcpy(s->names + ns_size, name.actor, actor_size);
	return s;
}

static void
end(struct search *s, int err, const struct record *r)
{
	if (s->found_fn != NULL)
		s->found_fn(s->arg, err, r);
	else
		s->refused_fn(s->arg, err);
	free(s);
}

static void
ask(struct search *s, enum backend_get_kind kind, uint64_t seq, backend_get_fn fn)
{
	struct backend_get g = { .kind = kind, .seq = seq, .fresh = true };

	js_get_plain(s->js, s->name, g, s->deadline_ns, fn, s);
}

static void
on_found(void *arg, int err, const struct record *r)
{
	end(arg, err, r);
}

static void on_probe(void *arg, int err, const struct record *r);

static void
probe(struct search *s)
{
	uint64_t between = s->none - s->has;

	if (s->step >= between)
		s->step = 0;
	s->from = s->step != 0 ? s->none - s->step : s->has + between / 2;
	if (between > 1)
		ask(s, GET_NEXT, s->from, on_probe);
	else
		ask(s, GET_SEQ, s->has, on_found);
}

static void
on_probe(void *arg, int err, const struct record *r)
{
	struct search *s = arg;

	if (err != 0 && err != -ENOENT) {
		end(s, err, NULL);
		return;
	}
	if (err == 0) {
		s->has = r->seq;
		s->step = 0;
	} else {
		s->none = s->from;
		s->step *= 2;
	}
	/* One that was stored since the search began: it is the last, or was when it came. */
	if (s->has >= s->none)
		s->none = s->has + 1;
	probe(s);
}

static void
on_info(void *arg, int err, natsMsg *reply)
{
	struct search *s = arg;
	cJSON *info = NULL;

	if (err == 0)
		err = js_api_parse(s->js->lg, reply, &info);
	else if (err == -EHOSTUNREACH)
		err = -ENOTCONN;
	if (err != 0) {
		end(s, err, NULL);
		return;
	}
	uint64_t last = js_number(cJSON_GetObjectItemCaseSensitive(info, "state"), "last_seq", 0);
	cJSON_Delete(info);
	s->none = (last > s->has ? last : s->has) + 1;
	s->step = 1;
	probe(s);
}

static void
report(const struct search *s)
{
	if (js_first_report(s->js, s->name.ns))
		log_error(s->js->lg,
		    "namespace %s: the NATS server's index of the subject of %s (and maybe of others) is broken, as in "
		    "nats-server 2.9 once "
		    "its storage was full: it can be read, but not appended to. A restart of the server mends it",
		    s->name.ns, s->name.actor);
}

static void
on_last(void *arg, int err, const struct record *r)
{
	struct search *s = arg;

	if (err == -ENOENT)
		report(s);
	if (s->found_fn == NULL)
		end(s, err == -ENOENT ? -ENOSPC : -ESTALE, NULL);
	else if (err == -ENOENT)
		js_request_info(s->js, s->name.ns, s->deadline_ns, on_info, s);
	else
		end(s, err, r);
}

static void
on_any(void *arg, int err, const struct record *r)
{
	struct search *s = arg;

	if (err != 0) {
		end(s, s->found_fn != NULL ? err : -ESTALE, NULL);
		return;
	}
	s->has = r->seq;
	ask(s, GET_LAST, 0, on_last);
}

void
js_last_find(struct jetstream *js, struct actor_name name, int64_t deadline_ns, backend_get_fn fn, void *arg)
{
	struct search *s = search_new(js, name, deadline_ns, arg);

	if (s == NULL) {
		fn(arg, -ENOMEM, NULL);
		return;
	}
	s->found_fn = fn;
	ask(s, GET_NEXT, 1, on_any);
}

void
js_last_refused(struct jetstream *js, struct actor_name name, uint64_t prev_seq, int64_t deadline_ns,
    void (*fn)(void *arg, int err), void *arg)
{
	struct search *s = search_new(js, name, deadline_ns, arg);

	if (s == NULL) {
		fn(arg, -ESTALE);
		return;
	}
	s->refused_fn = fn;
	ask(s, GET_NEXT, prev_seq, on_any);
}
