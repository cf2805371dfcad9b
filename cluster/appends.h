/*
 * Appends that come as NATS requests, and appends of this node that go to an actor's owner.
 *
 * Two kinds of requests are answered, each by its own subject, with the prefix in front (names as on the wire, ../store/name.h):
 *
 *   <prefix>.append.<namespace>.<actor>                      of any program, to any node. NDJSON as in a file; the answer is JSON:
 *       {"version":N}, or {"error":"version conflict","actorId":…,"currentVersion":…,"attemptedVersion":…}, or {"error":TEXT,"code":ERRNO}
 *   <prefix>.cluster.append.<boot>.<namespace>.<actor>       of a node, to the owner: lines that it hands over (../store/append.h). Headers say what
 *       belongs to them; the answer is a line (message.h). The boot is the process's and not the node's name, which two may have for a
 *       while: then one could refuse what the other stores
 *
 * What is under way is bounded, in bytes: beyond that the first kind is told "busy", and the second refused, so that the node appends itself. All goes over
 * the cluster's connection. Owns the subscriptions and what is under way. Without NATS there is nothing to do. Any thread.
 */
#ifndef AETHER_CLUSTER_APPENDS_H
#define AETHER_CLUSTER_APPENDS_H

#include "../store/store.h"
#include "cluster.h"

struct appends;

#define APPENDS_BYTES_MAX (64 * 1024 * 1024)

/* Begin to answer, if serves, and to hand over what the store wants to. c and s are borrowed until appends_free. 0 or -errno. */
int appends_new(struct appends **out, struct cluster *c, struct store *s, struct logger *lg, bool serves);

/* Answer no more requests that come. Before store_free, which waits for what is under way. NULL is fine. */
void appends_stop(struct appends *a);

/* After store_free, and before cluster_free. NULL is fine. */
void appends_free(struct appends *a);

#endif
