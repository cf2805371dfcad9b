/* What the kernel is told and made to forget, with a kernel of the test's own. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "fs/notify.h"
#include "store/memory.h"

#define ACTORS 3

static struct store *store;
static struct node_table *nodes;
static struct notify *notify;
static struct node *ns, *actors[ACTORS];
static struct index *orders;
static int64_t now_ns;

/* What the kernel was made to forget. */
static struct {
	int err; /* what it answers */
	unsigned attributes;
	unsigned listings;
	uint64_t last;
} kernel;

static int
forget(void *arg, uint64_t nodeid, bool listing)
{
	(void)arg;
	if (kernel.err != 0)
		return kernel.err;
	kernel.last = nodeid;
	if (listing)
		kernel.listings++;
	else
		kernel.attributes++;
	return 0;
}

static int64_t
test_mono(const struct clock *c)
{
	(void)c;
	return now_ns;
}

static void
created(struct append *ap, int err)
{
	(void)ap;
	CHECK_EQ_INT(err, 0);
}

static void
create(const char *name, struct node **out)
{
	struct append marker = { .data = "", .done = created };
	struct actor *a;

	REQUIRE(node_get(nodes, ns, NODE_ACTOR, NULL, name, out) == 0);
	REQUIRE(node_actor(nodes, *out, &a) == 0);
	actor_append(a, &marker);
}

static void
load(void)
{
	struct index_entry e;
	uint64_t position = 0;

	REQUIRE(index_get(store, "orders", &orders) == 0);
	while (index_next(orders, &position, &e) == 1)
		;
	REQUIRE(index_is_live(orders));
}

static void
begin_with(const struct notify_kernel *k)
{
	static const char *const names[ACTORS] = { "a", "b", "c" };
	static const struct clock test_clock = { .mono_ns = test_mono };
	struct store_options options = { .timeout_ns = 10 * NS_PER_SEC, .cache_bytes = 1 << 20 };
	struct ns_attr attr = { .mode = 0755 };
	struct backend *backend;

	memset(&kernel, 0, sizeof(kernel));
	now_ns = NS_PER_SEC;
	REQUIRE(memory_new(&backend, clock_system()) == 0);
	REQUIRE(store_new(&store, backend, clock_system(), NULL, &options) == 0);
	REQUIRE(node_table_new(&nodes, store) == 0);
	REQUIRE(notify_new(&notify, store, nodes, &test_clock, k) == 0);
	REQUIRE(store_ns_create(store, "orders", &attr) == 0);
	REQUIRE(node_get(nodes, node_root(nodes), NODE_NAMESPACE, NULL, "orders", &ns) == 0);
	for (size_t i = 0; i < ACTORS; i++)
		create(names[i], &actors[i]);
	load();
}

static void
begin(void)
{
	static const struct notify_kernel k = { .forget = forget };

	begin_with(&k);
}

static void
end(void)
{
	index_put(orders);
	notify_free(notify);
	node_table_free(nodes);
	store_free(store);
}

static void
tell(struct node *n, uint64_t seq)
{
	struct head head = { .seq = seq };

	CHECK(notify_tell(notify, n, orders));
	notify_told(n, &head);
}

static void
change(const char *name, uint64_t seq, bool is_new)
{
	struct head head = { .seq = seq };

	notify_changed(notify, "orders", name, &head, is_new);
}

static void
settle(void)
{
	while (notify_run(notify) <= now_ns)
		;
}

TEST(a_change_is_told_once)
{
	begin();
	tell(actors[0], 10);
	tell(actors[1], 11);
	change("b", 12, false);
	change("b", 13, false);
	change("b", 14, false);
	settle();
	CHECK_EQ_UINT(kernel.attributes, 1);
	CHECK_EQ_UINT(kernel.last, node_id(nodes, actors[1]));
	change("b", 15, false);
	settle();
	CHECK_EQ_UINT(kernel.attributes, 1);
	tell(actors[1], 15);
	change("b", 16, false);
	settle();
	CHECK_EQ_UINT(kernel.attributes, 2);
	end();
}

TEST(what_the_kernel_does_not_believe_needs_no_telling)
{
	begin();
	change("a", 12, false);
	change("no-such", 13, true);
	notify_changed(notify, "no-such", "a", NULL, false);
	tell(actors[0], 14);
	change("a", 14, false);
	settle();
	CHECK_EQ_UINT(kernel.attributes, 0);
	CHECK_EQ_UINT(kernel.listings, 0);
	end();
}

TEST(a_change_while_the_kernel_is_being_told)
{
	struct head before = { .seq = 10 };

	begin();
	CHECK(notify_tell(notify, actors[0], orders));
	change("a", 11, false);
	settle();
	CHECK_EQ_UINT(kernel.attributes, 1);
	/* That it was told of the old one is not forgotten. */
	notify_told(actors[0], &before);
	change("a", 12, false);
	settle();
	CHECK_EQ_UINT(kernel.attributes, 2);
	end();
}

