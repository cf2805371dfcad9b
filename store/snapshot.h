/*
 * Snapshots of an actor: what its events amount to at some version.
 *
 * Two kinds, which never mix. Those that somebody saves hold what he takes for the actor's state, and are for him to read. Those that
 * the nodes take by themselves hold the state as this page means it: RFC 7396 over the data of all events in the order of their versions
 * (fold.h); it is read from the latest of these on, so that reading it costs what came after. Of each kind the last DOC_KEPT are kept.
 *
 * Invariants:
 *   1. A snapshot counts only in the life of the actor in which it was made: what has been erased leaves nothing.
 *   2. One that a node has taken counts only where the record at which it was taken is the one that stands there now, sum and all: a
 *      state is never made of one chain's beginning and another's end.
 *   3. One that a node takes never takes the place of a later one: it is put behind the one that it was made from, or not at all.
 *   4. Without any of them the state is the same. So they may be lost, late, or taken by two nodes at once.
 *
 * Any thread may call; all block but snapshots_later. Errors are those of store.h.
 */
#ifndef AETHER_STORE_SNAPSHOT_H
#define AETHER_STORE_SNAPSHOT_H

#include "actor.h"

/*
 * Save a snapshot: text is a JSON object with the keys version (1 up to the actor's latest) and state (any JSON), and if it says so
 * actorId (the actor's) and timestamp (RFC 3339; else now). Numbers keep their text. -EINVAL (the reason is logged), -EILSEQ, -ENOENT (no such
 * actor), -EMSGSIZE.
 */
int snapshot_save(struct actor *a, struct span text);

/* Append the one saved last, or if none ever was, the last that a node has taken: a line, with its newline. -ENOENT: none. */
int snapshot_load(struct actor *a, struct buf *out);

/* Append the state up to now: an object and a newline. */
int snapshot_state(struct actor *a, struct buf *out);

/* Who takes snapshots for a store: in the background, one after the other. */
struct snapshots;

/*
 * One is due when an actor has had `every` events (at least 1) since the last; due is called then, on any thread, and must not block: it
 * sees to it that some node calls snapshots_later. NULL: this node does. Before the first append; due and arg live until snapshots_free.
 * 0 or -ENOMEM.
 */
typedef void (*snapshots_due_fn)(void *arg, const char *ns, const char *actor);
int snapshots_new(struct snapshots **out, struct store *s, uint64_t every, snapshots_due_fn due, void *arg);

/* Take one of that actor, if it is due. Does not block. */
void snapshots_later(struct snapshots *sn, const char *ns, const char *actor);

/* No more are taken; waits for the one that is being taken. Before store_free, under which appends may still end. NULL is fine. */
void snapshots_stop(struct snapshots *sn);

/* After store_free. NULL is fine. */
void snapshots_free(struct snapshots *sn);

/* How many this node has taken. */
uint64_t snapshots_taken(const struct store *s);

/* Of an actor that has been erased, or of all of a namespace (actor NULL) that has been removed: take them away. What is left counts for
 * nothing. */
void snapshot_drop(struct store *s, const char *ns, const char *actor);

/* An append of this node has brought the actor from so many events to so many. Does not block. */
void snapshot_note(struct actor *a, uint64_t before, uint64_t after);

#endif
