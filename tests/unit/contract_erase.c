/* Erasing actors and full namespaces, and what comes after it. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "../../store/index.h"
#include "../../store/locate.h"
#include "contract_node.h"
#include "erase_race.h"

#define KNOWN "{\"eventType\":\"T\",\"id\":\"known\"}\n"
#define OTHER "{\"eventType\":\"T\",\"id\":\"known\",\"data\":{\"other\":1}}\n"

static const struct ns_attr attr = { .mode = 0755 };

/* How many records of the actor the backend has, and whether the last one is a tombstone. */
static unsigned
records_of(struct node *n, const char *actor, bool *erased)
{
	struct backend_get g = { .kind = GET_NEXT, .seq = 1, .fresh = true };
	struct owned_record r = { 0 };
	unsigned count = 0;

	*erased = false;
	while (wait_get(n->backend, clock_system(), (struct actor_name){ n->ns, actor }, g,
		   clock_mono(clock_system()) + 5 * NS_PER_SEC, &r) == 0) {
		*erased = r.record.erased;
		g.seq = r.record.seq + 1;
		count++;
	}
	owned_record_free(&r);
	return count;
}

static void
check_gone(struct node *n)
{
	struct buf got = { 0 };
	struct head head;
	bool erased;

	CHECK_EQ_INT(actor_head(n->a, 0, false, &head), -ENOENT);
	CHECK_EQ_INT(actor_head(n->a, NS_PER_SEC, false, &head), -ENOENT);
	CHECK_EQ_INT(read_all(n->a, 0, &got), -ENOENT);
	CHECK_EQ_UINT(records_of(n, "a", &erased), 1);
	CHECK(erased);
	buf_free(&got);
}

/* The content as of now, through a's node, is these versions. */
static void
check_content(struct actor *a, const uint64_t *versions, size_t count)
{
	struct buf got = { 0 };

	CHECK_EQ_INT(read_all(a, 0, &got), 0);
	check_versions(&got, versions, count);
	buf_free(&got);
}

/* A crash between the tombstone and taking away what is before it. */
static void
leave_behind(struct node *n)
{
	struct head end;

	check_chain(n->backend, n->ns, "a", NULL, &end);
	struct record r = record_tombstone(end.seq, end.time_us + 1);
	CHECK_EQ_INT(publish_raw(n->backend, n->ns, "a", &r), 0);
}

TEST(an_erased_actor_is_gone)
{
	struct node n, other;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(actor_erase(n.a), -ENOENT);
	CHECK_EQ_INT(append(n.a, "one\ntwo").err, 0);
	CHECK_EQ_UINT(append(other.a, "three").version, 3);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	check_gone(&n);
	check_gone(&other);
	CHECK_EQ_INT(actor_erase(n.a), -ENOENT);
	CHECK_EQ_INT(actor_erase(other.a), -ENOENT);
	CHECK_EQ_INT(append(n.a, "").err, 0);
	CHECK_EQ_INT(actor_erase(other.a), 0);
	check_gone(&other);
	check_gone(&n);
	node_close(&other);
	node_close(&n);
}

TEST(an_actor_made_anew_begins_with_1)
{
	struct node n, other;
	const uint64_t versions[] = { 1, 2, 3 };
	struct head end;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (unsigned life = 0; life < 3; life++) {
		/* By a node that does not know yet, too. */
		struct node *first = life % 2 ? &other : &n, *second = life % 2 ? &n : &other;
		CHECK_EQ_UINT(append(first->a, "one").version, 1);
		CHECK_EQ_UINT(append(second->a, "two\nthree").version, 3);
		check_chain(n.backend, n.ns, "a", NULL, &end);
		CHECK_EQ_UINT(end.count, 3);
		CHECK((end.life != 0) == (life != 0));
		check_content(n.a, versions, 3);
		check_content(other.a, versions, 3);
		CHECK_EQ_INT(actor_erase(first->a), 0);
	}
	check_gone(&n);
	node_close(&other);
	node_close(&n);
}

