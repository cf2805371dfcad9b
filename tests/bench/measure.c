#include "measure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* In flight at most: more makes nothing faster, and newer servers drop what exceeds their ingest queue. */
#define PENDING_MAX 4096

void
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void
check(natsStatus s, const char *what)
{
	const char *more = s != NATS_OK ? nats_GetLastError(NULL) : NULL;

	if (s != NATS_OK)
		die("%s: %s: %s", what, natsStatus_GetText(s), more != NULL ? more : "");
}

int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

double *
new_values(size_t count)
{
	double *values = calloc(count, sizeof(*values));

	if (values == NULL)
		die("no memory, or nothing to measure");
	return values;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
percentile(double *values, size_t count, double p)
{
	qsort(values, count, sizeof(values[0]), compare);
	return values[(size_t)(p * (double)(count - 1) + 0.5)];
}

static void
make_stream(struct baseline *b, const char *like)
{
	jsStreamInfo *info = NULL, *made = NULL;
	const char *subjects[] = { b->subject };

	check(js_GetStreamInfo(&info, b->js, like, NULL, NULL), "the stream of the mount");
	jsStreamConfig config = *info->Config;
	/* nats.c would write its quotes as they are. */
	config.Description = NULL;
	config.Name = b->stream;
	config.Subjects = subjects;
	config.SubjectsLen = 1;
	check(js_AddStream(&made, b->js, &config, NULL, NULL), "the stream of the baseline");
	jsStreamInfo_Destroy(made);
	jsStreamInfo_Destroy(info);
}

void
baseline_open(
    struct baseline *b, const char *url, const char *like, const char *name, bool send_asap, jsPubAckErrHandler errors)
{
	natsOptions *connect = NULL;
	jsOptions options;

	*b = (struct baseline){ .stream = name };
	snprintf(b->subject, sizeof(b->subject), "bench.%s", name);
	check(natsOptions_Create(&connect), "options");
	check(natsOptions_SetURL(connect, url), url);
	check(natsOptions_SetSendAsap(connect, send_asap), "options");
	check(natsConnection_Connect(&b->nc, connect), url);
	natsOptions_Destroy(connect);
	check(jsOptions_Init(&options), "options");
	options.PublishAsync.MaxPending = PENDING_MAX;
	options.PublishAsync.StallWait = 10000;
	options.PublishAsync.ErrHandler = errors;
	check(natsConnection_JetStream(&b->js, b->nc, &options), "JetStream");
	make_stream(b, like);
}

void
baseline_close(struct baseline *b)
{
	jsCtx_Destroy(b->js);
	natsConnection_Destroy(b->nc);
}

uint64_t
baseline_stored(struct baseline *b)
{
	jsStreamInfo *info = NULL;
	uint64_t before = b->stream_messages;

	check(js_GetStreamInfo(&info, b->js, b->stream, NULL, NULL), "the stream of the baseline");
	b->stream_messages = info->State.Msgs;
	jsStreamInfo_Destroy(info);
	return b->stream_messages - before;
}

void
print_row(const char *what, double ours, double theirs, const char *relation, double target)
{
	printf("row\t%s\t%.1f\t%.1f\t%.2f\t%s\t%.1f\n", what, ours, theirs, ours / theirs, relation, target);
}
