/*
 * What the store promises on top of any backend, as tests. Every backend passes the same suite: memory and faulty in
 * tests/unit, JetStream in tests/jetstream_contract.c.
 *
 * The tests stand in contract_*.c by subject; contract_node.h has their verbs.
 */
#ifndef AETHER_TESTS_CONTRACT_H
#define AETHER_TESTS_CONTRACT_H

#include "../../store/backend.h"
#include "check.h"

struct contract {
	/*
	 * Open one more node on the same stored data, empty at the start of the program: a backend of its own, which
	 * the suite frees. 0 or -errno.
	 */
	int (*open)(struct backend **out);
	/* Make one stored record disappear for all nodes. 0 or -errno. */
	int (*lose)(const char *ns, uint64_t seq);
	int64_t timeout_ns; /* of the stores */
	bool fragile;       /* the server does not bear that a namespace is made or removed while another node removes it */
	bool flaky;         /* answers are lost and late of themselves: how many questions it takes cannot be told */
	unsigned scale;     /* how much work the tests with threads do, in percent */
};

/* Run the suite, then the tests of extra; as main does. */
int contract_run(const struct contract *c, const struct check_test *extra, size_t extra_count, int argc, char **argv);

#endif
