/*
 * One actor as this node knows it: its head, reading its bytes, appending to it.
 *
 * Any thread may call. store.h's notes on errors hold here too.
 */
#ifndef AETHER_STORE_ACTOR_H
#define AETHER_STORE_ACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "record.h"
#include "store.h"

struct actor;

/*
 * The node's one object for that actor, counted; release with actor_put. Creates nothing in the backend and asks it nothing. 0 or -ENOMEM.
 */
int actor_get(struct store *s, const char *ns, const char *name, struct actor **out);
void actor_put(struct actor *a);

/*
 * The actor's head. What was learnt from the backend less than max_age_ns ago will do, and what a live index says; with 0 it is asked now,
 * and the answer then holds every append that had returned on any node before this call. In any case it holds what was accepted here
 * before (struct append), and waits for that. While NATS is away and stale_ok is set, the last known head is
 * served at once. Blocks. 0, or -ENOENT if the actor does not exist, or was erased and not made anew. If its last record is not one of ours, head is the end
 * of the part that holds.
 */
int actor_head(struct actor *a, int64_t max_age_ns, bool stale_ok, struct head *head);

/* The same by name: a live index answers it without an object for the actor. */
int store_head(struct store *s, const char *ns, const char *name, int64_t max_age_ns, bool stale_ok, struct head *head);

/*
 * Wait until what was accepted here before for that actor (struct append) has ended, however that went; what an index says holds it
 * then. Blocks, at most store_options.timeout_ns. 0 or -ETIMEDOUT.
 */
int store_settle(struct store *s, const char *ns, const char *name);

/*
 * Read up to size bytes of the actor's file from offset. Returns how many, 0 at or after the end as of head (which the caller got
 * from actor_head), or -errno; -EIO where the chain does not hold, after a log line. Bytes before such a place are still served.
 * -ESTALE if the actor has been erased since head was true, whether it has been made anew or not.
 * Never returns bytes beyond head->size. Blocks.
 */
ssize_t actor_read(struct actor *a, const struct head *head, uint64_t offset, size_t size, char *out);

/* Bytes of an actor's file as they lie in memory, one piece behind the other. All zeros is empty. */
#define ACTOR_PIECES 16
struct actor_bytes {
	size_t len; /* of all pieces together */
	size_t count;
	struct iovec pieces[ACTOR_PIECES];

	/* For actor.h's use. */
	struct cache_block *blocks[ACTOR_PIECES]; /* NULL: the piece lies in own */
	char *own;
	size_t own_len;
};

/*
 * The same without a copy where the bytes are in the cache: they stay where they are until actor_bytes_free, also if the
 * actor goes away before. bytes must be empty, and is left so after an error.
 */
ssize_t actor_borrow(struct actor *a, const struct head *head, uint64_t offset, size_t size, struct actor_bytes *bytes);

/* bytes is empty afterwards. */
void actor_bytes_free(struct actor_bytes *bytes);

/*
 * Appends to one actor of which none may be stored once one before it has failed: those of one writer. All of them are of one life of the
 * actor: that of the first that was stored, or which the writer is known to mean. All zeros. Guarded by the actor; kept until the last of
 * them has ended.
 */
struct append_chain {
	int failed; /* what nobody has been told yet */
	bool bound; /* life is known */
	uint64_t life;
};

/*
 * An append under way. The caller zeroes the struct, fills the first part, and keeps the struct and data until done is called. done is
 * called exactly once, maybe before actor_append returns, else on a thread of the backend or of the store, and must not block.
 *
 * accepted, if it is not NULL, answers the writer before the lines are stored: it is called at most once, when they have been
 * checked, will be committed after all that was appended before, and there is room for them (append.h: how much). data may go then; consumed is
 * set; the struct is kept until done, which is called after accepted has returned. Without room it is called later, so
 * that a writer who waits for it is slowed down. It is not called if the append fails before, nor for lines that exceed a
 * record and bring ids or versions: these are told by done alone. As done it must not block.
 */
struct append {
	const char *data; /* lines; a last one without newline counts as whole. Borrowed until done or accepted */
	size_t size;      /* 0: the creation marker, so that an empty actor exists (-EEXIST if it does already) */
	bool erase;       /* size is 0: erase the actor instead (-ENOENT if it does not exist); see actor_erase */
	void (*done)(struct append *ap, int err);
	void (*accepted)(struct append *ap); /* or NULL */
	struct append_chain *chain;          /* or NULL */
	void *user;

	/*
	 * Of lines that another node has handed over (store.h): they bring ids and no versions. They are not handed on, and are stored whole, in
	 * that life, or not at all; whether they are stored already is looked for in all records behind since_seq, however many. In addition to
	 * the errors below: -EHOSTUNREACH, if the actor is in another life or what is behind since_seq cannot be read. Nothing is stored then.
	 */
	bool forwarded;
	uint64_t since_seq;
	uint64_t since_life;
	/* Lines that are not this node's own: their record says for_node, 0 for nobody's, unless it holds others' lines too. */
	bool for_other;
	uint64_t for_node;
	int64_t deadline_ns; /* of the monotonic clock, if that is before store_options.timeout_ns is over; 0: it is not */

	/* Results. */
	size_t consumed;          /* bytes of data that are committed, or will be; less than size if the rest did not fit into one record */
	uint64_t version;         /* of the last event committed, or found stored already */
	uint64_t life;            /* which the actor is in then */
	struct head head;         /* the actor's after the record that holds the lines, or a later one */
	struct conflict conflict; /* after -ESTALE */

	/* For actor.h's use. */
	struct append_state *state;
	bool cancelled;
};

/*
 * Append lines as one atomic commit: all of them or, when they exceed what one record can hold, as many whole lines from the start
 * as it can; all lines are checked before. Errors: -EINVAL, -EILSEQ, -EMSGSIZE (a single event over the limit), -ESTALE (version conflict),
 * -EEXIST (id stored with other content), -ENOENT (no such namespace; or the life of the chain is over), -ENOSPC, -EACCES, -EINTR (cancelled before anything was
 * sent), -ETIMEDOUT (outcome unknown), -EIO, -ENOMEM. Nothing is stored after an error, but for -ETIMEDOUT. Every error has a log line.
 * Does not block. Appends of one node to one actor are committed in the order of these calls, several that wait together
 * maybe as one record.
 */
void actor_append(struct actor *a, struct append *ap);

/*
 * Give up an append that waits for NATS, or will have to, and has been neither accepted nor sent: it ends with -EINTR. One that need
 * not wait, or has been sent, goes on. May be called before actor_append and until done has returned.
 */
void actor_append_cancel(struct actor *a, struct append *ap);

/* Accepted appends may wait some milliseconds for others to be stored with; those that do now are sent. Does not block. */
void actor_append_hurry(struct actor *a);

/*
 * Erase the actor: on success every append that had returned on any node before this call is gone, with its name, for all nodes, and
 * what is appended later begins another life, with version 1. Behind what was appended here before, as an append. Which appends of
 * others it takes with it, and which come after it, is decided by the backend as between two appends: nothing is ever half in it. Blocks.
 * 0, -ENOENT (there is none), or as actor_append. After -ETIMEDOUT it may have happened.
 */
int actor_erase(struct actor *a);

/* The error of an accepted append of that chain that nobody has been told yet, else 0. Told once. */
int actor_chain_take(struct actor *a, struct append_chain *chain);

#endif
