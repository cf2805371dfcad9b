/*
 * Following a namespace: every record from a sequence on, each once and in order, whatever happens to the connection, the server or
 * the consumer meanwhile.
 *
 * Owns the backend's follow, which it begins anew behind the last record whenever that ends. Unlike an index it costs nothing for what
 * the namespace holds already. Any thread may call.
 *
 * States: FOLLOWING -> WAITING (interrupted; for a connection, or a pause) -> FOLLOWING; any -> GONE (the namespace was removed). When
 * the namespace was made anew behind our back, or its sequences have gone back, anew is told, and the records of the new one follow
 * from its first. That they have gone back is believed only if it stays so for seconds: servers before 2.11 let a new leader answer that has not
 * applied all of its log yet.
 */
#ifndef AETHER_STORE_FOLLOW_H
#define AETHER_STORE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"
#include "store.h"

struct follow;

/* On a thread of the backend, one call at a time for one follow. None may block, nor free a follow. All but record may be NULL. */
struct follow_fns {
	/* The name is not encoded, and borrowed as the record is. Of a message that is not one of ours r->foreign is set. Without payload
	 * r->payload.p is NULL, and its length still there. */
	void (*record)(void *arg, const char *actor, const struct record *r);
	void (*anew)(void *arg);
	/* The namespace does not exist any more. The last call. */
	void (*gone)(void *arg);
};

/*
 * Follow from the record behind after_seq on, in the namespace that epoch tells; struct ns_info has both, as of when it was asked. NATS is asked
 * for the first time at at_ns of the monotonic clock, 0: now; the calls may begin before this returns. 0 or -ENOMEM.
 */
int follow_new(struct store *s, const char *ns, uint64_t after_seq, uint64_t epoch, int64_t at_ns, bool payload, const struct follow_fns *fns,
    void *arg, struct follow **out);

/* As backend.h's follow_hold: who cannot take more for now holds it, and nothing is lost, for the stream keeps it. */
void follow_hold(struct follow *f, bool hold);

/* No call is made any more after this, which waits for one under way. NULL is fine. Before store_free. */
void follow_free(struct follow *f);

#endif
