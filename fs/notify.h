/*
 * What the kernel may go on believing, and telling it when that is over.
 *
 * While the index of a namespace follows the stream, the kernel is allowed to keep attributes of its actors for long, and the
 * listing of its directory. This module owns what is remembered of that: for each node the head that the kernel was told of
 * (node.told), for each namespace the index that must live as long as the kernel believes something that only the index's
 * changes can correct. And it owns the thread that tells the kernel, holding no lock: of each change once, however many come
 * meanwhile, so that what waits is bounded by the number of nodes.
 *
 * Why nothing is missed. Whoever tells the kernel of an actor first says so (notify_tell), then reads the index, then says what
 * it read (notify_told), then replies. A change that the reading missed comes to notify_changed after notify_tell, finds the
 * node told, and has the kernel forget. If that overtakes the reply, then the kernel itself throws the reply's attributes away,
 * because the request is older than the forgetting; or, if it does not even know the node yet, it says so, and is told again
 * a little later.
 *
 * Must not know what attributes are, nor FUSE: the kernel is a table of functions. Any thread may call.
 */
#ifndef AETHER_FS_NOTIFY_H
#define AETHER_FS_NOTIFY_H

#include "../store/clock.h"
#include "../store/index.h"
#include "node.h"

struct notify;

/* For how long the kernel may believe what notify_tell allowed. The bound of a mistake, and of how long the index of a namespace in
 * which nobody looks any more is kept. */
#define NOTIFY_VALID_S 600.0

struct notify_kernel {
	/* Forget what is known of a node's attributes; listing: and its cached listing. Does not wait for anything that a
	 * request may hold, but for pages of a listing. 0, -ENOENT (no such node), or another -errno. */
	int (*forget)(void *arg, uint64_t nodeid, bool listing);
	void *arg;
};

/* All are borrowed but kernel, which is copied. 0 or -ENOMEM. */
int notify_new(struct notify **out, struct store *store, struct node_table *nodes, const struct clock *clock,
    const struct notify_kernel *kernel);

/* Begin and end the thread. 0 or -errno. To end one that was not begun is fine. Ending blocks while it is telling the kernel. */
int notify_start(struct notify *nt);
void notify_stop(struct notify *nt);

/* Stopped, and nobody calls any more. Before the nodes are freed. NULL is fine. */
void notify_free(struct notify *nt);

/*
 * The kernel is about to be told of the attributes of an actor's node, which are taken from that index, and from that mode and owner
 * of its namespace, after this call. True: it may believe them for NOTIFY_VALID_S. False: not at all.
 */
bool notify_tell(struct notify *nt, struct node *n, struct index *x);

/* They were those of this head. */
void notify_told(struct node *n, const struct head *head);

/* Mode and owner of a namespace, as they were just found, after notify_tell if they are for an actor. True: what the kernel was told of
 * its actors may follow from others, and will be forgotten soon. Does not block. */
bool notify_owner(struct notify *nt, struct node *ns, const struct ns_attr *attr);

/* The kernel has forgotten all attributes of a namespace's actors on return. Takes time for each that it knows. */
void notify_namespace(struct notify *nt, struct node *ns);

/* An open has learnt that an actor's head is this: what the kernel knows of it is this or forgotten on return. Does not block. */
void notify_opened(struct notify *nt, struct node *n, const struct head *head);

/* The kernel has forgotten a namespace, and so all that it was told of its actors: its index need not be kept for that. Does not block. */
void notify_forgotten(struct notify *nt, struct node *ns);

/* A namespace is opened to be listed from that index. May the kernel show the listing that it has? */
bool notify_list(struct notify *nt, struct node *ns, struct index *x);

/* A listing of it has come to its end, before this position of the index. */
void notify_listed(struct notify *nt, struct node *ns, struct index *x, uint64_t end);

/* For store_listen, with the struct notify as arg. Does not block. */
void notify_changed(void *arg, const char *ns, const char *name, const struct head *head, bool is_new);

/* What the thread does: tell the kernel what it has to be told, and let go what is not needed any more. Returns when there may be
 * more to do, on the monotonic clock; INT64_MAX: when something changes. */
int64_t notify_run(struct notify *nt);

#endif
