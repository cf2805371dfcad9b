/*
 * One node of the cluster, as a machine without clock, threads or network: what came in and the time are parameters, what is to go out are
 * calls of struct core_io. The daemon runs it over NATS (cluster.c), the simulation a thousand of it over nothing.
 *
 * Owns the election, what the node knows of the others, and, while it leads, what the leader knows. One thread at a time. The calls of core_io
 * must not call back into the core; answers come later.
 *
 * Two keys of a store with compare-and-set hold all that must survive: the lease (election.h) and the view (view.h).
 *
 * A node:
 *   - reads the lease when it begins, when its heartbeats are not answered, and when it lost a write. It follows whom the lease names.
 *   - sends the leader of that term a heartbeat every CORE_BEAT_NS, with the number of the view it goes by. The answer says how the
 *     leader takes it (enum standing), and which view is the latest; a later one is read from the store.
 *   - owns a shard as long as (1) the latest view it has read says so, and (2) it sent a heartbeat less than CORE_HOLD_NS ago that the
 *     leader answered with "member" and with the number of the view that the node went by then, of that leader's term; it may have read a later one since.
 *     Whatever else it does not know.
 *
 * The leader, for each other node:
 *   - takes it in, if the view still fits into a message, when it is heard for the first time, under an id that no other node that was heard in the last CORE_FAIL_NS has; so it does with
 *     itself, and may lead without being a member;
 *   - takes it for failed when it was not heard for CORE_FAIL_NS; that time begins anew for all with each leader, except for the leader before, which
 *     has failed CORE_FORMER_NS after it was seen to renew its lease for the last time;
 *   - forgets one that has failed after CORE_FORGET_NS, and one that leaves at once.
 * Whenever that changes anything it assigns the shards anew (ring.h) and publishes a view, under its term. A shard that is to go from a node that is
 * there to another is put in handover first, and given to the other when the first has said, by the number in its heartbeat, that it goes by a view
 * in which the shard is in handover, or has failed, or left.
 *
 * Invariants:
 *   1. No shard has two owners at one time. For a view gives it to Y only when X, the one before, goes by a view in which it is not X's; or
 *      has left, having said that it uses none; or was not heard for CORE_FAIL_NS, and then X has not owned any since CORE_HOLD_NS after it sent what was
 *      heard last, which is earlier, by X's own clock. Answers that were sent before the leader decided that X has failed bear the number of an
 *      older view, or one that is about to be published (never that of a view that is being replaced while the write is under way), and so hold nothing up.
 *   2. Of two leaders in a row the second begins from the last view of the first: each view replaces the one it was computed from by
 *      compare-and-set.
 *   3. Without the store or the leader (a partition) nobody's ownership outlasts CORE_HOLD_NS, and nobody's leadership ELECTION_HOLD_NS.
 *   4. With one failure every shard has an owner again within two leases: CORE_FAIL_NS, and a view. If it was the leader that failed, its successor is
 *      elected meanwhile: CORE_BEAT_NS until the last renewal is seen, and CORE_FORMER_NS. If it was cut off, so that heartbeats to it
 *      are not refused, it takes CORE_BEAT_NS longer.
 */
#ifndef AETHER_CLUSTER_CORE_H
#define AETHER_CLUSTER_CORE_H

#include "message.h"

#define CORE_BEAT_NS (1000 * NS_PER_MS)
/* Three heartbeats were missed, and there was some time for the fourth. */
#define CORE_FAIL_NS (4000 * NS_PER_MS)
#define CORE_HOLD_NS (3700 * NS_PER_MS)
/* For the leader before, since its last renewal of the lease was seen: it is known late, but CORE_HOLD_NS is all that counts. */
#define CORE_FORMER_NS (3800 * NS_PER_MS)
#define CORE_FORGET_NS (600 * NS_PER_SEC)
/* How long the leader waits for more to change before it publishes. */
#define CORE_SETTLE_NS (50 * NS_PER_MS)
/* Until what failed is tried again. */
#define CORE_RETRY_NS (250 * NS_PER_MS)
/* Until what NATS does not let this node do is tried again. */
#define CORE_DENIED_NS (30 * NS_PER_SEC)
/* More nodes than this are not taken in, or fewer where the view would not fit into a message. */
#define CORE_NODES_MAX 4096
/* How long a node that leaves waits for the leader to know; as long as a leader may be about to answer; and until it is told once more. */
#define CORE_LEAVE_NS (1000 * NS_PER_MS)
#define CORE_LEAVE_MAX_NS (3000 * NS_PER_MS)
#define CORE_LEAVE_AGAIN_NS (300 * NS_PER_MS)

