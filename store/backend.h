/*
 * What keeps the records: a table of operations that a backend implements, and nothing about what an event is.
 *
 * Two backends exist, memory and jetstream; tests wrap one in a third that misbehaves. All three pass the same
 * contract suite (tests/unit/contract.h). The protocol on top of them (versions, idempotence, retries, the chain) is in
 * append.c and replay.c and is the same for all.
 *
 * Threads: any thread may call any operation. Completions of publish and get run either inside the call, before it returns, or
 * later on a thread of the backend; they must not block and may call publish and get again. The others block, at
 * most until their deadline. Deadlines are of the monotonic clock, in nanoseconds.
 *
 * Errors, the same for every operation:
 *   -ENOENT     no such namespace, or (get) no such record
 *   -ETIMEDOUT  no answer before the deadline; a publish may or may not be stored
 *   -ENOTCONN   there is no connection, or nobody answered for JetStream, now: wait for backend_wait or try later. A publish may
 *               or may not be stored
 *   -EHOSTUNREACH (publish) nobody listens for the namespace, now: surely not stored
 *   -EACCES     NATS refuses · -ENOSPC storage or limits exhausted · -EMSGSIZE payload over the limit · -EIO anything else
 */
#ifndef AETHER_STORE_BACKEND_H
#define AETHER_STORE_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "record.h"

/* An actor's full name, not encoded, NUL-terminated. */
struct actor_name {
	const char *ns;
	const char *actor; /* NULL, where that is said to be possible: whichever of the namespace's actors */
};

/* What a namespace remembers about itself, the same on every node. */
struct ns_attr {
	uint32_t mode; /* permission bits, 0 .. 07777 */
	uint32_t uid;
	uint32_t gid;
};

struct ns_info {
	struct ns_attr attr;
	int64_t created_us; /* Unix microseconds */
	int64_t changed_us; /* of the newest record in it; created_us if there is none */
	uint64_t actors;   /* at most; those erased may count */
	uint64_t epoch;    /* not 0, and another whenever the namespace is made anew */
	uint64_t last_seq; /* of what was stored in it; 0: nothing */
};

struct backend_limits {
	uint64_t payload_max; /* bytes that the payload of one record may have */
	uint64_t used_bytes;  /* storage in use by this account */
	uint64_t max_bytes;   /* storage limit; UINT64_MAX: none */
};

/* How the backend is doing. */
struct backend_status {
	bool connected;
	bool silent; /* connected, but a question had no answer in its time, and nothing has been heard since it was asked */
	uint64_t reconnects;
	uint64_t payload_max; /* as in backend_limits */
};

enum backend_get_kind {
	GET_LAST, /* the actor's last record */
	GET_SEQ,  /* the record with sequence seq, if it is this actor's */
	GET_NEXT  /* the actor's first record with sequence >= seq */
};

struct backend_get {
	enum backend_get_kind kind;
	uint64_t seq; /* for GET_SEQ and GET_NEXT, at least 1 */
	/* Must the answer hold every record whose publish had completed, on any node, before the call? Else it may lag behind; but that there is
	 * no last record is said by none that is behind. */
	bool fresh;
};

/* err is 0 and r is valid until the callback returns, or err is a negative errno and r is NULL. */
typedef void (*backend_get_fn)(void *arg, int err, const struct record *r);

/*
 * err 0: stored at seq; duplicate: it was there already under that message id, and nothing new is stored.
 * -ESTALE: the actor's last sequence is not prev_seq, nothing stored. Other errors as above.
 */
typedef void (*backend_publish_fn)(void *arg, int err, uint64_t seq, bool duplicate);

/* Texts that are no events. */
enum doc_kind {
	DOC_SNAPSHOT, /* of an actor, that somebody saved; the last DOC_KEPT are kept */
	DOC_STATE,    /* the same, that the nodes take by themselves */
	DOC_MODEL,    /* of a namespace; all are kept */
	DOC_KINDS
};
#define DOC_KEPT 3

struct doc_name {
	enum doc_kind kind;
	const char *ns;
	const char *actor; /* NULL: it is the namespace's */
};

#define BACKEND_FEW 256

/* What a scan is asked for. */
struct backend_range {
	uint64_t from_seq, to_seq; /* both belong to it */
	/* How much of it will be wanted, by a guess: records, and bytes of payload in them. Who wants more gets it, but later. 0: all of it. */
	uint64_t records, bytes;
};

/* A record as a scan brings it. Its headers are read on demand only, for that is dear. */
struct scanned {
	uint64_t seq;
	struct span payload;
	bool last; /* there was none behind it up to the scan's end, when it was sent */
	/* Gives the whole record, which borrows the payload. */
	void (*decode)(const struct scanned *m, struct record *r);
	/* Appends the actor's name, not encoded. 0, or -EINVAL: no actor can be called that. */
	int (*actor)(const struct scanned *m, struct buf *name);
};

