#include "readahead.h"

#include <stdlib.h>

#include "fetch.h"

#define WINDOW_MIN (512 * 1024)
#define WINDOW_MAX (16 * 1024 * 1024)

struct readahead {
	struct actor *actor; /* counted */
	struct fetch fetch;  /* the thread's */

	struct readahead *next, **link; /* store.lock guards the list */

	/* The actor's lock guards what follows. */
	pthread_cond_t wake; /* of the readers, and of the thread */
	unsigned refs;       /* the thread, and each reader that waits */
	unsigned waiting;
	uint64_t begin;
	uint64_t at;     /* what has come goes up to here */
	uint64_t want;   /* and should come up to here */
	uint64_t window; /* how far want is ahead of the reader */
	uint64_t window_max;
	uint64_t until; /* this byte ends it */
	bool paused;    /* at >= want; the thread waits */
	bool stop;
	bool ended;
};

static void
put_locked(struct readahead *ra)
{
	if (--ra->refs > 0)
		return;
	pthread_cond_destroy(&ra->wake);
	free(ra);
}

static void
give_place(struct actor *a, struct readahead *ra)
{
	lock_take(&a->lock);
	ra->ended = true;
	if (a->readahead == ra)
		a->readahead = NULL;
	pthread_cond_broadcast(&ra->wake);
	put_locked(ra);
	lock_give(&a->lock);
}

/* Wait until a reader wants more. Returns whether to stop. */
static bool
pause_locked(struct readahead *ra)
{
	struct actor *a = ra->actor;
	int64_t until_ns = clock_mono(a->store->clock) + READAHEAD_IDLE_NS;
	bool in_time = true;

	ra->paused = true;
	while (!ra->stop && ra->at >= ra->want && in_time)
		in_time = lock_wait_until(&a->lock, &ra->wake, until_ns);
	ra->paused = false;
	return ra->stop || ra->at >= ra->want;
}

static bool
on_progress(struct fetch *f)
{
	struct readahead *ra = f->pause_arg;
	struct actor *a = ra->actor;

	lock_take(&a->lock);
	ra->at = f->at.size;
	if (ra->waiting > 0)
		pthread_cond_broadcast(&ra->wake);
	bool stop = ra->stop;
	if (!stop && ra->at >= ra->want && ra->at < ra->until)
		stop = pause_locked(ra);
	lock_give(&a->lock);
	return stop;
}

static void *
run(void *arg)
{
	struct readahead *ra = arg;
	struct actor *a = ra->actor;
	struct store *s = a->store;

	/* An error is not kept: whoever needs the bytes meets it himself. */
	(void)fetch_follow(&ra->fetch);
	lock_take(&s->lock);
	*ra->link = ra->next;
	if (ra->next != NULL)
		ra->next->link = ra->link;
	lock_give(&s->lock);

	give_place(a, ra);
	actor_put(a);

	lock_take(&s->lock);
	s->readaheads--;
	pthread_cond_broadcast(&s->idle);
	lock_give(&s->lock);
	return NULL;
}

static bool
start_thread(struct readahead *ra)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	bool ok = pthread_create(&thread, &attr, run, ra) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

static struct readahead *
new_readahead(
    struct actor *a, const struct head *base, const struct head *until, uint64_t generation, uint64_t offset)
{
	struct readahead *ra = calloc(1, sizeof(*ra));

	if (ra == NULL)
		return NULL;
	ra->actor = a;
	ra->fetch = (struct fetch){ .actor = a,
		.at = *base,
		.until_seq = until->seq,
		.stop_at = UINT64_MAX,
		.generation = generation,
		.pause = on_progress,
		.pause_arg = ra };
	lock_cond_init(&ra->wake);
	ra->refs = 1;
	ra->begin = ra->at = base->size;
	ra->until = until->size;
	ra->window_max = cache_max_bytes(a->store->cache) / 8;
	ra->window_max = ra->window_max < WINDOW_MAX ? ra->window_max : WINDOW_MAX;
	ra->window = WINDOW_MIN < ra->window_max ? WINDOW_MIN : ra->window_max;
	ra->want = offset + ra->window;
	return ra;
}

