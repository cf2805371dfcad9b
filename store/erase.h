/*
 * Erasing all actors of a namespace; one is actor_erase, in the same file.
 *
 * An actor is erased by a tombstone, a record that is put behind its last one like any other (append.h), and then what is before that is
 * taken away. In between it is as erased as after. If that cannot be done in time the caller is told; the next erase of the actor does
 * it, and so does the removal of its namespace.
 */
#ifndef AETHER_STORE_ERASE_H
#define AETHER_STORE_ERASE_H

#include "store.h"

/* Those that the namespace's index knows of. Blocks for as long as there are more; each is erased within store_options.timeout_ns. 0, -ENOENT
 * (no such namespace), or what went wrong first. */
int erase_all(struct store *s, const char *ns);

#endif
