/*
 * The names of all namespaces, as they come and go on any node.
 *
 * Owns the set of names that was last seen, and a thread, which asks the backend for the names whenever that hints that something may
 * have changed (backend.h's names_listen), and tells the difference. Hints may come in any number, late, twice or for nothing; what is
 * told is what is there; that something is gone is asked twice while servers elect leaders, and what a hint was ahead of is found a second or two
 * later. A namespace that comes and goes between two looks may go untold, as may one that was removed and made anew.
 * Any thread may call.
 */
#ifndef AETHER_STORE_NAMES_H
#define AETHER_STORE_NAMES_H

#include <stdbool.h>

#include "store.h"

struct names;

/*
 * ns has appeared, or is gone; own: this node did that itself (names_note). One call at a time, in the order in which things were seen.
 * It must not block for long, nor listen or ignore.
 */
typedef void (*names_fn)(void *arg, const char *ns, bool is_there, bool own);

/* Look for the first time: only what differs from that is told. Blocks, as store_ns_list. If it fails, the first look that succeeds is
 * taken for it, and the thread goes on trying. 0 or -errno. */
int names_start(struct store *s);

/* Be told of changes from now on. Any number may listen. 0 or -ENOMEM. */
struct names_listener;
int names_listen(struct store *s, names_fn fn, void *arg, struct names_listener **out);

/* Returns when no call is under way. NULL is fine. Before store_free. */
void names_ignore(struct store *s, struct names_listener *l);

/* This node has just made (is_there) or removed that namespace itself: those who listen are told now, on this thread, unless it is known
 * already, and a look that began before does not tell otherwise. store_ns_create and store_ns_remove call it. */
void names_note(struct store *s, const char *ns, bool is_there);

/* This node is about to make or remove it: until names_done, of which each of these needs one, no look tells anything of it, so that
 * what this node does itself is told by names_note. For store.c. */
void names_doing(struct store *s, const char *ns);
void names_done(struct store *s, const char *ns);

/* For store.c. names_stop before the backend is freed, names_free after it. */
int names_new(struct names **out, struct store *s);
void names_stop(struct names *n);
void names_free(struct names *n);

#endif
