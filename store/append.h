/*
 * The protocol of an append: how lines become exactly one stored record, whatever is lost on the way.
 * The functions are declared in actor.h; this page is their design.
 *
 * States and moves (one append of an actor is active at a time on a node; the others wait in order):
 *
 *   QUEUED  -> HEAD | SENT | ENDED      its turn has come; the head is known or not
 *   HEAD    -> SENT | LOOKUP | WAITING | ENDED   asked for the actor's last record
 *   LOOKUP  -> SENT | ENDED             ids that the user gave are looked up, blocking, on the store's worker
 *   SENT    -> ENDED                    acknowledged, or refused for good
 *           -> HEAD                     compare-and-set lost: somebody else appended
 *           -> CHECK                    outcome unknown, or the message id was there already
 *           -> WAITING                  no connection: outcome unknown
 *   CHECK   -> HEAD | SENT | WAITING | ENDED     asked for the record that would be ours; WAITING also where one is refused
 *                                       and no other shows
 *   WAITING -> HEAD | CHECK | ENDED     for a connection, or a pause
 *
 * Invariants:
 *   1. A record is published only as the successor of a base that this node has seen, with the base's sequence as the
 *      compare-and-set. So of all attempts to continue one base, by whomever, JetStream stores at most one.
 *   2. Once an attempt's outcome is unknown, the record behind its base is read before anything else is tried. If it holds our
 *      ids, the append has happened. If it is another's, our attempt can never be stored any more (1). If there is none, the same record
 *      is offered again for the same base: (1) keeps the stray attempt and the new one from both being stored.
 *   3. Ids are fixed when the lines are parsed; every attempt offers the same ids.
 *   4. done is called once, at the latest soon after the deadline; success only after an acknowledgement or after reading our record back.
 *   5. Nothing is stored if done says anything but success or -ETIMEDOUT: an error that comes while an earlier attempt's
 *      outcome is unknown is reported as -ETIMEDOUT.
 *   6. -EINTR is only said before the first publish.
 */
#ifndef AETHER_STORE_APPEND_H
#define AETHER_STORE_APPEND_H

/* A publish without acknowledgement counts as unknown after this long, or at the deadline. Checking early is safe by invariant 2. */
#define APPEND_ATTEMPT_NS (1500 * NS_PER_MS)

/* After so many lost races in a row pauses of random length are put in, of up to APPEND_PAUSE_MAX_NS. */
#define APPEND_RACES 4
#define APPEND_PAUSE_MAX_NS (20 * NS_PER_MS)

/* So many queued appends may begin one inside the end of the other, on one stack. */
#define APPEND_DEPTH 32

#endif