/*
 * Called for each record, borrowed until return, and with NULL when none has come for a moment, so that who wants no
 * more need not wait for one. May block: no more is fetched meanwhile than a few times the largest payload. Return 0 to
 * go on, 1 to stop, -errno to stop with it.
 */
typedef int (*backend_scan_fn)(void *arg, const struct scanned *m);

/* Called for each name; borrowed until return. Return 0 to go on, else stop and return that. */
typedef int (*backend_name_fn)(void *arg, const char *name);

/*
 * What a watch tells. No two calls for one watch at once. None may block, nor stop a watch.
 */
struct backend_watch_fns {
	/* First of all. epoch is not 0 and differs whenever the namespace is made anew. */
	void (*begin)(void *arg, uint64_t epoch);
	/* A record in order of sequence. Of the payload there is only the length, p is NULL. The name is not encoded and borrowed. */
	void (*record)(void *arg, const char *actor, const struct record *r);
	/* All has been told that was stored when the watch began; from here on records come as they are stored. Once. */
	void (*live)(void *arg);
	/* The server has nothing to tell yet, but is at work. */
	void (*busy)(void *arg);
	/* The last call: -ENOTCONN (interrupted: watch again behind the last record), -ESTALE (the namespace was made anew, or its
	 * sequences have gone back: watch again from the start), or as above. */
	void (*end)(void *arg, int err);
};

struct backend_watch;

/*
 * What a follow tells. No two calls for one follow at once. None may block, nor stop a follow, but record may hold it.
 */
struct backend_follow_fns {
	/* First of all: which namespace it is. */
	void (*begin)(void *arg, uint64_t epoch);
	/* A record in order of sequence, with or without its payload (payload.p is NULL then, and its length still there), all borrowed. The
	 * name is not encoded. */
	void (*record)(void *arg, const char *actor, const struct record *r);
	/* The last call: -ENOTCONN (interrupted: follow again behind the last record), -ESTALE (the namespace is not the one that said
	 * epoch), -EAGAIN (it ends before from_seq - 1; that may be a leader that does not know all of it yet), -ENOENT, or as above. */
	void (*end)(void *arg, int err);
};

struct backend_follow;

struct backend;

struct backend_ops {
	const char *name;

	/*
	 * Store r (prev_seq is the compare-and-set, and all of r with its payload is copied or sent before return) under the
	 * message id, which is unique in the namespace for as long as the backend remembers ids (dedup_window_ns). Not retried inside.
	 */
	void (*publish)(struct backend *, struct actor_name, const struct record *r, const char *msg_id, int64_t deadline_ns,
	    backend_publish_fn fn, void *arg);

	/*
	 * Take away for good what is stored of the actor before sequence before_seq, where a tombstone stands that its publish has been
	 * told of. Some of it may be gone after an error. Blocks, until the deadline or as long as it goes on at that pace.
	 */
	int (*purge)(struct backend *, struct actor_name, uint64_t before_seq, int64_t deadline_ns);

	/* For GET_SEQ and GET_NEXT the actor may be NULL. */
	void (*get)(struct backend *, struct actor_name, struct backend_get, int64_t deadline_ns, backend_get_fn fn, void *arg);

	/*
	 * Call fn for the records in the range, in order, of the actor, or of all if that is NULL. Fails with -ETIMEDOUT or -ENOTCONN when nothing has arrived for idle_ns. May
	 * end early, with 0, after as much as was wanted, or where the replica that serves it is behind. Blocks.
	 */
	int (*scan)(struct backend *, struct actor_name, struct backend_range, int64_t idle_ns, backend_scan_fn fn, void *arg);

	/* Create; of several nodes that try at the same moment one succeeds, the others get -EEXIST. */
	int (*ns_create)(struct backend *, const char *ns, const struct ns_attr *attr, int64_t deadline_ns);
	/*
	 * Remove a namespace without actors but erased ones, else -ENOTEMPTY. An append acknowledged on any node is never lost by it: see
	 * the fence in js_ns_state.h. Made anew, it goes on with higher sequences if there ever was an actor in it, whose tombstones are
	 * there then: so that nothing that anybody knows of the time before can be taken for what is there now. Takes as long as there are
	 * tombstones to look at, deadline_ns for each.
	 */
	int (*ns_remove)(struct backend *, const char *ns, int64_t deadline_ns);
	int (*ns_info)(struct backend *, const char *ns, int64_t deadline_ns, struct ns_info *info);
	int (*ns_set)(struct backend *, const char *ns, const struct ns_attr *attr, int64_t deadline_ns);
	int (*ns_list)(struct backend *, int64_t deadline_ns, backend_name_fn fn, void *arg);

	/*
	 * Follow a namespace's records. from_seq 0: first of each actor the last one; else every one with sequence >= from_seq, if the
	 * namespace still is the one that said epoch. Then every record as it is stored. Does not block, may be called on the backend's
	 * threads; the calls come on those, perhaps before this returns. 0 or -ENOMEM; *out must be given to watch_stop, also after its end.
	 */
	int (*watch)(struct backend *, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns, void *arg,
	    struct backend_watch **out);
	/* No call is made any more after this, which waits for one under way. */
	void (*watch_stop)(struct backend *, struct backend_watch *);

