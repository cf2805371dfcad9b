/*
 * Some nodes of an election, the register they write to, and all that lies between them, in simulated time. One seed is
 * one schedule; it is played the same way each time.
 *
 * Until ELECTION_SIM_CALM_NS messages are slow, lost or without an answer, watches break, nodes stop, die and resign,
 * and somebody deletes the lease. Clocks start anywhere and run up to 1 % wrong all the time. Looked at after each
 * event: no two nodes lead at one time or in one term, and terms rise. After the calm has lasted for
 * ELECTION_SIM_SETTLE_NS: one node leads, the same until the end, and all name it.
 */
#ifndef AETHER_TESTS_ELECTION_SIM_H
#define AETHER_TESTS_ELECTION_SIM_H

#include <stdint.h>

#include "../../cluster/election.h"

#define ELECTION_SIM_CALM_NS (45 * NS_PER_SEC)
#define ELECTION_SIM_SETTLE_NS (10 * NS_PER_SEC)
#define ELECTION_SIM_END_NS (60 * NS_PER_SEC)

/* Sums over all schedules, to be zeroed before the first. */
struct election_sim_sums {
	uint64_t schedules;
	uint64_t events;
	uint64_t elections; /* terms that somebody led in */
	uint64_t takeovers; /* those after another node's */
	uint64_t resigned;
	uint64_t refused; /* writes */
	uint64_t late;    /* writes that were done after nobody waited for the answer any more */
	uint64_t led_ns;  /* while some node led */
	uint64_t total_ns;
};

/* Returns NULL, or what went wrong (a constant), and then when. */
const char *election_sim(uint64_t seed, struct election_sim_sums *sums, int64_t *at_ns);

#endif