TEST(an_empty_actor_made_anew)
{
	struct node n, other;
	const uint64_t versions[] = { 7 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_UINT(append(n.a, "x").version, 1);
	CHECK_EQ_INT(actor_erase(other.a), 0);
	CHECK_EQ_INT(append(n.a, "").err, 0);
	CHECK_EQ_INT(append(other.a, "").err, -EEXIST);
	CHECK_EQ_UINT(head_of(other.a).size, 0);
	CHECK(head_is_there(&(struct head){ .seq = head_of(other.a).seq, .life = head_of(other.a).life }));
	check_content(other.a, versions, 0);
	CHECK_EQ_UINT(append(other.a, "{\"eventType\":\"T\",\"version\":7}").version, 7);
	check_content(n.a, versions, 1);
	node_close(&other);
	node_close(&n);
}

/* Whoever has the head of a life that is over learns so, whatever of it he has in his cache. */
TEST(what_was_open_is_stale)
{
	struct node n, other, cold;
	struct head before, now;
	char *lines = many_lines(200000, 100), out[100];

	REQUIRE(node_open(&n) && node_join(&other, &n) && node_join(&cold, &n));
	CHECK_EQ_UINT(append(n.a, "the first").version, 1);
	CHECK_EQ_UINT(append_bytes(n.a, lines, 200000).version, 2001);
	before = head_of(n.a);
	CHECK_EQ_INT(actor_head(cold.a, 0, false, &before), 0);
	CHECK_EQ_INT(actor_read(other.a, &before, 0, sizeof(out), out), sizeof(out));
	CHECK_EQ_INT(actor_erase(n.a), 0);
	CHECK_EQ_INT(actor_head(other.a, 0, false, &now), -ENOENT);
	struct actor *all[] = { n.a, other.a, cold.a };
	for (size_t i = 0; i < MANY(all); i++) {
		CHECK_EQ_INT(actor_read(all[i], &before, 0, sizeof(out), out), -ESTALE);
		CHECK_EQ_INT(actor_read(all[i], &before, 150000, sizeof(out), out), -ESTALE);
	}
	CHECK_EQ_INT(append_bytes(cold.a, lines, 200000).err, 0);
	struct event_place place;
	CHECK_EQ_INT(actor_locate(other.a, &before, HEAD_VERSION, 1500, &place), -ESTALE);
	CHECK_EQ_INT(actor_read(other.a, &before, 199000, sizeof(out), out), -ESTALE);
	CHECK_EQ_INT(actor_read(n.a, &before, 0, sizeof(out), out), -ESTALE);
	free(lines);
	node_close(&cold);
	node_close(&other);
	node_close(&n);
}

TEST(a_writer_means_one_life)
{
	struct node n, other;
	struct append_chain chain = { .failed = 0 }, late = { .failed = 0 };
	const uint64_t versions[] = { 1, 2 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(append_wait(append_start_async(n.a, "x\n", 2, &chain)).err, 0);
	CHECK_EQ_INT(actor_erase(other.a), 0);
	CHECK_EQ_INT(append_wait(append_start_async(n.a, "x\n", 2, &chain)).err, -ENOENT);
	CHECK_EQ_UINT(append_wait(append_start_async(n.a, "x\n", 2, &late)).version, 1);
	CHECK_EQ_INT(append_wait(append_start_async(n.a, "x\n", 2, &chain)).err, -ENOENT);
	actor_chain_take(n.a, &chain);
	/* Of those that wait together each is judged by itself. */
	struct pending *pending[3] = { append_start(n.a, "x"), append_start_async(n.a, "x\n", 2, &chain), append_start(n.a, "x") };
	CHECK_EQ_INT(append_wait(pending[0]).err, 0);
	CHECK_EQ_INT(append_wait(pending[1]).err, -ENOENT);
	CHECK_EQ_UINT(append_wait(pending[2]).version, 3);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	CHECK_EQ_UINT(append(other.a, "x\nx").version, 2);
	check_content(n.a, versions, 2);
	node_close(&other);
	node_close(&n);
}

/* Ids of an earlier life do not count, also for a node that still knows them. */
TEST(ids_end_with_their_life)
{
	struct node n, other;
	const uint64_t versions[] = { 1, 2, 3 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	struct node *both[] = { &n, &other };
	for (int i = 0; i < 4; i++) {
		struct node *first = both[i % 2], *second = both[i / 2];
		CHECK_EQ_UINT(append(first->a, KNOWN).version, 1);
		CHECK_EQ_UINT(append(first->a, KNOWN).version, 1);
		CHECK_EQ_INT(append(second->a, OTHER).err, -EEXIST);
		CHECK_EQ_UINT(append(first->a, "{\"eventType\":\"T\",\"id\":\"inside\"}\n{\"a\":1}").version, 3);
		CHECK_EQ_INT(actor_erase(n.a), 0);
		CHECK_EQ_UINT(append(second->a, "{\"eventType\":\"T\",\"id\":\"inside\",\"version\":1}").version, 1);
		CHECK_EQ_UINT(append(first->a, OTHER).version, 2);
		CHECK_EQ_UINT(append(second->a, KNOWN "{\"a\":1}").err == -EEXIST ? 1 : 0, 1);
		CHECK_EQ_UINT(append(second->a, OTHER "{\"a\":1}").version, 3);
		check_content(other.a, versions, 3);
		CHECK_EQ_INT(actor_erase(other.a), 0);
	}
	node_close(&other);
	node_close(&n);
}

TEST(what_a_crash_left_behind_does_not_show)
{
	struct node n, other, cold;
	const uint64_t versions[] = { 1, 2 };
	struct buf got = { 0 };
	struct head head;
	bool erased;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (int i = 0; i < 40; i++)
		CHECK_EQ_INT(append(n.a, "old").err, 0);
	CHECK_EQ_UINT(append(other.a, KNOWN).version, 41);
	leave_behind(&n);
	REQUIRE(node_join(&cold, &n));
	CHECK_EQ_INT(actor_head(cold.a, 0, false, &head), -ENOENT);
	CHECK_EQ_INT(actor_erase(cold.a), -ENOENT);
	/* It knows nothing yet of what happened. */
	CHECK_EQ_UINT(append(other.a, KNOWN).version, 1);
	CHECK_EQ_UINT(append(n.a, "new").version, 2);
	check_content(cold.a, versions, 2);
	check_content(other.a, versions, 2);
	CHECK_EQ_INT(read_all(cold.a, 10, &got), 0);
	CHECK_EQ_UINT(count_text(&got, "old"), 0);
	CHECK(records_of(&n, "a", &erased) > 40);
	CHECK_EQ_INT(actor_erase(cold.a), 0);
	check_gone(&cold);
	buf_free(&got);
	node_close(&cold);
	node_close(&other);
	node_close(&n);
}

/* Many records, of which the backend may find some at a time; what is stored of others stays. */
TEST(much_is_erased_and_nothing_else)
{
	enum { RECORDS = 150 };
	struct node n, other;
	struct actor *b;
	struct buf before = { 0 }, after = { 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	for (int i = 0; i < RECORDS; i++) {
		CHECK_EQ_INT(append(n.a, "x").err, 0);
		CHECK_EQ_INT(append(b, "y").err, 0);
	}
	CHECK_EQ_INT(read_all(b, 0, &before), 0);
	CHECK_EQ_INT(actor_erase(other.a), 0);
	check_gone(&n);
	CHECK_EQ_INT(read_all(b, 0, &after), 0);
	CHECK_EQ_MEM(before.p, before.len, after.p, after.len);
	CHECK_EQ_UINT(append(b, "y").version, RECORDS + 1);
	buf_free(&before);
	buf_free(&after);
	actor_put(b);
	node_close(&other);
	node_close(&n);
}

/* A search in a later life finds what a walk finds. */
TEST(searches_in_a_later_life)
{
	struct node n, cold;
	struct actor *b;
	struct event_place place;

	REQUIRE(node_open(&n));
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	for (int i = 0; i < 30; i++)
		CHECK_EQ_INT(append(i % 3 ? b : n.a, "x").err, 0);
	leave_behind(&n);
	for (int i = 1; i <= 30; i++) {
		CHECK_EQ_UINT(append(n.a, "some text").version, (uintmax_t)i);
		CHECK_EQ_INT(append(b, "x").err, 0);
	}
	REQUIRE(node_join(&cold, &n));
	struct head head = head_of(cold.a);
	CHECK_EQ_INT(actor_locate(cold.a, &head, HEAD_VERSION, 31, &place), -ENOENT);
	const unsigned order[] = { 17, 1, 30, 2, 29, 16, 18 };
	for (size_t i = 0; i < MANY(order); i++) {
		CHECK_EQ_INT(actor_locate(cold.a, &head, i % 2 ? HEAD_COUNT : HEAD_VERSION, order[i], &place), 0);
		CHECK_EQ_UINT(place.version, order[i]);
		CHECK_EQ_UINT(place.count, order[i]);
	}
	actor_put(b);
	node_close(&cold);
	node_close(&n);
}

TEST(a_broken_actor_can_be_erased)
{
	struct node n, other;
	struct record foreign = { .first = 5, .last = 3, .payload = { "hello", 5 }, .foreign = true };
	const uint64_t versions[] = { 1 };
	struct buf got = { 0 };

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "old").err, 0);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	CHECK_EQ_INT(append(n.a, "one").err, 0);
	foreign.prev_seq = head_of(n.a).seq;
	CHECK_EQ_INT(publish_raw(n.backend, n.ns, "a", &foreign), 0);
	REQUIRE(node_join(&other, &n));
	/* Of the life in which it stands everything before it is served. */
	CHECK_EQ_INT(read_all(other.a, 0, &got), -EIO);
	check_versions(&got, versions, 1);
	CHECK_EQ_UINT(count_text(&got, "\"one\""), 1);
	CHECK_EQ_INT(append(other.a, "x").err, -EIO);
	CHECK_EQ_INT(actor_erase(other.a), 0);
	check_gone(&n);
	CHECK_EQ_UINT(append(n.a, "x").version, 1);
	check_content(other.a, versions, 1);
	buf_free(&got);
	node_close(&other);
	node_close(&n);
}

/* What a listener heard of "a". */
struct ear {
	pthread_mutex_t lock;
	unsigned born, gone;
	struct head last;
	uint64_t others; /* the last version of "b" */
};

static void
hear(void *arg, const char *ns, const char *name, const struct head *head, bool is_new)
{
	struct ear *ear = arg;

	(void)ns;
	pthread_mutex_lock(&ear->lock);
	if (name != NULL && strcmp(name, "a") == 0) {
		ear->born += is_new;
		ear->gone += head == NULL;
		if (head != NULL)
			ear->last = *head;
	} else if (name != NULL && head != NULL) {
		ear->others = head->version;
	}
	pthread_mutex_unlock(&ear->lock);
}

/* Wait until that many ends have been heard of, at least, the birth of that life, and that version of "b". */
static bool
heard(struct ear *ear, unsigned gone, uint64_t life, uint64_t others)
{
	int64_t until_ns = clock_mono(clock_system()) + 20 * NS_PER_SEC;
	bool yes = false;

	while (!yes && clock_mono(clock_system()) < until_ns) {
		pthread_mutex_lock(&ear->lock);
		yes = ear->born >= 1 && ear->gone >= gone && ear->last.life == life && ear->others >= others;
		pthread_mutex_unlock(&ear->lock);
		sched_yield();
	}
	return yes;
}

TEST(the_index_of_another_node)
{
	struct node n, other;
	struct index *x;
	struct index_entry e;
	struct actor *b;
	struct ear ear = { .born = 0 };
	uint64_t position = 0;
	struct head head;

	pthread_mutex_init(&ear.lock, NULL);
	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	CHECK_EQ_INT(append(b, "x").err, 0);
	CHECK_EQ_INT(append(n.a, "x").err, 0);
	REQUIRE(index_get(other.store, n.ns, &x) == 0);
	while (!index_is_live(x))
		sched_yield();
	store_listen(other.store, hear, &ear);
	for (unsigned life = 1; life <= 20; life++) {
		/* While the other node's watch may not have seen the one before. */
		for (unsigned i = 0; i < 5; i++)
			CHECK_EQ_INT(append(b, "x").err, 0);
		CHECK_EQ_INT(actor_erase(n.a), 0);
		CHECK_EQ_UINT(append(n.a, "x").version, 1);
	}
	uint64_t life = head_of(n.a).life;
	/* Lives that were over before anybody looked may not be told of. */
	CHECK(heard(&ear, 1, life, 101));
	CHECK_EQ_INT(index_find(x, "a", &head), 0);
	CHECK_EQ_UINT(head.count, 1);
	CHECK_EQ_UINT(head.life, life);
	pthread_mutex_lock(&ear.lock);
	unsigned gone = ear.gone;
	pthread_mutex_unlock(&ear.lock);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	CHECK(heard(&ear, gone + 1, life, 101));
	CHECK_EQ_INT(index_find(x, "a", &head), -ENOENT);
	CHECK_EQ_INT(index_next(x, &position, &e), 1);
	CHECK_EQ_STR(e.name, "b");
	CHECK_EQ_INT(index_next(x, &position, &e), 0);
	store_listen(other.store, NULL, NULL);
	index_put(x);
	actor_put(b);
	node_close(&other);
	node_close(&n);
	pthread_mutex_destroy(&ear.lock);
}

TEST(an_index_made_afterwards)
{
	struct node n, cold;
	struct index *x;
	struct index_entry e;
	uint64_t position = 0;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "x").err, 0);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	REQUIRE(node_join(&cold, &n));
	REQUIRE(index_get(cold.store, n.ns, &x) == 0);
	CHECK_EQ_INT(index_next(x, &position, &e), 0);
	CHECK_EQ_INT(append(n.a, "x").err, 0);
	CHECK_EQ_UINT(head_of(cold.a).version, 1);
	CHECK_EQ_INT(actor_erase(cold.a), 0);
	/* Own deeds show at once. */
	CHECK_EQ_INT(index_find(x, "a", &(struct head){ 0 }), -ENOENT);
	index_put(x);
	node_close(&cold);
	node_close(&n);
}

