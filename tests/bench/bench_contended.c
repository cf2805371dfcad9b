/*
 * Many writers of one actor on several nodes, beside one writer on one node.
 *
 *     bench_contended ROUNDS LINES WRITERS NAMESPACE...     each NAMESPACE: the same one, as another mount has it
 *
 * Rounds take turns: one process appends LINES lines to an actor of its own, through the first mount; then share out as many to one actor: WRITERS
 * processes on each mount (contended), one on each mount (contended_single), and WRITERS on the first mount alone (contended_node). Prints, each
 * round, samples of these (events a second; the baseline is the one writer), and in the end of contended_p99 (milliseconds, of one append of
 * the first kind). Ends with 1 if any line is missing, or there are more.
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
measure(const char *key, size_t round, double rate, char *const *directories, size_t mounts, size_t writers, size_t lines, double *took_ms)
{
	char actor[48];

	snprintf(actor, sizeof(actor), "%s-%zu", key, round);
	sample(key, "baseline", 0, rate);
	sample(key, "ours", 0, run(directories, mounts, writers, lines / (mounts * writers), actor, took_ms));
}

int
main(int argc, char **argv)
{
	if (argc < 5)
		die("usage: bench_contended ROUNDS LINES WRITERS NAMESPACE...");
	size_t rounds = number_arg(argv[1], 1), lines = number_arg(argv[2], 1), writers = number_arg(argv[3], 1);
	size_t mounts = (size_t)argc - 4, all = lines / (mounts * writers) * mounts * writers, size = lines * sizeof(double);
	double *took_ms = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double *others_ms = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char actor[32];

	if (took_ms == MAP_FAILED || others_ms == MAP_FAILED || all == 0)
		die("no memory, or too few lines");
	for (size_t i = 0; i < rounds; i++) {
		snprintf(actor, sizeof(actor), "one-%zu", i);
		double one = run(argv + 4, 1, 1, lines, actor, others_ms);
		measure("contended", i, one, argv + 4, mounts, writers, lines, took_ms);
		measure("contended_single", i, one, argv + 4, mounts, 1, lines, others_ms);
		measure("contended_node", i, one, argv + 4, 1, writers, lines, others_ms);
	}
	sample("contended_p99", "ours", 0, percentile(took_ms, all, 0.99));
	return 0;
}
