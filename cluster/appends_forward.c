#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <nats/nats.h>

#include "../store/name.h"
#include "../store/rpc.h"
#include "appends_state.h"

/* Lines on their way to the owner. */
struct sent {
	store_forwarded_fn done;
	void *done_arg;
};

static void
on_answer(void *arg, int err, natsMsg *reply)
{
	struct sent sent = *(struct sent *)arg;
	struct handed h = { .err = err };

	free(arg);
	if (err == 0 && handed_decode((struct span){ natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply) }, &h) != 0)
		h.err = -ETIMEDOUT; /* whatever it means */
	/* What this node cannot send, it can append itself. */
	if (h.err != 0 && h.err != -ETIMEDOUT && h.err != -ENOTCONN)
		h.err = -EHOSTUNREACH;
	sent.done(sent.done_arg, h.err, h.err == 0 ? &h.head : NULL, h.version);
}

int
appends_forward(void *arg, const struct store_forward *f, store_forwarded_fn done, void *done_arg)
{
	struct appends *a = arg;
	char since[24], life[24], node[24];
	const struct rpc_header headers[] = { { HANDED_SINCE, since }, { HANDED_LIFE, life }, { HANDED_NODE, node } };
	struct buf subject = { 0 };

	uint64_t owner = cluster_owner_boot(a->cluster, shard_of(f->ns, f->actor));
	if (owner == a->cluster->boot)
		return -EALREADY;
	if (owner == 0)
		return -EHOSTUNREACH;
	snprintf(since, sizeof(since), "%" PRIu64, f->since_seq);
	snprintf(life, sizeof(life), "%" PRIu64, f->life);
	snprintf(node, sizeof(node), "%" PRIx64, f->node);
	cluster_subject(a->cluster, "append", owner, f->ns, f->actor, &subject);
	struct sent *sent = malloc(sizeof(*sent));
	int err = sent == NULL || buf_text(&subject) == NULL ? -EHOSTUNREACH : 0;
	if (err == 0) {
		*sent = (struct sent){ done, done_arg };
		rpc_request(cluster_rpc(a->cluster), subject.p, headers, 3, f->lines.p, f->lines.len, f->deadline_ns, on_answer, sent);
	} else {
		free(sent);
	}
	buf_free(&subject);
	return err;
}
