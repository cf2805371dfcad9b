/* The index of a namespace: complete, in order, told of what changes. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "../../store/index.h"
#include "contract_node.h"

enum { BATCH = 128, DEADLINE_S = 20 };

static void
actor_name(char out[32], unsigned number)
{
	snprintf(out, 32, "actor-%u", number);
}

/* One more event in each of the actors from .. to - 1, many at once. Every event has one byte of text. */
static void
append_to(struct node *n, unsigned from, unsigned to)
{
	while (from < to) {
		struct actor *actors[BATCH];
		struct pending *pending[BATCH];
		unsigned count = to - from < BATCH ? to - from : BATCH;
		for (unsigned i = 0; i < count; i++) {
			char name[32];
			actor_name(name, from + i);
			REQUIRE(actor_get(n->store, n->ns, name, &actors[i]) == 0);
			pending[i] = append_start(actors[i], "x");
		}
		for (unsigned i = 0; i < count; i++) {
			CHECK_EQ_INT(append_wait(pending[i]).err, 0);
			actor_put(actors[i]);
		}
		from += count;
	}
}

static int64_t
now_ns(void)
{
	return clock_mono(clock_system());
}

/* Look until the actors 0 .. count - 1 are there with that version. */
static bool
shows(struct index *x, unsigned count, uint64_t version)
{
	int64_t deadline_ns = now_ns() + DEADLINE_S * NS_PER_SEC;
	unsigned i = 0;

	while (i < count && now_ns() < deadline_ns) {
		struct head head;
		char name[32];
		actor_name(name, i);
		if (index_find(x, name, &head) == 0 && head.version >= version)
			i++;
		else
			sched_yield();
	}
	return i == count;
}

/* Walk once; every actor in it comes once. Returns how many, or -errno. */
static int
walk(struct index *x, unsigned limit)
{
	struct index_entry e;
	uint64_t position = 0;
	int count = 0, more;
	unsigned number;
	bool *seen = calloc(limit, sizeof(*seen));

	while ((more = index_next(x, &position, &e)) > 0) {
		CHECK(sscanf(e.name, "actor-%u", &number) == 1 && number < limit && !seen[number]);
		seen[number % limit] = true;
		CHECK(e.head.seq != 0 && e.head.version != 0 && e.head.size != 0 && !e.foreign);
		count++;
	}
	free(seen);
	return more < 0 ? more : count;
}

/* What a listener hears. */
struct ear {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned limit;
	uint64_t *versions; /* the last heard of each actor */
	unsigned calls;
	unsigned created;
	unsigned gone;
	unsigned anew;
	unsigned backward;
};

static void
hear(void *arg, const char *ns, const char *name, const struct head *head, bool is_new)
{
	struct ear *ear = arg;
	unsigned number = 0;

	(void)ns;
	pthread_mutex_lock(&ear->lock);
	ear->calls++;
	ear->created += is_new;
	ear->anew += name == NULL;
	ear->gone += name != NULL && head == NULL;
	if (head != NULL && sscanf(name, "actor-%u", &number) == 1 && number < ear->limit) {
		ear->backward += head->version <= ear->versions[number];
		ear->versions[number] = head->version;
	}
	pthread_cond_broadcast(&ear->wake);
	pthread_mutex_unlock(&ear->lock);
}

static void
ear_open(struct ear *ear, struct store *s, unsigned limit)
{
	pthread_condattr_t attr;

	*ear = (struct ear){ .limit = limit, .versions = calloc(limit, sizeof(uint64_t)) };
	pthread_mutex_init(&ear->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ear->wake, &attr);
	pthread_condattr_destroy(&attr);
	store_listen(s, hear, ear);
}

/* Wait until a counter of the ear has a value. */
static bool
heard(struct ear *ear, const unsigned *counter, unsigned value)
{
	int64_t at = now_ns() + DEADLINE_S * NS_PER_SEC;
	struct timespec until = { .tv_sec = at / NS_PER_SEC, .tv_nsec = at % NS_PER_SEC };
	int err = 0;

	pthread_mutex_lock(&ear->lock);
	while (*counter < value && err == 0)
		err = pthread_cond_timedwait(&ear->wake, &ear->lock, &until);
	bool ok = *counter >= value;
	pthread_mutex_unlock(&ear->lock);
	return ok;
}

