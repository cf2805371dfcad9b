/*
 * One small append after the other, in three ways that take turns: write(2) on an open handle, which returns when the
 * event is stored; open, write, close, which is what a shell does for `echo >>`; and js_Publish of a message whose
 * payload is as long as the stored line.
 *
 *     bench_append URL STREAM DIRECTORY X ROUNDS COUNT      STREAM holds the namespace at DIRECTORY
 *
 * Rounds of COUNT each; a sample is the percentile of a round. With X = 0 the distribution over all rounds is printed
 * too, as `latency`, whose x is the percentile.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

#define WARM_UP 200
#define ACTOR_OPEN "order-open"
#define ACTOR_SHELL "order-shell"

enum way { OPEN_HANDLE, SHELL, PUBLISH, WAYS };

static const char *const side_names[WAYS] = { "open", "shell", "publish" };

struct bench {
	struct baseline b;
	const char *directory;
	int fd;
	char *payload;
	size_t size;
};

static double
once(struct bench *m, enum way way)
{
	jsPubAck *ack = NULL;
	int64_t start = now_ns();

	if (way == OPEN_HANDLE) {
		append_line(m->fd);
	} else if (way == SHELL) {
		int fd = open_actor(m->directory, ACTOR_SHELL);
		append_line(fd);
		if (close(fd) != 0)
			die("close: %m");
	} else {
		check(js_Publish(&ack, m->b.js, m->b.subject, m->payload, (int)m->size, NULL, NULL), "js_Publish");
	}
	double us = (double)(now_ns() - start) / 1000;
	jsPubAck_Destroy(ack);
	return us;
}

static void
print_distribution(const char *side, double *us, size_t count)
{
	/* Evenly on the plot, whose axis is the logarithm of the share that is slower. */
	for (int twentieths = 0; twentieths <= 80; twentieths++) {
		double slower = pow(10, -twentieths / 20.0);
		if (slower * (double)count >= 3)
			sample("latency", side, 1 - slower, percentile(us, count, 1 - slower));
	}
}

static void
measure(struct bench *m, double x, size_t rounds, size_t count)
{
	double *us[WAYS];

	for (int way = 0; way < WAYS; way++) {
		us[way] = new_values(rounds * count);
		for (size_t i = 0; i < WARM_UP; i++)
			once(m, way);
	}
	for (size_t r = 0; r < rounds; r++)
		for (int way = 0; way < WAYS; way++) {
			for (size_t i = 0; i < count; i++)
				us[way][r * count + i] = once(m, way);
			double p50 = percentile(us[way] + r * count, count, 0.5);
			double p99 = percentile(us[way] + r * count, count, 0.99);
			if (way != SHELL) {
				sample("append_p50", way == PUBLISH ? "baseline" : "ours", x, p50);
				sample("append_p99", way == PUBLISH ? "baseline" : "ours", x, p99);
			}
			if (way != PUBLISH)
				sample("echo_p50", way == SHELL ? "ours" : "baseline", x, p50);
		}
	for (int way = 0; way < WAYS; way++) {
		if (x == 0)
			print_distribution(side_names[way], us[way], rounds * count);
		free(us[way]);
	}
}

int
main(int argc, char **argv)
{
	struct bench m = { 0 };

	if (argc != 7)
		die("usage: bench_append URL STREAM DIRECTORY X ROUNDS COUNT");
	size_t rounds = number_arg(argv[5], 1), count = number_arg(argv[6], 1);
	m.directory = argv[3];
	baseline_connect(&m.b, argv[1], true);
	baseline_make_stream(&m.b, argv[2], "bench-append");
	m.fd = open_actor(m.directory, ACTOR_OPEN);
	append_line(m.fd);
	m.size = stored_size(m.fd);
	m.payload = new_payload(m.size);
	measure(&m, (double)number_arg(argv[4], 0), rounds, count);
	if (close(m.fd) != 0)
		die("close: %m");
	if (baseline_stored(&m.b) != WARM_UP + rounds * count ||
	    events_of(m.directory, ACTOR_SHELL) != WARM_UP + rounds * count ||
	    events_of(m.directory, ACTOR_OPEN) != 2 + WARM_UP + rounds * count)
		die("what was appended is not stored");
	baseline_close(&m.b, false);
	free(m.payload);
	return 0;
}
