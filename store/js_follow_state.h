/*
 * The body of a follow on JetStream, for the two files that make it up: js_follow.c (life, calls, where messages come to) and
 * js_pull.c (the consumer, what is asked of it). Nobody else includes this.
 *
 * States: MAKING (the consumer, then the question which stream it is) -> WAITING (for one message) -> PAUSING (a moment, for more to
 * gather) -> FETCHING (all that has) -> PAUSING if that brought something, else WAITING. Any -> HELD instead of another request while the
 * user holds it; HELD -> PAUSING.
 */
#ifndef AETHER_STORE_JS_FOLLOW_STATE_H
#define AETHER_STORE_JS_FOLLOW_STATE_H

#include "js_follow.h"
#include "js_message.h"
#include "js_sub.h"
#include "rpc_spent.h"

/* A consumer is called this and the id of its follow, 16 hexadecimal digits. */
#define FOLLOW_LEAD "af-"

struct js_follows {
	struct jetstream *js;
	natsInbox *inbox; /* messages come to "<inbox>.<follow's id>-<request's number>" */
	struct js_sub sub;
	struct buf name; /* used by the delivery thread only */
	struct rpc_spent spent;

	struct lock lock;
	/* Guarded by lock. */
	struct table by_id;
	pthread_cond_t called; /* a call of some follow has returned */
};

enum follow_state { MAKING, WAITING, PAUSING, FETCHING, HELD };

struct backend_follow {
	struct table_link link;
	struct js_follows *fs;
	struct backend_follow_fns fns;
	void *arg;
	uint64_t id; /* drawn at random, for it is the consumer's name too */
	uint64_t from_seq;
	uint64_t want_epoch; /* 0: any, until it has begun */
	bool payload;
	char name[24];      /* the consumer's */
	struct buf stream;  /* its name */
	struct buf lead;    /* of its actors' subjects, before the actor's name */
	struct buf fence;   /* the subject that it has while it is being removed, or has been */
	struct buf pull;    /* the subject of requests */

	/* Guarded by js_follows.lock. */
	unsigned refs; /* the user's, and one for each call to come */
	bool calling;
	bool stopped;
	bool ended;
	int end_err; /* why it is to end; 0: it is not */
	bool made;   /* there may be a consumer */
	bool held;
	bool checking;      /* whether the namespace still is there, and nothing in it that should have come */
	uint64_t seen_seq;  /* all up to here has come */
	uint64_t owed_seen; /* seen_seq when something was found behind it that had not come, */
	int64_t owed_ns;    /* and since when that is so; 0: it is not */
	enum follow_state state;
	uint64_t next;       /* the consumer's next sequence */
	uint64_t asked;      /* the number of the last request */
	uint64_t got;        /* messages that it has brought */
	uint64_t pull_bytes; /* what a fetch asks for */
	int64_t heard_ns;

	char ns[];
};

void js_follow_ref_locked(struct backend_follow *f);
void js_follow_unref(struct backend_follow *f);

/* It is neither stopped nor about to end. */
bool js_follow_runs_locked(const struct backend_follow *f);

/* Before a call other than the end, and after it. False if there may be none any more. */
bool js_follow_call_begin(struct backend_follow *f);
void js_follow_call_end(struct backend_follow *f);

/* End it: now, or as soon as the call that is under way has returned. */
void js_follow_end(struct backend_follow *f, int err);

/* Begin it, with a count that is taken. */
void js_pull_start(struct backend_follow *f);
/*
 * Look at the stream. Somebody has begun to remove the namespace, or to open it again: what becomes of it? For a stream may stay though the
 * namespace is gone. Or nothing has come for long: is there nothing? For a consumer may live at a server whose copy of the stream stands
 * still, and knows of nothing that it could miss; another one, which is made when this follow has ended, may live elsewhere.
 */
void js_pull_check(struct backend_follow *f);
/* A message has been handed out. */
void js_pull_go_on(struct backend_follow *f, const struct js_delivered *d);
/* What came was none. */
void js_pull_status(struct backend_follow *f, uint64_t request, natsMsg *msg);
/* Make the next request at_ns. */
void js_pull_later_locked(struct backend_follow *f, int64_t at_ns);

#endif
