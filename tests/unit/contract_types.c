/* A namespace's events by their type. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "../../store/event.h"
#include "../../store/types.h"
#include "contract_node.h"

#define TYPES 4

static const char *const type_names[TYPES] = { "Placed", "Paid", "With / odd % name.", "Text" };

/* What each type's text should be, from the actors' files. */
struct expected {
	struct buf texts[TYPES];
	struct buf all; /* what was appended last */
};

static void
free_expected(struct expected *e)
{
	for (int i = 0; i < TYPES; i++)
		buf_free(&e->texts[i]);
	buf_free(&e->all);
}

static void
expect_line(struct expected *e, struct span line)
{
	struct arena arena = { 0 };
	struct event ev;
	const char *why;

	REQUIRE(event_parse((struct span){ line.p, line.len - 1 }, &arena, &ev, &why) == 0);
	for (int i = 0; i < TYPES; i++)
		if (span_eq(ev.type, span_of(type_names[i])))
			buf_put_span(&e->texts[i], line);
	arena_free(&arena);
}

static void
append_expected(struct node *n, const char *actor, const char *lines, struct expected *e)
{
	struct actor *a;

	REQUIRE(actor_get(n->store, n->ns, actor, &a) == 0);
	struct head before = { 0 };
	int err = actor_head(a, 0, false, &before);
	CHECK(err == 0 || err == -ENOENT);
	CHECK_EQ_INT(append(a, lines).err, 0);
	buf_clear(&e->all);
	CHECK_EQ_INT(read_all(a, 0, &e->all), 0);
	for (size_t at = err == 0 ? before.size : 0; at < e->all.len;) {
		const char *end = memchr(e->all.p + at, '\n', e->all.len - at);
		struct span line = { e->all.p + at, (size_t)(end + 1 - (e->all.p + at)) };
		expect_line(e, line);
		at += line.len;
	}
	actor_put(a);
}

static struct type_reader *
open_type(struct node *n, const char *name)
{
	struct type_reader *r = NULL;
	struct types *t;

	if (types_get(n->store, n->ns, &t) != 0)
		return NULL;
	CHECK_EQ_INT(types_update(t, 0, false), 0);
	struct type *type = types_find(t, span_of(name));
	if (type != NULL)
		CHECK_EQ_INT(type_reader_new(t, type, &r), 0);
	types_put(t);
	return r;
}

/* From an offset to the end. 0 or the error that ended it. */
static int
read_from(struct type_reader *r, uint64_t offset, size_t step, struct buf *out)
{
	size_t before;
	int err;

	do {
		before = out->len;
		err = type_read(r, offset, step, out);
		offset += out->len - before;
	} while (err == 0 && out->len > before);
	return err;
}

static void
check_text(struct node *n, const char *name, const struct buf *want, size_t step)
{
	struct type_reader *r = open_type(n, name);
	struct buf got = { 0 };

	CHECK(want->len == 0 || r != NULL);
	if (r != NULL)
		CHECK_EQ_INT(read_from(r, 0, step, &got), 0);
	CHECK_EQ_MEM(got.p, got.len, want->p, want->len);
	type_reader_free(r);
	buf_free(&got);
}

static void
check_texts(struct node *n, const struct expected *e, size_t step)
{
	for (int i = 0; i < TYPES; i++)
		check_text(n, type_names[i], &e->texts[i], step);
}

TEST(events_of_a_type_in_stream_order)
{
	struct node n, other;
	struct expected e = { 0 };
	struct types *t;

	REQUIRE(node_open(&n));
	REQUIRE(types_get(n.store, n.ns, &t) == 0);
	CHECK_EQ_INT(types_update(t, 0, false), 0);
	CHECK(types_next(t, NULL) == NULL);
	append_expected(&n, "a", "{\"eventType\":\"Placed\"}", &e);
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}\n{\"eventType\":\"Paid\"}\n{\"eventType\":\"Placed\",\"data\":{\"b\":\"\\n\"}}\n", &e);
	append_expected(&n, "a", "some text\n{\"eventType\":\"With / odd % name.\"}\n", &e);
	append_expected(&n, "c", "{\"eventType\":\"Pla\\u0063ed\"}\n", &e);
	check_texts(&n, &e, 4096);
	check_texts(&n, &e, 1);
	CHECK(types_find(t, SPAN("Nobody")) == NULL);
	CHECK(types_find(t, SPAN("Place")) == NULL);
	struct type *type = types_next(t, NULL);
	REQUIRE(type != NULL);
	CHECK(span_eq(types_name(type), SPAN("Placed")));
	int more = 0;
	while ((type = types_next(t, type)) != NULL)
		more++;
	CHECK_EQ_INT(more, 3);
	REQUIRE(node_join(&other, &n));
	check_texts(&other, &e, 100);
	node_close(&other);
	types_put(t);
	free_expected(&e);
	node_close(&n);
}

