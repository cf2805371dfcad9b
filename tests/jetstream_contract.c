/*
 * The store's contract on a real nats-server, and what only such a one can show.
 *
 *	jetstream_contract URL [TEST...]
 *
 * The prefix is drawn for each run, so that runs on one server do not meet.
 */
#include <errno.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store/jetstream.h"
#include "faults/faulty.h"
#include "unit/contract.h"
#include "unit/contract_node.h"
#include "unit/follow_server.h"
#include "unit/storm.h"

#define MS NS_PER_MS

static const char *url;
static char prefix[32];
static natsConnection *plain; /* a client that knows nothing of Aether */

static int
open_node(struct backend **out)
{
	struct jetstream_options options = { .urls = url, .prefix = prefix, .client_name = "contract", .replicas = 1 };
	struct buf why = { 0 };

	options.connect_timeout_ns = 5 * NS_PER_SEC;
	int err = jetstream_new(out, &options, clock_system(), NULL, &why);
	if (err != 0)
		printf("# %s\n", buf_text(&why));
	buf_free(&why);
	return err;
}

/* Send a request to the server; 0 if it said yes. */
static int
ask(const char *subject, const char *data)
{
	natsMsg *reply = NULL;
	int err = -EIO;

	if (natsConnection_RequestString(&reply, plain, subject, data, 5000) == NATS_OK)
		err = strstr(natsMsg_GetData(reply), "\"error\"") == NULL ? 0 : -EIO;
	natsMsg_Destroy(reply);
	return err;
}

static int
delete_message(const char *ns, uint64_t seq)
{
	char subject[256], data[64];

	if (seq == 0)
		return 0;
	snprintf(subject, sizeof(subject), "$JS.API.STREAM.MSG.DELETE.%s-%s", prefix, ns);
	snprintf(data, sizeof(data), "{\"seq\":%ju}", (uintmax_t)seq);
	return ask(subject, data);
}

/* What a stranger publishes on an actor's subject is never shown and never followed; once it is deleted all is well
 * again. */
TEST(a_foreign_message)
{
	struct node n, other;
	struct buf good = { 0 }, got = { 0 };
	struct actor *b;
	struct head head;
	char subject[256];

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	CHECK_EQ_INT(append(n.a, "one").err, 0);
	CHECK_EQ_INT(append(n.a, "two").err, 0);
	check_chain(n.backend, n.ns, "a", &good, &head);
	snprintf(subject, sizeof(subject), "%s.ev.%s.a", prefix, n.ns);
	CHECK_EQ_INT(ask(subject, "hello"), 0);
	struct node *both[] = { &n, &other };
	for (int i = 0; i < 2; i++) {
		CHECK_EQ_INT(append(both[i]->a, "more").err, -EIO);
		CHECK_EQ_INT(read_all(both[i]->a, 0, &got), -EIO);
		CHECK_EQ_MEM(got.p, got.len, good.p, good.len);
	}
	CHECK_EQ_INT(append(b, "another actor's").err, 0);
	CHECK_EQ_INT(delete_message(n.ns, head.seq + 1), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ_INT(read_all(both[i]->a, 0, &got), 0);
		CHECK_EQ_MEM(got.p, got.len, good.p, good.len);
		struct outcome o = append(both[i]->a, "more");
		/* A server may have forgotten by then that there is a last message (store/js_last.h). */
		CHECK(o.err == 0 || o.err == -ENOSPC);
		CHECK_EQ_UINT(o.version, o.err == 0 ? (uintmax_t)(3 + i) : 0);
		buf_clear(&good);
		check_chain(n.backend, n.ns, "a", &good, &head);
	}
	actor_put(b);
	buf_free(&good);
	buf_free(&got);
	node_close(&other);
	node_close(&n);
}

/* The server is asked for a batch, and what it answers tells whether it knows of them. */
TEST(few_records_by_one_question)
{
	struct node n, cold;
	struct buf good = { 0 }, got = { 0 };
	natsMsg *reply = NULL;
	struct head head;

	REQUIRE(node_open(&n) && node_join(&cold, &n));
	REQUIRE(natsConnection_RequestString(&reply, plain, "$JS.API.INFO", "", 5000) == NATS_OK);
	/* Since 2.11 servers state the level of their interface. */
	bool knows = strstr(natsMsg_GetData(reply), "\"level\":") != NULL;
	natsMsg_Destroy(reply);
	for (int i = 0; i < 5; i++)
		CHECK_EQ_INT(append(n.a, "an event").err, 0);
	check_chain(n.backend, n.ns, "a", &good, &head);
	CHECK(atomic_load(&cold.backend->few_at_once));
	CHECK_EQ_INT(read_all(cold.a, 0, &got), 0);
	CHECK_EQ_MEM(got.p, got.len, good.p, good.len);
	CHECK_EQ_INT(atomic_load(&cold.backend->few_at_once), knows);
	buf_free(&good);
	buf_free(&got);
	node_close(&cold);
	node_close(&n);
}

