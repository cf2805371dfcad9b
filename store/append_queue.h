/*
 * The queue of an actor's appends: who is next, who joins whose record, who is answered when, and the end of each. append.h
 * says what holds. Private to append.c, append_queue.c and append_answer.c.
 */
#ifndef AETHER_STORE_APPEND_QUEUE_H
#define AETHER_STORE_APPEND_QUEUE_H

#include "batch.h"
#include "draft.h"
#include "quota.h"
#include "state.h"

enum phase { QUEUED, JOINED, HEAD, LOOKUP, SLOT, SENT, CHECK, WAITING, ENDED };

enum answer {
	ANSWER_WITH_END, /* by done alone */
	ANSWER_OWED,     /* accepted is to be called when there is room */
	ANSWER_UNDER_WAY,
	ANSWER_GIVEN
};

struct append_state {
	struct append *ap;
	struct actor *actor;
	bool marker;
	struct draft draft;  /* of lines that can be committed in a group, else */
	struct batch *batch; /* the lines themselves; both empty for the creation marker */
	int64_t now_us;      /* when it came */
	size_t cost;         /* what it takes of the room */

	/* Guarded by actor.lock. */
	struct append_state *next; /* in the queue, or in the group of the one that leads */
	uint64_t ticket;           /* rises along the queue */
	enum phase phase;
	unsigned refs; /* the chain of steps has one, a cancellation on its way another */
	bool cancelled;
	bool unsent; /* nothing of it has been published */
	enum answer answer;
	bool held;                      /* cost is counted in the queue's held, and soon in the store's room */
	bool waits_room;                /* room will call */
	struct quota_wait room;         /* for the store's room */
	struct append_state *next_owed; /* in the list of those that wait for room in this actor */
	size_t consumed; /* once it is stored: for the append, which its answer may be reading now */
	uint64_t version;
	bool late; /* it has ended, with late_err, while its answer was under way */
	int late_err;
	int64_t deadline_ns;

	/* Only the current step uses the rest, and only of the append that leads. */
	struct append_state *group; /* those that have joined, in order */
	bool alone;                 /* a group of it was refused */
	bool made_for_base;         /* record is what continues base; it may have been offered */
	bool unknown;               /* a publish that continued base has an unknown outcome */
	bool check_due;             /* whether our record is stored has to be found out first, by asking for */
	struct backend_get check;
	bool refused;   /* though no record was seen behind base, one was offered there and refused */
	unsigned depth; /* how many appends have each begun inside the end of the one before, at most */
	bool fresh;     /* base is what the backend said last, during this append */
	bool looked;    /* ids were looked up while looked_seq was the last record */
	bool in_flight; /* slot's units are ours */
	struct quota_wait slot;
	uint64_t looked_seq;
	char marker_id[UUID_LEN + 1];
	char salt[UUID_LEN + 1]; /* makes a message id new whose first use was erased */
	struct head base;
	struct record record;
	struct batch_record made;
	struct buf payload;
	struct buf msg_id;
	int64_t asked_ns;
	uint64_t seen_seq;
	unsigned tries;
	unsigned races;
};

/* Somebody who waits until all appends up to a ticket have ended. */
struct settle_wait {
	struct settle_wait *next;
	uint64_t ticket;
	bool done;
	pthread_cond_t wake;
};

/* Guarded by actor.lock. */
struct append_queue {
	struct append_state *active; /* the one that leads the commit under way */
	struct append_state *first;  /* those that wait */
	struct append_state **tail;
	size_t waiting_bytes;      /* as stored, about, of those that wait */
	uint64_t tickets;          /* the last one given */
	uint64_t hurry;            /* nothing up to this ticket waits for company */
	uint64_t answered;         /* the last ticket that was answered before it was stored */
	size_t held;               /* what answered appends take of the room */
	struct append_state *owed; /* those that wait for room in this actor */
	int64_t progress_ns;       /* when a commit last succeeded */
	struct settle_wait *settling;
	bool lingering; /* in the store's list of those that are begun when the time for company is over */
	struct actor *next_lingering; /* guarded by store.lock */
};

/* append.c */

/* Its turn has come. */
void append_begin(struct append_state *st);

/* append_queue.c */

/* End the active append with those that have joined it, and let the next begin. */
void append_finish(struct append_state *st, int err);

/* Who has joined goes back to the head of the queue. */
void append_disband(struct append_state *st);

/* Let those join that wait behind it, as many as one record of payload_max bytes and after version holds. */
void append_gather(struct append_state *st, size_t payload_max, uint64_t version);

/* Was it given up in time? */
bool append_is_cancelled(struct append_state *st);

/* Begin what may begin. The caller holds a reference of the actor. */
void append_go_on(struct actor *a);

/* append_answer.c */

void append_unref(struct append_state *st);

/* So many appends are over. The store may be freed after this. */
void append_leave(struct store *s, size_t appends);

/* Ask for room for one that is owed an answer. True: the answer is due, and the caller's to give. */
bool append_admit_locked(struct append_state *st);

/* Call accepted; if the append has ended meanwhile, that is told now. st may be gone afterwards. */
void append_answer(struct append_state *st);

/*
 * End an append that is out of the queue, and not active any more. Returns how many the caller must let leave: 0 if that is up
 * to the thread that answers it.
 */
size_t append_complete(struct append_state *st, int err);

/* Wake who waits for no more than what has ended. */
void append_wake_locked(struct append_queue *q);

#endif
