/*
 * What is left of erased actors: taking away the messages before a tombstone, and finding out whether anything but tombstones is left.
 *
 * nats-server 2.9 cannot be asked to purge a subject while somebody reads the stream: a consumer of several subjects then skips all
 * that is stored before what is left of that one, and never knows. So on servers that do not say that they are newer (2.11 and
 * later do) the messages are deleted one by one, at some thousand a second.
 *
 * Any thread may call.
 */
#ifndef AETHER_STORE_JS_ERASE_H
#define AETHER_STORE_JS_ERASE_H

#include "js_state.h"

/* The backend's purge. */
int js_purge(struct backend *b, struct actor_name name, uint64_t before_seq, int64_t deadline_ns);

enum js_inhabitants { JS_NOBODY, JS_ERASED, JS_SOMEBODY };

/*
 * Who is in the namespace whose subjects have so many messages each (the "subjects" of the answer of STREAM.INFO)? Nobody ever, only erased
 * ones, or at least one that is there, as which counts what is not ours. Takes a question for each until there is somebody, timeout_ns for
 * each of them, tried once. What is still stored before a tombstone is purged. Blocks. 0 or -errno; -ENOTCONN: one had no answer.
 */
int js_inhabited(struct jetstream *js, const char *ns, const cJSON *subjects, int64_t timeout_ns, enum js_inhabitants *who);

#endif