/* So many messages that a consumer of that name, of all subjects of the namespace, gets of actor b. */
static unsigned
consumed_of_b(const char *ns, const char *consumer, unsigned messages)
{
	natsSubscription *sub = NULL;
	char subject[256], request[64], b[256];
	unsigned count = 0;
	natsMsg *msg = NULL;

	snprintf(b, sizeof(b), "%s.ev.%s.b", prefix, ns);
	snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s-%s.%s", prefix, ns, consumer);
	snprintf(request, sizeof(request), "{\"batch\":%u,\"no_wait\":true}", messages);
	CHECK(natsConnection_SubscribeSync(&sub, plain, "contract.inbox") == NATS_OK);
	CHECK(natsConnection_PublishRequestString(plain, subject, "contract.inbox", request) == NATS_OK);
	/* In the end it says that there is no more. */
	while (natsSubscription_NextMsg(&msg, sub, 5000) == NATS_OK && strncmp(natsMsg_GetSubject(msg), prefix, strlen(prefix)) == 0) {
		count += strcmp(natsMsg_GetSubject(msg), b) == 0;
		natsMsg_Destroy(msg);
		msg = NULL;
	}
	natsMsg_Destroy(msg);
	natsSubscription_Destroy(sub);
	return count;
}

/* Who reads a whole namespace and is not at its end yet still gets all that is stored of the others (store/js_erase.h). */
TEST(an_erase_hides_nothing_from_others)
{
	enum { EACH = 50 };
	struct node n;
	struct actor *b;
	char subject[256], config[512];

	REQUIRE(node_open(&n));
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	for (int i = 0; i < EACH; i++) {
		CHECK_EQ_INT(append(n.a, "x").err, 0);
		CHECK_EQ_INT(append(b, "x").err, 0);
	}
	snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.DURABLE.CREATE.%s-%s.slow", prefix, n.ns);
	snprintf(config, sizeof(config),
	    "{\"stream_name\":\"%s-%s\",\"config\":{\"durable_name\":\"slow\",\"deliver_policy\":\"all\",\"ack_policy\":\"none\","
	    "\"filter_subject\":\"%s.ev.%s.*\"}}",
	    prefix, n.ns, prefix, n.ns);
	CHECK_EQ_INT(ask(subject, config), 0);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	CHECK_EQ_UINT(consumed_of_b(n.ns, "slow", 3 * EACH), EACH);
	actor_put(b);
	node_close(&n);
}

enum { REMOVERS_MAX = 1, ROUND_REMOVALS = 2 };

/* Namespaces that come and go while others append to them. */
struct race {
	struct node *node;
	const char *ns;
	atomic_bool *stop;
	unsigned removed;
	unsigned refused;
	uint64_t stored;
};

static const struct ns_attr attr = { .mode = 0755 };

/* Append until it is acknowledged. From then on the namespace must not go away any more. */
static void *
append_once(void *arg)
{
	struct race *r = arg;
	struct actor *a;
	struct outcome o = { .err = -ENOENT };

	if (actor_get(r->node->store, r->ns, "a", &a) != 0)
		return NULL;
	while (o.err != 0) {
		o = append(a, "an event\n");
		CHECK(o.err == 0 || o.err == -ENOENT || o.err == -ETIMEDOUT);
		r->refused += o.err != 0;
	}
	r->stored = o.version;
	atomic_store(r->stop, true);
	actor_put(a);
	return NULL;
}

static void *
remove_and_make(void *arg)
{
	struct race *r = arg;
	int err = 0;

	/* Not for ever: an append waits a little before it tries again, and could always find the namespace gone. */
	for (unsigned i = 0; i < ROUND_REMOVALS && err != -ENOTEMPTY && !atomic_load(r->stop); i++) {
		err = store_ns_remove(r->node->store, r->ns, false);
		r->removed += err == 0;
		if (err != 0 && err != -ENOENT)
			CHECK_EQ_INT(err, -ENOTEMPTY);
		int made = store_ns_create(r->node->store, r->ns, &attr);
		if (made != 0)
			CHECK_EQ_INT(made, -EEXIST);
	}
	return NULL;
}