TEST(a_reply_that_is_still_on_its_way)
{
	begin();
	tell(actors[0], 10);
	kernel.err = -ENOENT;
	change("a", 11, false);
	settle();
	kernel.err = 0;
	settle();
	CHECK_EQ_UINT(kernel.attributes, 0);
	now_ns += NS_PER_SEC;
	settle();
	CHECK_EQ_UINT(kernel.attributes, 1);
	now_ns += NS_PER_SEC;
	settle();
	CHECK_EQ_UINT(kernel.attributes, 1);
	end();
}

TEST(a_node_that_the_kernel_never_knows_is_given_up)
{
	begin();
	tell(actors[0], 10);
	kernel.err = -ENOENT;
	change("a", 11, false);
	for (int i = 0; i < 200; i++) {
		now_ns += NS_PER_SEC;
		settle();
	}
	kernel.err = 0;
	now_ns += NS_PER_SEC;
	settle();
	CHECK_EQ_UINT(kernel.attributes, 0);
	end();
}

TEST(an_open_has_it_forgotten_at_once)
{
	struct head old = { .seq = 10 }, fresh = { .seq = 11 };

	begin();
	notify_opened(notify, actors[0], &fresh);
	CHECK_EQ_UINT(kernel.attributes, 0);
	tell(actors[0], 10);
	notify_opened(notify, actors[0], &old);
	CHECK_EQ_UINT(kernel.attributes, 0);
	notify_opened(notify, actors[0], &fresh);
	CHECK_EQ_UINT(kernel.attributes, 1);
	/* Another may be about to do it: it must not rely on that. */
	notify_opened(notify, actors[0], &fresh);
	CHECK_EQ_UINT(kernel.attributes, 2);
	tell(actors[0], 11);
	notify_opened(notify, actors[0], &fresh);
	CHECK_EQ_UINT(kernel.attributes, 2);
	end();
}

TEST(another_mode_or_owner_concerns_all_actors)
{
	struct ns_attr attr = { .mode = 0755 };

	begin();
	tell(actors[0], 10);
	tell(actors[2], 11);
	CHECK(!notify_owner(notify, ns, &attr));
	CHECK(!notify_owner(notify, ns, &attr));
	attr.mode = 0700;
	CHECK(notify_owner(notify, ns, &attr));
	settle();
	CHECK_EQ_UINT(kernel.attributes, 2);
	tell(actors[1], 12);
	notify_namespace(notify, ns);
	CHECK_EQ_UINT(kernel.attributes, 3);
	end();
}

TEST(a_watch_that_was_lost_concerns_everything)
{
	begin();
	CHECK(!notify_list(notify, ns, orders));
	for (size_t i = 0; i < ACTORS; i++)
		tell(actors[i], 10 + i);
	notify_changed(notify, "orders", NULL, NULL, false);
	settle();
	CHECK_EQ_UINT(kernel.attributes, ACTORS);
	CHECK_EQ_UINT(kernel.listings, 1);
	end();
}

TEST(a_listing_is_kept_until_a_name_comes_or_goes)
{
	struct node *d;

	begin();
	CHECK(!notify_list(notify, ns, orders));
	CHECK(!notify_list(notify, ns, orders));
	notify_listed(notify, ns, orders, ACTORS);
	CHECK(notify_list(notify, ns, orders));
	change("a", 20, false);
	CHECK(notify_list(notify, ns, orders));
	/* Made by this node: the index has it before the watch brings it. */
	create("d", &d);
	CHECK(!notify_list(notify, ns, orders));
	notify_listed(notify, ns, orders, ACTORS + 1);
	CHECK(notify_list(notify, ns, orders));
	notify_changed(notify, "orders", "d", NULL, false);
	settle();
	CHECK_EQ_UINT(kernel.listings, 1);
	CHECK_EQ_UINT(kernel.last, node_id(nodes, ns));
	CHECK(!notify_list(notify, ns, orders));
	end();
}

TEST(what_is_not_believed_any_more_is_let_go)
{
	begin();
	tell(actors[0], 10);
	CHECK(!notify_list(notify, ns, orders));
	notify_listed(notify, ns, orders, ACTORS);
	CHECK(notify_list(notify, ns, orders));
	CHECK(notify_run(notify) < INT64_MAX);
	now_ns += (int64_t)NOTIFY_VALID_S * NS_PER_SEC;
	CHECK(notify_run(notify) == INT64_MAX);
	CHECK(!notify_list(notify, ns, orders));
	end();
}

