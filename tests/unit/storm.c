#include "storm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "contract_node.h"
#include "relay.h"

#define BATCH_MAX 3
#define TRIES_MAX 3
#define THREADS_MAX 16

enum verdict { NEVER, ONCE, PERHAPS };

/* What one append offered and what became of it. */
struct entry {
	unsigned actor;
	unsigned lines;
	enum verdict verdict;
	int err; /* the last answer */
};

struct thread {
	const struct storm *storm;
	struct node *node;
	struct actor **actors;
	unsigned number;
	uint64_t random;
	struct entry *entries;
	unsigned cancelled, timed_out, refused;
	pthread_t thread;
};

static unsigned
roll(struct thread *t, unsigned sides)
{
	/* An LCG (Knuth's MMIX constants); its upper bits are good enough for dice. */
	t->random = t->random * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(t->random >> 33) % sides;
}

/* Line l of append i: a name of its own in its text, and an id if the writer means to try again. */
static void
put_line(struct thread *t, unsigned i, unsigned l, bool id, uint64_t version, struct buf *out)
{
	buf_puts(out, "{\"eventType\":\"T\",");
	if (id)
		buf_printf(out, "\"id\":\"id-%u-%u-%u\",", t->number, i, l);
	if (version != 0)
		buf_printf(out, "\"version\":%llu,", (unsigned long long)version);
	buf_printf(out, "\"data\":{\"k\":\"%u-%u-%u;\"}}\n", t->number, i, l);
}

static int
try_once(struct thread *t, struct actor *a, const char *lines)
{
	bool async = t->storm->async && roll(t, 2) == 0;
	struct pending *p =
	    async ? append_start_async(a, lines, strlen(lines), NULL) : append_start(a, lines);

	if (t->storm->cancel && roll(t, 10) == 0)
		actor_append_cancel(a, append_handle(p));
	return append_wait(p).err;
}

static void
one_append(struct thread *t, unsigned i)
{
	struct entry *e = &t->entries[i];
	struct buf lines = { 0 };
	bool with_id = roll(t, 2) == 0, known_gone = true;
	unsigned tries = with_id ? TRIES_MAX : 1;
	uint64_t version = 0;

	e->actor = roll(t, t->storm->actors);
	e->lines = 1 + roll(t, BATCH_MAX);
	struct actor *a = t->actors[e->actor];
	if (roll(t, 5) == 0) {
		struct head head = { 0 };
		if (actor_head(a, INT64_MAX, true, &head) == 0)
			version = head.version + roll(t, 3);
	}
	for (unsigned l = 0; l < e->lines; l++)
		put_line(t, i, l, with_id, l == 0 ? version : 0, &lines);
	const char *text = buf_text(&lines);
	do {
		e->err = try_once(t, a, text);
		known_gone = known_gone && e->err != -ETIMEDOUT;
		t->timed_out += e->err == -ETIMEDOUT;
		t->cancelled += e->err == -EINTR;
	} while (e->err == -ETIMEDOUT && --tries > 0);
	e->verdict = e->err == 0 ? ONCE : known_gone ? NEVER : PERHAPS;
	t->refused += e->verdict == NEVER;
	buf_free(&lines);
}

static void *
run_thread(void *arg)
{
	struct thread *t = arg;

	for (unsigned i = 0; i < t->storm->appends; i++)
		one_append(t, i);
	return NULL;
}

/* The books */

static void
check_entry(const struct thread *t, unsigned i, const struct buf *content)
{
	const struct entry *e = &t->entries[i];
	size_t first = 0;
	char text[64];

	for (unsigned l = 0; l < e->lines; l++) {
		snprintf(text, sizeof(text), "{\"k\":\"%u-%u-%u;\"}", t->number, i, l);
		size_t times = count_text(content, text);
		first = l == 0 ? times : first;
		bool good = e->verdict == ONCE ? times == 1 : e->verdict == NEVER ? times == 0 : times <= 1;
		if (!good || times != first) {
			printf("# append %u of thread %u, line %u of %u: answer %d, stored %zu times\n", i, t->number,
			    l + 1, e->lines, e->err, times);
			CHECK(false);
		}
	}
}

static void
check_rising(const struct buf *content)
{
	uint64_t last = 0;

	for (const char *at = content->p, *end = at + content->len; at != NULL && at < end;) {
		uint64_t version = line_version(at, end);
		CHECK(version > last);
		last = version;
		at = memchr(at, '\n', (size_t)(end - at));
		at = at != NULL ? at + 1 : NULL;
	}
}

