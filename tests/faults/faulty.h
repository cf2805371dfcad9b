/*
 * A backend that wraps another and misbehaves as a network and a server do: by script, or at random from a seed.
 *
 * Whatever it does is within backend.h's contract, so whoever sits on top has to cope with all of it. Namespaces, lists
 * and limits pass through untouched. Any thread may call; faults end on the wrapper's own timer or inside the call.
 */
#ifndef AETHER_TESTS_FAULTS_FAULTY_H
#define AETHER_TESTS_FAULTS_FAULTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../store/backend.h"
#include "../../store/clock.h"

enum fault_op { FAULT_PUBLISH, FAULT_GET, FAULT_SCAN, FAULT_WATCH, FAULT_PURGE, FAULT_FOLLOW, FAULT_OPS };

enum fault_kind {
	FAULT_NONE,
	FAULT_REFUSE,    /* nothing reaches the wrapped backend; err is the answer, given inside the call */
	FAULT_DROP,      /* the same, but the answer err comes after delay_ns, as when a message is lost on its way */
	FAULT_DELAY,     /* passed on after delay_ns */
	FAULT_LOSE_ACK,  /* passed on at once; the answer is err, after delay_ns */
	FAULT_STRAY,     /* the answer is err at once; passed on after delay_ns, and nobody learns what became of it */
	FAULT_DUPLICATE, /* passed on; if that stored it, the answer says that it was there already */
	FAULT_LAG, /* a question that need not be fresh is answered as by a replica that lacks the newest records */
	FAULT_CUT, /* (watch, follow) it ends with err after some records */
	FAULT_KINDS
};

/* Applies to the calls number nth .. nth + count - 1 of op (the first is 1). count 0: to all from nth on. */
struct fault_rule {
	enum fault_op op;
	enum fault_kind kind;
	uint64_t nth;
	uint64_t count;
	int err; /* negative errno */
	int64_t delay_ns;
};

struct faulty_options {
	const struct fault_rule *rules; /* borrowed for the backend's life; the first that applies is taken */
	size_t rule_count;
	uint64_t seed;        /* of the random faults, for calls that no rule names */
	unsigned per_mille;   /* how many calls get a random fault; 0: none */
	int64_t delay_max_ns; /* of random faults and disconnections */
	/* Below also for random faults: may a publish be refused for good (-EACCES, -ENOSPC, -EIO)? */
	bool refusals;
};

/*
 * Wrap inner. If owns, inner is freed with the wrapper (and now if this fails), else it must outlive it: so several
 * wrappers on one backend are several nodes on one server. 0 or -errno.
 */
int faulty_new(struct backend **out, struct backend *inner, bool owns, const struct clock *clock,
    const struct faulty_options *options);

/* No connection for so long: publish, get and scan answer -ENOTCONN, watches and follows end with it, and wait waits. 0 ends it now. */
void faulty_disconnect(struct backend *b, int64_t for_ns);

/* From now on that record of any actor is lost: gets and scans do not find it. 0: none is. At most one. */
void faulty_hide(struct backend *b, uint64_t seq);

/* How many calls of op there were, and how many faults of that kind were made. */
uint64_t faulty_calls(struct backend *b, enum fault_op op);
uint64_t faulty_made(struct backend *b, enum fault_kind kind);

#endif
