/* One that follows a namespace, for the tests: it counts, checks the order, and keeps what it was told. */
#ifndef AETHER_TESTS_FOLLOWER_H
#define AETHER_TESTS_FOLLOWER_H

#include <pthread.h>

#include "../../store/follow.h"
#include "contract_node.h"

#define FOLLOWER_ACTORS 8

struct follower {
	struct follow *follow;
	bool payload;
	uint64_t hold_at; /* hold it from within the record with which the count becomes this; 0: never */
	int64_t at_ns;    /* when it begins, as follow_new has it */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Guarded by lock. */
	uint64_t next_seq;
	uint64_t count;      /* of records since it began, or began anew */
	uint64_t misplaced;  /* records whose sequence was not the next one */
	uint64_t incomplete; /* without a payload that was asked for, or with one that was not, or foreign */
	unsigned anew;
	unsigned gone;
	struct buf content[FOLLOWER_ACTORS]; /* the payloads of actors "actor-0" and so on */
};

/* False after a failed check. follower_stop is due either way. */
bool follower_start(struct follower *f, struct store *s, const char *ns, uint64_t after_seq, uint64_t epoch, bool payload);
void follower_stop(struct follower *f);

/* Wait until it has been told so many records, or so often anew or gone. Fails a check if that takes too long. */
void follower_waits_for(struct follower *f, uint64_t count);
void follower_waits_for_anew(struct follower *f, unsigned anew);
void follower_waits_for_gone(struct follower *f, unsigned gone);
uint64_t follower_count(struct follower *f);
/* How often it was told anew or gone. */
unsigned follower_turns(struct follower *f);

/* Nothing was told twice, missed, or in another order, and what it has of the first actors is what they are, bytes and all. */
void follower_check(struct follower *f, struct node *n, unsigned actors);

/* Once what is on its way has come nothing is told to f, which is held, while one beside it hears of what is appended. */
void follower_check_held(struct follower *f, struct follower *beside, struct node *n);

/* Append rounds events to each of the namespace's actors "actor-0" .. as one writer. */
void append_rounds(struct node *n, unsigned actors, unsigned rounds);

#endif