/* Namespaces */

static int
count_ns(void *arg, const char *name)
{
	const char **wanted = arg;

	return strcmp(name, *wanted) == 0 ? 1 : 0;
}

static bool
is_listed(struct store *s, const char *ns)
{
	int found = store_ns_list(s, count_ns, &ns);

	CHECK(found >= 0);
	return found == 1;
}

/* What nodes know of the time before cannot be taken for what is there now. */
TEST(a_namespace_of_tombstones_is_empty)
{
	struct node n, other;
	struct ns_info info, again;
	const uint64_t versions[] = { 1, 2 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (int i = 0; i < 3; i++) {
		CHECK_EQ_UINT(append(n.a, "x").version, 1);
		CHECK_EQ_UINT(append(other.a, KNOWN).version, 2);
		CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &info), 0);
		CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), -ENOTEMPTY);
		CHECK_EQ_INT(actor_erase(n.a), 0);
		CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), 0);
		CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), -ENOENT);
		CHECK_EQ_INT(store_ns_info(other.store, n.ns, 0, false, &again), -ENOENT);
		CHECK_EQ_INT(store_ns_set(other.store, n.ns, &attr), -ENOENT);
		CHECK(!is_listed(other.store, n.ns));
		CHECK_EQ_INT(append_refused(n.a, "x"), -ENOENT);
		CHECK_EQ_INT(append_refused(other.a, "x"), -ENOENT);
		CHECK_EQ_INT(store_ns_create(other.store, n.ns, &(struct ns_attr){ .mode = 0700 }), 0);
		CHECK_EQ_INT(store_ns_create(n.store, n.ns, &attr), -EEXIST);
		CHECK(is_listed(n.store, n.ns));
		CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &again), 0);
		CHECK_EQ_UINT(again.attr.mode, 0700);
		CHECK(again.created_us > info.created_us && again.epoch != info.epoch && again.last_seq > info.last_seq);
		CHECK(again.changed_us >= again.created_us);
		CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), 0);
		CHECK_EQ_INT(store_ns_create(n.store, n.ns, &attr), 0);
		/* It has been away all the time. */
		CHECK_EQ_UINT(append(other.a, KNOWN).version, 1);
		CHECK_EQ_UINT(append(n.a, "x").version, 2);
		check_content(n.a, versions, 2);
		check_content(other.a, versions, 2);
		CHECK_EQ_INT(actor_erase(n.a), 0);
	}
	node_close(&other);
	node_close(&n);
}

