#include "follower.h"

#include <errno.h>
#include <time.h>

#define DEADLINE_S 40

static void
on_record(void *arg, const char *actor, const struct record *r)
{
	struct follower *f = arg;
	unsigned number;
	char end;

	pthread_mutex_lock(&f->lock);
	f->misplaced += r->seq != f->next_seq;
	f->next_seq = r->seq + 1;
	f->incomplete += r->foreign || (r->payload.p != NULL) != f->payload;
	f->count++;
	if (f->payload && sscanf(actor, "actor-%u%c", &number, &end) == 1 && number < FOLLOWER_ACTORS)
		buf_put_span(&f->content[number], r->payload);
	bool hold = f->count == f->hold_at;
	pthread_cond_broadcast(&f->wake);
	pthread_mutex_unlock(&f->lock);
	if (hold)
		follow_hold(f->follow, true);
}

static void
on_anew(void *arg)
{
	struct follower *f = arg;

	pthread_mutex_lock(&f->lock);
	f->anew++;
	f->next_seq = 1;
	f->count = 0;
	for (unsigned i = 0; i < FOLLOWER_ACTORS; i++)
		buf_clear(&f->content[i]);
	pthread_cond_broadcast(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

static void
on_gone(void *arg)
{
	struct follower *f = arg;

	pthread_mutex_lock(&f->lock);
	f->gone++;
	pthread_cond_broadcast(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

bool
follower_start(struct follower *f, struct store *s, const char *ns, uint64_t after_seq, uint64_t epoch, bool payload)
{
	static const struct follow_fns fns = { on_record, on_anew, on_gone };
	uint64_t hold_at = f->hold_at;
	int64_t at_ns = f->at_ns;
	pthread_condattr_t attr;

	*f = (struct follower){ .payload = payload, .hold_at = hold_at, .next_seq = after_seq + 1 };
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	int err = follow_new(s, ns, after_seq, epoch, at_ns, payload, &fns, f, &f->follow);
	CHECK_EQ_INT(err, 0);
	return err == 0;
}

void
follower_stop(struct follower *f)
{
	follow_free(f->follow);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	for (unsigned i = 0; i < FOLLOWER_ACTORS; i++)
		buf_free(&f->content[i]);
	*f = (struct follower){ .hold_at = 0 };
}

static uint64_t
count_of(const struct follower *f)
{
	return f->count;
}

static uint64_t
anew_of(const struct follower *f)
{
	return f->anew;
}

static uint64_t
gone_of(const struct follower *f)
{
	return f->gone;
}

static void
wait_for(struct follower *f, uint64_t (*value)(const struct follower *f), uint64_t least)
{
	int64_t at = clock_mono(clock_system()) + DEADLINE_S * NS_PER_SEC;
	struct timespec until = { .tv_sec = at / NS_PER_SEC, .tv_nsec = at % NS_PER_SEC };
	int err = 0;

	pthread_mutex_lock(&f->lock);
	while (value(f) < least && err == 0)
		err = pthread_cond_timedwait(&f->wake, &f->lock, &until);
	if (value(f) < least)
		CHECK_EQ_UINT(value(f), least);
	pthread_mutex_unlock(&f->lock);
}

void
follower_waits_for(struct follower *f, uint64_t count)
{
	wait_for(f, count_of, count);
}

void
follower_waits_for_anew(struct follower *f, unsigned anew)
{
	wait_for(f, anew_of, anew);
}

void
follower_waits_for_gone(struct follower *f, unsigned gone)
{
	wait_for(f, gone_of, gone);
}

uint64_t
follower_count(struct follower *f)
{
	pthread_mutex_lock(&f->lock);
	uint64_t count = f->count;
	pthread_mutex_unlock(&f->lock);
	return count;
}

unsigned
follower_turns(struct follower *f)
{
	pthread_mutex_lock(&f->lock);
	unsigned turns = f->anew + f->gone;
	pthread_mutex_unlock(&f->lock);
	return turns;
}

void
follower_check(struct follower *f, struct node *n, unsigned actors)
{
	pthread_mutex_lock(&f->lock);
	CHECK_EQ_UINT(f->misplaced, 0);
	CHECK_EQ_UINT(f->incomplete, 0);
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; i < actors; i++) {
		struct buf stored = { 0 };
		struct head end;
		char name[32];
		snprintf(name, sizeof(name), "actor-%u", i);
		check_chain(n->backend, n->ns, name, &stored, &end);
		pthread_mutex_lock(&f->lock);
		CHECK_EQ_UINT(f->content[i].len, stored.len);
		CHECK(span_eq((struct span){ f->content[i].p, f->content[i].len }, (struct span){ stored.p, stored.len }));
		pthread_mutex_unlock(&f->lock);
		buf_free(&stored);
	}
}

void
follower_check_held(struct follower *f, struct follower *beside, struct node *n)
{
	enum { TRIES = 20, ROUNDS = 10 };
	struct ns_info info;
	bool held = false;

	for (unsigned i = 0; i < TRIES && !held; i++) {
		CHECK_EQ_INT(store_ns_info(n->store, n->ns, 0, false, &info), 0);
		follower_waits_for(beside, info.last_seq);
		uint64_t before = follower_count(f);
		append_rounds(n, 1, ROUNDS);
		follower_waits_for(beside, info.last_seq + ROUNDS);
		held = follower_count(f) == before;
	}
	CHECK(held);
}

void
append_rounds(struct node *n, unsigned actors, unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		struct pending *pending[FOLLOWER_ACTORS];
		struct actor *a[FOLLOWER_ACTORS];
		for (unsigned k = 0; k < actors; k++) {
			char name[32];
			snprintf(name, sizeof(name), "actor-%u", k);
			REQUIRE(actor_get(n->store, n->ns, name, &a[k]) == 0);
			pending[k] = append_start(a[k], "an event of some length, and one more\n");
		}
		for (unsigned k = 0; k < actors; k++) {
			CHECK_EQ_INT(append_wait(pending[k]).err, 0);
			actor_put(a[k]);
		}
	}
}
