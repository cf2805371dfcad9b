/*
 * Appends from several threads on two nodes to one actor, which is erased again and again meanwhile, and then the books: what was
 * said to each writer against what is stored.
 */
#ifndef AETHER_TESTS_ERASE_RACE_H
#define AETHER_TESTS_ERASE_RACE_H

#include "contract_node.h"
#include "relay.h"

#define ERASE_RACE_WRITERS 8
#define ERASE_RACE_APPENDS 1000

/*
 * Run it on the actors a of two nodes in one namespace, which are closed in the end; honest is a backend with the same data, to
 * check with. relays: what the nodes hand over by, or NULLs; freed. whole: the namespace is removed with all that is in it, and made anew, rather than the actor erased. Checks that
 * what was acknowledged is there once, or that it was erased by an erase that did not end before the append began; that what was refused for
 * good is not there, nor what was acknowledged before an erase began that succeeded; and that the chain holds and versions go from 1 on. Fails
 * checks; says what it did in a line.
 */
void erase_race(struct node nodes[2], struct relay *const relays[2], struct backend *honest, bool whole, unsigned writers,
    unsigned appends);

#endif
