/*
 * A large file at once: the shell's `cat FILE >> actor` beside js_PublishAsync with one event a message, each as long
 * as an event of ours is when stored, all acknowledgements awaited.
 *
 *     bench_bulk URL STREAM DIRECTORY ROUNDS FILE      STREAM holds the namespace at DIRECTORY
 *
 * Rounds take turns, each appends to a new actor; the row is the medians of the rounds. That the events are there is
 * checked.
 *
 * The library has two ways of sending: its flusher's, many messages to a system call after a pause, and SendAsap. Which
 * is faster depends on its version and the machine, so both run, and the better one is the baseline.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define COMPLETE_WAIT_MS 60000

static atomic_uint_fast64_t publish_errors;

static void
on_publish_error(jsCtx *js, jsPubAckErr *e, void *closure)
{
	(void)js, (void)e, (void)closure;
	atomic_fetch_add(&publish_errors, 1);
}

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

/* Returns how many seconds it took; *stored becomes the bytes that the actor has. */
static double
append_file(const char *directory, size_t round, const char *file, size_t lines, uint64_t *stored)
{
	char actor[4096], version[8192];
	struct stat st;
	size_t events = 0;

	snprintf(actor, sizeof(actor), "%s/import-%zu", directory, round);
	int64_t start = now_ns();
	run_shell("cat \"$1\" >>\"$2\"", file, actor);
	double seconds = (double)(now_ns() - start) / 1e9;

	snprintf(version, sizeof(version), "%s/.aether/actors/import-%zu/version", directory, round);
	FILE *f = fopen(version, "re");
	if (f == NULL || fscanf(f, "%zu", &events) != 1 || events != lines)
		die("%s: %zu events of %zu", version, events, lines);
	fclose(f);
	if (stat(actor, &st) != 0)
		die("%s: %m", actor);
	*stored = (uint64_t)st.st_size;
	return seconds;
}

static double
publish_all(struct baseline *b, const char *payload, int size, size_t count)
{
	jsPubOptions wait;

	jsPubOptions_Init(&wait);
	wait.MaxWait = COMPLETE_WAIT_MS;
	int64_t start = now_ns();
	for (size_t i = 0; i < count; i++) {
		natsStatus s = js_PublishAsync(b->js, b->subject, payload, size, NULL);
		if (s != NATS_OK)
			die("js_PublishAsync: %s", natsStatus_GetText(s));
	}
	natsStatus s = js_PublishAsyncComplete(b->js, &wait);
	double seconds = (double)(now_ns() - start) / 1e9;
	if (s != NATS_OK || atomic_load(&publish_errors) != 0)
		die("js_PublishAsyncComplete: %s, %lu refused", natsStatus_GetText(s),
		    (unsigned long)atomic_load(&publish_errors));
	if (baseline_stored(b) != count)
		die("the baseline's stream does not hold what was published");
	return seconds;
}

static double
rate(struct baseline *b, uint64_t stored, size_t lines)
{
	int size = (int)(stored / lines);
	char *payload = malloc((size_t)size);

	if (payload == NULL)
		die("out of memory");
	memset(payload, 'x', (size_t)size);
	double seconds = publish_all(b, payload, size, lines);
	free(payload);
	return (double)lines / seconds;
}

int
main(int argc, char **argv)
{
	struct baseline flusher, asap;
	uint64_t stored = 0;

	if (argc != 6)
		die("usage: bench_bulk URL STREAM DIRECTORY ROUNDS FILE");
	size_t rounds = strtoul(argv[4], NULL, 10), lines = count_lines(argv[5]);
	double *ours = new_values(rounds), *by_flusher = new_values(rounds), *by_asap = new_values(rounds);
	if (lines == 0)
		die("%s: no lines", argv[5]);
	baseline_open(&flusher, argv[1], argv[2], "bench-bulk", false, on_publish_error);
	baseline_open(&asap, argv[1], argv[2], "bench-bulk-asap", true, on_publish_error);
	for (size_t i = 0; i < rounds; i++) {
		ours[i] = (double)lines / append_file(argv[3], i, argv[5], lines, &stored);
		by_flusher[i] = rate(&flusher, stored, lines);
		by_asap[i] = rate(&asap, stored, lines);
	}
	double a = percentile(by_flusher, rounds, 0.5), b = percentile(by_asap, rounds, 0.5);
	printf("# bulk: %zu rounds of %zu lines, %.0f bytes stored each; baseline with SendAsap %.0f, without %.0f "
	       "events/s\n",
	    rounds, lines, (double)stored / (double)lines, b, a);
	print_row("cat >> (events/s) / js_PublishAsync", percentile(ours, rounds, 0.5), a > b ? a : b, ">=", 1.0);
	baseline_close(&asap);
	baseline_close(&flusher);
	nats_Close();
	free(by_asap);
	free(by_flusher);
	free(ours);
	return 0;
}
