/*
 * Many writers of one actor on several nodes, beside one writer on one node.
 *
 *     bench_contended KEY ROUNDS LINES WRITERS NAMESPACE...     each NAMESPACE: the same one, as another mount has it
 *
 * Rounds take turns: one process appends LINES lines to an actor of its own, through the first mount; then WRITERS processes on each mount share
 * out as many to one other. Prints, each round, samples of KEY (events a second, until all is stored; the baseline is the one writer), and in the
 * end of KEY_p99 (milliseconds, of one append). Ends with 1 if any line is missing, or there are more.
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

int
main(int argc, char **argv)
{
	if (argc < 6)
		die("usage: bench_contended KEY ROUNDS LINES WRITERS NAMESPACE...");
	size_t rounds = number_arg(argv[2], 1), lines = number_arg(argv[3], 1), writers = number_arg(argv[4], 1);
	size_t mounts = (size_t)argc - 5, each = lines / (mounts * writers), all = each * mounts * writers;
	double *took_ms = mmap(NULL, lines * sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *key = argv[1];
	char actor[64], p99[64];

	if (took_ms == MAP_FAILED || each == 0)
		die("no memory, or too few lines");
	for (size_t i = 0; i < rounds; i++) {
		snprintf(actor, sizeof(actor), "%s-one-%zu", key, i);
		sample(key, "baseline", 0, run(argv + 5, 1, 1, lines, actor, took_ms));
		snprintf(actor, sizeof(actor), "%s-many-%zu", key, i);
		sample(key, "ours", 0, run(argv + 5, mounts, writers, each, actor, took_ms));
	}
	snprintf(p99, sizeof(p99), "%s_p99", key);
	sample(p99, "ours", 0, percentile(took_ms, all, 0.99));
	return 0;
}