TEST(a_type_grows_at_its_end_for_who_has_it_open)
{
	struct node n, other;
	struct expected e = { 0 };
	struct buf got = { 0 };
	uint64_t size = 0;
	int64_t time_us = 0;
	struct types *t;

	REQUIRE(node_open(&n));
	REQUIRE(node_join(&other, &n));
	REQUIRE(types_get(n.store, n.ns, &t) == 0);
	append_expected(&n, "a", "{\"eventType\":\"Paid\"}", &e);
	struct type_reader *r = open_type(&n, "Paid");
	REQUIRE(r != NULL);
	for (int i = 0; i < 30; i++) {
		/* What another node has stored shows at once. */
		append_expected(i % 2 ? &n : &other, i % 3 ? "a" : "b", i % 5 ? "{\"eventType\":\"Paid\"}" : "{\"eventType\":\"Placed\"}\n{\"eventType\":\"Paid\"}", &e);
		CHECK_EQ_INT(read_from(r, got.len, 1000, &got), 0);
		CHECK_EQ_MEM(got.p, got.len, e.texts[1].p, e.texts[1].len);
		types_stat(t, types_find(t, SPAN("Paid")), &size, &time_us);
		CHECK_EQ_UINT(size, got.len);
		check_texts(&other, &e, 64 * 1024);
	}
	struct actor *a;
	REQUIRE(actor_get(n.store, n.ns, "a", &a) == 0);
	CHECK_EQ_INT(time_us, head_of(a).time_us);
	actor_put(a);
	type_reader_free(r);
	types_put(t);
	buf_free(&got);
	free_expected(&e);
	node_close(&other);
	node_close(&n);
}

/* Common ones, and one in a hundred records; from any place. */
TEST(dense_and_sparse_types)
{
	struct node n;
	struct expected e = { 0 };
	struct actor *actors[3];
	struct buf got = { 0 };
	char line[80], name[16];

	REQUIRE(node_open(&n));
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		REQUIRE(actor_get(n.store, n.ns, name, &actors[i]) == 0);
	}
	for (int i = 0; i < 1500; i++) {
		snprintf(line, sizeof(line), "{\"eventType\":\"%s\",\"data\":{\"i\":%d}}", i % 100 == 7 ? "Paid" : "Placed", i);
		CHECK_EQ_INT(append(actors[i % 3], line).err, 0);
	}
	for (size_t step = 100; step < 1000000; step *= 20) {
		for (int i = 0; i < 2; i++) {
			struct type_reader *r = open_type(&n, type_names[i]);
			REQUIRE(r != NULL);
			buf_clear(&got);
			CHECK_EQ_INT(read_from(r, 0, step, &got), 0);
			CHECK_EQ_UINT(count_text(&got, "\n"), i == 0 ? 1485 : 15);
			struct buf *all = &e.texts[i];
			if (all->len == 0)
				buf_put(all, got.p, got.len);
			CHECK_EQ_MEM(got.p, got.len, all->p, all->len);
			for (uint64_t at = all->len; at > 0; at = at * 3 / 4) {
				buf_clear(&got);
				CHECK_EQ_INT(type_read(r, at, 500, &got), 0);
				size_t rest = all->len - at < 500 ? (size_t)(all->len - at) : 500;
				CHECK_EQ_MEM(got.p, got.len, all->p + at, rest);
			}
			type_reader_free(r);
		}
	}
	for (int i = 0; i < 1485; i++) {
		/* In the order in which they were stored. */
		snprintf(line, sizeof(line), "{\"i\":%d}", i + i / 99 + (i % 99 >= 7));
		CHECK_EQ_UINT(count_text(&e.texts[0], line), 1);
	}
	for (int i = 0; i < 3; i++)
		actor_put(actors[i]);
	buf_free(&got);
	free_expected(&e);
	node_close(&n);
}