static void
race_once(struct node *nodes, unsigned removers, unsigned round, unsigned *removed, unsigned *refused)
{
	struct race races[1 + REMOVERS_MAX] = { { .node = NULL } };
	pthread_t threads[1 + REMOVERS_MAX];
	atomic_bool stop = false;
	struct head end;
	char ns[96];

	snprintf(ns, sizeof(ns), "%s-%u", nodes[0].ns, round);
	CHECK_EQ_INT(store_ns_create(nodes[0].store, ns, &attr), 0);
	for (unsigned i = 0; i <= removers; i++)
		races[i] = (struct race){ .node = &nodes[i], .ns = ns, .stop = &stop };
	/* The removers first: else the append would always have come before them. */
	for (unsigned i = removers + 1; i-- > 0;)
		REQUIRE(pthread_create(&threads[i], NULL, i == 0 ? append_once : remove_and_make, &races[i]) == 0);
	for (unsigned i = 0; i <= removers; i++) {
		pthread_join(threads[i], NULL);
		*removed += races[i].removed;
		*refused += races[i].refused;
	}
	check_chain(nodes[0].backend, ns, "a", NULL, &end);
	CHECK(end.version >= races[0].stored && end.version > 0);
}

static void
race_removers(unsigned removers, unsigned rounds)
{
	struct node nodes[1 + REMOVERS_MAX];
	unsigned removed = 0, refused = 0;

	REQUIRE(node_open(&nodes[0]));
	for (unsigned i = 1; i <= removers; i++)
		REQUIRE(node_join(&nodes[i], &nodes[0]));
	for (unsigned round = 0; round < rounds; round++)
		race_once(nodes, removers, round, &removed, &refused);
	printf("# %u rounds: %u removals, %u appends that found no namespace\n", rounds, removed, refused);
	for (unsigned i = 0; i <= removers; i++)
		node_close(&nodes[i]);
}

TEST(a_remover_and_an_append)
{
	race_removers(1, 200);
}

/* The server is real and the mishaps are added. */
static void
storm(struct storm s, const struct faulty_options *faults)
{
	struct backend *inner;

	REQUIRE(open_node(&s.honest) == 0);
	for (unsigned i = 0; i < STORM_NODES; i++) {
		struct faulty_options options = *faults;
		options.seed = (uint64_t)getpid() * STORM_NODES + i;
		REQUIRE(open_node(&inner) == 0);
		REQUIRE(faulty_new(&s.nodes[i], inner, true, clock_system(), &options) == 0);
	}
	s.seed = (uint64_t)getpid();
	storm_run(&s);
	s.honest->ops->free(s.honest);
}

TEST(a_storm_without_mishaps)
{
	static const struct faulty_options none = { .per_mille = 0 };
	const struct storm s = { .timeout_ns = 5000 * MS, .threads = 4, .appends = 150, .actors = 4, .cancel = true };

	storm(s, &none);
}

TEST(a_storm_with_all_mishaps)
{
	static const struct faulty_options faults = { .per_mille = 200, .delay_max_ns = 3 * MS, .refusals = true };
	const struct storm s = { .timeout_ns = 200 * MS, .threads = 4, .appends = 100, .actors = 4, .cancel = true };

	storm(s, &faults);
}

/* Deadlines that end while requests are being sent. */
TEST(a_storm_short_of_time)
{
	static const struct faulty_options faults = { .per_mille = 100, .delay_max_ns = 2 * MS };
	const struct storm s = { .timeout_ns = 2 * MS, .threads = 4, .appends = 100, .actors = 4, .cancel = true };

	storm(s, &faults);
}

static const struct check_test own[] = { T(a_foreign_message), T(few_records_by_one_question),
	T(an_erase_hides_nothing_from_others), T(a_remover_and_an_append),
	T(a_storm_without_mishaps), T(a_storm_with_all_mishaps), T(a_storm_short_of_time) };

int
main(int argc, char **argv)
{
	const struct contract c = { open_node, delete_message, 5 * NS_PER_SEC, true, false, 100 };
	uint32_t random;

	if (argc < 2) {
		fprintf(stderr, "usage: %s URL [TEST...]\n", argv[0]);
		return 2;
	}
	url = argv[1];
	clock_system()->random(clock_system(), &random, sizeof(random));
	snprintf(prefix, sizeof(prefix), "t%08x", random);
	if (natsConnection_ConnectTo(&plain, url) != NATS_OK) {
		printf("Bail out! no connection to %s\n", url);
		return 1;
	}
	follow_server_init(plain, prefix);
	bool restarts = getenv("AETHER_RESTART") != NULL;
	size_t count = 0;
	struct check_test extra[32];
	for (size_t i = 0; i < MANY(own); i++)
		extra[count++] = own[i];
	for (size_t i = 0; i < follow_server_count; i++)
		extra[count++] = follow_server_tests[i];
	for (size_t i = 0; restarts && i < follow_restart_count; i++)
		extra[count++] = follow_restart_tests[i];
	int failed = contract_run(&c, extra, count, argc - 1, argv + 1);
	natsConnection_Destroy(plain);
	nats_Close();
	return failed;
}