struct maker {
	struct store *store;
	const char *ns;
	pthread_t thread;
	int err;
};

static void *
make_ns(void *arg)
{
	struct maker *m = arg;

	m->err = store_ns_create(m->store, m->ns, &attr);
	return NULL;
}

TEST(of_two_who_make_it_again_one_succeeds)
{
	struct node n, other;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (int i = 0; i < 30; i++) {
		struct maker makers[2] = { { .store = n.store, .ns = n.ns }, { .store = other.store, .ns = n.ns } };
		CHECK_EQ_INT(append(n.a, "x").err, 0);
		CHECK_EQ_INT(store_ns_remove(n.store, n.ns, true), 0);
		for (int t = 0; t < 2; t++)
			REQUIRE(pthread_create(&makers[t].thread, NULL, make_ns, &makers[t]) == 0);
		for (int t = 0; t < 2; t++)
			pthread_join(makers[t].thread, NULL);
		CHECK_EQ_INT(makers[0].err + makers[1].err, -EEXIST);
		CHECK((makers[0].err == 0) != (makers[1].err == 0));
	}
	node_close(&other);
	node_close(&n);
}

TEST(a_full_namespace)
{
	struct node n, other;
	struct actor *a;
	struct ns_info info;
	char name[32];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		REQUIRE(actor_get(n.store, n.ns, name, &a) == 0);
		CHECK_EQ_INT(append(a, i % 2 ? "x" : "").err, 0);
		actor_put(a);
	}
	CHECK_EQ_INT(store_ns_remove(other.store, n.ns, false), -ENOTEMPTY);
	CHECK_EQ_INT(store_ns_remove(other.store, n.ns, true), 0);
	CHECK_EQ_INT(store_ns_remove(other.store, n.ns, true), -ENOENT);
	CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &info), -ENOENT);
	CHECK_EQ_INT(store_ns_create(n.store, n.ns, &attr), 0);
	CHECK_EQ_INT(store_head(n.store, n.ns, "x1", 0, false, &(struct head){ 0 }), -ENOENT);
	CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), 0);
	node_close(&other);
	node_close(&n);
}

