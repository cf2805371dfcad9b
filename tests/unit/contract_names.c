/* The names of all namespaces, as they come and go on any node. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "../../store/names.h"
#include "contract_node.h"

enum { NAMES = 4, DEADLINE_S = 40 };

static const struct ns_attr attr = { .mode = 0755 };

/* What is told of the namespaces "<lead>-0" and so on. */
struct ear {
	struct names_listener *listener;
	char lead[80];
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* Guarded by lock. */
	struct {
		bool is_there;
		unsigned told, own_made, own_removed;
	} names[NAMES];
	unsigned repeated; /* what was so already */
	unsigned told;
};

static void
hear(void *arg, const char *ns, bool is_there, bool own)
{
	struct ear *ear = arg;
	unsigned number;
	size_t lead = strlen(ear->lead);

	if (strncmp(ns, ear->lead, lead) != 0 || sscanf(ns + lead, "-%u", &number) != 1 || number >= NAMES)
		return;
	pthread_mutex_lock(&ear->lock);
	ear->repeated += ear->names[number].is_there == is_there;
	ear->names[number].is_there = is_there;
	ear->names[number].told++;
	ear->names[number].own_made += own && is_there;
	ear->names[number].own_removed += own && !is_there;
	ear->told++;
	pthread_cond_broadcast(&ear->wake);
	pthread_mutex_unlock(&ear->lock);
}

static bool
ear_open(struct ear *ear, struct node *n)
{
	pthread_condattr_t cond;

	*ear = (struct ear){ .told = 0 };
	snprintf(ear->lead, sizeof(ear->lead), "%s", n->ns);
	pthread_mutex_init(&ear->lock, NULL);
	pthread_condattr_init(&cond);
	pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
	pthread_cond_init(&ear->wake, &cond);
	pthread_condattr_destroy(&cond);
	int err = names_listen(n->store, hear, ear, &ear->listener);
	CHECK_EQ_INT(err, 0);
	CHECK_EQ_INT(names_start(n->store), 0);
	return err == 0;
}

static void
ear_close(struct ear *ear, struct node *n)
{
	names_ignore(n->store, ear->listener);
	pthread_cond_destroy(&ear->wake);
	pthread_mutex_destroy(&ear->lock);
}

/* Wait until that is what was told last. */
static void
hears(struct ear *ear, unsigned number, bool is_there)
{
	int64_t at = clock_mono(clock_system()) + DEADLINE_S * NS_PER_SEC;
	struct timespec until = { .tv_sec = at / NS_PER_SEC, .tv_nsec = at % NS_PER_SEC };
	int err = 0;

	pthread_mutex_lock(&ear->lock);
	while (ear->names[number].is_there != is_there && err == 0)
		err = pthread_cond_timedwait(&ear->wake, &ear->lock, &until);
	CHECK_EQ_INT(ear->names[number].is_there, is_there);
	pthread_mutex_unlock(&ear->lock);
}

static const char *
name_of(const struct node *n, unsigned number, char out[96])
{
	snprintf(out, 96, "%s-%u", n->ns, number);
	return out;
}

TEST(names_of_another_node)
{
	struct node n, other;
	struct ear ear;
	char name[96];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(store_ns_create(n.store, name_of(&n, 1, name), &attr), 0);
	REQUIRE(ear_open(&ear, &other));
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ_INT(store_ns_create(n.store, name_of(&n, 0, name), &attr), 0);
		hears(&ear, 0, true);
		CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
		hears(&ear, 0, false);
	}
	CHECK_EQ_UINT(ear.names[0].told, 40);
	CHECK_EQ_UINT(ear.names[0].own_made + ear.names[0].own_removed + ear.repeated, 0);
	/* What was there is not told, that it goes is. */
	CHECK_EQ_UINT(ear.names[1].told, 0);
	ear.names[1].is_there = true;
	CHECK_EQ_INT(store_ns_remove(n.store, name_of(&n, 1, name), false), 0);
	hears(&ear, 1, false);
	ear_close(&ear, &other);
	node_close(&other);
	node_close(&n);
}

/* Told within the call, and never by a look as what somebody else did. */
TEST(names_that_the_node_makes_itself)
{
	struct node n;
	struct ear ear;
	char name[96];

	REQUIRE(node_open(&n) && ear_open(&ear, &n));
	for (unsigned i = 0; i < 50; i++) {
		CHECK_EQ_INT(store_ns_create(n.store, name_of(&n, i % NAMES, name), &attr), 0);
		CHECK_EQ_UINT(ear.told, 2 * i + 1);
		CHECK_EQ_INT(store_ns_create(n.store, name, &attr), -EEXIST);
		CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
		CHECK_EQ_UINT(ear.told, 2 * i + 2);
		CHECK_EQ_INT(store_ns_remove(n.store, name, false), -ENOENT);
	}
	unsigned own = 0;
	for (unsigned i = 0; i < NAMES; i++)
		own += ear.names[i].own_made + ear.names[i].own_removed;
	CHECK_EQ_UINT(own, 100);
	CHECK_EQ_UINT(ear.repeated, 0);
	ear_close(&ear, &n);
	node_close(&n);
}

