/*
 * One small append after the other: write(2) on an open handle, which returns when the event is stored, beside
 * js_Publish of a message whose payload is as long as the stored line.
 *
 *     bench_append URL STREAM DIRECTORY ROUNDS COUNT      STREAM holds the namespace at DIRECTORY
 *
 * Rounds of COUNT each take turns, and the rows are the medians of the rounds' percentiles.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "measure.h"

#define WARM_UP 200

static const char line[] =
    "{\"eventType\":\"OrderPlaced\",\"data\":{\"total\":100.00,\"customer\":\"c-4711\",\"items\":3}}\n";

static off_t
size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		die("fstat: %m");
	return st.st_size;
}

static void
append_events(int fd, double *us, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int64_t start = now_ns();
		if (write(fd, line, sizeof(line) - 1) != (ssize_t)sizeof(line) - 1)
			die("write: %m");
		us[i] = (double)(now_ns() - start) / 1000;
	}
}

static void
publish_messages(struct baseline *b, const char *payload, int size, double *us, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		jsPubAck *ack = NULL;
		int64_t start = now_ns();
		natsStatus s = js_Publish(&ack, b->js, b->subject, payload, size, NULL, NULL);
		us[i] = (double)(now_ns() - start) / 1000;
		if (s != NATS_OK)
			die("js_Publish: %s", natsStatus_GetText(s));
		jsPubAck_Destroy(ack);
	}
}

int
main(int argc, char **argv)
{
	struct baseline b;
	char path[4096], payload[4096];

	if (argc != 6)
		die("usage: bench_append URL STREAM DIRECTORY ROUNDS COUNT");
	size_t rounds = strtoul(argv[4], NULL, 10), count = strtoul(argv[5], NULL, 10);
	double *us = new_values(count > WARM_UP ? count : WARM_UP);
	double *ours_p50 = new_values(rounds), *base_p50 = new_values(rounds);
	double *ours_p99 = new_values(rounds), *base_p99 = new_values(rounds);
	snprintf(path, sizeof(path), "%s/order-123", argv[3]);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		die("%s: %m", path);
	baseline_open(&b, argv[1], argv[2], "bench-append", false, NULL);

	append_events(fd, us, WARM_UP);
	off_t before = size_of(fd);
	append_events(fd, us, 1);
	int size = (int)(size_of(fd) - before);
	if (size <= 0 || size > (int)sizeof(payload))
		die("one event is %d bytes long", size);
	memset(payload, 'x', (size_t)size);
	publish_messages(&b, payload, size, us, WARM_UP);

	for (size_t i = 0; i < rounds; i++) {
		append_events(fd, us, count);
		ours_p50[i] = percentile(us, count, 0.5);
		ours_p99[i] = percentile(us, count, 0.99);
		publish_messages(&b, payload, size, us, count);
		base_p50[i] = percentile(us, count, 0.5);
		base_p99[i] = percentile(us, count, 0.99);
	}
	if (close(fd) != 0)
		die("close: %m");
	if (baseline_stored(&b) != WARM_UP + rounds * count)
		die("the baseline's stream does not hold what was published");
	printf("# append: %zu rounds of %zu, %d bytes stored each\n", rounds, count, size);
	print_row("append p50 (us) / js_Publish", percentile(ours_p50, rounds, 0.5), percentile(base_p50, rounds, 0.5),
	    "<=", 1.6);
	print_row("append p99 (us) / js_Publish", percentile(ours_p99, rounds, 0.5), percentile(base_p99, rounds, 0.5),
	    "", 0);
	baseline_close(&b);
	nats_Close();
	free(base_p99);
	free(ours_p99);
	free(base_p50);
	free(ours_p50);
	free(us);
	return 0;
}
