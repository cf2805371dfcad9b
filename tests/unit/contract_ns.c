/* Namespaces, the lists of them and of actors, names, limits. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../store/index.h"
#include "contract_node.h"

static const struct ns_attr attr = { .mode = 01777, .uid = 1, .gid = 2 };

struct seen {
	const char *name;
	unsigned times;
	unsigned all;
};

static int
on_name(void *arg, const char *name)
{
	struct seen *seen = arg;

	seen->times += seen->name != NULL && strcmp(name, seen->name) == 0;
	seen->all++;
	return 0;
}

static int
list_actors(struct store *s, const char *ns, int (*fn)(void *, const char *), void *arg)
{
	struct index_entry e;
	struct index *x;
	uint64_t position = 0;
	int more;

	int err = index_get(s, ns, &x);
	if (err != 0)
		return err;
	while ((more = index_next(x, &position, &e)) > 0)
		fn(arg, e.name);
	index_put(x);
	return more;
}

static unsigned
times_listed(struct store *s, const char *ns)
{
	struct seen seen = { .name = ns };

	CHECK_EQ_INT(store_ns_list(s, on_name, &seen), 0);
	return seen.times;
}

TEST(a_namespace_lives)
{
	struct node n, other;
	struct ns_info info;
	char name[96];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	snprintf(name, sizeof(name), "%s-x", n.ns);
	CHECK_EQ_INT(store_ns_info(n.store, name, 0, false, &info), -ENOENT);
	CHECK_EQ_INT(store_ns_remove(n.store, name, false), -ENOENT);
	CHECK_EQ_INT(store_ns_set(n.store, name, &attr), -ENOENT);
	CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
	CHECK_EQ_INT(store_ns_create(n.store, name, &attr), -EEXIST);
	CHECK_EQ_INT(store_ns_create(other.store, name, &attr), -EEXIST);
	CHECK_EQ_UINT(times_listed(other.store, name), 1);
	CHECK_EQ_INT(store_ns_info(other.store, name, 0, false, &info), 0);
	CHECK_EQ_UINT(info.attr.mode, 01777);
	CHECK_EQ_UINT(info.attr.uid, 1);
	CHECK_EQ_UINT(info.attr.gid, 2);
	CHECK_EQ_UINT(info.actors, 0);
	CHECK(info.created_us > 0 && info.changed_us >= info.created_us);
	CHECK_EQ_INT(
	    store_ns_set(other.store, name, &(struct ns_attr){ .mode = 0700, .uid = 4000000000, .gid = 3 }), 0);
	CHECK_EQ_INT(store_ns_info(n.store, name, 0, false, &info), 0);
	CHECK_EQ_UINT(info.attr.mode, 0700);
	CHECK_EQ_UINT(info.attr.uid, 4000000000);
	CHECK_EQ_INT(store_ns_remove(other.store, name, false), 0);
	CHECK_EQ_INT(store_ns_info(n.store, name, 0, false, &info), -ENOENT);
	CHECK_EQ_INT(store_ns_remove(n.store, name, false), -ENOENT);
	CHECK_EQ_UINT(times_listed(n.store, name), 0);
	CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
	node_close(&other);
	node_close(&n);
}

TEST(a_namespace_with_actors_stays)
{
	struct node n, other;
	struct ns_info before, after;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &before), 0);
	CHECK_EQ_INT(append(n.a, "").err, 0);
	CHECK_EQ_INT(store_ns_remove(other.store, n.ns, false), -ENOTEMPTY);
	CHECK_EQ_INT(append(n.a, "x").err, 0);
	CHECK_EQ_INT(store_ns_remove(n.store, n.ns, false), -ENOTEMPTY);
	CHECK_EQ_INT(store_ns_info(other.store, n.ns, 0, false, &after), 0);
	CHECK_EQ_UINT(after.actors, 1);
	CHECK(after.changed_us > before.changed_us);
	CHECK_EQ_UINT(append(other.a, "y").version, 2);
	node_close(&other);
	node_close(&n);
}

/* What was known of an actor ends with its namespace. */
TEST(a_namespace_made_anew_is_empty)
{
	struct node n;
	struct head head;
	struct actor *a;
	char name[96];

	REQUIRE(node_open(&n));
	snprintf(name, sizeof(name), "%s-again", n.ns);
	REQUIRE(actor_get(n.store, name, "a", &a) == 0);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ_INT(append(a, "x").err, -ENOENT);
		CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
		CHECK_EQ_INT(actor_head(a, 0, false, &head), -ENOENT);
		CHECK_EQ_INT(store_ns_remove(n.store, name, false), 0);
	}
	CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
	CHECK_EQ_UINT(append(a, "x").version, 1);
	actor_put(a);
	node_close(&n);
}

/* Names that neither a stream nor a subject can hold as they are. */
static const char *const odd[] = { "a.b", "*", ">", " ", "a b", "%", "%25", "50%", "\xc3\xbc", "$JS", "-", "~", "_",
	"a*.>b", "\xe6\x97\xa5\xe6\x9c\xac", "\"quoted\"", "back\\slash", "{}", "x\xc2\x85y" };