/* Who walks through many namespaces leaves few behind, and none that the kernel believes anything of. */
TEST(only_so_many_namespaces_are_held)
{
	struct ns_attr attr = { .mode = 0755 };
	struct index_entry e;
	struct index *x;
	struct node *n;
	char name[16];

	begin();
	tell(actors[0], 10);
	CHECK(!notify_list(notify, ns, orders));
	for (int i = 0; i < 64; i++) {
		uint64_t position = 0;
		now_ns++;
		snprintf(name, sizeof(name), "n%d", i);
		REQUIRE(store_ns_create(store, name, &attr) == 0);
		REQUIRE(node_get(nodes, node_root(nodes), NODE_NAMESPACE, NULL, name, &n) == 0);
		REQUIRE(index_get(store, name, &x) == 0);
		while (index_next(x, &position, &e) == 1)
			;
		settle();
		CHECK_EQ_UINT(kernel.attributes + kernel.listings, 0);
		CHECK(!notify_list(notify, n, x));
		index_put(x);
	}
	settle();
	CHECK_EQ_UINT(kernel.attributes, 1);
	CHECK_EQ_UINT(kernel.listings, 1);
	CHECK_EQ_UINT(kernel.last, node_id(nodes, ns));
	end();
}

TEST(an_index_that_is_gone_allows_nothing)
{
	begin();
	tell(actors[0], 10);
	index_gone(store, "orders");
	CHECK(!notify_tell(notify, actors[0], orders));
	CHECK(!notify_list(notify, ns, orders));
	end();
}

/*
 * A model of the kernel: it throws away attributes whose request is older than the last forgetting, and does not know a
 * node before its first reply. In the end it must not believe anything that is not true.
 */
static struct {
	pthread_mutex_t lock;
	bool known;
	uint64_t version;
	uint64_t believed; /* 0: nothing */
} model = { .lock = PTHREAD_MUTEX_INITIALIZER };
static _Atomic uint64_t truth;
static _Atomic bool over;

static int
model_forget(void *arg, uint64_t nodeid, bool listing)
{
	(void)arg, (void)nodeid, (void)listing;
	pthread_mutex_lock(&model.lock);
	int err = model.known ? 0 : -ENOENT;
	model.version++;
	model.believed = 0;
	pthread_mutex_unlock(&model.lock);
	return err;
}

static void *
look(void *arg)
{
	(void)arg;
	while (!atomic_load(&over)) {
		pthread_mutex_lock(&model.lock);
		uint64_t version = model.version;
		pthread_mutex_unlock(&model.lock);
		bool lasting = notify_tell(notify, actors[0], orders);
		struct head head = { .seq = atomic_load(&truth) };
		notify_told(actors[0], &head);
		pthread_mutex_lock(&model.lock);
		if (version == model.version || !model.known)
			model.believed = lasting ? head.seq : 0;
		model.known = true;
		model.version++;
		pthread_mutex_unlock(&model.lock);
	}
	return NULL;
}

static void *
make_changes(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20000; i++)
		change("a", atomic_fetch_add(&truth, 1) + 1, false);
	atomic_store(&over, true);
	return NULL;
}

static bool
model_agrees(void)
{
	pthread_mutex_lock(&model.lock);
	bool agrees = model.believed == 0 || model.believed == atomic_load(&truth);
	pthread_mutex_unlock(&model.lock);
	return agrees;
}

TEST(in_the_end_the_kernel_believes_nothing_wrong)
{
	static const struct notify_kernel k = { .forget = model_forget };
	pthread_t threads[3];

	for (int round = 0; round < 5; round++) {
		begin_with(&k);
		model.known = false;
		model.believed = 0;
		atomic_store(&truth, 1);
		atomic_store(&over, false);
		pthread_create(&threads[0], NULL, look, NULL);
		pthread_create(&threads[1], NULL, look, NULL);
		pthread_create(&threads[2], NULL, make_changes, NULL);
		while (!atomic_load(&over))
			(void)notify_run(notify);
		for (size_t i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		now_ns += NS_PER_SEC;
		settle();
		CHECK(model_agrees());
		end();
	}
}

TEST(the_thread_begins_and_ends)
{
	begin();
	CHECK_EQ_INT(notify_start(notify), 0);
	tell(actors[0], 10);
	change("a", 11, false);
	notify_stop(notify);
	notify_stop(notify);
	end();
}

TESTS(T(a_change_is_told_once), T(what_the_kernel_does_not_believe_needs_no_telling),
    T(a_change_while_the_kernel_is_being_told), T(a_reply_that_is_still_on_its_way),
    T(a_node_that_the_kernel_never_knows_is_given_up), T(an_open_has_it_forgotten_at_once),
    T(another_mode_or_owner_concerns_all_actors), T(a_watch_that_was_lost_concerns_everything),
    T(a_listing_is_kept_until_a_name_comes_or_goes), T(what_is_not_believed_any_more_is_let_go),
    T(only_so_many_namespaces_are_held),
    T(an_index_that_is_gone_allows_nothing), T(in_the_end_the_kernel_believes_nothing_wrong),
    T(the_thread_begins_and_ends))
