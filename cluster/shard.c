#include "shard.h"

#include <stdbool.h>
/* For the state on the stack. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "../store/buf.h"

unsigned
shard_of(const char *ns, const char *actor)
{
	/* Streamed, so that names of any length need no buffer; the state lives on the stack and cannot fail. */
	XXH3_state_t state;

	XXH3_INITSTATE(&state);
	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, ns, strlen(ns));
	XXH3_64bits_update(&state, "/", 1);
	XXH3_64bits_update(&state, actor, strlen(actor));
	return (unsigned)(XXH3_64bits_digest(&state) % SHARD_COUNT);
}
