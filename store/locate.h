/*
 * Finding one event of an actor without a replay: in what is cached, else by a search among the actor's records.
 *
 * Owns nothing. Any thread may call.
 *
 * A search costs gets: one where the records are evenly sized and alone in their stream, a few where they are not, at
 * most LOCATE_GUESSES + 2 + log2(sequences of the stream that the actor spans). The record found is verified against
 * the one before it and is in the cache then.
 */
#ifndef AETHER_STORE_LOCATE_H
#define AETHER_STORE_LOCATE_H

#include "actor.h"
#include "walk.h"

#define LOCATE_GUESSES 6

/*
 * The first event up to head whose version (HEAD_VERSION) or number (HEAD_COUNT) is value or more. head is what
 * actor_head said. Blocks. 0, -ENOENT (there is none), -EIO (the chain does not hold there, after a log line), or as
 * actor_read.
 */
int actor_locate(struct actor *a, const struct head *head, enum head_key key, uint64_t value, struct event_place *p);

/*
 * The head that the actor had when a sequence was the last of its namespace: that behind its last record up to there. head is what
 * actor_head said; *at is head itself where nothing came later, and the beginning of the life where there was no record yet. Two gets. Blocks.
 * 0, -EIO (the chain does not hold there, after a log line), or as actor_read.
 */
int actor_head_at(struct actor *a, const struct head *head, uint64_t seq, struct head *at);

#endif