struct racer {
	struct node node;
	struct ear ear;
	unsigned seed;
	pthread_rwlock_t *removing; /* held for writing by one who removes */
	unsigned made, removed;
	pthread_t thread;
};

static void *
make_and_remove(void *arg)
{
	struct racer *r = arg;
	char name[96];

	for (unsigned i = 0; i < 60 * contract_subject()->scale / 100; i++) {
		r->seed = r->seed * 1664525 + 1013904223;
		name_of(&r->node, (r->seed >> 16) % NAMES, name);
		bool remove = (r->seed >> 24) % 2 == 0;
		if (contract_subject()->fragile && remove)
			pthread_rwlock_wrlock(r->removing);
		else if (contract_subject()->fragile)
			pthread_rwlock_rdlock(r->removing);
		int err = remove ? store_ns_remove(r->node.store, name, false) : store_ns_create(r->node.store, name, &attr);
		if (contract_subject()->fragile)
			pthread_rwlock_unlock(r->removing);
		if (err != -EEXIST && err != -ENOENT)
			CHECK_EQ_INT(err, 0);
		r->made += err == 0 && !remove;
		r->removed += err == 0 && remove;
	}
	return NULL;
}

/* Both hear the same names come and go in turns, and in the end what is there. What was told as a node's own are its own. */
TEST(names_that_two_nodes_make)
{
	pthread_rwlock_t removing = PTHREAD_RWLOCK_INITIALIZER;
	struct racer racers[2];
	char name[96];

	REQUIRE(node_open(&racers[0].node) && node_join(&racers[1].node, &racers[0].node));
	for (unsigned i = 0; i < 2; i++) {
		REQUIRE(ear_open(&racers[i].ear, &racers[i].node));
		racers[i].seed = 17 + i;
		racers[i].removing = &removing;
		racers[i].made = racers[i].removed = 0;
	}
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(pthread_create(&racers[i].thread, NULL, make_and_remove, &racers[i]) == 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(racers[i].thread, NULL);
	for (unsigned i = 0; i < 2; i++) {
		struct racer *r = &racers[i];
		unsigned made = 0, removed = 0;
		for (unsigned k = 0; k < NAMES; k++) {
			struct ns_info info;
			int err = store_ns_info(r->node.store, name_of(&r->node, k, name), 0, false, &info);
			CHECK(err == 0 || err == -ENOENT);
			hears(&r->ear, k, err == 0);
		}
		pthread_mutex_lock(&r->ear.lock);
		for (unsigned k = 0; k < NAMES; k++) {
			made += r->ear.names[k].own_made;
			removed += r->ear.names[k].own_removed;
		}
		/* One that was undone by the other node before this one could tell may go untold. */
		CHECK(made <= r->made && removed <= r->removed && made + removed > 0);
		CHECK_EQ_UINT(r->ear.repeated, 0);
		pthread_mutex_unlock(&r->ear.lock);
	}
	for (unsigned i = 0; i < 2; i++)
		ear_close(&racers[i].ear, &racers[i].node);
	for (unsigned k = 0; k < NAMES; k++)
		store_ns_remove(racers[0].node.store, name_of(&racers[0].node, k, name), false);
	for (unsigned i = 0; i < 2; i++)
		node_close(&racers[i].node);
}

/* Nobody has asked for looks: what the node does itself is told all the same. */
TEST(names_without_a_start)
{
	struct node n;
	struct ear ear = { .told = 0 };
	char name[96];

	REQUIRE(node_open(&n));
	pthread_mutex_init(&ear.lock, NULL);
	pthread_cond_init(&ear.wake, NULL);
	snprintf(ear.lead, sizeof(ear.lead), "%s", n.ns);
	REQUIRE(names_listen(n.store, hear, &ear, &ear.listener) == 0);
	CHECK_EQ_INT(store_ns_create(n.store, name_of(&n, 0, name), &attr), 0);
	CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
	CHECK_EQ_UINT(ear.names[0].own_made, 1);
	CHECK_EQ_UINT(ear.names[0].own_removed, 1);
	ear_close(&ear, &n);
	node_close(&n);
}

const struct check_test contract_names_tests[] = { T(names_of_another_node), T(names_that_the_node_makes_itself),
	T(names_that_two_nodes_make), T(names_without_a_start) };
const size_t contract_names_count = MANY(contract_names_tests);
