/*
 * The body of the memory backend, for the files that make it up: memory.c (records, namespaces), memory_watch.c (watches) and
 * memory_follow.c (follows, and who listens for names). Nobody else includes this.
 */
#ifndef AETHER_STORE_MEMORY_STATE_H
#define AETHER_STORE_MEMORY_STATE_H

#include <pthread.h>

#include "backend.h"
#include "clock.h"
#include "listener.h"
#include "lock.h"
#include "table.h"
#include "timer.h"

struct mem_actor {
	struct table_link link;
	char *name;
	struct table ids;
	struct record *records; /* payloads are owned */
	size_t count;
	size_t cap;
	size_t purged; /* so many were before the first of records */
};

/* Where the record of a sequence is. */
struct mem_place {
	struct mem_actor *actor;
	size_t index; /* among all records that the actor ever had */
	int64_t at_us; /* when it was stored; never less than that of the one before */
};

/* A payload that was taken away while somebody may have been looking at it. */
struct mem_rest {
	struct mem_rest *next;
	char *payload;
};

struct mem_ns {
	struct table_link link;
	char *name;
	struct ns_info info; /* all of it, at any time */
	bool removed;        /* until it is made anew; then its sequences go on */
	struct table actors;
	struct mem_place *places; /* of sequence i + 1 */
	size_t places_cap;
};

struct memory {
	struct backend base;
	const struct clock *clock;
	struct timer *timer;
	struct lock lock; /* guards the tree below; callbacks run without it */
	struct table namespaces;
	uint64_t used_bytes;
	uint64_t made; /* namespaces so far */
	unsigned lent; /* calls under way that may be looking at a payload */
	struct mem_rest *rests;
	struct listener models; /* who wants to hear of them */
	struct mem_doc *docs; /* oldest first */
	uint64_t doc_seq;
	struct backend_watch *watches;
	struct backend_follow *follows;
	void (*changed)(void *arg, bool elected); /* who listens for names */
	void *changed_arg;
	unsigned hinting;      /* calls of changed under way */
	pthread_cond_t called; /* a call of a watch, a follow or changed has returned */
};

struct mem_ns *memory_find_ns_locked(struct memory *m, const char *ns);

/* The record that stands at a place, or NULL if it has been taken away; last: is there none of its actor behind it? */
const struct record *memory_record_at(const struct mem_place *place, bool *last);

/* Around what looks at payloads without the lock: records are never changed, and what is taken away of them stays until all is given
 * back. Give back without the lock. */
void memory_lend_locked(struct memory *m);
void memory_give_back(struct memory *m);

/* Something was stored in ns. */
void memory_wake_watches_locked(struct memory *m, const struct mem_ns *ns);
void memory_wake_follows_locked(struct memory *m, const struct mem_ns *ns);
/* ns is to be removed. */
void memory_leave_watches_locked(struct memory *m, const struct mem_ns *ns);
void memory_leave_follows_locked(struct memory *m, const struct mem_ns *ns);

/* memory_docs.c's; nobody uses the documents any more. */
void memory_docs_free(struct memory *m);

/* A namespace has been made or removed. */
void memory_names_changed(struct memory *m);

/* The backend's operations. */
int memory_doc_put(struct backend *b, const struct doc_name *name, const uint64_t *behind, struct span text, int64_t deadline_ns,
    uint64_t *seq);
int memory_doc_get(struct backend *b, const struct doc_name *name, uint64_t from_seq, int64_t deadline_ns, struct buf *text,
    uint64_t *seq);
int memory_doc_list(struct backend *b, enum doc_kind kind, int64_t deadline_ns, uint64_t *last_seq, backend_name_fn fn, void *arg);
void memory_models_listen(struct backend *b, void (*changed)(void *arg, const char *ns), void *arg);
int memory_doc_drop(struct backend *b, const char *ns, const char *actor, int64_t deadline_ns);
int memory_watch(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns, void *arg,
    struct backend_watch **out);
void memory_watch_stop(struct backend *b, struct backend_watch *w);
int memory_follow(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, bool payload,
    const struct backend_follow_fns *fns, void *arg, struct backend_follow **out);
void memory_follow_hold(struct backend *b, struct backend_follow *f, bool hold);
void memory_follow_stop(struct backend *b, struct backend_follow *f);
void memory_names_listen(struct backend *b, void (*changed)(void *arg, bool elected), void *arg);

#endif
