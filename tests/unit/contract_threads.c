/* Many at once: nothing lost, nothing twice, versions 1 to N, the order of one node's calls. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "contract_node.h"

#define THREADS 8

struct writer {
	struct store *store;
	const char *ns;
	unsigned number;
	unsigned appends;
	unsigned actors; /* 1: all to "shared" */
	pthread_t thread;
};

static void *
write_all(void *arg)
{
	struct writer *w = arg;
	char line[64], name[32];

	for (unsigned i = 0; i < w->appends; i++) {
		struct actor *a;
		snprintf(name, sizeof(name), "shared%u", i % w->actors);
		snprintf(line, sizeof(line), "w%u-%u;\n", w->number, i);
		if (actor_get(w->store, w->ns, name, &a) != 0)
			break;
		struct outcome o = append(a, line);
		CHECK_EQ_INT(o.err, 0);
		actor_put(a);
	}
	return NULL;
}

static void
check_all_there(struct node *n, const struct writer *writers, unsigned actors)
{
	unsigned total = 0, events = 0;

	for (unsigned k = 0; k < actors; k++) {
		struct buf all = { 0 };
		struct head end;
		char name[32], text[64];
		snprintf(name, sizeof(name), "shared%u", k);
		check_chain(n->backend, n->ns, name, &all, &end);
		CHECK_EQ_UINT(end.version, end.count);
		events += (unsigned)end.count;
		for (unsigned t = 0; t < THREADS; t++) {
			for (unsigned i = k; i < writers[t].appends; i += actors) {
				snprintf(text, sizeof(text), "\"w%u-%u;\"", t, i);
				CHECK_EQ_UINT(count_text(&all, text), 1);
			}
		}
		buf_free(&all);
	}
	for (unsigned t = 0; t < THREADS; t++)
		total += writers[t].appends;
	CHECK_EQ_UINT(events, total);
}

static void
run_writers(unsigned appends, unsigned actors)
{
	struct node n, other;
	struct writer writers[THREADS];

	appends = appends * contract_subject()->scale / 100 + 1;
	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (unsigned t = 0; t < THREADS; t++) {
		writers[t] = (struct writer){ t % 2 ? n.store : other.store, n.ns, t, appends, actors, 0 };
		REQUIRE(pthread_create(&writers[t].thread, NULL, write_all, &writers[t]) == 0);
	}
	for (unsigned t = 0; t < THREADS; t++)
		pthread_join(writers[t].thread, NULL);
	check_all_there(&n, writers, actors);
	node_close(&other);
	node_close(&n);
}

TEST(many_writers_of_one_actor)
{
	run_writers(40, 1);
}

TEST(many_writers_of_many_actors)
{
	run_writers(60, 7);
}

/* Started one after the other without waiting: committed and ended in that order. */
TEST(appends_of_one_node_keep_their_order)
{
	enum { COUNT = 200 };
	struct node n;
	struct pending *pending[COUNT];
	struct head end;
	char line[32];
	unsigned last_rank = 0;

	REQUIRE(node_open(&n));
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(line, sizeof(line), "line %u", i);
		pending[i] = append_start(n.a, line);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		while (!append_ended(pending[i]))
			sched_yield();
		unsigned rank = append_rank(pending[i]);
		struct outcome o = append_wait(pending[i]);
		CHECK_EQ_INT(o.err, 0);
		CHECK_EQ_UINT(o.version, i + 1);
		CHECK(rank > last_rank);
		last_rank = rank;
	}
	check_chain(n.backend, n.ns, "a", NULL, &end);
	CHECK_EQ_UINT(end.count, COUNT);
	node_close(&n);
}

struct reader {
	struct node *n;
	atomic_bool stop;
	unsigned reads;
};

/* Whatever is seen is whole lines with versions from 1 on, and never less than before. */
static void *
read_again_and_again(void *arg)
{
	struct reader *r = arg;
	struct buf got = { 0 };
	size_t before = 0;

	while (!atomic_load(&r->stop)) {
		int err = read_all(r->n->a, 333, &got);
		CHECK(err == 0 || err == -ENOENT);
		CHECK(got.len >= before);
		CHECK(got.len == 0 || got.p[got.len - 1] == '\n');
		before = got.len;
		r->reads++;
	}
	buf_free(&got);
	return NULL;
}

TEST(readers_see_whole_lines_only)
{
	struct node n, other;
	struct reader readers[2] = { { .n = &n }, { .n = &other } };
	pthread_t threads[2];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (int t = 0; t < 2; t++)
		REQUIRE(pthread_create(&threads[t], NULL, read_again_and_again, &readers[t]) == 0);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ_INT(append(n.a, i % 3 ? "short" : "a line\nand another one\nand a third").err, 0);
	for (int t = 0; t < 2; t++)
		atomic_store(&readers[t].stop, true);
	for (int t = 0; t < 2; t++)
		pthread_join(threads[t], NULL);
	node_close(&other);
	node_close(&n);
}

const struct check_test contract_threads_tests[] = { T(many_writers_of_one_actor), T(many_writers_of_many_actors),
	T(appends_of_one_node_keep_their_order), T(readers_see_whole_lines_only) };
const size_t contract_threads_count = MANY(contract_threads_tests);
