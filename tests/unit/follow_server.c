#include "follow_server.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../../store/names.h"
#include "follower.h"

enum { ACTORS = 4, DEADLINE_S = 60 };

static natsConnection *plain;
static const char *prefix;

void
follow_server_init(natsConnection *connection, const char *its_prefix)
{
	plain = connection;
	prefix = its_prefix;
}

/* Ask the server about the namespace's stream. The answer is the caller's, NULL after a failed check. */
static cJSON *
ask(const char *what, const struct node *n, const char *more)
{
	char subject[256];
	natsMsg *reply = NULL;

	snprintf(subject, sizeof(subject), "$JS.API.%s.%s-%s%s", what, prefix, n->ns, more);
	natsStatus s = natsConnection_RequestString(&reply, plain, subject, "", 5000);
	CHECK_EQ_INT(s, NATS_OK);
	cJSON *json = s == NATS_OK ? cJSON_ParseWithLength(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply)) : NULL;
	natsMsg_Destroy(reply);
	return json;
}

/* The names of the stream's consumers, each after a space. */
static void
consumers(const struct node *n, struct buf *out)
{
	cJSON *reply = ask("CONSUMER.NAMES", n, "");
	const cJSON *name;

	buf_clear(out);
	cJSON_ArrayForEach(name, cJSON_GetObjectItem(reply, "consumers")) buf_printf(out, " %s", name->valuestring);
	cJSON_Delete(reply);
}

static void
delete_consumers(const struct node *n)
{
	cJSON *reply = ask("CONSUMER.NAMES", n, "");
	const cJSON *name;

	cJSON_ArrayForEach(name, cJSON_GetObjectItem(reply, "consumers"))
	{
		char more[64];
		snprintf(more, sizeof(more), ".%s", name->valuestring);
		cJSON_Delete(ask("CONSUMER.DELETE", n, more));
	}
	cJSON_Delete(reply);
}

TEST(a_follow_whose_consumer_is_deleted)
{
	struct node n, other;
	struct follower f = { .hold_at = 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	for (unsigned i = 0; i < 6; i++) {
		append_rounds(&n, ACTORS, 2);
		if (i % 2 == 0)
			follower_waits_for(&f, (uint64_t)ACTORS * 3 * i + 2 * ACTORS);
		delete_consumers(&n);
		append_rounds(&n, ACTORS, 1);
	}
	follower_waits_for(&f, ACTORS * 18);
	follower_check(&f, &n, ACTORS);
	CHECK_EQ_UINT(follower_turns(&f), 0);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

TEST(a_follow_whose_stream_a_stranger_deletes)
{
	struct node n, other;
	struct follower f = { .hold_at = 0 };

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	append_rounds(&n, ACTORS, 2);
	follower_waits_for(&f, 2 * ACTORS);
	cJSON_Delete(ask("STREAM.DELETE", &n, ""));
	follower_waits_for_gone(&f, 1);
	CHECK_EQ_UINT(follower_turns(&f), 1);
	follower_stop(&f);
	node_close(&other);
	node_close(&n);
}

/* How many requests the only consumer of the stream has. */
static uint64_t
requests_waiting(const struct node *n)
{
	cJSON *list = ask("CONSUMER.LIST", n, "");
	const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(list, "consumers"), 0);
	const cJSON *waiting = cJSON_GetObjectItem(first, "num_waiting");
	uint64_t count = cJSON_IsNumber(waiting) ? (uint64_t)waiting->valuedouble : 0;

	cJSON_Delete(list);
	return count;
}

/* For longer than a follow is silent when it is lost: it lives by heartbeats, with the consumer that it has, of which one thing is asked. */
TEST(an_idle_follow_keeps_its_consumer)
{
	struct node n;
	struct follower f = { .hold_at = 0 };
	struct buf first = { 0 }, now = { 0 };
	int64_t until_ns = clock_mono(clock_system()) + 7 * NS_PER_SEC;

	REQUIRE(node_open(&n));
	REQUIRE(follower_start(&f, n.store, n.ns, 0, 0, true));
	append_rounds(&n, 1, 40);
	follower_waits_for(&f, 40);
	consumers(&n, &first);
	CHECK(first.len > 0);
	while (clock_mono(clock_system()) < until_ns) {
		consumers(&n, &now);
		if (!span_eq((struct span){ first.p, first.len }, (struct span){ now.p, now.len }))
			break;
		nats_Sleep(100);
	}
	CHECK_EQ_STR(buf_text(&now), buf_text(&first));
	CHECK_EQ_UINT(requests_waiting(&n), 1);
	append_rounds(&n, 1, 1);
	follower_waits_for(&f, 41);
	follower_check(&f, &n, 1);
	follower_stop(&f);
	buf_free(&first);
	buf_free(&now);
	node_close(&n);
}

/* Records near the largest size, more of them than one fetch takes. */
TEST(a_follow_of_large_records)
{
	enum { RECORDS = 12 };
	struct node n, other;
	struct follower f = { .hold_at = 0 };
	size_t size = 700000;
	char *lines = many_lines(size, 1000);
	struct actor *a;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	REQUIRE(actor_get(n.store, n.ns, "actor-0", &a) == 0);
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	for (unsigned i = 0; i < RECORDS; i++)
		CHECK_EQ_INT(append_bytes(a, lines, size).err, 0);
	struct ns_info info;
	CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &info), 0);
	follower_waits_for(&f, info.last_seq);
	follower_check(&f, &n, 1);
	follower_stop(&f);
	/* And all of them at once. */
	REQUIRE(follower_start(&f, other.store, n.ns, 0, info.epoch, true));
	follower_waits_for(&f, info.last_seq);
	follower_check(&f, &n, 1);
	follower_stop(&f);
	actor_put(a);
	free(lines);
	node_close(&other);
	node_close(&n);
}