TEST(an_erased_actor_is_gone_from_its_types)
{
	struct node n, other;
	struct expected e = { 0 }, later = { 0 };
	struct buf got = { 0 };

	REQUIRE(node_open(&n));
	REQUIRE(node_join(&other, &n));
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}\n{\"eventType\":\"Text\",\"data\":{\"text\":\"stays\"}}\n", &e);
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"Placed\"}\n{\"eventType\":\"Paid\"}").err, 0);
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}", &e);
	struct type_reader *here = open_type(&n, "Placed"), *there = open_type(&other, "Placed"), *text = open_type(&n, "Text"),
			   *gone = open_type(&n, "Paid");
	REQUIRE(here != NULL && there != NULL && text != NULL && gone != NULL);
	CHECK_EQ_INT(type_read(here, 0, 10, &got), 0);
	CHECK_EQ_INT(type_read(gone, 0, 10, &got), 0);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	CHECK_EQ_INT(type_read(here, 0, 10, &got), -ESTALE);
	CHECK_EQ_INT(type_read(gone, 0, 10, &got), -ESTALE);
	CHECK_EQ_INT(type_read(there, 0, 1 << 20, &got), -ESTALE);
	buf_clear(&got);
	CHECK_EQ_INT(read_from(text, 0, 100, &got), 0);
	CHECK_EQ_MEM(got.p, got.len, e.texts[3].p, e.texts[3].len);
	check_texts(&n, &e, 1000);
	check_texts(&other, &e, 1000);
	/* Its next life is another. */
	append_expected(&n, "a", "{\"eventType\":\"Paid\"}", &later);
	check_text(&other, "Paid", &later.texts[1], 1000);
	check_text(&n, "Paid", &later.texts[1], 1000);
	CHECK_EQ_INT(type_read(gone, 0, 10, &got), -ESTALE);
	type_reader_free(here);
	type_reader_free(there);
	type_reader_free(text);
	type_reader_free(gone);
	buf_free(&got);
	free_expected(&e);
	free_expected(&later);
	node_close(&other);
	node_close(&n);
}

/* What a crash leaves before a tombstone is not shown, whoever reads it first. */
TEST(what_is_left_before_a_tombstone_is_not_shown)
{
	struct node n, cold;
	struct expected e = { 0 };
	struct head end;

	REQUIRE(node_open(&n));
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}", &e);
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"Placed\"}\n{\"eventType\":\"Paid\"}").err, 0);
	check_text(&n, "Text", &e.texts[3], 100);
	check_chain(n.backend, n.ns, "a", NULL, &end);
	struct record r = record_tombstone(end.seq, end.time_us + 1);
	CHECK_EQ_INT(publish_raw(n.backend, n.ns, "a", &r), 0);
	REQUIRE(node_join(&cold, &n));
	check_texts(&cold, &e, 1000);
	check_texts(&n, &e, 1000);
	free_expected(&e);
	node_close(&cold);
	node_close(&n);
}

TEST(a_namespace_made_anew_has_its_own_types)
{
	static const struct ns_attr attr = { .mode = 0755 };
	struct node n, other;
	struct expected e = { 0 };
	struct buf got = { 0 };
	struct types *t;

	REQUIRE(node_open(&n));
	REQUIRE(node_join(&other, &n));
	REQUIRE(types_get(other.store, n.ns, &t) == 0);
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"Placed\"}").err, 0);
	struct type_reader *r = open_type(&other, "Placed");
	REQUIRE(r != NULL);
	CHECK_EQ_INT(store_ns_remove(n.store, n.ns, true), 0);
	CHECK_EQ_INT(types_update(t, 0, false), -ENOENT);
	CHECK(types_next(t, NULL) == NULL);
	CHECK_EQ_INT(type_read(r, 0, 1000, &got), -ESTALE);
	CHECK_EQ_INT(store_ns_create(n.store, n.ns, &attr), 0);
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}", &e);
	check_texts(&other, &e, 1000);
	check_texts(&n, &e, 1000);
	CHECK_EQ_INT(type_read(r, 0, 1000, &got), -ESTALE);
	type_reader_free(r);
	types_put(t);
	buf_free(&got);
	free_expected(&e);
	node_close(&other);
	node_close(&n);
}

/* Neither a stranger's message nor what is no event's line is shown; what is in order is. */
TEST(what_is_no_event_is_passed_over)
{
	static const char odd[] = "{\"eventType\":\"Placed\"}\nPlaced\n{\"version\":2,\"id\":\"x\",\"eventType\":\"Paid\",\"actorId\":\"c\","
				  "\"timestamp\":\"2026-01-01T00:00:00Z\",\"data\":{}}\n{\"version\":3,\"id\":\"y\",\"eventType\":\"Paid\",\"act";
	struct node n;
	struct expected e = { 0 };
	struct buf paid = { 0 };
	/* Versions that no record has, and a creation marker with content. */
	const struct record foreign = { .first = 5, .last = 3, .payload = SPAN(odd), .foreign = true };
	const struct record marker = { .time_us = 1, .payload = SPAN(odd) };
	struct record r = { .first = 1, .last = 3, .count = 3, .time_us = 1, .payload = SPAN(odd) };

	REQUIRE(node_open(&n));
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}", &e);
	CHECK_EQ_INT(publish_raw(n.backend, n.ns, "s", &foreign), 0);
	CHECK_EQ_INT(publish_raw(n.backend, n.ns, "m", &marker), 0);
	CHECK_EQ_INT(publish_raw(n.backend, n.ns, "c", &r), 0);
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}", &e);
	const char *begin = strstr(odd, "{\"version\":2"), *end = strrchr(odd, '\n') + 1;
	buf_put(&paid, begin, (size_t)(end - begin));
	check_text(&n, "Placed", &e.texts[0], 1000);
	check_text(&n, "Paid", &paid, 10);
	check_text(&n, "Text", &e.texts[3], 10);
	buf_free(&paid);
	free_expected(&e);
	node_close(&n);
}

