/*
 * What nats.c does by itself with a stream that is there; prints one number.
 *
 *     bench_nats URL STREAM SUBJECT all COUNT      seconds to read COUNT messages by an ordered consumer
 *     bench_nats URL STREAM SUBJECT last COUNT     the same for the last message of COUNT subjects, headers only
 *     bench_nats URL STREAM SUBJECT get COUNT      microseconds of the median of COUNT direct gets, last of SUBJECT
 *
 * Reading starts with the request for the consumer and ends with the last message; connecting is not counted. Messages
 * come to a callback, without a limit for what waits in the client: the fastest way that the library has.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#define STALLED_SECONDS 60

struct reading {
	pthread_mutex_t lock;
	pthread_cond_t done;
	size_t expected;
	size_t got; /* of the callback's thread until it is expected */
	bool ended; /* by the lock */
};

static void
on_message(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
	struct reading *r = closure;

	(void)nc, (void)sub;
	natsMsg_Destroy(msg);
	if (++r->got != r->expected)
		return;
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	pthread_cond_signal(&r->done);
	pthread_mutex_unlock(&r->lock);
}

static double
read_seconds(struct baseline *b, const char *stream, const char *subject, bool last, size_t count)
{
	struct reading r = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, count, 0, false };
	natsSubscription *sub = NULL;
	struct timespec until;
	jsSubOptions options;
	int err = 0;

	check(jsSubOptions_Init(&options), "options");
	options.Stream = stream;
	options.Ordered = true;
	options.Config.DeliverPolicy = last ? js_DeliverLastPerSubject : js_DeliverAll;
	options.Config.HeadersOnly = last;
	int64_t start = now_ns();
	check(js_Subscribe(&sub, b->js, subject, on_message, &r, NULL, &options, NULL), "js_Subscribe");
	check(natsSubscription_SetPendingLimits(sub, -1, -1), "limits");
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STALLED_SECONDS;
	pthread_mutex_lock(&r.lock);
	while (!r.ended && err == 0)
		err = pthread_cond_timedwait(&r.done, &r.lock, &until);
	pthread_mutex_unlock(&r.lock);
	double seconds = (double)(now_ns() - start) / 1e9;
	if (!r.ended)
		die("%s: fewer than %zu messages", stream, count);
	natsSubscription_Destroy(sub);
	return seconds;
}

static double
get_us(struct baseline *b, const char *stream, const char *subject, size_t count)
{
	double *us = new_values(count);
	jsDirectGetMsgOptions options;

	check(jsDirectGetMsgOptions_Init(&options), "options");
	options.LastBySubject = subject;
	for (size_t i = 0; i < count; i++) {
		natsMsg *msg = NULL;
		int64_t start = now_ns();
		check(js_DirectGetMsg(&msg, b->js, stream, NULL, &options), subject);
		us[i] = (double)(now_ns() - start) / 1000;
		natsMsg_Destroy(msg);
	}
	double median = percentile(us, count, 0.5);
	free(us);
	return median;
}

int
main(int argc, char **argv)
{
	struct baseline b;

	if (argc != 6)
		die("usage: bench_nats URL STREAM SUBJECT all|last|get COUNT");
	const char *stream = argv[2], *subject = argv[3], *what = argv[4];
	size_t count = number_arg(argv[5], 1);
	baseline_connect(&b, argv[1], true);
	if (strcmp(what, "get") == 0)
		printf("%.6g\n", get_us(&b, stream, subject, count));
	else
		printf("%.6g\n", read_seconds(&b, stream, subject, strcmp(what, "last") == 0, count));
	baseline_close(&b, true);
	return 0;
}
