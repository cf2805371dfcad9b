#include "due.h"

#include <errno.h>
#include <stdlib.h>

#include "../store/js_sub.h"
#include "../store/name.h"
#include "../store/snapshot.h"
#include "cluster_state.h"
#include "message.h"
#include "shard.h"

struct due {
	struct cluster *cluster;
	struct snapshots *snapshots;
	struct js_sub sub;
};

static void
on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct due *d = closure;
	struct buf ns = { 0 }, actor = { 0 };

	(void)nc, (void)sub;
	if (message_names(natsMsg_GetSubject(msg), &ns, &actor) == 0)
		snapshots_later(d->snapshots, ns.p, actor.p);
	buf_free(&ns);
	buf_free(&actor);
	natsMsg_Destroy(msg);
}

static void
put_subject(const struct due *d, const char *node, struct buf *out)
{
	buf_printf(out, "%s.cluster.snapshot.", cluster_prefix(d->cluster));
	name_encode(out, span_of(node));
}

/* Tell the owner. False: there is none but this node. */
static bool
tell_owner(const struct due *d, const char *ns, const char *actor)
{
	char owner[CLUSTER_ID_MAX + 1];
	struct buf subject = { 0 };
	unsigned shard = shard_of(ns, actor);

	if (cluster_nats(d->cluster) == NULL || cluster_owns(d->cluster, shard))
		return false;
	cluster_owner(d->cluster, shard, owner);
	if (owner[0] == '\0')
		return false;
	put_subject(d, owner, &subject);
	buf_putc(&subject, '.');
	name_encode(&subject, span_of(ns));
	buf_putc(&subject, '.');
	name_encode(&subject, span_of(actor));
	bool told = buf_text(&subject) != NULL && natsConnection_Publish(cluster_nats(d->cluster), subject.p, NULL, 0) == NATS_OK;
	buf_free(&subject);
	return told;
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
	put_subject(d, c->node, &subject);
	buf_puts(&subject, ".*.*");
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
