/* The index of types, against a model that keeps everything. */
#include <stdlib.h>

#include "../../store/type_table.h"
#include "check.h"

#define RECORDS 4000
#define TYPES 7
#define ACTORS 300

struct part {
	uint64_t seq, bytes;
	unsigned type, actor;
	bool gone;
};

struct model {
	struct type_table table;
	struct part *parts;
	size_t count;
	uint64_t seq;
};

static struct span
name_of(unsigned number, char text[16])
{
	snprintf(text, 16, "n%u", number);
	return span_of(text);
}

static void
add_record(struct model *m)
{
	unsigned actor = (unsigned)rand() % ACTORS, parts = 1 + (unsigned)rand() % 3;
	char text[16];

	m->seq += 1 + (unsigned)rand() % (rand() % 50 == 0 ? 1000000 : 3);
	for (unsigned i = 0; i < parts; i++) {
		struct part p = { m->seq, 1 + (unsigned)rand() % 5000, (unsigned)rand() % TYPES, actor, false };
		struct type *type = type_table_put(&m->table, name_of(p.type, text));
		type_table_count(&m->table, type, p.bytes);
		m->parts[m->count++] = p;
	}
	type_table_add(&m->table, m->seq, name_of(actor, text), (int64_t)m->seq);
}

static void
erase(struct model *m, unsigned actor)
{
	char text[16];

	m->seq++;
	type_table_erase(&m->table, name_of(actor, text), m->seq);
	for (size_t i = 0; i < m->count; i++)
		m->parts[i].gone = m->parts[i].gone || m->parts[i].actor == actor;
}

/* The entry that holds each byte of interest, from its own start and in a walk. */
static void
check_type(const struct model *m, unsigned number)
{
	char text[16];
	const struct type *type = type_table_find(&m->table, name_of(number, text));
	struct type_walk walk, jump;
	struct type_entry e, j;
	uint64_t seq = 0, bytes = 0, offset = 0;
	size_t i = 0;

	if (type == NULL)
		return;
	type_walk_begin(&walk, type, 0);
	while (type_walk_next(&walk, &e)) {
		for (; i < m->count && (m->parts[i].gone || m->parts[i].type != number || m->parts[i].seq == seq); i++)
			;
		REQUIRE(i < m->count);
		seq = m->parts[i].seq;
		for (bytes = 0; i < m->count && m->parts[i].seq == seq; i++)
			bytes += m->parts[i].type == number ? m->parts[i].bytes : 0;
		CHECK_EQ_UINT(e.seq, seq);
		CHECK_EQ_UINT(e.bytes, bytes);
		CHECK_EQ_UINT(e.offset, offset);
		for (uint64_t at = offset; at < offset + bytes; at += bytes > 1 ? bytes - 1 : 1) {
			type_walk_begin(&jump, type, at);
			REQUIRE(type_walk_next(&jump, &j));
			CHECK_EQ_UINT(j.seq, e.seq);
			CHECK_EQ_UINT(j.offset, e.offset);
		}
		offset += bytes;
	}
	CHECK_EQ_UINT(type->shown_size, offset);
	for (; i < m->count; i++)
		CHECK(m->parts[i].gone || m->parts[i].type != number);
	type_walk_begin(&jump, type, offset);
	CHECK(!type_walk_next(&jump, &j));
}

static void
check_all(const struct model *m)
{
	for (unsigned i = 0; i < TYPES; i++)
		check_type(m, i);
}

TEST(any_byte_is_found_whatever_was_erased)
{
	struct model m = { .seq = 0 };

	srand(7);
	m.parts = calloc(3 * RECORDS, sizeof(*m.parts));
	for (int i = 0; i < RECORDS; i++) {
		if (i % 500 == 499) {
			for (int k = 0; k < 5; k++)
				erase(&m, (unsigned)rand() % (ACTORS + 10));
			add_record(&m);
			CHECK_EQ_INT(type_table_settle(&m.table), 0);
			check_all(&m);
		} else {
			add_record(&m);
		}
	}
	CHECK_EQ_INT(type_table_settle(&m.table), 0);
	check_all(&m);
	type_table_free(&m.table);
	free(m.parts);
}

TEST(what_is_not_settled_does_not_show)
{
	struct type_table t = { .failed = false };
	struct type *a = type_table_put(&t, SPAN("A")), *b = type_table_put(&t, SPAN("B"));

	type_table_count(&t, a, 10);
	type_table_count(&t, b, 5);
	type_table_add(&t, 1, SPAN("x"), 100);
	CHECK_EQ_UINT(a->shown_size, 0);
	CHECK_EQ_INT(type_table_settle(&t), 0);
	CHECK_EQ_UINT(a->shown_size, 10);
	CHECK_EQ_INT(a->shown_time_us, 100);
	/* What never showed may go without a trace, and a clock that is behind sets nothing back. */
	type_table_count(&t, a, 7);
	type_table_add(&t, 2, SPAN("y"), 90);
	type_table_erase(&t, SPAN("y"), 3);
	CHECK_EQ_INT(type_table_settle(&t), 0);
	CHECK_EQ_UINT(a->shown_size, 10);
	CHECK_EQ_UINT(a->generation, 0);
	CHECK_EQ_INT(a->shown_time_us, 100);
	type_table_count(&t, b, 6);
	type_table_add(&t, 4, SPAN("y"), 110);
	type_table_erase(&t, SPAN("x"), 5);
	type_table_erase(&t, SPAN("nobody"), 5);
	CHECK_EQ_INT(type_table_settle(&t), 0);
	CHECK_EQ_UINT(a->shown_size, 0);
	CHECK_EQ_UINT(a->generation, 1);
	CHECK_EQ_UINT(b->shown_size, 6);
	CHECK_EQ_UINT(b->generation, 1);
	type_table_clear(&t);
	CHECK_EQ_UINT(b->shown_size, 0);
	CHECK_EQ_UINT(b->generation, 2);
	CHECK(type_table_find(&t, SPAN("B")) == b);
	type_table_free(&t);
}

TEST(it_is_small)
{
	struct type_table t = { .failed = false };
	char text[16];

	for (unsigned i = 0; i < 200000; i++) {
		type_table_count(&t, type_table_put(&t, SPAN("Moved")), 190 + i % 20);
		type_table_add(&t, i + 1, name_of(i % 1000, text), i);
	}
	CHECK_EQ_INT(type_table_settle(&t), 0);
	CHECK(type_table_bytes(&t) < 200000 * 11);
	CHECK(t.first->entries.len < 200000 * 6);
	type_table_free(&t);
}

TESTS(T(any_byte_is_found_whatever_was_erased), T(what_is_not_settled_does_not_show), T(it_is_small))
