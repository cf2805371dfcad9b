#include "js_names.h"

#include <errno.h>
#include <stdlib.h>

#include "js_sub.h"

#define ADVISORIES "$JS.EVENT.ADVISORY.STREAM."

struct js_names {
	struct jetstream *js;
	struct js_sub advisories;
	struct js_sub ours;
	struct buf lead; /* of the names of our streams */
	struct buf subject; /* of ours */

	struct lock lock;
	/* Guarded by lock. */
	void (*changed)(void *arg);
	void *arg;
	unsigned telling; /* calls of changed under way */
	pthread_cond_t told;
};

void
js_names_hint(struct js_names *n)
{
	lock_take(&n->lock);
	void (*changed)(void *) = n->changed;
	void *arg = n->arg;
	n->telling += changed != NULL;
	lock_give(&n->lock);
	if (changed == NULL)
		return;
	changed(arg);
	lock_take(&n->lock);
	n->telling--;
	pthread_cond_broadcast(&n->told);
	lock_give(&n->lock);
}

void
js_names_listen(struct backend *b, void (*changed)(void *arg), void *arg)
{
	struct js_names *n = js_of(b)->names;

	lock_take(&n->lock);
	n->changed = changed;
	n->arg = arg;
	while (changed == NULL && n->telling > 0)
		lock_wait(&n->lock, &n->told);
	lock_give(&n->lock);
}

/* "$JS.EVENT.ADVISORY.STREAM.<what>.<stream>". Streams of others change too, and often, where they hold queues or consumers. */
static void
on_advisory(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct js_names *n = closure;
	const char *stream = strrchr(natsMsg_GetSubject(msg), '.');

	(void)nc, (void)sub;
	if (stream != NULL && strncmp(stream + 1, n->lead.p, strlen(n->lead.p)) == 0)
		js_names_hint(n);
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
	lock_init(&n->lock, LOCK_HINTS);
	lock_cond_init(&n->told);
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
	pthread_cond_destroy(&n->told);
	lock_destroy(&n->lock);
	free(n);
}
