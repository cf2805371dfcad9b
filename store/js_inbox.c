#include "js_inbox.h"

#include <errno.h>
#include <stdlib.h>

/* Those that are kept while nobody asks. */
#define KEPT 16
/* How long the end of a subscription waits for the server to answer. */
#define FLUSH_MS 1000

int
js_errno(natsStatus s)
{
	int err = rpc_errno(s);

	return err == -EHOSTUNREACH ? -ENOTCONN : err;
}

static void
free_list(struct js_inbox *in)
{
	while (in != NULL) {
		struct js_inbox *next = in->next;
		natsSubscription_Destroy(in->sub);
		natsInbox_Destroy(in->subject);
		free(in);
		in = next;
	}
}

void
js_inboxes_free(struct jetstream *js)
{
	free_list(js->kept_inboxes);
	free_list(js->left_inboxes);
}

int
js_inbox_take(struct jetstream *js, struct js_inbox **out)
{
	lock_take(&js->lock);
	struct js_inbox *in = js->kept_inboxes;
	if (in != NULL) {
		js->kept_inboxes = in->next;
		js->kept_count--;
	}
	lock_give(&js->lock);
	*out = in;
	if (in != NULL)
		return 0;
	in = calloc(1, sizeof(*in));
	if (in == NULL)
		return -ENOMEM;
	natsStatus s = natsInbox_Create(&in->subject);
	if (s == NATS_OK)
		s = natsConnection_SubscribeSync(&in->sub, rpc_connection(js->rpc), in->subject);
	if (s == NATS_OK)
		s = natsSubscription_SetPendingLimits(in->sub, -1, -1);
	if (s != NATS_OK) {
		/* Nothing has ever been sent to it. */
		free_list(in);
		return js_errno(s);
	}
	*out = in;
	return 0;
}

static bool
keep(struct jetstream *js, struct js_inbox *in)
{
	lock_take(&js->lock);
	bool room = js->kept_count < KEPT;
	if (room) {
		in->next = js->kept_inboxes;
		js->kept_inboxes = in;
		js->kept_count++;
	}
	lock_give(&js->lock);
	return room;
}

/* Put inboxes that have ended to those that wait to be freed. */
static void
leave(struct jetstream *js, struct js_inbox *list)
{
	struct js_inbox *last = list;

	while (last->next != NULL)
		last = last->next;
	lock_take(&js->lock);
	last->next = js->left_inboxes;
	js->left_inboxes = list;
	lock_give(&js->lock);
}

void
js_inbox_give(struct jetstream *js, struct js_inbox *in, enum js_inbox_state state)
{
	if (in == NULL || (state == JS_INBOX_CLEAN && keep(js, in)))
		return;
	/* The server is told to send no more: one message has come long ago, or will not be missed. */
	natsSubscription_AutoUnsubscribe(in->sub, 1);
	lock_take(&js->lock);
	in->next = js->left_inboxes;
	js->left_inboxes = NULL;
	lock_give(&js->lock);
	if (state != JS_INBOX_SILENT && rpc_connected(js->rpc) &&
	    natsConnection_FlushTimeout(rpc_connection(js->rpc), FLUSH_MS) == NATS_OK)
		free_list(in);
	else
		leave(js, in);
}
