#include "js_names.h"

#include <errno.h>
#include <stdlib.h>

#include "listener.h"
#include "js_sub.h"

#define ADVISORIES "$JS.EVENT.ADVISORY.STREAM."

struct js_names {
	struct jetstream *js;
	struct js_sub advisories;
	struct js_sub ours;
	struct buf lead; /* of the names of our streams */
	struct buf subject; /* of ours */
	struct listener listener; /* told a name where a leader was elected, else none */
	void (*changed)(void *arg, bool elected); /* what it calls */
	void *arg;
};

void
js_names_hint(struct js_names *n)
{
	listener_tell(&n->listener, NULL);
}

static void
call_changed(void *arg, const char *name)
{
	const struct js_names *n = arg;

	n->changed(n->arg, name != NULL);
}

void
js_names_listen(struct backend *b, void (*changed)(void *arg, bool elected), void *arg)
{
	struct js_names *n = js_of(b)->names;

	listener_set(&n->listener, NULL, NULL);
	n->changed = changed;
	n->arg = arg;
	if (changed != NULL)
		listener_set(&n->listener, call_changed, n);
}

/* "$JS.EVENT.ADVISORY.STREAM.<what>.<stream>". Streams of others change too, and often, where they hold queues or consumers. */
static void
on_advisory(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct js_names *n = closure;
	const char *stream = strrchr(natsMsg_GetSubject(msg), '.');

	(void)nc, (void)sub;
	if (stream != NULL && strncmp(stream + 1, n->lead.p, strlen(n->lead.p)) == 0)
		listener_tell(&n->listener, strstr(natsMsg_GetSubject(msg), ".LEADER_ELECTED.") != NULL ? stream : NULL);
	natsMsg_Destroy(msg);
}

static void
on_ours(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	(void)nc, (void)sub;
	js_names_hint(closure);
	natsMsg_Destroy(msg);
}

void
js_names_tell(struct jetstream *js)
{
	/* What is lost here is found all the same, by the server's advisory or by a look, only later. */
	(void)natsConnection_Publish(rpc_connection(js->rpc), js->names->subject.p, NULL, 0);
}

int
js_names_new(struct js_names **out, struct jetstream *js)
{
	struct js_names *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return -ENOMEM;
	n->js = js;
	listener_init(&n->listener);
	buf_printf(&n->lead, "%s-", js->prefix);
	buf_printf(&n->subject, "%s.names", js->prefix);
	*out = n;
	return buf_text(&n->lead) != NULL && buf_text(&n->subject) != NULL ? 0 : -ENOMEM;
}

int
js_names_open(struct js_names *n)
{
	natsConnection *nc = rpc_connection(n->js->rpc);
	int err = js_sub_open(&n->ours, nc, n->subject.p, on_ours, n);

	return err != 0 ? err : js_sub_open(&n->advisories, nc, ADVISORIES "*.*", on_advisory, n);
}

void
js_names_close(struct js_names *n)
{
	if (n == NULL)
		return;
	js_sub_close(&n->ours);
	js_sub_close(&n->advisories);
}

void
js_names_free(struct js_names *n)
{
	if (n == NULL)
		return;
	buf_free(&n->lead);
	buf_free(&n->subject);
	listener_destroy(&n->listener);
	free(n);
}