static void
ear_close(struct ear *ear, struct store *s)
{
	store_listen(s, NULL, NULL);
	pthread_cond_destroy(&ear->wake);
	pthread_mutex_destroy(&ear->lock);
	free(ear->versions);
}

TEST(an_index_of_many)
{
	struct node n, other;
	struct index *x, *again;
	struct head head;
	unsigned count = 200 * contract_subject()->scale;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	append_to(&n, 0, count);
	append_to(&n, count / 2, count);
	CHECK(index_peek(other.store, n.ns) == NULL);
	REQUIRE(index_get(other.store, n.ns, &x) == 0);
	CHECK_EQ_INT(walk(x, count), (int)count);
	CHECK_EQ_UINT(index_count(x), count);
	CHECK(index_is_live(x));
	CHECK_EQ_INT(index_find(x, "actor-0", &head), 0);
	CHECK_EQ_UINT(head.version, 1);
	char name[32];
	actor_name(name, count - 1);
	CHECK_EQ_INT(index_find(x, name, &head), 0);
	CHECK_EQ_UINT(head.version, 2);
	CHECK_EQ_INT(store_head(n.store, n.ns, name, 0, false, &head), 0);
	struct head stored = head;
	CHECK_EQ_INT(store_head(other.store, n.ns, name, INT64_MAX, false, &head), 0);
	CHECK_EQ_MEM((char *)&head, sizeof(head), (char *)&stored, sizeof(stored));
	CHECK_EQ_INT(index_find(x, "actor", &head), -ENOENT);
	CHECK_EQ_INT(store_head(other.store, n.ns, "actor", 1, false, &head), -ENOENT);
	again = index_peek(other.store, n.ns);
	CHECK(again == x);
	index_put(again);
	index_put(x);
	node_close(&other);
	node_close(&n);
}

TEST(own_appends_show_at_once)
{
	struct node n;
	struct index *x;
	struct head head;

	REQUIRE(node_open(&n));
	REQUIRE(index_get(n.store, n.ns, &x) == 0);
	for (unsigned i = 0; i < 300; i++) {
		char name[32];
		append_to(&n, i, i + 1);
		actor_name(name, i);
		CHECK_EQ_INT(index_find(x, name, &head), 0);
		CHECK_EQ_UINT(head.version, 1);
	}
	CHECK_EQ_INT(walk(x, 300), 300);
	index_put(x);
	node_close(&n);
}

struct writer {
	struct node *node;
	unsigned count;
	unsigned rounds;
	atomic_bool done;
};

static void *
write_all(void *arg)
{
	struct writer *w = arg;

	for (unsigned i = 0; i < w->rounds; i++)
		append_to(w->node, 0, w->count);
	atomic_store(&w->done, true);
	return NULL;
}

/* An index is loaded while actors come and grow; others read it meanwhile, and what it shows of one never goes back. */
TEST(loading_while_appends_happen)
{
	struct node n, other;
	struct index *x;
	unsigned count = 8 * contract_subject()->scale;
	struct writer w = { &n, count, 3, false };
	uint64_t *seqs = calloc(count, sizeof(*seqs));
	pthread_t thread;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	append_to(&n, 0, count / 2);
	REQUIRE(pthread_create(&thread, NULL, write_all, &w) == 0);
	REQUIRE(index_get(other.store, n.ns, &x) == 0);
	while (!atomic_load(&w.done)) {
		struct index_entry e;
		uint64_t position = 0;
		unsigned number;
		while (index_next(x, &position, &e) > 0) {
			CHECK(sscanf(e.name, "actor-%u", &number) == 1 && number < count);
			CHECK(e.head.seq >= seqs[number]);
			seqs[number] = e.head.seq;
		}
	}
	pthread_join(thread, NULL);
	CHECK(shows(x, count, 3));
	CHECK_EQ_INT(walk(x, count), (int)count);
	index_put(x);
	free(seqs);
	node_close(&other);
	node_close(&n);
}

