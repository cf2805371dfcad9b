/*
 * The queue of an actor's appends: who is next, who joins whose record, who is answered when, and the end of each. append.h
 * says what holds. Private to append.c and append_*.c.
 */
#ifndef AETHER_STORE_APPEND_QUEUE_H
#define AETHER_STORE_APPEND_QUEUE_H

#include "batch.h"
#include "draft.h"
#include "lookup.h"
#include "quota.h"
#include "state.h"

enum phase { QUEUED, JOINED, HEAD, LOOKUP, SLOT, SENT, HANDED, CHECK, WAITING, ENDED };

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
	bool erase;
	struct draft draft;  /* of lines that can be committed in a group */
	struct batch *batch; /* the lines themselves, if they cannot or bring ids; both empty for the creation marker */
	struct lookup_range range; /* where their ids are looked for, and in which life they are to be stored if that says all; */
	uint64_t since_life;       /* changes only while it leads */
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
	uint64_t life;
	struct head end;
	bool late; /* it has ended, with late_err, while its answer was under way */
	int late_err;
	int64_t deadline_ns;

	/* Only the current step uses the rest, and only of the append that leads. */
	struct append_state *group; /* those that have joined, in order */
	bool alone;                 /* a group of it was refused */
	bool kept;                  /* there was nobody to hand it over to */
	bool is_owner;              /* for this node is the one to whom the others hand theirs over */
	unsigned handed;            /* hand-overs of which no answer came */
	bool unit;    /* it and its group were handed over, as one: they stay together, and batch is the lines of all of them */
	bool stamped; /* record is made of drafts, its own and the group's */
	bool made_for_base;         /* record is what continues base; it may have been offered */
	bool unknown;               /* a publish that continued base has an unknown outcome */
	bool unsure;                /* some publish had one, whatever came of it */
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
	int64_t served_ns; /* when lines were handed over to this node last; 0: never */
	size_t crowd;      /* so many are expected to come, until then */
	int64_t crowd_ns;
	bool crowding;     /* somebody will see to the end of that */
	struct settle_wait *settling;
	bool lingering; /* in the store's list of those that are begun when the time for company is over */
	struct actor *next_lingering; /* guarded by store.lock */
};

/* append.c */

/* Its turn has come. */
void append_begin(struct append_state *st);

/* Go on: with asking for the head; behind that head. */
void append_step_head(struct append_state *st);
void append_step_encode(struct append_state *st, struct head head);

/* The end: an error of all of the group; or it is stored, and end is the head then. */
void append_fail(struct append_state *st, int err);
void append_stored(struct append_state *st, const struct head *end);

/* append_record.c */

/*
 * Make the record that continues base, after letting those join that may. 0; -ESTALE with the line that is refused for its version, and the
 * version that is there; -EMSGSIZE, -ENOMEM. The payload is empty if all is stored.
 */
int append_make(struct append_state *st, size_t payload_max, size_t *refused, uint64_t *current);

/* Is the stored record the one that we made? And is at least its stamp, so that it is of this append or none? */
bool append_is_ours(const struct append_state *st, const struct record *r);
bool append_is_our_stamp(const struct append_state *st, const struct record *r);

/* Whose lines it and its group are, for struct record's node; and how many. */
uint64_t append_node(const struct append_state *st);
size_t append_group_lines(const struct append_state *st);

/* append_forward.c */

/* It has lost too many races. True: whoever comes next, and it itself, is handed over. */
bool append_note_races(struct append_state *st);

/* Is it to be handed over now, instead of being sent? */
bool append_hands_over(struct append_state *st);

/* Hand it over, with those that join it. */
void append_hand_over(struct append_state *st);

/* append_queue.c */

/* End the active append with those that have joined it, and let the next begin. */
void append_finish(struct append_state *st, int err);

/* The first that waits is taken out. */
void append_pop_locked(struct append_queue *q);

/* Was it given up in time? */
bool append_is_cancelled(struct append_state *st);

/* Begin what may begin. The caller holds a reference of the actor. */
void append_go_on(struct actor *a);

/* append_group.c */

/* Who has joined goes back to the head of the queue. */
void append_disband(struct append_state *st);

/* Let those join that wait behind it, as many as one record of payload_max bytes behind base holds; with_ids: also those that bring ids. */
void append_gather(struct append_state *st, size_t payload_max, bool with_ids);

/* Does its writer mean another life of the actor than this one? With actor.lock. */
bool append_is_elsewhere_locked(const struct append_state *st, uint64_t life);

/* Was it handed over, and cannot be told any more whether it is stored, as another life has begun, or the actor's records are others? */
bool append_is_lost(const struct append_state *st, const struct head *head);

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