enum core_key { CORE_LEASE, CORE_VIEW };

enum core_event_kind {
	CORE_EVENT_LEADER, /* node leads, under the term number; no node: nobody does */
	CORE_EVENT_JOINED,
	CORE_EVENT_DRAINING,
	CORE_EVENT_FAILED,
	CORE_EVENT_LEFT,
	CORE_EVENT_SHARDS, /* number of them have another owner than by the view before, or are on their way to one */
	CORE_EVENT_TAKEN   /* this node is not taken in, for there is another of its id */
};

struct core_event {
	enum core_event_kind kind;
	const char *node; /* borrowed */
	uint64_t number;
};

/* What the core has done. Values and texts are borrowed for the call. Each is answered once, by core_on_…, but for answer, news and listen. */
struct core_io {
	void (*read)(void *arg, enum core_key key);
	/* By compare-and-set on revision, 0: there must be none. */
	void (*write)(void *arg, enum core_key key, uint64_t id, uint64_t revision, struct span value);
	/* Send a heartbeat to the leader of that term. Unanswered for CORE_BEAT_NS is -ETIMEDOUT. */
	void (*beat)(void *arg, uint64_t id, uint64_t term, struct span body);
	/* Answer the heartbeat that core_on_beat brought. */
	void (*answer)(void *arg, void *from, struct span body);
	/* Take heartbeats for the leader of that term from now on, and no others; 0: none. */
	void (*listen)(void *arg, uint64_t term);
	/* Tell all nodes; may be lost. */
	void (*news)(void *arg, struct span body);
	/* What this node goes by, owns or is has changed. */
	void (*changed)(void *arg);
	/* May be NULL. */
	void (*event)(void *arg, const struct core_event *ev);
};

struct core_options {
	struct view_node self; /* since_us and state mean nothing; id is copied */
	size_t shards;
	const struct clock *clock; /* for the time of day and randomness only; borrowed */
	const struct core_io *io;  /* borrowed */
	void *arg;
};

struct core;

/* 0 or -ENOMEM. */
int core_new(struct core **out, const struct core_options *options);
/* Listens no more, if it leads. NULL is fine. */
void core_free(struct core *c);

/* The answers. For reads: 0 with the value and its revision, -ENOENT (there is none), or anything else: not known. For writes as election_answer. */
void core_on_read(struct core *c, enum core_key key, int err, uint64_t revision, struct span value, int64_t now_ns);
void core_on_written(struct core *c, enum core_key key, uint64_t id, int err, uint64_t revision, int64_t now_ns);
void core_on_answer(struct core *c, uint64_t id, int err, struct span body, int64_t now_ns);

/* A heartbeat to this node as the leader; from is for io->answer, once, before this returns or never. */
void core_on_beat(struct core *c, void *from, struct span body, int64_t now_ns);
void core_on_news(struct core *c, struct span body, int64_t now_ns);

/* The connection is there again: what was told meanwhile is lost. */
void core_on_reconnect(struct core *c, int64_t now_ns);

/* This node may not write, or read the view, or cannot listen just now: it gives the lease up and does not lead for CORE_DENIED_NS, or until there is another connection. deaf: NATS does
 * not let it listen; then it takes no part at all until there is. */
void core_bar(struct core *c, bool deaf, int64_t now_ns);

/* Do what is due. After every other call, and at the time of core_due. */
void core_step(struct core *c, int64_t now_ns);
int64_t core_due(const struct core *c, int64_t now_ns);

/* Own no shards from the next views on, or some again. */
void core_drain(struct core *c, bool drain);

/* Own none from now on, and be gone. core_has_left: the others know, or need not be waited for any longer. */
void core_leave(struct core *c, int64_t now_ns);
bool core_has_left(const struct core *c, int64_t now_ns);

/* The view that the node goes by, borrowed until the next call; never NULL. */
struct view *core_view(const struct core *c);

/* Until when the node owns the shards that the view says are its own, if that is not renewed; a time in the past: it owns none. */
int64_t core_holds_until(const struct core *c);

enum standing core_standing(const struct core *c);
/* After STANDING_TAKEN: what is known of the other, and when the leader last heard of it, milliseconds before it said so. */
const struct beat_answer *core_taken_by(const struct core *c);

/* Whom the lease names, empty if nobody, or if it was not seen to be renewed for a lease's time; and its term. Does this node lead just now? */
const char *core_leader(const struct core *c, uint64_t *term);
bool core_leads(struct core *c, int64_t now_ns);

#endif
