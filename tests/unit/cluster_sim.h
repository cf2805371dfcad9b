/*
 * Many nodes of a cluster (cluster/core.h) in one thread, in simulated time: a store with two keys and compare-and-set, messages, clocks
 * that differ, and everything that goes wrong with them. The same seed gives the same run.
 *
 * After each event the truth is checked, which no node can see: no shard has two owners, and no two nodes lead. Want of memory ends the
 * program.
 *
 * Nodes are numbered as they are started; a number is not used again.
 */
#ifndef AETHER_TESTS_CLUSTER_SIM_H
#define AETHER_TESTS_CLUSTER_SIM_H

#include "../../cluster/core.h"

/* Of 1000 messages. May be changed at any time. */
struct sim_faults {
	unsigned lost;      /* requests that never come */
	unsigned unanswered; /* requests that are done, but the answer is lost */
	unsigned late;      /* writes that are done up to SIM_LATE_NS later, and are not answered */
	unsigned stale;     /* reads that get the value before, soon after a write */
	size_t value_max;   /* writes of more bytes are refused at once; 0: none */
	int64_t delay_min_ns, delay_max_ns; /* one way */
};

#define SIM_LATE_NS (4000 * NS_PER_MS)

struct sim_options {
	size_t shards;
	uint64_t seed;
	unsigned drift_ppm; /* clocks run up to so much faster or slower */
	bool unchecked;     /* for speed */
	struct sim_faults faults;
};

enum sim_traffic { SIM_BEATS, SIM_ANSWERS, SIM_NEWS, SIM_READS, SIM_WRITES, SIM_TRAFFICS };

struct sim_count {
	uint64_t messages;
	uint64_t bytes;
};

struct sim;

struct sim *sim_new(const struct sim_options *options);
/* NULL is fine. */
void sim_free(struct sim *s);
struct sim_faults *sim_faults(struct sim *s);

/* A new process; the number of the node. */
size_t sim_start(struct sim *s, const char *id, unsigned capacity);
/* The process is gone, and what it had sent still comes. */
void sim_crash(struct sim *s, size_t node);
/* It leaves, and is gone then. */
void sim_leave(struct sim *s, size_t node);
void sim_drain(struct sim *s, size_t node, bool drain);
/* It does nothing for so long; what comes meanwhile waits. Not for one that is paused. */
void sim_pause(struct sim *s, size_t node, int64_t ns);
/* It reaches nothing and nothing reaches it; aware: it is told so at once, instead of waiting for answers. */
void sim_cut(struct sim *s, size_t node, bool aware);
void sim_heal(struct sim *s, size_t node);
/* An administrator deletes both keys; anew: and revisions begin from 1 again. Until sim_forgive, two owners are not an error. */
void sim_delete_keys(struct sim *s, bool anew);
void sim_forgive(struct sim *s);

/* Let time pass. */
void sim_run(struct sim *s, int64_t ns);
/* Until check is true, looking every step_ns, at most for ns: the time that it took, or -1. */
int64_t sim_run_until(struct sim *s, bool (*check)(struct sim *s), int64_t step_ns, int64_t ns);
int64_t sim_now(const struct sim *s);

/* How many were started; the core of one that is there, else NULL. */
size_t sim_count(const struct sim *s);
struct core *sim_core(const struct sim *s, size_t node);
const char *sim_id(const struct sim *s, size_t node);
bool sim_is_paused(const struct sim *s, size_t node);
bool sim_is_cut(const struct sim *s, size_t node);
/* By the node's own clock. */
int64_t sim_local_ns(const struct sim *s, size_t node);
/* The node that leads, SIZE_MAX: none. */
size_t sim_leader(struct sim *s);
/* How many shards the node owns just now. */
size_t sim_owned(const struct sim *s, size_t node);
/* Every shard has an owner, and none is in handover. */
bool sim_is_whole(struct sim *s);
/* All that should be so when nothing has gone wrong for a while; else why not, in text. */
bool sim_is_settled(struct sim *s, char *text, size_t size);

/* How often the two things happened that must not be; the first one is described in text if it is not NULL. */
unsigned sim_violations(const struct sim *s, const char **text);
/* How often a node was told that; id NULL: of any. */
unsigned sim_told(const struct sim *s, size_t node, enum core_event_kind kind, const char *id);
const struct sim_count *sim_traffic(const struct sim *s);
/* Calls because of core_due. */
uint64_t sim_wakes(const struct sim *s);
uint64_t sim_events(const struct sim *s);
uint64_t sim_random(struct sim *s, uint64_t below);

#endif