TEST(a_record_that_was_lost_is_not_there)
{
	struct node n, cold;
	struct expected e = { 0 };
	struct actor *b;

	REQUIRE(node_open(&n));
	append_expected(&n, "a", "{\"eventType\":\"Placed\"}", &e);
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}", &e);
	size_t len = e.texts[0].len;
	append_expected(&n, "b", "{\"eventType\":\"Placed\"}", &e);
	REQUIRE(actor_get(n.store, n.ns, "b", &b) == 0);
	uint64_t last = head_of(b).seq;
	actor_put(b);
	/* The stream's last one, which is counted still. */
	CHECK_EQ_INT(contract_subject()->lose(n.ns, last), 0);
	REQUIRE(node_join(&cold, &n));
	e.texts[0].len = len;
	check_text(&cold, "Placed", &e.texts[0], 1000);
	CHECK_EQ_INT(contract_subject()->lose(n.ns, 0), 0);
	free_expected(&e);
	node_close(&cold);
	node_close(&n);
}

/* Threads */

struct writer {
	struct node *node;
	unsigned number;
	pthread_t thread;
	atomic_uint *left;
};

#define WRITERS 4
#define APPENDS 60

static void *
write_some(void *arg)
{
	struct writer *w = arg;
	char line[80], name[16];
	struct actor *a;

	snprintf(name, sizeof(name), "w%u", w->number);
	if (actor_get(w->node->store, w->node->ns, name, &a) == 0) {
		for (unsigned i = 0; i < APPENDS; i++) {
			snprintf(line, sizeof(line), "{\"eventType\":\"%s\",\"data\":{\"n\":\"%u-%u;\"}}", i % 3 ? "Placed" : "Paid", w->number, i);
			CHECK_EQ_INT(append(a, line).err, 0);
		}
		actor_put(a);
	}
	atomic_fetch_sub(w->left, 1);
	return NULL;
}

TEST(readers_beside_writers_see_whole_lines_that_stay)
{
	struct node n, nodes[WRITERS];
	struct writer writers[WRITERS];
	struct buf got = { 0 }, again = { 0 };
	struct type_reader *r = NULL;
	atomic_uint left;

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(append(n.a, "{\"eventType\":\"Placed\"}").err, 0);
	atomic_init(&left, WRITERS);
	for (unsigned i = 0; i < WRITERS; i++) {
		REQUIRE(node_join(&nodes[i], &n));
		writers[i] = (struct writer){ .node = &nodes[i], .number = i, .left = &left };
		pthread_create(&writers[i].thread, NULL, write_some, &writers[i]);
	}
	r = open_type(&n, "Placed");
	CHECK(r != NULL);
	bool last = false;
	while (r != NULL) {
		CHECK_EQ_INT(read_from(r, got.len, 700, &got), 0);
		CHECK(got.len > 0 && got.p[got.len - 1] == '\n');
		if (last)
			break;
		last = atomic_load(&left) == 0;
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		node_close(&nodes[i]);
	}
	CHECK_EQ_UINT(count_text(&got, "\n"), 1 + WRITERS * APPENDS * 2 / 3);
	if (r != NULL)
		CHECK_EQ_INT(read_from(r, 0, 64 * 1024, &again), 0);
	CHECK_EQ_MEM(got.p, got.len, again.p, again.len);
	type_reader_free(r);
	check_text(&n, "Placed", &got, 64 * 1024);
	buf_free(&got);
	buf_free(&again);
	node_close(&n);
}

const struct check_test contract_types_tests[] = { T(events_of_a_type_in_stream_order), T(a_type_grows_at_its_end_for_who_has_it_open),
	T(dense_and_sparse_types), T(an_erased_actor_is_gone_from_its_types), T(what_is_left_before_a_tombstone_is_not_shown),
	T(a_namespace_made_anew_has_its_own_types), T(what_is_no_event_is_passed_over), T(a_record_that_was_lost_is_not_there),
	T(readers_beside_writers_see_whole_lines_that_stay) };
const size_t contract_types_count = MANY(contract_types_tests);