	/*
	 * Every record of a namespace from sequence from_seq on (at least 1), as it is stored. epoch: which namespace of that name; 0:
	 * whichever is there. Cheap for the server where from_seq is near the end, whatever the namespace holds. A record is told within
	 * milliseconds, many that come close to each other are brought together. Does not block, may be called on the backend's threads; the
	 * calls come on those, perhaps before this returns. 0 or -ENOMEM; *out must be given to follow_stop, also after its end.
	 */
	int (*follow)(struct backend *, const char *ns, uint64_t from_seq, uint64_t epoch, bool payload, const struct backend_follow_fns *fns,
	    void *arg, struct backend_follow **out);
	/* Bring no more records than are on their way already (some thousand, or a few times the largest payload), until told otherwise. May be
	 * called from within record. */
	void (*follow_hold)(struct backend *, struct backend_follow *, bool hold);
	/* No call is made any more after this, which waits for one under way. */
	void (*follow_stop)(struct backend *, struct backend_follow *);

	/*
	 * Have changed called whenever a namespace may have been made or removed, by whomever, and whenever such a change may have gone
	 * unnoticed: after a lost connection. elected: servers have a new leader, who may not know all of his namespaces for some moments.
	 * On a thread of the backend; it must not block. One listener; NULL ends that, and returns when no call is under way.
	 */
	void (*names_listen)(struct backend *, void (*changed)(void *arg, bool elected), void *arg);

	/*
	 * *seq: of the last of what was stored in the namespace up to a time (Unix nanoseconds, by the clock of whoever stores; that time
	 * belongs to it); 0: nothing. Never another for the same time, as long as the namespace is there: -EAGAIN for a time that is not
	 * over yet, with in how many nanoseconds it will be in *wait_ns. Blocks.
	 */
	int (*seq_at)(struct backend *, const char *ns, int64_t time_ns, int64_t deadline_ns, uint64_t *seq, int64_t *wait_ns);

	/*
	 * Keep a text as the newest of that name, whether there is such an actor or not. *seq rises with each text of the kind, of
	 * whatever name. behind: only if that is the last one's sequence (0: there is none), else -ESTALE; NULL: in any case. After -ETIMEDOUT and
	 * -ENOTCONN it may have been kept. All three block.
	 */
	int (*doc_put)(struct backend *, const struct doc_name *name, const uint64_t *behind, struct span text, int64_t deadline_ns,
	    uint64_t *seq);
	/* Append the last one, or with from_seq the first whose sequence is that or more. -ENOENT: there is none. Never one that is older than what a
	 * doc_put that had returned before this call has kept. */
	int (*doc_get)(struct backend *, const struct doc_name *name, uint64_t from_seq, int64_t deadline_ns, struct buf *text,
	    uint64_t *seq);
	/* The namespaces that have such a text, or had one. *last_seq, before fn is called: of the last text of all that were kept. Blocks. */
	int (*doc_list)(struct backend *, enum doc_kind kind, int64_t deadline_ns, uint64_t *last_seq, backend_name_fn fn, void *arg);
	/* Have changed called whenever the model of a namespace may have changed, by whomever, or is about to: a doc_get at once may still find the one
	 * before. ns NULL: any has. On a thread of the backend; it must not block. One listener; NULL ends that, and returns when no call is under
	 * way. */
	void (*models_listen)(struct backend *, void (*changed)(void *arg, const char *ns), void *arg);
	/* Take away all snapshots of that actor, of every kind; actor NULL: all of the namespace. */
	int (*doc_drop)(struct backend *, const char *ns, const char *actor, int64_t deadline_ns);

	int (*limits)(struct backend *, int64_t deadline_ns, struct backend_limits *limits);

	/* These four never block on the network. */
	void (*status)(struct backend *, struct backend_status *status);
	/* Where it is connected to, without credentials, NUL-terminated; empty if it is not. NULL where there is no such thing. */
	void (*url)(struct backend *, char *out, size_t size);
	/* Is there a connection? If so and fn is not NULL, fn is not called; if not, fn is called once, when there is one again or at
	 * the deadline, whichever is first. */
	bool (*wait)(struct backend *, int64_t deadline_ns, void (*fn)(void *arg), void *arg);
	/* Call fn once on a thread of the backend at or soon after at_ns. */
	void (*after)(struct backend *, int64_t at_ns, void (*fn)(void *arg), void *arg);

	/* Wait for what is under way (its deadlines bound that), stop the threads, free. No operation may be called any more. */
	void (*free)(struct backend *);
};

/* Every backend's struct begins with this. */
struct backend {
	const struct backend_ops *ops;
	int64_t dedup_window_ns; /* how long message ids are remembered */
	/* Does a scan that wants BACKEND_FEW records at most cost about as much as one get? What was true may become false, and with another server true again. */
	atomic_bool few_at_once;
};

#endif
