#include "erase_race.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define ERASES 400

/* A call. Moments are counted, so that it is known which of two calls ended before the other began. */
struct moment {
	unsigned began, ended;
	int err;
};

struct books {
	struct node *nodes;
	atomic_uint clock;
	atomic_uint writing;
	bool whole;
	unsigned appends;
	struct moment entries[ERASE_RACE_WRITERS][ERASE_RACE_APPENDS];
	unsigned erase_count;
	struct moment erases[ERASES];
};

struct writer {
	struct books *books;
	unsigned number;
	pthread_t thread;
};

static void *
write_all(void *arg)
{
	struct writer *w = arg;
	struct books *b = w->books;
	struct actor *a = b->nodes[w->number % 2].a;
	char line[96];

	for (unsigned i = 0; i < b->appends; i++) {
		struct moment *m = &b->entries[w->number][i];
		/* Some bring an id, and are sent again when it is not known what became of them. */
		bool id = i % 3 == 0;
		snprintf(line, sizeof(line), id ? "{\"eventType\":\"T\",\"id\":\"i%u-%u\",\"data\":{\"k\":\"%u-%u;\"}}" : "%u-%u;",
		    w->number, i, w->number, i);
		m->began = atomic_fetch_add(&b->clock, 1);
		m->err = append(a, line).err;
		if (id && m->err == -ETIMEDOUT)
			m->err = append(a, line).err == 0 ? 0 : -ETIMEDOUT;
		m->ended = atomic_fetch_add(&b->clock, 1);
	}
	atomic_fetch_sub(&b->writing, 1);
	return NULL;
}

static int
erase_once(struct books *b, unsigned i)
{
	static const struct ns_attr attr = { .mode = 0755 };
	struct node *n = &b->nodes[i % 2];

	if (!b->whole)
		return actor_erase(n->a);
	int err = store_ns_remove(n->store, n->ns, i % 4 != 0);
	int made = store_ns_create(n->store, n->ns, &attr);
	CHECK(made == 0 || made == -EEXIST || made == -ETIMEDOUT);
	return err;
}

static void
erase_on(struct books *b)
{
	while (b->erase_count < ERASES && atomic_load(&b->writing) > 0) {
		unsigned i = b->erase_count++;
		struct moment *e = &b->erases[i];
		e->began = atomic_fetch_add(&b->clock, 1);
		e->err = erase_once(b, i);
		e->ended = atomic_fetch_add(&b->clock, 1);
	}
}

/* May it have erased something, though it did not say so? */
static bool
may_have_erased(const struct moment *e)
{
	return e->err == 0 || e->err == -ETIMEDOUT || e->err == -ENOTEMPTY;
}

static void
check_entry(const struct books *b, const struct moment *m, size_t stored)
{
	bool may_be_gone = m->err != 0, must_be_gone = m->err != 0 && m->err != -ETIMEDOUT;

	for (unsigned i = 0; i < b->erase_count; i++) {
		const struct moment *e = &b->erases[i];
		may_be_gone = may_be_gone || (may_have_erased(e) && e->ended > m->began);
		must_be_gone = must_be_gone || (e->err == 0 && e->began > m->ended && m->err == 0);
	}
	if (stored > 1 || (stored == 0 && !may_be_gone) || (stored == 1 && must_be_gone)) {
		printf("# the append of %u to %u, answered %d, is stored %zu times\n", m->began, m->ended, m->err, stored);
		CHECK(false);
	}
}

static void
check_books(const struct books *b, unsigned writers, struct backend *honest, const char *ns)
{
	unsigned acknowledged = 0, erased = 0;
	struct buf all = { 0 };
	struct head end;
	char text[32];

	check_chain(honest, ns, "a", &all, &end);
	CHECK_EQ_UINT(count_text(&all, "\n"), end.count);
	CHECK_EQ_UINT(end.version, end.count);
	for (unsigned t = 0; t < writers; t++) {
		for (unsigned i = 0; i < b->appends; i++) {
			snprintf(text, sizeof(text), "\"%u-%u;\"", t, i);
			check_entry(b, &b->entries[t][i], count_text(&all, text));
			acknowledged += b->entries[t][i].err == 0;
		}
	}
	for (unsigned i = 0; i < b->erase_count; i++)
		erased += b->erases[i].err == 0;
	printf("# %u appends acknowledged of %u, %u erases of %u, %ju events are left\n", acknowledged, writers * b->appends, erased,
	    b->erase_count, (uintmax_t)end.count);
	buf_free(&all);
}

void
erase_race(struct node nodes[2], struct relay *const relays[2], struct backend *honest, bool whole, unsigned writers,
    unsigned appends)
{
	struct books *b = calloc(1, sizeof(*b));
	struct writer threads[ERASE_RACE_WRITERS];
	char ns[sizeof(nodes[0].ns)];

	memcpy(ns, nodes[0].ns, sizeof(ns));
	b->nodes = nodes;
	b->whole = whole;
	b->appends = appends;
	atomic_init(&b->writing, writers);
	for (unsigned t = 0; t < writers; t++) {
		threads[t] = (struct writer){ b, t, 0 };
		REQUIRE(pthread_create(&threads[t].thread, NULL, write_all, &threads[t]) == 0);
	}
	erase_on(b);
	for (unsigned t = 0; t < writers; t++)
		pthread_join(threads[t].thread, NULL);
	for (unsigned i = 0; i < 2; i++)
		if (relays[i] != NULL)
			relay_settle(relays[i]);
	/* Strays that are still on their way are stored now or never. */
	node_close(&nodes[0]);
	node_close(&nodes[1]);
	for (unsigned i = 0; i < 2; i++)
		if (relays[i] != NULL)
			relay_free(relays[i]);
	check_books(b, writers, honest, ns);
	free(b);
}
