/*
 * The last record of an actor, where the server has forgotten which it is.
 *
 * When an account reaches its storage limit, nats-server 2.9 takes the message that was too much away again and with it
 * what it knows of the subject's last message, though all others are there. From then on it answers a get by last
 * subject with 404, and refuses every publish behind the real last message, because it takes the last sequence for 0; a
 * restart mends it. Gets by sequence and of the next message of a subject are right all the time, so these are what is
 * believed here. Newer servers look at the limit before they store. Which server keeps a stream is told by its
 * information, if it is one from 2.11 on; with an older one every get of a last record that does not exist costs one
 * request more.
 *
 * The first time that a namespace is found to be affected a line is logged. Any thread may call; nothing blocks. The
 * functions that are given are called once, as backend.h says of completions, with deadline_ns as the latest moment.
 */
#ifndef AETHER_STORE_JS_LAST_H
#define AETHER_STORE_JS_LAST_H

#include "js_state.h"

/* The server says that the actor has no last message. fn gets -ENOENT if that is so, and the last record if not. */
void js_last_find(struct jetstream *js, struct actor_name name, int64_t deadline_ns, backend_get_fn fn, void *arg);

/*
 * The server refused to put a record behind sequence prev_seq, at least 1, because the actor has none, it says. fn gets
 * -ENOSPC if it has forgotten that there are some (as that came from a lack of storage), -ESTALE if they were erased or
 * another's record came.
 */
void js_last_refused(struct jetstream *js, struct actor_name name, uint64_t prev_seq, int64_t deadline_ns,
    void (*fn)(void *arg, int err), void *arg);

#endif
