#include "rpc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "lock.h"

/* The blocking form of a request. */
struct call {
	struct lock lock;
	pthread_cond_t wake;
	bool done;
	int err;
	natsMsg *reply;
};

static int
copy_reply(natsMsg *msg, natsMsg **copy)
{
	const char **keys = NULL;
	const char *value;
	int count = 0;
	natsStatus s =
	    natsMsg_Create(copy, natsMsg_GetSubject(msg), NULL, natsMsg_GetData(msg), natsMsg_GetDataLength(msg));

	if (s == NATS_OK && natsMsgHeader_Keys(msg, &keys, &count) == NATS_OK)
		for (int i = 0; i < count && s == NATS_OK; i++)
			if (natsMsgHeader_Get(msg, keys[i], &value) == NATS_OK)
				s = natsMsgHeader_Set(*copy, keys[i], value);
	free((void *)keys);
	return s == NATS_OK ? 0 : -ENOMEM;
}

static void
on_call_reply(void *arg, int err, natsMsg *reply)
{
	struct call *c = arg;

	lock_take(&c->lock);
	c->err = err != 0 ? err : copy_reply(reply, &c->reply);
	c->done = true;
	pthread_cond_signal(&c->wake);
	lock_give(&c->lock);
}

int
rpc_call(struct rpc *r, const char *subject, const struct rpc_header *headers, size_t header_count, const void *data,
    size_t size, int64_t deadline_ns, natsMsg **reply)
{
	struct call c = { .done = false };

	lock_init(&c.lock, LOCK_CALL);
	lock_cond_init(&c.wake);
	rpc_request(r, subject, headers, header_count, data, size, deadline_ns, on_call_reply, &c);
	lock_take(&c.lock);
	while (!c.done)
		lock_wait(&c.lock, &c.wake);
	lock_give(&c.lock);
	pthread_cond_destroy(&c.wake);
	lock_destroy(&c.lock);
	*reply = c.reply;
	if (c.err != 0) {
		natsMsg_Destroy(c.reply);
		*reply = NULL;
	}
	return c.err;
}

int
rpc_try(struct rpc *r, const char *subject, const struct rpc_header *headers, size_t header_count, const void *data,
    size_t size, int64_t deadline_ns, natsMsg **reply)
{
	int64_t try_ns = rpc_try_deadline(r, deadline_ns);
	int err = rpc_call(r, subject, headers, header_count, data, size, try_ns, reply);

	return err == -ETIMEDOUT && try_ns < deadline_ns ? -ENOTCONN : err;
}