const struct check_test follow_server_tests[] = { T(a_follow_whose_consumer_is_deleted), T(a_follow_whose_stream_a_stranger_deletes),
	T(an_idle_follow_keeps_its_consumer), T(a_follow_of_large_records) };
const size_t follow_server_count = MANY(follow_server_tests);

/* Restarts */

static void
restart_server(void)
{
	int64_t until_ns = clock_mono(clock_system()) + DEADLINE_S * NS_PER_SEC;
	char path[256];

	snprintf(path, sizeof(path), "%s.ask", getenv("AETHER_RESTART"));
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	close(fd);
	while (access(path, F_OK) == 0 && clock_mono(clock_system()) < until_ns)
		nats_Sleep(10);
	CHECK(access(path, F_OK) != 0);
}

static void
hear(void *arg, const char *ns, bool is_there, bool own)
{
	atomic_uint *heard = arg;

	(void)ns;
	if (is_there && !own)
		atomic_fetch_add(heard, 1);
}

static void
wait_for_heard(atomic_uint *heard, unsigned count)
{
	int64_t until_ns = clock_mono(clock_system()) + DEADLINE_S * NS_PER_SEC;

	while (atomic_load(heard) < count && clock_mono(clock_system()) < until_ns)
		nats_Sleep(10);
	CHECK_EQ_UINT(atomic_load(heard), count);
}

TEST(a_server_that_is_killed)
{
	static const struct ns_attr attr = { .mode = 0755 };
	struct names_listener *listener;
	struct node n, other;
	struct follower f = { .hold_at = 0 };
	atomic_uint heard = 0;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	CHECK_EQ_INT(names_start(other.store), 0);
	REQUIRE(names_listen(other.store, hear, &heard, &listener) == 0);
	REQUIRE(follower_start(&f, other.store, n.ns, 0, 0, true));
	for (unsigned i = 0; i < 3; i++) {
		char name[96];
		append_rounds(&n, ACTORS, 10);
		if (i == 1)
			follower_waits_for(&f, ACTORS * 20);
		restart_server();
		snprintf(name, sizeof(name), "%s-%u", n.ns, i);
		CHECK_EQ_INT(store_ns_create(n.store, name, &attr), 0);
		wait_for_heard(&heard, i + 1);
	}
	append_rounds(&n, ACTORS, 1);
	struct ns_info info;
	CHECK_EQ_INT(store_ns_info(n.store, n.ns, 0, false, &info), 0);
	follower_waits_for(&f, info.last_seq);
	follower_check(&f, &n, ACTORS);
	CHECK_EQ_UINT(follower_turns(&f), 0);
	follower_stop(&f);
	names_ignore(other.store, listener);
	node_close(&other);
	node_close(&n);
}

const struct check_test follow_restart_tests[] = { T(a_server_that_is_killed) };
const size_t follow_restart_count = MANY(follow_restart_tests);
