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
	lock_init(&s->lock, LOCK_SPENT);
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
	lock_take(&s->lock);
	s->messages[s->count++] = msg;
	if (s->count == SPENT_MAX) {
		count = s->count;
		memcpy(full, s->messages, sizeof(full));
		s->count = 0;
	}
	lock_give(&s->lock);
	destroy(full, count);
}

void
rpc_spent_free(struct rpc_spent *s)
{
	destroy(s->messages, s->count);
	lock_destroy(&s->lock);
}
