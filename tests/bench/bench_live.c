/*
 * What inotify of other nodes' changes costs, and how late it is.
 *
 *     bench_live latency WRITER WATCHER COUNT     prints samples of live_p50 and live_p99, in milliseconds
 *     bench_live load DIRECTORY ACTORS RATE SECONDS
 *
 * latency appends to an actor through the namespace directory WRITER, and waits for the IN_MODIFY of it on WATCHER, the same namespace
 * of another mount; the time is from the return of write(2), so it is 0 where the event was there first. One append at a time,
 * a millisecond and a bit between them, so that no two are one event. load appends to ACTORS actors, RATE lines a second in all.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

#define WAIT_MS 10000
/* Longer than a name rests. */
#define BETWEEN_NS 12345678

static void
sleep_until(int64_t at_ns)
{
	struct timespec at = { .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* Read what has come; when it was there, if it was what is waited for, else 0. */
static int64_t
take_events(int watch)
{
	char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n = read(watch, events, sizeof(events));
	int64_t seen = 0;

	if (n <= 0)
		die("inotify: %s", strerror(errno));
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(events + at);
		if (e->mask & IN_MODIFY)
			seen = now_ns();
		at += (ssize_t)(sizeof(*e) + e->len);
	}
	return seen;
}

static void
latency(const char *writer, const char *watcher, size_t count)
{
	double *values = new_values(count);
	int fd = open_actor(writer, "latency"), watch = inotify_init1(IN_CLOEXEC);

	append_line(fd);
	if (watch < 0 || inotify_add_watch(watch, watcher, IN_MODIFY) < 0)
		die("inotify: %s: %s", watcher, strerror(errno));
	for (size_t i = 0; i < count; i++) {
		struct pollfd p = { .fd = watch, .events = POLLIN };
		int64_t seen = 0, at;
		sleep_until(now_ns() + BETWEEN_NS);
		while (poll(&p, 1, 0) > 0)
			(void)take_events(watch);
		append_line(fd);
		at = now_ns();
		while (seen == 0) {
			if (poll(&p, 1, WAIT_MS) <= 0)
				die("no event within %d ms", WAIT_MS);
			seen = take_events(watch);
		}
		values[i] = seen > at ? (double)(seen - at) / 1e6 : 0;
	}
	sample("live_p50", "ours", 0, percentile(values, count, 0.5));
	sample("live_p99", "ours", 0, percentile(values, count, 0.99));
	free(values);
	close(watch);
	close(fd);
}

static void
load(const char *directory, size_t actors, size_t rate, size_t seconds)
{
	int *fds = calloc(actors, sizeof(*fds));
	int64_t start = now_ns();
	char name[32];

	if (fds == NULL)
		die("no memory");
	for (size_t i = 0; i < actors; i++) {
		snprintf(name, sizeof(name), "load-%zu", i);
		fds[i] = open_actor(directory, name);
	}
	for (size_t i = 0; i < rate * seconds; i++) {
		if (i % 10 == 0)
			sleep_until(start + (int64_t)((double)i * 1e9 / (double)rate));
		append_line(fds[i % actors]);
	}
	for (size_t i = 0; i < actors; i++)
		if (close(fds[i]) != 0)
			die("close: %s", strerror(errno));
	free(fds);
}

int
main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "latency") == 0)
		latency(argv[2], argv[3], number_arg(argv[4], 1));
	else if (argc == 6 && strcmp(argv[1], "load") == 0)
		load(argv[2], number_arg(argv[3], 1), number_arg(argv[4], 1), number_arg(argv[5], 1));
	else
		die("usage: bench_live latency WRITER WATCHER COUNT | load DIRECTORY ACTORS RATE SECONDS");
	return 0;
}
