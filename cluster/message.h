/*
 * What nodes say to each other: heartbeats and the leader's answers to them, and the leader's news. JSON, in store/FORMAT.md's chapter on the
 * cluster. Pure functions.
 */
#ifndef AETHER_CLUSTER_MESSAGE_H
#define AETHER_CLUSTER_MESSAGE_H

#include "../store/record.h"
#include "election.h"
#include "view.h"

/* A heartbeat. */
struct beat {
	struct view_node node; /* what it says of itself; since_us means nothing */
	uint64_t applied;      /* the number of the view that it goes by: it uses no shard that is not its own by that one */
	bool leaves;           /* it is about to end, and uses no shard any more */
};

void beat_encode(const struct beat *b, struct buf *out);
/* 0, and b is to be given to beat_free; -EINVAL or -ENOMEM. */
int beat_decode(struct span text, struct beat *b);
void beat_free(struct beat *b);

/* How the leader takes a node that says it is there. */
enum standing {
	STANDING_OUTSIDE, /* nobody has taken it in yet */
	STANDING_MEMBER,
	STANDING_TAKEN /* there is another node of that id, which was heard lately */
};

/* The answer to a heartbeat. */
struct beat_answer {
	uint64_t term;
	uint64_t revision; /* of the lease, as the leader has it */
	uint64_t number;   /* of the latest view, published or about to be; 0: the leader does not know yet */
	enum standing standing;
	int64_t heard_ms;        /* STANDING_TAKEN: since the other was heard */
	struct node_about other; /* STANDING_TAKEN */
};

void beat_answer_encode(const struct beat_answer *a, struct buf *out);
int beat_answer_decode(struct span text, struct beat_answer *a);

/* What the leader tells everybody: who it is, and which view is the latest. */
struct news {
	struct lease lease; /* its term is filled in; vacant: it has resigned */
	uint64_t revision;  /* of the lease */
	uint64_t number;
};

void news_encode(const struct news *n, struct buf *out);
int news_decode(struct span text, struct news *n);

/* The answer to lines that were handed over (appends.h): a line of text, for numbers of 64 bits are none in JSON. */
struct handed {
	int err; /* 0, or -EHOSTUNREACH: surely not stored, -ETIMEDOUT: not known */
	uint64_t version;
	struct head head;
};

void handed_encode(const struct handed *h, struct buf *out);
int handed_decode(struct span text, struct handed *h);

/* The lease as it is stored. */
void lease_encode(const struct lease *l, struct buf *out);
int lease_decode(struct span text, struct lease *l);

/* The last two tokens of a subject, as names, which are NUL-terminated then: a namespace's and an actor's. 0, -EINVAL, -ENOMEM. */
int message_names(const char *subject, struct buf *ns, struct buf *actor);

#endif