static void
check_actor_name(struct node *n, const char *name)
{
	struct actor *a;
	struct buf got = { 0 };
	struct seen seen = { .name = name };

	REQUIRE(actor_get(n->store, n->ns, name, &a) == 0);
	CHECK_EQ_UINT(append(a, "{\"eventType\":\"T\",\"id\":\"i\"}").version, 1);
	CHECK_EQ_UINT(append(a, "{\"eventType\":\"T\",\"id\":\"i\"}").version, 1);
	CHECK_EQ_INT(read_all(a, 0, &got), 0);
	CHECK_EQ_UINT(count_text(&got, "\n"), 1);
	CHECK_EQ_INT(list_actors(n->store, n->ns, on_name, &seen), 0);
	CHECK_EQ_UINT(seen.times, 1);
	buf_free(&got);
	actor_put(a);
}

TEST(actors_of_odd_names)
{
	struct node n;
	struct seen seen = { .name = NULL };
	char longest[256];

	REQUIRE(node_open(&n));
	for (size_t i = 0; i < MANY(odd); i++)
		check_actor_name(&n, odd[i]);
	memset(longest, '%', 255);
	longest[255] = '\0';
	check_actor_name(&n, longest);
	CHECK_EQ_INT(list_actors(n.store, n.ns, on_name, &seen), 0);
	CHECK_EQ_UINT(seen.all, MANY(odd) + 1);
	CHECK_EQ_INT(list_actors(n.store, "there-is-none", on_name, &seen), -ENOENT);
	node_close(&n);
}

static void
check_ns_name(struct node *n, const char *name)
{
	struct actor *a;
	struct ns_info info;

	CHECK_EQ_INT(store_ns_create(n->store, name, &attr), 0);
	CHECK_EQ_INT(store_ns_create(n->store, name, &attr), -EEXIST);
	CHECK_EQ_UINT(times_listed(n->store, name), 1);
	CHECK_EQ_INT(store_ns_info(n->store, name, 0, false, &info), 0);
	REQUIRE(actor_get(n->store, name, "a", &a) == 0);
	CHECK_EQ_UINT(append(a, "x").version, 1);
	CHECK_EQ_INT(store_ns_remove(n->store, name, false), -ENOTEMPTY);
	actor_put(a);
}

TEST(namespaces_of_odd_names)
{
	struct node n;
	char longest[129];

	REQUIRE(node_open(&n));
	for (size_t i = 0; i < MANY(odd); i++)
		check_ns_name(&n, odd[i]);
	memset(longest, 'x', 128);
	longest[128] = '\0';
	check_ns_name(&n, longest);
	/* Encoded, these two have more bytes than a stream's name may; they differ in their last only. */
	memset(longest, '%', 128);
	check_ns_name(&n, longest);
	longest[127] = '*';
	check_ns_name(&n, longest);
	CHECK_EQ_UINT(times_listed(n.store, longest), 1);
	node_close(&n);
}

TEST(a_list_may_be_cut_short)
{
	struct node n;
	struct actor *b;
	struct seen seen = { .name = NULL };

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(list_actors(n.store, n.ns, on_name, &seen), 0);
	CHECK_EQ_UINT(seen.all, 0);
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	CHECK_EQ_INT(append(n.a, "").err, 0);
	CHECK_EQ_INT(append(b, "x\ny").err, 0);
	CHECK_EQ_INT(append(b, "z").err, 0);
	CHECK_EQ_INT(list_actors(n.store, n.ns, on_name, &seen), 0);
	CHECK_EQ_UINT(seen.all, 2);
	actor_put(b);
	node_close(&n);
}

TEST(limits_and_status)
{
	struct node n;
	struct backend_limits limits;
	struct backend_status status;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(store_limits(n.store, &limits), 0);
	CHECK(limits.payload_max > 1000);
	CHECK(limits.max_bytes >= limits.used_bytes);
	store_status(n.store, &status);
	CHECK(status.connected);
	CHECK_EQ_UINT(status.payload_max, limits.payload_max);
	CHECK(store_backend_name(n.store) != NULL);
	node_close(&n);
}

struct maker {
	struct store *store;
	const char *name;
	int err;
};

static void *
make_ns(void *arg)
{
	struct maker *m = arg;

	m->err = store_ns_create(m->store, m->name, &attr);
	return NULL;
}

TEST(of_two_makers_one_succeeds)
{
	struct node n, other;
	char name[96];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "%s-race-%d", n.ns, i);
		struct maker makers[2] = { { n.store, name, 0 }, { other.store, name, 0 } };
		pthread_t threads[2];
		for (int t = 0; t < 2; t++)
			REQUIRE(pthread_create(&threads[t], NULL, make_ns, &makers[t]) == 0);
		for (int t = 0; t < 2; t++)
			pthread_join(threads[t], NULL);
		CHECK((makers[0].err == 0) != (makers[1].err == 0));
		CHECK_EQ_INT(makers[0].err + makers[1].err, -EEXIST);
	}
	node_close(&other);
	node_close(&n);
}

const struct check_test contract_ns_tests[] = { T(a_namespace_lives), T(a_namespace_with_actors_stays),
	T(a_namespace_made_anew_is_empty), T(actors_of_odd_names), T(namespaces_of_odd_names),
	T(a_list_may_be_cut_short), T(limits_and_status), T(of_two_makers_one_succeeds) };
const size_t contract_ns_count = MANY(contract_ns_tests);
