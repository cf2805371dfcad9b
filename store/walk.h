/*
 * Walking over an actor's events one by one: where the line of each lies in the actor's file.
 *
 * Owns a piece of the file, of bounded size whatever the events' size. One thread at a time. Blocks as actor_read does.
 */
#ifndef AETHER_STORE_WALK_H
#define AETHER_STORE_WALK_H

#include "actor.h"
#include "buf.h"

/* An event's line in the actor's file. Fixed for ever once stored. */
struct event_place {
	uint64_t version;
	uint64_t count;  /* its number among the actor's events, from 1 */
	uint64_t offset; /* bytes */
	uint64_t size;   /* bytes, with the newline */
};

struct walk {
	struct actor *actor;
	struct head head; /* the end */
	uint64_t offset;  /* where the next event's line begins, and how many events there are before it */
	uint64_t count;
	struct buf piece; /* of the file, from piece_at on */
	uint64_t piece_at;
};

/* From the byte offset, before which there are count events, to head. The actor is borrowed for the walk's life. */
void walk_begin(struct walk *w, struct actor *a, const struct head *head, uint64_t offset, uint64_t count);

/* The next event. 1, 0 at the end, -EIO (the chain does not hold here, or a line is no event's), or as actor_read. */
int walk_next(struct walk *w, struct event_place *p);

void walk_end(struct walk *w);

#endif
