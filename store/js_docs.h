/*
 * Documents in JetStream: the backend's doc_put, doc_get, doc_list, doc_drop and models_listen.
 *
 * Owns the subscription that hints at models that have changed. Any thread may call, as backend.h says.
 */
#ifndef AETHER_STORE_JS_DOCS_H
#define AETHER_STORE_JS_DOCS_H

#include "js_state.h"

/* In this order: 0 or -errno; open needs the connection, close is after that was closed, free after the timer was. NULL is fine for the last
 * two. */
int js_docs_new(struct js_docs **out, struct jetstream *js);
int js_docs_open(struct js_docs *d);
void js_docs_close(struct js_docs *d);
void js_docs_free(struct js_docs *d);

/* There is a connection again: what changed meanwhile has gone unnoticed. */
void js_docs_hint(struct js_docs *d);

int js_doc_put(struct backend *b, const struct doc_name *name, const uint64_t *behind, struct span text, int64_t deadline_ns,
    uint64_t *seq);
int js_doc_get(struct backend *b, const struct doc_name *name, uint64_t from_seq, int64_t deadline_ns, struct buf *text,
    uint64_t *seq);
int js_doc_list(struct backend *b, enum doc_kind kind, int64_t deadline_ns, uint64_t *last_seq, backend_name_fn fn, void *arg);
int js_doc_drop(struct backend *b, const char *ns, const char *actor, int64_t deadline_ns);
void js_models_listen(struct backend *b, void (*changed)(void *arg, const char *ns), void *arg);

#endif
