/* The body of the faulty backend, for the files that make it up: faulty.c, faulty_watch.c and faulty_follow.c. */
#ifndef AETHER_TESTS_FAULTS_FAULTY_STATE_H
#define AETHER_TESTS_FAULTS_FAULTY_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "../../store/table.h"
#include "faulty.h"

struct faulty {
	struct backend base;
	struct backend *inner;
	bool owns;
	const struct clock *clock;
	struct timer *timer;
	struct faulty_options options;
	atomic_bool closing; /* then what was to come later comes at once */
	atomic_uint_fast64_t hidden_seq;
	atomic_uint_fast64_t calls[FAULT_OPS];
	atomic_uint_fast64_t made[FAULT_KINDS];

	pthread_mutex_t lock;
	/* Guarded by lock. */
	uint64_t random;
	int64_t away_until_ns;
	struct waiter *waiters;
	struct backend_watch *watches;
	struct backend_follow *follows;

	struct faulty *next_hearing; /* faulty_follow.c's */
	pthread_mutex_t hearing;     /* held while changed is called */
	void (*changed)(void *arg, bool elected);
	void *changed_arg;
};

/* What is to be done to one call. */
struct fault {
	enum fault_kind kind;
	int err;
	int64_t delay_ns;
};

static inline struct faulty *
faulty_of(struct backend *b)
{
	return container_of(b, struct faulty, base);
}

uint64_t faulty_random_locked(struct faulty *f);

/* Call fn on the wrapper's timer, or at once if that is ending. */
void faulty_later(struct faulty *f, int64_t delay_ns, void (*fn)(void *arg), void *arg);

/* Count a call and choose what is to be done to it. */
struct fault faulty_choose(struct faulty *f, enum fault_op op);

/* The operations on watches. */
int faulty_watch(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, const struct backend_watch_fns *fns,
    void *arg, struct backend_watch **out);
void faulty_watch_stop(struct backend *b, struct backend_watch *w);

/* The connection is lost for all that watch. */
void faulty_cut_watches(struct faulty *f);

/* The same for follows, and for who listens for names. */
int faulty_follow(struct backend *b, const char *ns, uint64_t from_seq, uint64_t epoch, bool payload,
    const struct backend_follow_fns *fns, void *arg, struct backend_follow **out);
void faulty_follow_hold(struct backend *b, struct backend_follow *w, bool hold);
void faulty_follow_stop(struct backend *b, struct backend_follow *w);
void faulty_cut_follows(struct faulty *f);
void faulty_names_listen(struct backend *b, void (*changed)(void *arg, bool elected), void *arg);
/* Call who listens when the connection is there again, for_ns from now. */
void faulty_names_lost(struct faulty *f, int64_t for_ns);

#endif
