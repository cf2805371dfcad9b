/*
 * A large file at once: the shell's `cat FILE >> actor` beside js_PublishAsync with one event a message, each as long
 * as an event of ours is when stored, all acknowledgements awaited. Events a second.
 *
 *     bench_bulk URL STREAM DIRECTORY X ROUNDS FILE [baseline]      STREAM holds the namespace at DIRECTORY
 *
 * Rounds take turns, each appends to a new actor: bulk-X-0 and so on, which stay. That the events are there is checked.
 *
 * The library has two ways of sending: its flusher's, many messages to a system call after a pause, and SendAsap. Which
 * is faster depends on its version and the machine: a short race decides which one is the baseline.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define RACE_MAX 100000

static size_t
count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t lines = 0;

	if (f == NULL)
		die("%s: %m", path);
	for (int c; (c = getc_unlocked(f)) != EOF;)
		lines += c == '\n';
	fclose(f);
	if (lines == 0)
		die("%s: no lines", path);
	return lines;
}

static void
run_shell(const char *command, const char *arg1, const char *arg2)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, "sh", arg1, arg2, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("failed: %s", command);
}

/* Events a second; *size becomes the bytes of one stored event, on average. */
static double
append_file(const char *directory, const char *actor, const char *file, size_t lines, size_t *size)
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", directory, actor);
	int64_t start = now_ns();
	run_shell("cat \"$1\" >>\"$2\"", file, path);
	double seconds = (double)(now_ns() - start) / 1e9;

	size_t events = events_of(directory, actor);
	if (events != lines)
		die("%s: %zu events of %zu", path, events, lines);
	if (stat(path, &st) != 0)
		die("%s: %m", path);
	*size = (size_t)st.st_size / lines;
	return (double)lines / seconds;
}

static double
publish_all(struct baseline *b, size_t size, size_t count)
{
	char *payload = new_payload(size);
	int64_t start = now_ns();

	baseline_publish(b, payload, size, count);
	double seconds = (double)(now_ns() - start) / 1e9;
	if (baseline_stored(b) != count)
		die("the baseline's stream does not hold what was published");
	free(payload);
	return (double)count / seconds;
}

static struct baseline
faster_way(char **argv, size_t size, size_t lines)
{
	struct baseline ways[2];
	double rates[2];

	for (int asap = 0; asap < 2; asap++) {
		baseline_connect(&ways[asap], argv[1], asap != 0);
		baseline_make_stream(&ways[asap], argv[2], asap != 0 ? "bench-bulk-asap" : "bench-bulk");
		rates[asap] = publish_all(&ways[asap], size, lines < RACE_MAX ? lines : RACE_MAX);
	}
	int best = rates[1] > rates[0];
	baseline_close(&ways[!best], false);
	return ways[best];
}

int
main(int argc, char **argv)
{
	struct baseline b;
	char actor[64];
	size_t size = 0;

	if (argc != 7 && argc != 8)
		die("usage: bench_bulk URL STREAM DIRECTORY X ROUNDS FILE [baseline]");
	size_t x = number_arg(argv[4], 0), rounds = number_arg(argv[5], 1), lines = count_lines(argv[6]);
	for (size_t i = 0; i < rounds; i++) {
		snprintf(actor, sizeof(actor), "bulk-%zu-%zu", x, i);
		sample("bulk", "ours", (double)x, append_file(argv[3], actor, argv[6], lines, &size));
		if (argc == 7)
			continue;
		if (i == 0)
			b = faster_way(argv, size, lines);
		sample("bulk", "baseline", (double)x, publish_all(&b, size, lines));
	}
	if (argc == 8)
		baseline_close(&b, false);
	return 0;
}
