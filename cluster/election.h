/*
 * Leader election: who holds the lease. A pure state machine for one node; time, randomness and what was read come in as parameters, what
 * is to be written goes out. No thread, no clock, no NATS.
 *
 * The lease is one key of a store with compare-and-set: every write names the revision that it replaces (0: there is none), is refused if
 * that is not the latest, and gets a revision above all before. A watch tells every node of each write, late and in order.
 *
 * A lease names its holder (node and boot: one life of a process) and its term. The term is the revision of the write that took the lease: in that write itself
 * it is 0, in those that renew it it is repeated. A lease without a holder is vacant: its holder has resigned.
 *
 *   FOLLOWING  -> TAKING      the lease is vacant or was never there, or was not seen to change (or to be deleted) for
 *                             ELECTION_LEASE_NS since this node saw it last, and a pause of random length is over (so that
 *                             not all try at once). A lease of its own that it does not lead any more is like any other.
 *   TAKING     -> LEADING     the write was acknowledged, or was seen in the watch though its answer was lost
 *              -> FOLLOWING   it was refused, another's is seen, or its own when it is too late to lead by it
 *              -> RESIGNING   asked to
 *   LEADING    -> FOLLOWING   another's lease was seen, the lease was not renewed in time, or a renewal was refused (unless
 *                             what was seen meanwhile is the leader's own renewal: then that one came before)
 *              -> RESIGNING   asked to
 *   RESIGNING  -> FOLLOWING   the vacant lease was written, or could not be; it takes the lease no more after election_resign, until election_stand
 *
 * Whatever the state, election_reset leads to FOLLOWING.
 *
 * Invariants:
 *   1. No two nodes lead in one term: the term is the revision of a write of which the store lets one through.
 *   2. A leader acts until ELECTION_HOLD_NS after it SENT the last renewal that was acknowledged; nobody else takes the lease before
 *      ELECTION_LEASE_NS after it RECEIVED it. So as long as clocks run equally fast to within (LEASE - HOLD) / LEASE, there is at most one leader that acts,
 *      however late messages are and however long a process was stopped: it looks at its clock before it acts.
 *   3. A write of unknown outcome is neither taken for done nor for not done: what the watch or a read says then decides. A renewal is repeated with the
 *      revision that was seen last.
 *      The same write may be asked for several times; if one of them is seen, it counts as sent when the first was.
 *   4. While it is not known what the lease is (before the first look, or after the watch was lost), the lease is not taken.
 */
#ifndef AETHER_CLUSTER_ELECTION_H
#define AETHER_CLUSTER_ELECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "../store/clock.h"

#define ELECTION_LEASE_NS (2500 * NS_PER_MS)
#define ELECTION_HOLD_NS (2000 * NS_PER_MS)
#define ELECTION_RENEW_NS (500 * NS_PER_MS)
/* Up to how long one waits before taking a lease that is free. */
#define ELECTION_JITTER_NS (200 * NS_PER_MS)
/* An answer that has not come by then does not count any more; what was asked is asked anew. */
#define ELECTION_ANSWER_NS (1000 * NS_PER_MS)

#define ELECTION_NODE_MAX 128

enum election_state { ELECTION_FOLLOWING, ELECTION_TAKING, ELECTION_LEADING, ELECTION_RESIGNING };

/* What the key holds. */
struct lease {
	char node[ELECTION_NODE_MAX + 1]; /* empty: vacant */
	uint64_t boot;
	uint64_t term; /* 0: the revision of this write */
};

/* What is to be written. */
struct election_write {
	uint64_t id;       /* to be given to election_answer */
	uint64_t revision; /* that it replaces; 0: none */
	struct lease lease;
};

struct election {
	char node[ELECTION_NODE_MAX + 1];
	uint64_t boot;
	enum election_state state;
	bool known;         /* what the lease is was seen, see invariant 4 */
	bool quits;         /* it takes the lease no more, until election_stand */
	bool had;           /* there was a lease once: if it is gone, somebody may lead by it still */
	uint64_t revision;  /* of the lease as seen last, 0: there is none */
	struct lease lease; /* that one; its term is filled in */
	int64_t seen_ns;    /* when it was seen to change */
	int64_t try_ns;     /* FOLLOWING: not before; set when the lease is found to be free */
	bool free;          /* try_ns was set */
	uint64_t term;      /* LEADING: ours */
	int64_t held_ns;    /* LEADING: when the last renewal that was acknowledged had been sent */
	int64_t renew_ns;   /* LEADING: when the next one is due */
	uint64_t asked;     /* the id of the write under way, 0: none */
	uint64_t asked_revision; /* that it, or the last one, replaces */
	int64_t asked_ns;
	int64_t first_ns; /* when the first write was asked for that replaces asked_revision */
	struct lease asked_lease;
	uint64_t ids;
	uint64_t random; /* the state of a small generator for pauses */
};

/* boot: drawn by each process, not 0; seeds the pauses too. */
void election_init(struct election *e, const char *node, uint64_t boot);

/* The watch, or a read, says: the lease is this (NULL: there is none) with that revision. What is older than what was seen is ignored. */
void election_seen(struct election *e, const struct lease *lease, uint64_t revision, int64_t now_ns);

/* The watch was lost: from now on what the lease is is not known, until election_seen. A leader goes on as long as its renewals are acknowledged. */
void election_lost(struct election *e);

/*
 * The key's whole history is gone (somebody has deleted the store's bucket): revisions begin anew, and terms with them. Who led leads no
 * more; a lease that is missing then is left alone for ELECTION_LEASE_NS.
 */
void election_reset(struct election *e);

/*
 * The answer to a write: err 0 and its revision, -ESTALE (refused: another revision is the latest), or anything else: unknown. What is not the
 * answer to the write under way is ignored.
 */
void election_answer(struct election *e, uint64_t id, int err, uint64_t revision, int64_t now_ns);

/* Is something to be written now? Each call gives one write at most, and one is under way at most. */
bool election_step(struct election *e, int64_t now_ns, struct election_write *out);

/* When election_step should be called next, if nothing happens before; INT64_MAX: then only. */
int64_t election_due(const struct election *e, int64_t now_ns);

/* May this node act as the leader at this moment? *term is its term then. */
bool election_leads(struct election *e, int64_t now_ns, uint64_t *term);

/* Give the lease up, and take none any more, until election_stand. election_step has the write, if there is one. */
void election_resign(struct election *e, int64_t now_ns);
void election_stand(struct election *e);

/* The term of the lease that was seen last, 0: none; and its holder, empty if it is vacant or none is known. */
uint64_t election_term(const struct election *e);
const char *election_leader(const struct election *e);

#endif
