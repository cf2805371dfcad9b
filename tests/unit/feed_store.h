/*
 * A store for the tests of feeds: a test says what is in it, when those who follow hear of it, and what happens while it is asked.
 *
 * Calls that a test makes of a follow are made under fake.lock, so that none is freed meanwhile.
 */
#ifndef AETHER_TESTS_FEED_STORE_H
#define AETHER_TESTS_FEED_STORE_H

#include <pthread.h>
#include <stdbool.h>

#include "store/feed.h"

#define NAMESPACES 8

struct follow {
	struct follow *next, **link;
	char ns[16];
	uint64_t after_seq;
	uint64_t epoch;
	const struct follow_fns *fns;
	void *arg;
	bool told_end;
	pthread_mutex_t calling; /* held during calls, one at a time */
};

extern struct feed_store {
	pthread_mutex_t lock;
	struct fake_ns {
		char name[16];
		bool is_there;
		uint64_t epoch;
		uint64_t last_seq;
	} namespaces[NAMESPACES];
	struct follow *follows;
	unsigned follow_count; /* ever */
	unsigned follows_now;
	uint64_t epochs;
	unsigned asked, absent; /* answers, and those that there is none of that name */
	int info_err;
	bool deliver;               /* records reach those who follow when they are stored */
	void (*in_info)(const char *ns); /* called while the store is being asked, once */
	void (*in_list)(void); /* likewise while it lists its names */
	void (*in_follow)(struct follow *f); /* called before it is returned, once */
	names_fn names;
	void *names_arg;
} fake;

extern const struct feed_source fake_ops;

/* Empty, and delivering. */
void fake_begin(void);

void make(const char *ns);

/* Remove it, and perhaps make it anew; those who follow learn of it if told. */
void unmake(const char *ns, bool anew, bool told);

/* Store it, with the next sequence. */
void store_record(const char *ns, struct record r);
void put(const char *ns, const char *text);

/* What was stored and not told of. */
void deliver_late(const char *ns, uint64_t seq, const char *text);

/* Until one of fake's counters has that value. */
void wait_until(const unsigned *counter, unsigned count);

#endif