/* One that nobody reads from may be replaced. */
static bool
take_place(struct actor *a, struct readahead *ra)
{
	lock_take(&a->lock);
	struct readahead *old = a->readahead;
	bool free_place = old == NULL || (old->paused && old->waiting == 0);
	if (free_place) {
		readahead_drop_locked(a);
		a->readahead = ra;
	}
	lock_give(&a->lock);
	return free_place;
}

bool
readahead_start(
    struct actor *a, const struct head *base, const struct head *until, uint64_t generation, uint64_t offset)
{
	struct store *s = a->store;
	struct readahead *ra = new_readahead(a, base, until, generation, offset);

	if (ra == NULL)
		return false;
	if (!take_place(a, ra)) {
		pthread_cond_destroy(&ra->wake);
		free(ra);
		return false;
	}
	lock_take(&s->lock);
	bool ok = s->readaheads < READAHEAD_MAX;
	if (ok) {
		s->readaheads++;
		a->refs++;
		ra->next = s->first_readahead;
		ra->link = &s->first_readahead;
		if (ra->next != NULL)
			ra->next->link = &ra->next;
		s->first_readahead = ra;
		ok = start_thread(ra);
		if (!ok) {
			*ra->link = ra->next;
			if (ra->next != NULL)
				ra->next->link = ra->link;
			s->readaheads--;
			a->refs--; /* never the last: the caller has one */
		}
	}
	lock_give(&s->lock);
	if (!ok)
		give_place(a, ra);
	return ok;
}

bool
readahead_wait(struct actor *a, uint64_t offset, uint64_t end, bool *failed)
{
	bool come = false;

	lock_take(&a->lock);
	struct readahead *ra = a->readahead;
	if (ra != NULL && offset >= ra->begin && offset < ra->until && offset < ra->want + WINDOW_MIN) {
		end = end < ra->until ? end : ra->until;
		if (ra->at < end) {
			ra->window = ra->window * 2 < ra->window_max ? ra->window * 2 : ra->window_max;
			ra->want = ra->want > end + ra->window ? ra->want : end + ra->window;
			ra->refs++;
			ra->waiting++;
			pthread_cond_broadcast(&ra->wake);
			while (!ra->ended && !ra->stop && ra->at < end)
				lock_wait(&a->lock, &ra->wake);
			ra->waiting--;
			come = ra->at > offset;
			*failed |= !come;
			put_locked(ra);
		} else {
			come = true;
		}
	}
	lock_give(&a->lock);
	return come;
}

void
readahead_advance(struct actor *a, uint64_t offset)
{
	lock_take(&a->lock);
	struct readahead *ra = a->readahead;
	if (ra != NULL && offset >= ra->begin && offset <= ra->at && offset + ra->window > ra->want) {
		ra->want = offset + ra->window;
		/* Not for every few bytes. */
		if (ra->paused && ra->want - ra->at >= ra->window / 4)
			pthread_cond_broadcast(&ra->wake);
	}
	lock_give(&a->lock);
}

void
readahead_drop_locked(struct actor *a)
{
	struct readahead *ra = a->readahead;

	if (ra == NULL)
		return;
	a->readahead = NULL;
	ra->stop = true;
	pthread_cond_broadcast(&ra->wake);
}

void
readahead_end_all(struct store *s)
{
	lock_take(&s->lock);
	for (struct readahead *ra = s->first_readahead; ra != NULL; ra = ra->next) {
		lock_take(&ra->actor->lock);
		ra->stop = true;
		pthread_cond_broadcast(&ra->wake);
		lock_give(&ra->actor->lock);
	}
	while (s->readaheads > 0)
		lock_wait(&s->lock, &s->idle);
	lock_give(&s->lock);
}
