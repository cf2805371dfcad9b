/*
 * inotify for what other nodes do: every change of a name that the kernel knows, and that came from elsewhere, is repeated on the
 * mount by a process (poker.h), and the kernel raises what a local change would have raised.
 *
 * Owns that process, the thread that gives it orders, what waits to be told (pokes.h), and a follow (../store/follow.h) of each
 * namespace that the kernel knows, which brings the changes. Which namespaces come and go is told by ../store/names.h.
 *
 * Who is told. inotify watches are the kernel's, and FUSE is not told of them. But who watches a directory has looked it up, and as long
 * as there is a watch the kernel does not forget what is watched: the directory, an actor in it, or its `owned`. So a namespace is followed from the last record that the answer to its
 * first lookup knew of, until the kernel forgets it; and nothing that happens after the watch was begun can be missed.
 *
 * What is not told: what this node has appended, made or removed itself for the kernel, which was told by the kernel then. A record
 * says which node it is from (struct record).
 *
 * How it is told. The process's requests are known by its threads' ids, and answered from here without asking NATS (ops_bridge.h): while it
 * makes a name its lookups are told that there is no such name, so that the kernel makes it and says CREATE; while it removes one they are
 * told that there is; what it opens, makes, sets and removes changes nothing. What is made up for it is good for no time at all, so that no
 * user is ever shown what was made up for it.
 *
 * How much. Names that change faster than they can be told are merged (pokes.h). When more names wait than are kept in memory, follows
 * are held: then the stream keeps the rest, and nothing is lost.
 *
 * Any thread may call. Nothing here blocks but where it says so.
 */
#ifndef AETHER_FS_BRIDGE_H
#define AETHER_FS_BRIDGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "env.h"
#include "pokes.h"

struct bridge;

/* Names that may wait before follows are held. */
#define BRIDGE_NAMES_MAX 16384

/* 0 or -ENOMEM. env is borrowed. */
int bridge_new(struct bridge **out, struct fs_env *env);

/* Begin to tell; the file system is mounted and its requests are being answered, or will be soon. Blocks for the first look at the names,
 * without which it goes on all the same. 0 or -errno. */
int bridge_start(struct bridge *b);

/* End it: no order is given any more. Before the mount is taken away, whatever was started. NULL is fine. Blocks. */
void bridge_stop(struct bridge *b);

/* After the connection to the kernel has been closed, for the process may be waiting for it. NULL is fine. */
void bridge_free(struct bridge *b);

/* Is that request from the process? */
bool bridge_is_helper(const struct bridge *b, pid_t tid);

/*
 * What the process is doing with a name (actor NULL: a namespace), and in *head what the newest record said that was noted of it.
 * POKE_NONE: nothing, or nothing that should show any more.
 */
enum poke_step bridge_step(struct bridge *b, const char *ns, const char *actor, struct head *head);

/* Is the process to be told that there is no such namespace, though nothing is being done with it? See struct trial. */
bool bridge_hides(struct bridge *b, const char *ns);

/* The kernel is about to be told of a namespace by a lookup's answer, and will count it; by_user: not for the process. May block as
 * store_ns_info. Once the namespace is known, changes after the answer that this rests on are told. */
void bridge_known(struct bridge *b, const char *ns, bool by_user);

/* The kernel has forgotten so many of these, or did not take the answer. True: it does not know the namespace any more. */
bool bridge_forgotten(struct bridge *b, const char *ns, uint64_t count);

/* The kernel is told of the directory of actors of that namespace that this node owns. */
void bridge_owned_known(struct bridge *b, const char *ns);

/* It owns other shards than it did. */
void bridge_owned_changed(struct bridge *b);

/* How it is doing: namespaces that are followed, names that wait to be told, and names that were told so far. */
struct bridge_status {
	size_t followed;
	size_t waiting;
	uint64_t told;
	bool held; /* more names changed than are kept in memory: the stream keeps the rest */
};
void bridge_status(struct bridge *b, struct bridge_status *status);

/* As pokes_made_here, pokes_gone_here and pokes_doubt, of actors. b may be NULL: then nobody is told. */
void bridge_made_here(struct bridge *b, const char *ns, const char *actor, bool existed);
void bridge_gone_here(struct bridge *b, const char *ns, const char *actor);
void bridge_doubt(struct bridge *b, const char *ns, const char *actor);

#endif
