/*
 * Blocking on a backend: its asynchronous get as a call that returns, and waiting for a connection.
 *
 * Must never be called on a backend's own thread.
 */
#ifndef AETHER_STORE_WAIT_H
#define AETHER_STORE_WAIT_H

#include "backend.h"
#include "clock.h"

/* A question without an answer is asked again after this long: a server may have dropped it while it elected a leader. */
#define WAIT_ATTEMPT_NS (1500 * NS_PER_MS)

/* When an attempt that begins now is given up, if all of it is at deadline_ns. */
int64_t wait_attempt_deadline(const struct clock *clock, int64_t deadline_ns);

/* A record that owns its payload. All zeros is empty. */
struct owned_record {
	struct record record; /* payload points into bytes */
	struct buf bytes;
};

void owned_record_free(struct owned_record *r);

/*
 * After an operation has failed with -ENOTCONN: block until it is worth while to try again. *tries counts, from 0.
 * Returns 0, or -ETIMEDOUT once deadline_ns has come.
 */
int wait_retry(struct backend *b, const struct clock *clock, int64_t deadline_ns, unsigned *tries);

/* Block until that time of the monotonic clock. */
void wait_moment(struct backend *b, int64_t at_ns);

/* Get a record, trying again until deadline_ns while NATS is away. *out is replaced. 0 or as backend.h says, but never -ENOTCONN. */
int wait_get(struct backend *b, const struct clock *clock, struct actor_name name, struct backend_get g, int64_t deadline_ns,
    struct owned_record *out);

/*
 * The same for a record that should be there: where the answer may lag behind (g.fresh is false), -ENOENT is only said after one
 * that may not.
 */
int wait_get_sure(struct backend *b, const struct clock *clock, struct actor_name name, struct backend_get g, int64_t deadline_ns,
    struct owned_record *out);

/*
 * Several gets at the same time, each tried once: errs[i] is 0 and out[i], which is replaced, holds the record, or it is
 * a negative errno as backend.h says. count is WAIT_MANY at most. Blocks until all are answered, at most until deadline_ns.
 */
#define WAIT_MANY 16
void wait_get_many(struct backend *b, struct actor_name name, const struct backend_get *gets, size_t count,
    int64_t deadline_ns, struct owned_record *out, int *errs);

/* The pause before the try after `tries` failures, in nanoseconds: doubling from 10 ms to 500 ms. */
int64_t wait_backoff_ns(unsigned tries);

#endif
