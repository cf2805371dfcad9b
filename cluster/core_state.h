/* The body of the core, for the files that make it up: core.c (every node's part), core_leader.c, core_members.c and core_tell.c. Nobody else includes this. */
#ifndef AETHER_CLUSTER_CORE_STATE_H
#define AETHER_CLUSTER_CORE_STATE_H

#include "core.h"

/* What the leader knows of a node. */
struct member {
	struct view_node node; /* owns its id */
	int64_t heard_ns;
	uint64_t applied; /* the view that it goes by, as it said last */
	uint64_t told;    /* the view that put shards of it in handover last */
};

/* All zeros while the node does not lead. */
struct leader {
	uint64_t term;   /* 0: it does not lead */
	bool begun;      /* the view of the leader before has been read */
	uint64_t base;   /* its revision */
	bool reading;    /* it is being read, or read again */
	int64_t read_ns; /* not to be read before */
	struct member *members; /* in the order of ids */
	size_t count, cap;
	size_t room;            /* so many at most: more were too many for a message, */
	int64_t room_ns;        /* and are until then, when it is tried again */
	uint64_t number;        /* of the last view that was sent to be written, whatever became of that; 0: none in this term */
	uint64_t former_number; /* the same before that */
	struct lease former;    /* the leader before, and when it was heard last; no node: not known */
	int64_t former_ns;
	struct view *writing;   /* being published; NULL: none */
	uint64_t write_id;
	bool dirty;
	int64_t dirty_ns; /* when what has changed is to be published */
};

struct core {
	struct core_options options;
	struct election election;
	struct view *view;
	uint64_t view_revision; /* of the key, whatever it holds; 0: none */
	size_t moving;          /* shards in handover by the view */
	struct leader leader;
	struct lease former;    /* the one before that of this node, if it was another's, and when it was seen to change; else no node */
	int64_t former_ns;
	uint64_t ids;

	/* Heartbeats. */
	uint64_t beat_id; /* under way; 0: none */
	uint64_t beat_term;
	int64_t beat_sent_ns;
	int64_t beat_ns;  /* when the next one is due */
	int64_t held_ns;  /* when the last one was sent that makes the node an owner; 0: none */
	bool held;        /* as core_io.changed was told last */
	bool is_heard;    /* a leader knows of this node, or may: one was sent that was not answered otherwise */
	bool was_heard;   /* the same before the one that is under way */
	enum standing standing;
	struct beat_answer taken;
	bool draining;
	bool leaving;
	bool left;
	int64_t leave_ns;  /* since when */
	uint64_t leave_id; /* heartbeats from this one on say so */

	int64_t barred_ns; /* it does not take the lease before, nor leads; INT64_MAX: it takes no part; 0: it may */

	/* Reads. */
	bool lease_wanted, lease_asked;
	int64_t lease_ns; /* not before */
	unsigned lease_behind; /* how often in a row a revision was read that is older than what was known */
	uint64_t view_wanted;  /* the number of the latest view that there is, */
	uint64_t wanted_term;  /* and its term: with that, numbers may begin anew */
	bool view_asked;
	int64_t view_ns;

	/* As events have told it. */
	uint64_t told_term;
	bool told_leader;
};

/* core.c */
int64_t core_random(const struct core *c, int64_t below_ns);
void core_set_standing(struct core *c, enum standing standing);
/* Go by that view, which is taken, if it is later than the one before. */
void core_take_view(struct core *c, struct view *v, int64_t now_ns);
void core_put_self(const struct core *c, struct view_node *n);

/* core_tell.c: one event; and those of a view that follows another. */
void core_tell(struct core *c, enum core_event_kind kind, const char *node, uint64_t number);
void core_tell_view(struct core *c, const struct view *was, const struct view *is);

/* core_members.c: the one of that id, or NULL and where it would be; a new one there, with a copy of the id, NULL for want of memory. */
struct member *member_find(const struct leader *l, const char *id, size_t *at);
struct member *member_add(struct leader *l, const struct view_node *node, size_t at);
void member_drop(struct leader *l, size_t at);
void member_drop_all(struct leader *l);

/* core_leader.c */
void leader_begin(struct core *c, uint64_t term, int64_t now_ns);
void leader_end(struct core *c);
void leader_step(struct core *c, int64_t now_ns);
int64_t leader_due(const struct core *c);
/* The view was read, and taken. */
void leader_on_view(struct core *c, int err, int64_t now_ns);
void leader_on_written(struct core *c, uint64_t id, int err, uint64_t revision, int64_t now_ns);
void leader_on_beat(struct core *c, void *from, const struct beat *b, int64_t now_ns);
/* News of who leads and of the latest view. */
void leader_tell_all(struct core *c);
/* The number that goes into answers: see core.h, invariant 1. */
uint64_t leader_number(const struct core *c);

#endif
