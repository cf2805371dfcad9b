/*
 * Many writers of one actor on several nodes, beside one writer on one node.
 *
 *     bench_contended KEY ROUNDS LINES WRITERS NAMESPACE...     each NAMESPACE: the same one, as another mount has it
 *
 * Rounds take turns: one process appends LINES lines to an actor of its own, through the first mount; then share out as many to one actor: WRITERS
 * processes on each mount (KEY), one on each mount (KEY_single), and WRITERS on the first mount alone (KEY_node). Prints, each round, samples of
 * these (events a second, until all is stored; the baseline is the one writer), and in the end of KEY_p99 (milliseconds, of one append of the
 * first kind). Ends with 1 if any line is missing, or there are more.
 *
 * What WRITERS on one mount cost, compared with one, is the kernel's: it lets in one write to a file at a time, and hands its lock on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

/* Append so many lines, and note how long each took. */
static void
write_lines(const char *directory, const char *actor, size_t lines, double *took_ms)
{
	int fd = open_actor(directory, actor);

	for (size_t i = 0; i < lines; i++) {
		int64_t start = now_ns();
		append_line(fd);
		took_ms[i] = (double)(now_ns() - start) / 1e6;
	}
	if (close(fd) != 0)
		die("close: %s", strerror(errno));
}

/* Processes, writers of them on each mount, append lines each. Returns events a second. */
static double
run(char *const *directories, size_t mounts, size_t writers, size_t lines, const char *actor, double *took_ms)
{
	size_t processes = mounts * writers;
	int64_t start = now_ns();
	int status, failed = 0;

	for (size_t i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork: %s", strerror(errno));
		if (pid == 0) {
			write_lines(directories[i / writers], actor, lines, took_ms + i * lines);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		failed |= status;
	if (failed != 0)
		die("a writer failed");
	double rate = (double)(processes * lines) / ((double)(now_ns() - start) / 1e9);
	if (events_of(directories[0], actor) != processes * lines)
		die("%s has %zu events, not %zu", actor, events_of(directories[0], actor), processes * lines);
	return rate;
}

/* So many lines in all, as the round of a single writer that reached that rate had. */
static void
measure(const char *key, const char *kind, size_t round, double rate, char *const *directories, size_t mounts, size_t writers, size_t lines,
    double *took_ms)
{
	char actor[96], row[64];

	snprintf(row, sizeof(row), "%s%s", key, kind);
	snprintf(actor, sizeof(actor), "%s-%zu", row, round);
	sample(row, "baseline", 0, rate);
	sample(row, "ours", 0, run(directories, mounts, writers, lines / (mounts * writers), actor, took_ms));
}

int
main(int argc, char **argv)
{
	if (argc < 6)
		die("usage: bench_contended KEY ROUNDS LINES WRITERS NAMESPACE...");
	size_t rounds = number_arg(argv[2], 1), lines = number_arg(argv[3], 1), writers = number_arg(argv[4], 1);
	size_t mounts = (size_t)argc - 5, all = lines / (mounts * writers) * mounts * writers, size = lines * sizeof(double);
	double *took_ms = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double *others_ms = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *key = argv[1];
	char *const *at = argv + 5;
	char actor[96], p99[64];

	if (took_ms == MAP_FAILED || others_ms == MAP_FAILED || all == 0)
		die("no memory, or too few lines");
	for (size_t i = 0; i < rounds; i++) {
		snprintf(actor, sizeof(actor), "%s_one-%zu", key, i);
		double one = run(at, 1, 1, lines, actor, others_ms);
		measure(key, "", i, one, at, mounts, writers, lines, took_ms);
		measure(key, "_single", i, one, at, mounts, 1, lines, others_ms);
		measure(key, "_node", i, one, at, 1, writers, lines, others_ms);
	}
	snprintf(p99, sizeof(p99), "%s_p99", key);
	sample(p99, "ours", 0, percentile(took_ms, all, 0.99));
	return 0;
}
