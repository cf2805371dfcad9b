#include "js_sub.h"

#include "js_state.h"

static void
on_end(void *closure)
{
	struct js_sub *s = closure;

	lock_take(&s->lock);
	s->on = false;
	pthread_cond_signal(&s->ended);
	lock_give(&s->lock);
}

static int
set_up(struct js_sub *s, natsStatus status)
{
	if (status != NATS_OK)
		return js_errno(status);
	lock_init(&s->lock, LOCK_SUB);
	lock_cond_init(&s->ended);
	s->on = true;
	status = natsSubscription_SetOnCompleteCB(s->sub, on_end, s);
	if (status != NATS_OK)
		on_end(s);
	else
		status = natsSubscription_SetPendingLimits(s->sub, -1, -1);
	return js_errno(status);
}

int
js_sub_open(struct js_sub *s, natsConnection *nc, const char *subject, natsMsgHandler fn, void *arg)
{
	return set_up(s, natsConnection_Subscribe(&s->sub, nc, subject, fn, arg));
}

int
js_sub_open_queue(struct js_sub *s, natsConnection *nc, const char *subject, const char *group, natsMsgHandler fn, void *arg)
{
	return set_up(s, natsConnection_QueueSubscribe(&s->sub, nc, subject, group, fn, arg));
}

void
js_sub_wait(struct js_sub *s)
{
	if (s->sub == NULL)
		return;
	lock_take(&s->lock);
	while (s->on)
		lock_wait(&s->lock, &s->ended);
	lock_give(&s->lock);
}

void
js_sub_close(struct js_sub *s)
{
	if (s->sub == NULL)
		return;
	js_sub_wait(s);
	natsSubscription_Destroy(s->sub);
	pthread_cond_destroy(&s->ended);
	lock_destroy(&s->lock);
	s->sub = NULL;
}