static void
check_books(const struct storm *storm, const struct thread *threads, unsigned count, const char *ns)
{
	for (unsigned k = 0; k < storm->actors; k++) {
		struct buf content = { 0 };
		struct head end;
		char name[32];
		snprintf(name, sizeof(name), "actor-%u", k);
		check_chain(storm->honest, ns, name, &content, &end);
		check_rising(&content);
		CHECK_EQ_UINT(count_text(&content, "\n"), end.count);
		for (unsigned t = 0; t < count; t++)
			for (unsigned i = 0; i < storm->appends; i++)
				if (threads[t].entries[i].actor == k)
					check_entry(&threads[t], i, &content);
		buf_free(&content);
	}
}

static void
wire(struct node *nodes, struct relay **relays)
{
	for (unsigned i = 0; i < STORM_NODES; i++) {
		relays[i] = relay_new(nodes[i].store, nodes[(i + 1) % STORM_NODES].store);
		relay_set(relays[i], RELAY_ANY, 3 * NS_PER_MS);
	}
}

static void
end_nodes(struct node *nodes, struct relay **relays)
{
	unsigned handed = 0;

	for (unsigned i = 0; i < STORM_NODES; i++)
		if (relays[i] != NULL)
			relay_settle(relays[i]), handed += relay_count(relays[i]);
	/* Strays that are still on their way are stored now or never. */
	for (unsigned i = 0; i < STORM_NODES; i++)
		node_close(&nodes[i]);
	for (unsigned i = 0; i < STORM_NODES; i++)
		if (relays[i] != NULL)
			relay_free(relays[i]);
	if (relays[0] != NULL)
		printf("# %u times handed over\n", handed);
	CHECK(relays[0] == NULL || handed > 0);
}

static void
report(const struct storm *storm, const struct thread *threads, unsigned count)
{
	unsigned timed_out = 0, refused = 0, cancelled = 0;

	for (unsigned t = 0; t < count; t++) {
		timed_out += threads[t].timed_out;
		refused += threads[t].refused;
		cancelled += threads[t].cancelled;
	}
	printf("# %u appends, %u answers of unknown outcome, %u refused, %u cancelled\n", count * storm->appends,
	    timed_out, refused, cancelled);
}

void
storm_run(const struct storm *storm)
{
	struct node nodes[STORM_NODES] = { { .store = NULL } };
	struct actor *actors[STORM_NODES][8];
	struct thread threads[THREADS_MAX];
	unsigned count = STORM_NODES * storm->threads;
	struct node where = { .store = NULL };
	struct relay *relays[STORM_NODES] = { NULL };
	char name[32];

	/* Not by one of the nodes: they may have too little time. */
	snprintf(where.ns, sizeof(where.ns), "storm-%u-%ju", (unsigned)getpid(), (uintmax_t)clock_mono(clock_system()));
	REQUIRE(storm->honest->ops->ns_create(storm->honest, where.ns, &(struct ns_attr){ .mode = 0755 },
		    clock_mono(clock_system()) + 5 * NS_PER_SEC) == 0);
	for (unsigned i = 0; i < STORM_NODES; i++) {
		REQUIRE(node_on(&nodes[i], storm->nodes[i], &where, storm->timeout_ns));
		for (unsigned k = 0; k < storm->actors; k++) {
			snprintf(name, sizeof(name), "actor-%u", k);
			REQUIRE(actor_get(nodes[i].store, nodes[i].ns, name, &actors[i][k]) == 0);
		}
	}
	if (storm->forward)
		wire(nodes, relays);
	for (unsigned t = 0; t < count; t++) {
		unsigned i = t % STORM_NODES;
		threads[t] = (struct thread){ .storm = storm, .node = &nodes[i], .actors = actors[i], .number = t };
		threads[t].random = storm->seed * 1000 + t;
		threads[t].entries = calloc(storm->appends, sizeof(struct entry));
		REQUIRE(pthread_create(&threads[t].thread, NULL, run_thread, &threads[t]) == 0);
	}
	for (unsigned t = 0; t < count; t++)
		pthread_join(threads[t].thread, NULL);
	for (unsigned i = 0; i < STORM_NODES; i++)
		for (unsigned k = 0; k < storm->actors; k++)
			actor_put(actors[i][k]);
	end_nodes(nodes, relays);
	check_books(storm, threads, count, where.ns);
	report(storm, threads, count);
	for (unsigned t = 0; t < count; t++)
		free(threads[t].entries);
}
