#include "rpc_spent.h"

#include <string.h>

static void
destroy(natsMsg *const *messages, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		natsMsg_Destroy(messages[i]);
}

void
rpc_spent_init(struct rpc_spent *s)
{
	*s = (struct rpc_spent){ 0 };
	pthread_mutex_init(&s->lock, NULL);
}

void
rpc_spent_add(struct rpc_spent *s, natsMsg *msg)
{
	natsMsg *full[SPENT_MAX];
	unsigned count = 0;

	if (msg == NULL || natsMsg_GetDataLength(msg) > SPENT_BYTES_MAX) {
		natsMsg_Destroy(msg);
		return;
	}
	pthread_mutex_lock(&s->lock);
	s->messages[s->count++] = msg;
	if (s->count == SPENT_MAX) {
		count = s->count;
		memcpy(full, s->messages, sizeof(full));
		s->count = 0;
	}
	pthread_mutex_unlock(&s->lock);
	destroy(full, count);
}

void
rpc_spent_free(struct rpc_spent *s)
{
	destroy(s->messages, s->count);
	pthread_mutex_destroy(&s->lock);
}
