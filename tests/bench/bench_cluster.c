/*
 * How long a large cluster takes to agree again, and what that costs in messages, in simulated time (tests/unit/cluster_sim.h): the core of
 * each node is the real one, network and store are not. A table for 100 nodes with 1024 shards and for 1000 nodes with 16384.
 *
 *     bench_cluster [NODES SHARDS]
 *
 * News is counted once per receiver; reads are counted with what they return.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../unit/cluster_sim.h"
#include "measure.h"

#define STEP_NS (5 * NS_PER_MS)
#define MOST_NS (60 * NS_PER_SEC)
#define REST_NS (10 * NS_PER_SEC)

struct mark {
	int64_t sim_ns;
	double cpu_s;
	uint64_t number; /* of the view */
	struct sim_count traffic[SIM_TRAFFICS];
};

static double
cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct mark
mark(struct sim *s)
{
	size_t leader = sim_leader(s);
	struct mark m = { .sim_ns = sim_now(s), .cpu_s = cpu_s() };

	if (leader != SIZE_MAX)
		m.number = core_view(sim_core(s, leader))->number;
	memcpy(m.traffic, sim_traffic(s), sizeof(m.traffic));
	return m;
}

/* What has happened since the mark: per second, if it is to be. */
static void
report(struct sim *s, const char *what, const struct mark *since, int64_t took_ns, bool per_second)
{
	struct mark m = mark(s);
	double part = per_second ? (double)(m.sim_ns - since->sim_ns) / 1e9 : 1;
	uint64_t bytes = 0;

	printf("%-24s", what);
	if (took_ns >= 0)
		printf(" %9.3f", (double)took_ns / 1e9);
	else
		printf(" %9s", per_second ? "-" : "never");
	printf(" %6" PRIu64, m.number - since->number);
	for (int i = 0; i < SIM_TRAFFICS; i++) {
		printf(" %8.0f", (double)(m.traffic[i].messages - since->traffic[i].messages) / part);
		bytes += m.traffic[i].bytes - since->traffic[i].bytes;
	}
	printf(" %10.3f %7.2f\n", (double)bytes / part / 1e6, m.cpu_s - since->cpu_s);
	fflush(stdout);
}

static void
rest(struct sim *s)
{
	sim_run(s, REST_NS);
	char text[256];
	if (!sim_is_settled(s, text, sizeof(text)))
		die("not settled: %s", text);
}

static void
start(struct sim *s, size_t nodes)
{
	struct mark before = mark(s);
	char id[32];

	for (size_t i = 0; i < nodes; i++) {
		snprintf(id, sizeof(id), "node-%05zu", i);
		sim_start(s, id, 1);
	}
	int64_t took_ns = sim_run_until(s, sim_is_whole, STEP_NS, MOST_NS);
	/* The first node has all for a moment: what counts is when all have their part. */
	char text[256];
	while (took_ns >= 0 && took_ns < MOST_NS && !sim_is_settled(s, text, sizeof(text))) {
		sim_run(s, STEP_NS);
		took_ns += STEP_NS;
	}
	report(s, "all start at once", &before, took_ns < MOST_NS ? took_ns : -1, false);
}

static void
at_rest(struct sim *s)
{
	struct mark before = mark(s);

	rest(s);
	report(s, "at rest, per second", &before, -1, true);
}

static void
fail(struct sim *s, size_t count)
{
	struct mark before = mark(s);
	size_t leader = sim_leader(s), failed = 0;
	char what[64];

	while (failed < count) {
		size_t node = (size_t)sim_random(s, sim_count(s));
		if (node == leader || sim_core(s, node) == NULL)
			continue;
		sim_crash(s, node);
		failed++;
	}
	snprintf(what, sizeof(what), "%zu failed", count);
	report(s, what, &before, sim_run_until(s, sim_is_whole, STEP_NS, MOST_NS), false);
	rest(s);
}

static void
leader_fails(struct sim *s)
{
	struct mark before = mark(s);

	sim_crash(s, sim_leader(s));
	report(s, "the leader failed", &before, sim_run_until(s, sim_is_whole, STEP_NS, MOST_NS), false);
	rest(s);
}

static void
leave(struct sim *s)
{
	struct mark before = mark(s);
	size_t node;

	do
		node = (size_t)sim_random(s, sim_count(s));
	while (node == sim_leader(s) || sim_core(s, node) == NULL);
	sim_leave(s, node);
	report(s, "1 left", &before, sim_run_until(s, sim_is_whole, STEP_NS, MOST_NS), false);
	rest(s);
}

static void
join(struct sim *s)
{
	struct mark before = mark(s);
	size_t node = sim_start(s, "node-joined", 1);

	while (sim_owned(s, node) == 0 && sim_now(s) < before.sim_ns + MOST_NS)
		sim_run(s, STEP_NS);
	int64_t took_ns = sim_run_until(s, sim_is_whole, STEP_NS, MOST_NS);
	report(s, "1 joined", &before, took_ns >= 0 ? sim_now(s) - before.sim_ns : -1, false);
	rest(s);
}

static void
run(size_t nodes, size_t shards)
{
	const struct sim_options options = {
		.shards = shards, .seed = 1, .unchecked = true, .faults = { .delay_min_ns = NS_PER_MS / 5, .delay_max_ns = 2 * NS_PER_MS }
	};
	struct sim *s = sim_new(&options);

	printf("%zu nodes, %zu shards\n%-24s %9s %6s %8s %8s %8s %8s %8s %10s %7s\n", nodes, shards, "", "seconds", "views", "beats",
	    "answers", "news", "reads", "writes", "MB", "CPU s");
	start(s, nodes);
	rest(s);
	at_rest(s);
	for (size_t failures = 1; failures <= nodes / 10 && failures <= 100; failures *= 10)
		fail(s, failures);
	leader_fails(s);
	join(s);
	leave(s);
	sim_free(s);
}

int
main(int argc, char **argv)
{
	double begin_s = cpu_s();

	/* A thousand nodes take and give back the same memory at each view. */
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 64 << 20);
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	if (argc != 1 && argc != 3)
		die("usage: bench_cluster [NODES SHARDS]");
	if (argc == 3) {
		run(number_arg(argv[1], 1), number_arg(argv[2], 1));
	} else {
		run(100, 1024);
		run(1000, 16384);
	}
	printf("CPU seconds in all: %.1f\n", cpu_s() - begin_s);
	return 0;
}
