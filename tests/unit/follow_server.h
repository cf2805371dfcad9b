/* What only a real server can do to those who follow: tests for tests/jetstream_contract.c. */
#ifndef AETHER_TESTS_FOLLOW_SERVER_H
#define AETHER_TESTS_FOLLOW_SERVER_H

#include <nats/nats.h>

#include "check.h"

/* Before they are run. plain: a client that knows nothing of Aether; both are borrowed. */
void follow_server_init(natsConnection *plain, const char *prefix);

extern const struct check_test follow_server_tests[];
extern const size_t follow_server_count;

/*
 * For which the server has to be killed and started again: the test makes the file "<path>.ask", <path> from AETHER_RESTART, and goes on
 * when that is gone.
 */
extern const struct check_test follow_restart_tests[];
extern const size_t follow_restart_count;

#endif
