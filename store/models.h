/*
 * The models of all namespaces as this node knows them: who may change one, and what an append must keep to.
 *
 * A node reads them all when it starts, and each anew when it hears that it has changed, within milliseconds, or that it may have: so an append never
 * has to wait for one. What another node appends at the moment of a change is checked by the model that it knew then. Every model that
 * ever was is kept, one behind the other. That of a namespace that is removed ends with it, by an empty one.
 *
 * Owns the models in memory. Any thread may call.
 */
#ifndef AETHER_STORE_MODELS_H
#define AETHER_STORE_MODELS_H

#include "batch.h"
#include "store.h"

struct models;

/* Read them all. Before the first append. Blocks. 0 or -errno; *out is to be freed either way. */
int models_new(struct models **out, struct store *s);

/* Hear of no changes any more. Before store_free, under which appends may still end. NULL is fine. */
void models_stop(struct models *m);

/* After store_free. NULL is fine. */
void models_free(struct models *m);

/*
 * May these lines be appended to that actor? 0; -EINVAL, and b says which line and why, as after batch_parse, and store_conflicts says so too;
 * or -ENOMEM. Does not block.
 */
int models_check(struct store *s, const char *ns, const char *actor, struct batch *b);

/* A namespace has been removed, and its model with it. Blocks. */
void models_removed(struct store *s, const char *ns);

/* Make text the namespace's model; a newline is put behind it. Blocks. -EINVAL: it is none; the path of the first fault is in the log and in store_conflicts. -EMSGSIZE, -ENOENT. */
int store_model_set(struct store *s, const char *ns, struct span text);

/*
 * Append the namespace's model as it was written, nothing if it has none; and its picture, for Graphviz. number 0: the present one, asked for
 * now; else the one with that number (store_model_list), -ENOENT if there is none. Blocks.
 */
int store_model_text(struct store *s, const char *ns, uint64_t number, struct buf *out);
int store_model_dot(struct store *s, const char *ns, struct buf *out);

/* fn for the number of each model that the namespace has had, oldest first; it returns 0 to go on. Numbers rise, and have gaps. Blocks. */
int store_model_list(struct store *s, const char *ns, int (*fn)(void *arg, uint64_t number), void *arg);

#endif
