/*
 * The body of namespaces as streams, for the files that make it up: js_ns_stream.c (a namespace's stream: its names, its description, what is
 * asked of it), js_namespace.c (operations) and js_ns_remove.c (removal). Nobody else includes this. A stream's description holds the
 * namespace's attributes (store/FORMAT.md).
 *
 * Removing, without losing what another node appends at that moment. JetStream deletes a stream whatever it holds, so:
 *   OPEN    subjects <prefix>.ev.<ns>.*: appends are stored
 *   FENCED  subjects <prefix>.rm.<ns>: appends find nobody and are tried again by their nodes; what was on its way when
 *           the fence came is flushed by a probe, published through the stream's queue and acknowledged. From then on
 *           the set of actors cannot change.
 *   REMOVED the same subjects; the description says so, and the namespace does not exist
 *   gone    deleted
 *
 * Moves: OPEN -> FENCED by a remover that saw no actor; FENCED -> gone only if there never was an actor; FENCED -> REMOVED only
 * if all that there were have been erased; FENCED -> OPEN only if there is one. As the set is frozen, every node that looks at a fence
 * decides the same, and only the one whose probe was stored acts: it is published with the stream's last sequence as its remover knew it,
 * when it looked. One that was held up for FENCE_OWN_NS leaves the fence to others, who finish it when they have seen it for
 * FENCE_ABANDONED_NS (js_streams.c) of their own clocks: so that no late delete meets a namespace made anew. For the same reason a move that
 * had no answer is not sent again by whoever made it.
 *
 * Why a stream that has tombstones is kept: nodes, and files that are open on them, may know the ends of actors as they were before. If
 * the sequences began anew, one of these could by chance be the end of an actor of the new namespace; what is appended behind it would be
 * stored, and break the chain. With the stream the sequences go on, and with the tombstones the lives of the actors. So nothing with a
 * past is ever deleted, and no remover or eraser that is held up, however long, can harm what came after it.
 * REMOVED -> OPEN by whoever makes the namespace again: of several, by the one whose probe is stored as the first message behind what the
 * description says was the last. If it is not opened after that, others may try when they have seen it so for FENCE_ABANDONED_NS.
 */
#ifndef AETHER_STORE_JS_NS_STATE_H
#define AETHER_STORE_JS_NS_STATE_H

#include "js_state.h"

/* Whoever has put up a fence makes no move after this. */
#define FENCE_OWN_NS (4 * NS_PER_SEC)

/* A nonce of random bytes, as hexadecimal digits. */
#define NONCE_BYTES 16
void js_ns_new_nonce(const struct jetstream *js, char out[2 * NONCE_BYTES + 1]);

/* Descriptions, which are the caller's to delete. */
cJSON *js_ns_new_description(const struct ns_attr *attr, const char *nonce);
/* That in the answer of STREAM.INFO; NULL if there is none. */
cJSON *js_ns_description(const cJSON *info);
/* Take over a member, if it is there. */
void js_ns_keep(const cJSON *from, cJSON *description, const char *key);

/* Into a stream's configuration. 0 or -ENOMEM. */
int js_ns_set_description(cJSON *config, const cJSON *description);
int js_ns_set_subject(const struct jetstream *js, const char *kind, const char *ns, cJSON *config);

/* As js_api_call, of the namespace's stream. */
int js_ns_call(struct jetstream *js, const char *what, const char *ns, cJSON *request, int64_t deadline_ns, cJSON **reply);

/* STREAM.INFO of a stream in whatever state; with its subjects from offset on, if they are wanted. */
int js_ns_any_info(struct jetstream *js, const char *ns, bool with_subjects, uint64_t offset, int64_t deadline_ns, cJSON **info);
/* The same; -ENOENT if the namespace has been removed. */
int js_ns_live_info(struct jetstream *js, const char *ns, bool with_subjects, int64_t deadline_ns, cJSON **info);
uint64_t js_ns_last_seq(const cJSON *info);

/* Send the stream's configuration back with other subjects (kind; NULL: the same) or another description (NULL: the same). */
int js_ns_update(struct jetstream *js, const char *ns, const cJSON *info, const char *kind, const cJSON *description, int64_t deadline_ns);

/* Flush what is on its way, and become the one who may go on: stored only if nothing was since last_seq. 0, or -ESTALE if something was. */
int js_ns_probe(struct jetstream *js, const char *ns, uint64_t last_seq, int64_t deadline_ns);

/* A fence that its remover left behind. 0: the namespace is there after all, as far as is known. */
int js_ns_finish_abandoned(struct jetstream *js, const char *ns, int64_t deadline_ns);

#endif
