#include "due.h"

#include <errno.h>
#include <stdlib.h>

#include "../store/js_sub.h"
#include "../store/name.h"
#include "../store/rpc.h"
#include "../store/snapshot.h"
#include "cluster_state.h"
#include "message.h"
#include "shard.h"

struct due {
	struct cluster *cluster;
	struct snapshots *snapshots;
	struct js_sub sub;
};

/* The owner was told of an actor. */
struct told {
	struct due *due;
	const char *actor; /* behind ns */
	char ns[];
};

static void
on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct due *d = closure;
	struct buf ns = { 0 }, actor = { 0 };
	const char *reply = natsMsg_GetReply(msg);

	(void)sub;
	if (message_names(natsMsg_GetSubject(msg), &ns, &actor) == 0) {
		snapshots_later(d->snapshots, ns.p, actor.p);
		if (reply != NULL && cluster_may_answer(d->cluster, reply))
			natsConnection_Publish(nc, reply, NULL, 0); /* if it is lost the other takes one, too */
	}
	buf_free(&ns);
	buf_free(&actor);
	natsMsg_Destroy(msg);
}

static void
on_answer(void *arg, int err, natsMsg *reply)
{
	struct told *t = arg;

	(void)reply;
	if (err != 0)
		snapshots_later(t->due->snapshots, t->ns, t->actor);
	free(t);
}

static struct told *
told_new(struct due *d, const char *ns, const char *actor)
{
	size_t ns_size = strlen(ns) + 1, actor_size = strlen(actor) + 1;
	struct told *t = malloc(sizeof(*t) + ns_size + actor_size);

	if (t == NULL)
		return NULL;
	t->due = d;
	memcpy(t->ns, ns, ns_size);
	t->actor = memcpy(t->ns + ns_size, actor, actor_size);
	return t;
}

/* Tell the owner. False: there is none but this node. */
static bool
tell_owner(struct due *d, const char *ns, const char *actor)
{
	struct buf subject = { 0 };
	uint64_t owner = cluster_owner_boot(d->cluster, shard_of(ns, actor));

	if (cluster_rpc(d->cluster) == NULL || owner == 0 || owner == d->cluster->boot)
		return false;
	cluster_subject(d->cluster, "snapshot", owner, ns, actor, &subject);
	struct told *t = buf_text(&subject) != NULL ? told_new(d, ns, actor) : NULL;
	if (t != NULL)
		rpc_request(cluster_rpc(d->cluster), subject.p, NULL, 0, NULL, 0, clock_mono(d->cluster->clock) + DUE_ANSWER_NS, on_answer, t);
	buf_free(&subject);
	return t != NULL;
}

static void
on_due(void *arg, const char *ns, const char *actor)
{
	struct due *d = arg;

	if (!tell_owner(d, ns, actor))
		snapshots_later(d->snapshots, ns, actor);
}

int
due_new(struct due **out, struct cluster *c, struct store *s, uint64_t every)
{
	struct due *d = calloc(1, sizeof(*d));
	struct buf subject = { 0 };

	if (d == NULL)
		return -ENOMEM;
	d->cluster = c;
	*out = d;
	if (every == 0)
		return 0;
	int err = snapshots_new(&d->snapshots, s, every, on_due, d);
	if (err != 0 || cluster_nats(c) == NULL)
		return err;
	cluster_subject(c, "snapshot", c->boot, NULL, NULL, &subject);
	err = buf_text(&subject) != NULL ? js_sub_open(&d->sub, cluster_nats(c), subject.p, on_message, d) : -ENOMEM;
	buf_free(&subject);
	return err;
}

void
due_stop(struct due *d)
{
	if (d == NULL)
		return;
	if (d->sub.sub != NULL)
		natsSubscription_Unsubscribe(d->sub.sub);
	js_sub_wait(&d->sub);
	snapshots_stop(d->snapshots);
}

void
due_free(struct due *d)
{
	if (d == NULL)
		return;
	/* Only when the connection has been closed may the subscription be freed. */
	cluster_disconnect(d->cluster);
	js_sub_close(&d->sub);
	snapshots_free(d->snapshots);
	free(d);
}