/* What a crash left before a tombstone goes with the namespace. */
TEST(a_namespace_takes_the_rest_along)
{
	struct node n;
	bool erased;

	REQUIRE(node_open(&n));
	for (int i = 0; i < 5; i++)
		CHECK_EQ_INT(append(n.a, "x").err, 0);
	leave_behind(&n);
	CHECK_EQ_UINT(records_of(&n, "a", &erased), 6);
	CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), 0);
	CHECK_EQ_INT(store_ns_create(n.store, n.ns, &attr), 0);
	CHECK_EQ_UINT(records_of(&n, "a", &erased), 1);
	node_close(&n);
}

static void
race(bool whole, unsigned writers, unsigned appends)
{
	struct node nodes[2], third;

	REQUIRE(node_open(&nodes[0]) && node_join(&nodes[1], &nodes[0]) && node_join(&third, &nodes[0]));
	erase_race(nodes, (struct relay *[2]){ NULL }, third.backend, whole, writers, appends * contract_subject()->scale / 100);
	node_close(&third);
}

TEST(erases_and_appenders)
{
	race(false, 4, 300);
}

TEST(removals_and_an_appender)
{
	race(true, 1, 300);
}

const struct check_test contract_erase_tests[] = { T(an_erased_actor_is_gone), T(an_actor_made_anew_begins_with_1),
	T(an_empty_actor_made_anew), T(what_was_open_is_stale), T(a_writer_means_one_life), T(ids_end_with_their_life),
	T(what_a_crash_left_behind_does_not_show), T(much_is_erased_and_nothing_else), T(searches_in_a_later_life),
	T(a_broken_actor_can_be_erased), T(the_index_of_another_node), T(an_index_made_afterwards),
	T(a_namespace_of_tombstones_is_empty), T(of_two_who_make_it_again_one_succeeds), T(a_full_namespace), T(a_namespace_takes_the_rest_along), T(erases_and_appenders),
	T(removals_and_an_appender) };
const size_t contract_erase_count = MANY(contract_erase_tests);
