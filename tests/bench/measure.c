#include "measure.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* In flight at most: more makes nothing faster, and newer servers drop what exceeds their ingest queue. */
#define PENDING_MAX 4096
/* nats-server 2.9 needs more than the client's 5 s for a consumer over a million subjects. */
#define REQUEST_WAIT_MS 120000
#define COMPLETE_WAIT_MS 120000

const char *const measure_line =
    "{\"eventType\":\"OrderPlaced\",\"data\":{\"total\":100.00,\"customer\":\"c-4711\",\"items\":3}}\n";

static atomic_uint_fast64_t publish_errors;

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

void
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

size_t
number_arg(const char *text, size_t least)
{
	char *end;
	size_t n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0' || n < least)
		die("%s: not a number of at least %zu", text, least);
	return n;
}

double *
new_values(size_t count)
{
	double *values = calloc(count, sizeof(*values));

	if (values == NULL)
		die("no memory, or nothing to measure");
	return values;
}

char *
new_payload(size_t size)
{
	char *payload = malloc(size);

	if (payload == NULL || size == 0)
		die("no memory, or nothing stored");
	return memset(payload, 'x', size);
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

void
sample(const char *key, const char *side, double x, double value)
{
	printf("%s\t%s\t%.10g\t%.6g\n", key, side, x, value);
}

int
open_actor(const char *directory, const char *actor)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, actor);
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		die("%s: %m", path);
	return fd;
}

void
append_line(int fd)
{
	size_t len = strlen(measure_line);

	if (write(fd, measure_line, len) != (ssize_t)len)
		die("write: %m");
}

size_t
stored_size(int fd)
{
	struct stat before, after;

	if (fstat(fd, &before) != 0)
		die("fstat: %m");
	append_line(fd);
	if (fstat(fd, &after) != 0 || after.st_size <= before.st_size)
		die("one event is %lld bytes long", (long long)(after.st_size - before.st_size));
	return (size_t)(after.st_size - before.st_size);
}

size_t
events_of(const char *directory, const char *actor)
{
	char path[8192];
	size_t events = 0;

	snprintf(path, sizeof(path), "%s/.aether/actors/%s/version", directory, actor);
	FILE *f = fopen(path, "re");
	if (f == NULL || fscanf(f, "%zu", &events) != 1)
		die("%s: %m", path);
	fclose(f);
	return events;
}

static void
on_publish_error(jsCtx *js, jsPubAckErr *e, void *closure)
{
	(void)js, (void)closure;
	if (atomic_fetch_add(&publish_errors, 1) == 0)
		fprintf(stderr, "publish refused: %s\n", e->ErrText != NULL ? e->ErrText : natsStatus_GetText(e->Err));
}

void
baseline_connect(struct baseline *b, const char *url, bool send_asap)
{
	natsOptions *connect = NULL;
	jsOptions options;

	*b = (struct baseline){ 0 };
	check(natsOptions_Create(&connect), "options");
	check(natsOptions_SetURL(connect, url), url);
	check(natsOptions_SetSendAsap(connect, send_asap), "options");
	check(natsConnection_Connect(&b->nc, connect), url);
	natsOptions_Destroy(connect);
	check(jsOptions_Init(&options), "options");
	options.Wait = REQUEST_WAIT_MS;
	options.PublishAsync.MaxPending = PENDING_MAX;
	options.PublishAsync.StallWait = COMPLETE_WAIT_MS;
	options.PublishAsync.ErrHandler = on_publish_error;
	check(natsConnection_JetStream(&b->js, b->nc, &options), "JetStream");
}

void
baseline_make_stream(struct baseline *b, const char *like, const char *name)
{
	jsStreamInfo *info = NULL, *made = NULL;
	char below[80];
	const char *subjects[] = { b->subject, below };

	b->stream = name;
	snprintf(b->subject, sizeof(b->subject), "bench.%s", name);
	snprintf(below, sizeof(below), "%s.*", b->subject);
	check(js_GetStreamInfo(&info, b->js, like, NULL, NULL), like);
	jsStreamConfig config = *info->Config;
	/* nats.c would write its quotes as they are. */
	config.Description = NULL;
	config.Name = b->stream;
	config.Subjects = subjects;
	config.SubjectsLen = 2;
	check(js_AddStream(&made, b->js, &config, NULL, NULL), name);
	jsStreamInfo_Destroy(made);
	jsStreamInfo_Destroy(info);
}

void
baseline_publish(struct baseline *b, const char *payload, size_t size, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(js_PublishAsync(b->js, b->subject, payload, (int)size, NULL), "js_PublishAsync");
	baseline_complete(b);
}

void
baseline_complete(struct baseline *b)
{
	jsPubOptions wait;

	jsPubOptions_Init(&wait);
	wait.MaxWait = COMPLETE_WAIT_MS;
	check(js_PublishAsyncComplete(b->js, &wait), "js_PublishAsyncComplete");
	if (atomic_load(&publish_errors) != 0)
		die("%lu asynchronous publishes were refused", (unsigned long)atomic_load(&publish_errors));
}

uint64_t
baseline_stored(struct baseline *b)
{
	jsStreamInfo *info = NULL;
	uint64_t before = b->stream_messages;

	check(js_GetStreamInfo(&info, b->js, b->stream, NULL, NULL), b->stream);
	b->stream_messages = info->State.Msgs;
	jsStreamInfo_Destroy(info);
	return b->stream_messages - before;
}

void
baseline_close(struct baseline *b, bool keep)
{
	if (b->stream != NULL && !keep)
		check(js_DeleteStream(b->js, b->stream, NULL, NULL), b->stream);
	jsCtx_Destroy(b->js);
	natsConnection_Destroy(b->nc);
	nats_Close();
}
