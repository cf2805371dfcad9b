/*
 * The next records of an actor by one question: a direct get with a batch, which nats-server knows since 2.11.
 *
 * An older server takes it for a plain direct get and answers with one record; that is how it is told.
 * Source: NATS' ADR-31, "Batched requests".
 *
 * Any thread may call that may block.
 */
#ifndef AETHER_STORE_JS_BATCH_H
#define AETHER_STORE_JS_BATCH_H

#include "js_state.h"

/*
 * As the backend's scan of range, of which it may bring only the beginning. range.records is from 1 to BACKEND_FEW. *few becomes whether the
 * server knows of batches; it is left alone without an answer that tells.
 */
int js_batch(struct jetstream *js, struct actor_name name, struct backend_range range, int64_t idle_ns, backend_scan_fn fn,
    void *arg, bool *few);

#endif
