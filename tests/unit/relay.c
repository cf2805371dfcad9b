#include "relay.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "../../store/timer.h"

struct request {
	struct relay *relay;
	struct request *next; /* held */
	struct append append;
	struct actor *actor;
	struct buf lines;
	enum relay_way way;
	store_forwarded_fn done;
	void *done_arg;
	/* Guarded by the relay's lock. */
	bool told;
	unsigned over; /* of the two: it is told, and nothing of it comes to the owner any more */
	unsigned refs; /* until it does not, and the deadline */
};

struct relay {
	struct store *owner;
	struct timer *timer;
	atomic_int way;
	_Atomic int64_t delay_ns;
	atomic_uint count, lines, random;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	bool hold;
	struct request *held;
	unsigned under_way;
};

static void
unref(struct request *q)
{
	struct relay *r = q->relay;

	pthread_mutex_lock(&r->lock);
	bool last = --q->refs == 0;
	pthread_mutex_unlock(&r->lock);
	if (!last)
		return;
	buf_free(&q->lines);
	free(q);
}

static void
part_is_over(struct request *q)
{
	struct relay *r = q->relay;

	pthread_mutex_lock(&r->lock);
	if (++q->over == 2 && --r->under_way == 0)
		pthread_cond_signal(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

static void
end(struct request *q)
{
	actor_put(q->actor);
	part_is_over(q);
	unref(q);
}

static void
tell(struct request *q, int err, const struct head *head, uint64_t version)
{
	pthread_mutex_lock(&q->relay->lock);
	bool told = q->told;
	q->told = true;
	pthread_mutex_unlock(&q->relay->lock);
	if (told)
		return;
	q->done(q->done_arg, err, head, version);
	part_is_over(q);
}

static void
on_deadline(void *arg)
{
	struct request *q = arg;

	tell(q, -ETIMEDOUT, NULL, 0);
	unref(q);
}

static void
on_appended(struct append *ap, int err)
{
	struct request *q = ap->user;

	if (err == 0)
		CHECK_EQ_UINT(ap->consumed, ap->size);
	if (q->way == RELAY_LOSE)
		tell(q, -ETIMEDOUT, NULL, 0);
	else if (q->way != RELAY_MUTE)
		tell(q, err, err == 0 ? &ap->head : NULL, ap->version);
	end(q);
}

static void
append_it(void *arg)
{
	struct request *q = arg;

	actor_append(q->actor, &q->append);
}

static void
turn_away(void *arg)
{
	struct request *q = arg;

	tell(q, q->way == RELAY_FAIL ? -EACCES : -EHOSTUNREACH, NULL, 0);
	end(q);
}

static void
begin(struct request *q)
{
	struct relay *r = q->relay;
	int64_t at_ns = clock_mono(clock_system()) + atomic_load(&r->delay_ns);

	if (q->way == RELAY_DROP)
		tell(q, -ETIMEDOUT, NULL, 0);
	if (q->way == RELAY_DROP)
		end(q);
	else if (q->way == RELAY_TURN_AWAY || q->way == RELAY_FAIL)
		CHECK_EQ_INT(timer_at(r->timer, at_ns, turn_away, q), 0);
	else if (q->way == RELAY_LATE)
		CHECK_EQ_INT(timer_at(r->timer, at_ns, append_it, q), 0);
	else
		append_it(q);
}

static enum relay_way
choose(struct relay *r)
{
	int way = atomic_load(&r->way);

	if (way != RELAY_ANY)
		return (enum relay_way)way;
	unsigned random = atomic_fetch_add(&r->random, 1) * 2654435761U >> 20;
	return random % 2 == 0 ? RELAY_ANSWER : (enum relay_way)(random / 2 % RELAY_WAYS);
}

static int
forward(void *arg, const struct store_forward *f, store_forwarded_fn done, void *done_arg)
{
	struct relay *r = arg;
	struct request *q = calloc(1, sizeof(*q));
	enum relay_way way = choose(r);
	int64_t deadline_ns = f->deadline_ns;

	atomic_fetch_add(&r->count, 1);
	if (way == RELAY_NOBODY) {
		free(q);
		return -EHOSTUNREACH;
	}
	*q = (struct request){ .relay = r, .way = way, .done = done, .done_arg = done_arg, .refs = 2 };
	buf_put_span(&q->lines, f->lines);
	atomic_fetch_add(&r->lines, (unsigned)count_text(&q->lines, "\n"));
	CHECK_EQ_INT(actor_get(r->owner, f->ns, f->actor, &q->actor), 0);
	q->append = (struct append){ .data = q->lines.p, .size = q->lines.len, .done = on_appended, .user = q };
	q->append.forwarded = q->append.for_other = true;
	q->append.since_seq = f->since_seq;
	q->append.since_life = f->life;
	q->append.for_node = f->node;
	pthread_mutex_lock(&r->lock);
	r->under_way++;
	bool hold = r->hold;
	if (hold) {
		q->next = r->held;
		r->held = q;
	}
	pthread_mutex_unlock(&r->lock);
	/* The deadline's reference keeps it meanwhile. */
	if (!hold)
		begin(q);
	if (way == RELAY_LATE)
		tell(q, -ETIMEDOUT, NULL, 0);
	CHECK_EQ_INT(timer_at(r->timer, deadline_ns, on_deadline, q), 0);
	return 0;
}

struct relay *
relay_new(struct store *from, struct store *owner)
{
	struct relay *r = calloc(1, sizeof(*r));

	r->owner = owner;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->idle, NULL);
	int err = timer_new(&r->timer, clock_system());
	CHECK_EQ_INT(err, 0);
	store_set_forward(from, forward, r);
	return r;
}

void
relay_settle(struct relay *r)
{
	relay_release(r);
	pthread_mutex_lock(&r->lock);
	while (r->under_way > 0)
		pthread_cond_wait(&r->idle, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

void
relay_free(struct relay *r)
{
	timer_free(r->timer);
	pthread_cond_destroy(&r->idle);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void
relay_set(struct relay *r, enum relay_way way, int64_t delay_ns)
{
	atomic_store(&r->delay_ns, delay_ns);
	atomic_store(&r->way, way);
}

void
relay_hold(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->hold = true;
	pthread_mutex_unlock(&r->lock);
}

void
relay_release(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->hold = false;
	struct request *q = r->held;
	r->held = NULL;
	pthread_mutex_unlock(&r->lock);
	for (struct request *next; q != NULL; q = next) {
		next = q->next;
		begin(q);
	}
}

unsigned
relay_count(const struct relay *r)
{
	return atomic_load(&r->count);
}

unsigned
relay_lines(const struct relay *r)
{
	return atomic_load(&r->lines);
}
