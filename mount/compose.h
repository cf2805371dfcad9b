/*
 * What `aether append` writes: lines from its argument or from standard input, made into events where --type or
 * --version ask for it. Pure but for the clock; one thread at a time.
 */
#ifndef AETHER_MOUNT_COMPOSE_H
#define AETHER_MOUNT_COMPOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "../store/buf.h"
#include "../store/clock.h"

struct compose {
	const struct clock *clock;
	const char *type; /* NULL: as the line says */
	uint64_t version; /* of the next event; 0: none. Rises by one with every event */
};

/* Are lines changed at all? If not they may be passed on as they are. */
static inline bool
compose_changes(const struct compose *c)
{
	return c->type != NULL || c->version != 0;
}

/*
 * Append to out the line, newline included, that input stands for. With a type, input is that event's data; else what a
 * line is to a mount: an event, data, or text. JSON may stand on several lines and becomes one. An event that is built
 * or completed here gets an id, so that writing the same line again is harmless. 0; -EINVAL with a static text in *why;
 * -ENOMEM.
 */
int compose_line(struct compose *c, struct span input, struct buf *out, const char **why);

#endif
