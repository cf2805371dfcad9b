/*
 * The body of the cluster, for the files that make it up: cluster.c (the thread, and what others see), link_nats.c and link_local.c (how
 * the core reaches the store and the others). Nobody else includes this.
 */
#ifndef AETHER_CLUSTER_CLUSTER_STATE_H
#define AETHER_CLUSTER_CLUSTER_STATE_H

#include <nats/nats.h>
#include <pthread.h>

#include "../store/lock.h"
#include "cluster.h"
#include "core.h"

enum post_kind { POST_READ, POST_WRITTEN, POST_ANSWER, POST_BEAT, POST_NEWS, POST_RECONNECT, POST_UNHEARD, POST_DEAF };

/* What has come in for the core. */
struct post {
	struct post *next;
	enum post_kind kind;
	enum core_key key;
	uint64_t id;
	int err;
	uint64_t revision;
	char *from; /* POST_BEAT: where the answer goes; within text */
	size_t len;
	char text[]; /* len bytes, then from */
};

struct link_nats;
struct rpc;

/* How the core reaches store and nodes. */
struct link {
	struct core_io io; /* without changed and event; the arg is the struct cluster */
	/* Connect. 0, or -errno with a line in why. */
	int (*open)(struct cluster *c, const struct jetstream_options *nats, struct buf *why);
	/* Nothing is posted any more afterwards. */
	void (*close)(struct cluster *c);
};

extern const struct link link_nats, link_local;

/* What is shown. */
struct shown {
	struct view *view;
	int64_t holds_until_ns;
	enum standing standing;
	struct beat_answer taken;
	uint64_t term;
	char leader[CLUSTER_ID_MAX + 1];
};

struct cluster {
	struct logger *lg;
	const struct clock *clock;
	const struct link *link;
	struct core_io io;
	void (*changed)(void *arg);
	void (*event)(void *arg, struct span line);
	void *arg;
	char node[CLUSTER_ID_MAX + 1];
	uint64_t boot;
	pthread_t thread;
	bool running;
	struct core *core; /* the thread's, once it runs */
	union {
		struct link_nats *nats;
		struct {
			/* Of a node alone; the thread's. */
			struct buf value[2];
			uint64_t revision[2];
			uint64_t revisions;
		} local;
	};

	struct lock lock;
	/* Guarded by lock. */
	pthread_cond_t wake;  /* the thread */
	pthread_cond_t moved; /* who waits for what is shown */
	struct post *first, **tail;
	struct shown shown;
	bool draining, stopping;
	bool denied; /* NATS does not let this node take part */
};

/* Hand it to the thread. Everything is copied. Where there is no memory it is as if it had been lost, but for answers, which the core awaits: these then
 * come as -ENOMEM. */
void cluster_post(struct cluster *c, const struct post *p, struct span text, const char *from);

/* The connection, its requests, and the prefix of subjects: NULL without NATS. */
natsConnection *cluster_nats(const struct cluster *c);
/* May a request be answered there? Not where a message means something: who asks must not use this node's rights. */
bool cluster_may_answer(const struct cluster *c, const char *subject);
struct rpc *cluster_rpc(const struct cluster *c);
const char *cluster_prefix(const struct cluster *c);
/* The process that owns the shard, by the number that it drew; c->boot is this one's. 0: nobody owns it just now. */
uint64_t cluster_owner_boot(struct cluster *c, unsigned shard);
/* The subject on which that process is told of an actor: <prefix>.cluster.<what>.<boot>.<namespace>.<actor>; without names, a pattern of all. */
void cluster_subject(const struct cluster *c, const char *what, uint64_t boot, const char *ns, const char *actor, struct buf *out);
/* Close the connection, for good. Nothing is posted any more afterwards. */
void cluster_disconnect(struct cluster *c);

/* NATS refuses what every node must do; told once. */
void cluster_denied(struct cluster *c, const char *what);

#endif
