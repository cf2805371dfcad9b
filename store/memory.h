/* The memory backend: records live in this process and end with it. For tests and for `--store memory`. */
#ifndef AETHER_STORE_MEMORY_H
#define AETHER_STORE_MEMORY_H

#include "backend.h"
#include "clock.h"

#define MEMORY_PAYLOAD_MAX (1024 * 1024 - 4096)

/* clock is borrowed for the backend's life. 0 or -ENOMEM. */
int memory_new(struct backend **out, const struct clock *clock);

#endif
