/*
 * Takes the appends that one node hands over to another node of the same program, which appends them: with answers that are lost or come
 * late, lines that come late or never, or nobody there.
 */
#ifndef AETHER_TESTS_RELAY_H
#define AETHER_TESTS_RELAY_H

#include "contract_node.h"

enum relay_way {
	RELAY_ANSWER,   /* as it should be */
	RELAY_LOSE,      /* they are stored, and then told to be unknown */
	RELAY_LATE,      /* told to be unknown at once; appended after delay_ns, or when released */
	RELAY_DROP,      /* told to be unknown at once; never appended */
	RELAY_NOBODY,    /* refused inside the call */
	RELAY_TURN_AWAY, /* refused after delay_ns */
	RELAY_FAIL,      /* the same, with another error */
	RELAY_WAYS,
	RELAY_ANY, /* one of these at random; mostly answered */
	RELAY_MUTE /* they are stored; told to be unknown when the time is over */
};

struct relay;

/* What from hands over goes to owner, which hands nothing to the relay. NULL after a failed check. */
struct relay *relay_new(struct store *from, struct store *owner);

/* Wait until nothing is under way. Both stores are still there, and from has no appends. */
void relay_settle(struct relay *r);
/* Both stores are closed. */
void relay_free(struct relay *r);

void relay_set(struct relay *r, enum relay_way way, int64_t delay_ns);

/* What comes from now on waits here, until it is released. */
void relay_hold(struct relay *r);
void relay_release(struct relay *r);

/* How many hand-overs have come, and how many lines in all. */
unsigned relay_count(const struct relay *r);
unsigned relay_lines(const struct relay *r);

#endif
