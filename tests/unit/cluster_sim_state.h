/* The body of the simulation, for cluster_sim.c (what happens), cluster_sim_check.c (what should, and what one may ask) and cluster_sim_queue.c. Nobody else includes this. */
#ifndef AETHER_TESTS_CLUSTER_SIM_STATE_H
#define AETHER_TESTS_CLUSTER_SIM_STATE_H

#include "cluster_sim.h"

/* Bytes that several messages share. */
struct blob {
	unsigned refs;
	size_t len;
	char bytes[];
};

struct blob *blob_new(struct span s);
/* NULL is fine. */
struct blob *blob_get(struct blob *b);
void blob_put(struct blob *b);

enum sim_kind { SIM_WAKE, SIM_RESUME, SIM_READ, SIM_WRITE, SIM_BEAT, SIM_NEWS_COMES, SIM_READ_DONE, SIM_WRITTEN, SIM_ANSWER };

struct sim_event {
	int64_t at_ns;
	uint64_t order; /* of those at one time */
	enum sim_kind kind;
	size_t node; /* whose it is: who asked, or whom it is for */
	size_t to;   /* SIM_BEAT: set when it is delivered */
	enum core_key key;
	uint64_t id;
	uint64_t revision; /* or the term */
	int64_t sent_ns;
	int err;
	bool mute; /* nobody waits for the answer any more */
	struct blob *body;
};

/* A heap, the earliest first. All zeros is an empty one. */
struct sim_queue {
	struct sim_event *events;
	size_t count, cap;
	uint64_t order;
};

void queue_push(struct sim_queue *q, const struct sim_event *e);
struct sim_event queue_pop(struct sim_queue *q);
void queue_free(struct sim_queue *q);

#define SIM_KINDS (CORE_EVENT_TAKEN + 1)
#define SIM_ID_MAX 31

struct told {
	enum core_event_kind kind;
	char node[SIM_ID_MAX + 1];
	uint64_t number;
};

struct sim_node {
	struct clock clock; /* first: the clock's functions find the node by it */
	struct sim *sim;
	size_t index;
	char id[SIM_ID_MAX + 1];
	uint64_t boot;
	struct core *core; /* NULL: it is gone */
	int64_t offset_ns, drift_ppm;
	uint64_t listens; /* the term */
	bool paused, cut, aware, leaving;
	int64_t wake_ns;
	struct sim_event *inbox; /* what came while it was paused */
	size_t inbox_count, inbox_cap;
	uint64_t answered[64]; /* ids of heartbeats */
	struct told *told;
	size_t told_count, told_cap;

	/* As it was after the last event. */
	uint64_t view_revision, view_number;
	int64_t until_ns;
	size_t owned, moving;
	uint32_t self; /* its index in the view, RING_NONE: it is not there, or has failed */
	enum standing standing;
	bool held;
	bool changed; /* core_io.changed was called since */
};

struct sim_key {
	struct blob *now, *before; /* NULL: there is none */
	uint64_t revision, revision_before;
	int64_t changed_ns;
};

struct sim {
	struct sim_options options;
	uint64_t random;
	int64_t now_ns;
	struct sim_queue queue;
	struct sim_node **nodes;
	size_t count, cap;
	struct sim_key keys[2];
	uint64_t revision;
	bool forgives;
	struct sim_count traffic[SIM_TRAFFICS];
	uint64_t wakes, events;
	struct sim_node *answering;
	unsigned violations;
	char violation[256];
};

int64_t sim_local(const struct sim_node *n, int64_t ns);
/* After an event of that node. */
void sim_check(struct sim *s, struct sim_node *n);

#endif