TEST(a_listener_hears_every_actor)
{
	struct node n, other;
	struct index *x;
	struct ear ear;
	unsigned count = 2 * contract_subject()->scale;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	append_to(&n, 0, 10);
	ear_open(&ear, other.store, count);
	REQUIRE(index_get(other.store, n.ns, &x) == 0);
	CHECK_EQ_INT(walk(x, count), 10);
	CHECK_EQ_UINT(ear.calls, 0);
	append_to(&n, 0, count / 2);
	append_to(&other, 0, count);
	CHECK(heard(&ear, &ear.calls, count / 2 + count));
	CHECK_EQ_UINT(ear.calls, count / 2 + count);
	CHECK_EQ_UINT(ear.created, count - 10);
	CHECK_EQ_UINT(ear.backward, 0);
	CHECK_EQ_UINT(ear.anew + ear.gone, 0);
	ear_close(&ear, other.store);
	append_to(&n, 0, 1);
	CHECK(shows(x, 1, 4));
	index_put(x);
	node_close(&other);
	node_close(&n);
}

TEST(an_index_of_no_namespace)
{
	struct node n;
	struct index *x;
	struct index_entry e;
	uint64_t position = 0;
	struct head head;

	REQUIRE(node_open(&n));
	REQUIRE(index_get(n.store, "there-is-none", &x) == 0);
	CHECK_EQ_INT(index_next(x, &position, &e), -ENOENT);
	CHECK_EQ_INT(index_find(x, "a", &head), -ENOENT);
	CHECK(!index_is_live(x));
	CHECK(index_peek(n.store, "there-is-none") == NULL);
	index_put(x);
	node_close(&n);
}

/* Removed by this node, and by the other one. */
TEST(an_index_ends_with_its_namespace)
{
	struct node n, other;
	struct ns_attr attr = { .mode = 0755 };
	struct index *x, *y;
	struct ear ear;
	char name[96];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	snprintf(name, sizeof(name), "%s-x", n.ns);
	ear_open(&ear, other.store, 1);
	for (unsigned i = 0; i < 2; i++) {
		struct index_entry e;
		uint64_t position = 0;
		CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
		REQUIRE(index_get(other.store, name, &x) == 0);
		CHECK_EQ_INT(index_next(x, &position, &e), 0);
		CHECK_EQ_INT(store_ns_remove(i == 0 ? other.store : n.store, name, false), 0);
		CHECK(heard(&ear, &ear.anew, i + 1));
		CHECK_EQ_INT(index_next(x, &position, &e), -ENOENT);
		CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
		REQUIRE(index_get(other.store, name, &y) == 0);
		CHECK(x != y);
		CHECK_EQ_INT(index_next(y, &position, &e), 0);
		CHECK_EQ_INT(store_ns_remove(other.store, name, false), 0);
		CHECK(heard(&ear, &ear.anew, i + 2));
		ear.anew = i + 1;
		index_put(x);
		index_put(y);
	}
	ear_close(&ear, other.store);
	node_close(&other);
	node_close(&n);
}

/* Walking through many namespaces does not keep an index of each. */
TEST(few_idle_indexes_are_kept)
{
	enum { MANY_NAMESPACES = 70, KEPT = 64 };
	struct node n;
	struct ns_attr attr = { .mode = 0755 };
	char name[96];
	unsigned kept = 0;

	REQUIRE(node_open(&n));
	for (unsigned i = 0; i < MANY_NAMESPACES; i++) {
		struct index_entry e;
		struct index *x;
		uint64_t position = 0;
		snprintf(name, sizeof(name), "%s-%u", n.ns, i);
		CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
		REQUIRE(index_get(n.store, name, &x) == 0);
		CHECK_EQ_INT(index_next(x, &position, &e), 0);
		index_put(x);
	}
	for (unsigned i = 0; i < MANY_NAMESPACES; i++) {
		snprintf(name, sizeof(name), "%s-%u", n.ns, i);
		struct index *x = index_peek(n.store, name);
		kept += x != NULL;
		CHECK(x != NULL || i < MANY_NAMESPACES - KEPT);
		index_put(x);
		CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
	}
	CHECK_EQ_UINT(kept, KEPT);
	node_close(&n);
}

const struct check_test contract_index_tests[] = { T(an_index_of_many), T(own_appends_show_at_once),
	T(loading_while_appends_happen), T(a_listener_hears_every_actor), T(an_index_of_no_namespace),
	T(an_index_ends_with_its_namespace), T(few_idle_indexes_are_kept) };
const size_t contract_index_count = MANY(contract_index_tests);
