/*
 * Many writers at once, each with an actor of its own that it holds open, one line a write(2): through a mount, through a
 * second one with commit=async, and as many threads of js_Publish over one connection with a subject each. Events a
 * second, by rounds that take turns. A round lasts until every handle's fsync and close returned, so that with
 * commit=async everything is stored, too.
 *
 *     bench_writers URL STREAM DIRECTORY ASYNC_DIRECTORY|- KEY X WRITERS ROUNDS LINES
 *
 * STREAM holds the namespace at both directories; without an async one, its samples are not there. LINES: of each
 * writer in a round. The samples' keys are KEY_sync and KEY_async.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure.h"

struct bench {
	struct baseline b;
	const char *directory; /* of the files to append to; NULL: publish */
	const char *prefix;
	size_t writers, lines;
	char *payload;
	size_t size;
	pthread_barrier_t start;
};

struct writer {
	struct bench *m;
	size_t number;
	pthread_t thread;
	int64_t end_ns;
};

static void
write_lines(struct writer *w)
{
	char actor[64];

	snprintf(actor, sizeof(actor), "%s-%zu", w->m->prefix, w->number);
	int fd = open_actor(w->m->directory, actor);
	pthread_barrier_wait(&w->m->start);
	for (size_t i = 0; i < w->m->lines; i++)
		append_line(fd);
	if (fsync(fd) != 0 || close(fd) != 0)
		die("%s: %m", actor);
}

static void
publish_lines(struct writer *w)
{
	struct bench *m = w->m;
	char subject[96];

	snprintf(subject, sizeof(subject), "bench.writers.%zu", w->number);
	pthread_barrier_wait(&m->start);
	for (size_t i = 0; i < m->lines; i++) {
		jsPubAck *ack = NULL;
		check(js_Publish(&ack, m->b.js, subject, m->payload, (int)m->size, NULL, NULL), "js_Publish");
		jsPubAck_Destroy(ack);
	}
}

static void *
writer_main(void *arg)
{
	struct writer *w = arg;

	if (w->m->directory != NULL)
		write_lines(w);
	else
		publish_lines(w);
	w->end_ns = now_ns();
	return NULL;
}

/* Events a second. The actors are called prefix-0 and so on. */
static double
round_of(struct bench *m, const char *directory, const char *prefix)
{
	struct writer *writers = calloc(m->writers, sizeof(*writers));
	int64_t end = 0;

	if (writers == NULL)
		die("no memory");
	m->directory = directory;
	m->prefix = prefix;
	pthread_barrier_init(&m->start, NULL, (unsigned)m->writers + 1);
	for (size_t i = 0; i < m->writers; i++) {
		writers[i] = (struct writer){ .m = m, .number = i };
		if (pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]) != 0)
			die("pthread_create failed");
	}
	pthread_barrier_wait(&m->start);
	int64_t start = now_ns();
	for (size_t i = 0; i < m->writers; i++) {
		pthread_join(writers[i].thread, NULL);
		end = writers[i].end_ns > end ? writers[i].end_ns : end;
	}
	pthread_barrier_destroy(&m->start);
	free(writers);
	return (double)(m->writers * m->lines) / ((double)(end - start) / 1e9);
}

static void
check_stored(struct bench *m, const char *directory, const char *prefix, size_t rounds)
{
	char actor[64];

	for (size_t i = 0; i < m->writers; i++) {
		snprintf(actor, sizeof(actor), "%s-%zu", prefix, i);
		size_t events = events_of(directory, actor);
		if (events != rounds * m->lines)
			die("%s: %zu events of %zu", actor, events, rounds * m->lines);
	}
}

static void
measure(struct bench *m, char **argv, size_t rounds)
{
	const char *directory = argv[3], *async = strcmp(argv[4], "-") != 0 ? argv[4] : NULL;
	char key[2][64], names[2][64];
	double x = (double)number_arg(argv[6], 0);

	snprintf(key[0], sizeof(key[0]), "%s_sync", argv[5]);
	snprintf(key[1], sizeof(key[1]), "%s_async", argv[5]);
	/* Actors of its own for every number of writers. */
	snprintf(names[0], sizeof(names[0]), "s%zu", m->writers);
	snprintf(names[1], sizeof(names[1]), "a%zu", m->writers);
	/* One round of each before those that count: new actors, cold threads. */
	for (size_t r = 0; r <= rounds; r++) {
		double sync = round_of(m, directory, names[0]);
		double base = round_of(m, NULL, NULL);
		double pipelined = async != NULL ? round_of(m, async, names[1]) : 0;
		if (r == 0)
			continue;
		sample(key[0], "ours", x, sync);
		sample(key[0], "baseline", x, base);
		if (async != NULL) {
			sample(key[1], "ours", x, pipelined);
			sample(key[1], "baseline", x, base);
		}
	}
	check_stored(m, directory, names[0], rounds + 1);
	if (async != NULL)
		check_stored(m, async, names[1], rounds + 1);
	if (baseline_stored(&m->b) != (rounds + 1) * m->writers * m->lines)
		die("the baseline's stream does not hold what was published");
}

int
main(int argc, char **argv)
{
	struct bench m = { 0 };

	if (argc != 10)
		die("usage: bench_writers URL STREAM DIRECTORY ASYNC_DIRECTORY|- KEY X WRITERS ROUNDS LINES");
	m.writers = number_arg(argv[7], 1);
	m.lines = number_arg(argv[9], 1);
	baseline_connect(&m.b, argv[1], true);
	baseline_make_stream(&m.b, argv[2], "writers");
	int fd = open_actor(argv[3], "order-size");
	append_line(fd);
	m.size = stored_size(fd);
	m.payload = new_payload(m.size);
	close(fd);
	measure(&m, argv, number_arg(argv[8], 1));
	baseline_close(&m.b, false);
	free(m.payload);
	return 0;
}
