/*
 * The state of an actor: the data of its events merged in order, as RFC 7396 (JSON Merge Patch) says.
 *
 * Owns one JSON object, and knows nothing of events, versions and snapshots. What is no object is kept as it was
 * written and is never converted: 9007199254740993, 1.10, 1e400 and the escapes in a string come back byte for byte,
 * and so does all that is in an array. A key is kept as it was first written; keys are the same if they are once their
 * escapes are decoded: "a" is "\u0061".
 *
 * Members come in the order in which they were first set; one that was deleted and is set again comes last. Where a key
 * is repeated inside one patch, its members are merged one after the other.
 *
 * What a merge takes grows with its patch and not with the state, nor does memory grow with the number of merges: an
 * object is a list of its members, and a hash table beside it once they are more than a few. Not locked: one thread at
 * a time.
 */
#ifndef AETHER_STORE_FOLD_H
#define AETHER_STORE_FOLD_H

#include <stddef.h>

#include "buf.h"

struct fold;

/* The object without members. 0 or -ENOMEM. */
int fold_new(struct fold **out);

/*
 * Become the object that text is, copied, instead of what f was; white space in it is left out. Nothing is deleted
 * here: a null is a value, and of a repeated key the last value is taken.
 * 0; -EINVAL if text is no object by json_object's rules, or -ENOMEM: f is as before then.
 */
int fold_load(struct fold *f, struct span text);

/*
 * Merge patch, the text of a JSON object, into f: null deletes the member, an object is merged into the one that is
 * there or into an empty one, anything else takes the place of what is there.
 * 0; -EINVAL if patch is no object by json_object's rules: f is as before then; -ENOMEM: some members of it may have
 * been merged, and all are if merging it again succeeds.
 */
int fold_merge(struct fold *f, struct span patch);

/* Append the object as JSON text without white space and without a newline. 0 or -ENOMEM (out has failed). */
int fold_text(const struct fold *f, struct buf *out);

/* How many bytes fold_text appends. Takes no time. */
size_t fold_len(const struct fold *f);

/* How many bytes of memory f has asked for. Takes no time. */
size_t fold_bytes(const struct fold *f);

/* NULL is fine. */
void fold_free(struct fold *f);

#endif
