/*
 * Makes large stores in seconds: publishes without a mount what a mount would have stored (store/FORMAT.md).
 *
 *     bench_fill URL events PREFIX NS ACTOR COUNT   one actor of COUNT events, each a message of its own
 *     bench_fill URL actors PREFIX NS COUNT         COUNT actors of one event each; their names are 20 bytes long
 *     bench_fill URL plain LIKE STREAM COUNT SIZE   a stream of COUNT messages of SIZE bytes, for a baseline, with the
 *                                                   configuration of the stream LIKE
 *
 * The namespace must exist and be left alone meanwhile: what sequence a message will get is known because nobody else
 * publishes; it is one connection, and a server that gave another one refuses the next message of that actor.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../store/event.h"
#include "../../store/name.h"
#include "../../store/record.h"
#include "measure.h"

#define SUBJECT_MAX 1024

struct fill {
	struct baseline b;
	const char *prefix, *ns;
	uint64_t seq;    /* of the stream's last message */
	int64_t time_us; /* of the last record */
	struct buf line;
};

static uint64_t
last_seq(struct baseline *b, const char *stream)
{
	jsStreamInfo *info = NULL;

	check(js_GetStreamInfo(&info, b->js, stream, NULL, NULL), stream);
	uint64_t seq = info->State.LastSeq;
	jsStreamInfo_Destroy(info);
	return seq;
}

static void
encode_line(struct fill *f, const char *actor, uint64_t version)
{
	char id[40], timestamp[40];
	time_t seconds = (time_t)(f->time_us / 1000000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	size_t len = strftime(timestamp, sizeof(timestamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(timestamp + len, sizeof(timestamp) - len, ".%06dZ", (int)(f->time_us % 1000000));
	snprintf(id, sizeof(id), "0193e0a1-5c00-7000-8000-%012llx", (unsigned long long)(f->seq + 1));
	struct event ev = {
		.version = version,
		.id = span_of(id),
		.type = span_of("Moved"),
		.actor_id = span_of(actor),
		.timestamp = span_of(timestamp),
		.data = span_of("{\"seq\":10000000,\"text\":\"abcdefghijklmnopqrs\"}"),
	};
	f->line.len = 0;
	event_encode(&ev, &f->line);
	if (f->line.failed)
		die("no memory");
}

/* Publish the next event of an actor, of which *h is the head, and move *h on. */
static void
publish_event(struct fill *f, const char *actor, struct head *h)
{
	char values[RECORD_HEADERS][RECORD_VALUE_MAX], subject[SUBJECT_MAX], id[SUBJECT_MAX];
	natsMsg *msg = NULL;

	f->time_us++;
	encode_line(f, actor, h->version + 1);
	struct record r = {
		.seq = f->seq + 1,
		.prev_seq = h->seq,
		.first = h->version + 1,
		.last = h->version + 1,
		.count = h->count + 1,
		.offset = h->size,
		.time_us = f->time_us,
		.payload = { f->line.p, f->line.len },
	};
	r.sum = record_sum(h->sum, r.payload);
	record_encode(&r, values);
	snprintf(subject, sizeof(subject), "%s.ev.%s.%s", f->prefix, f->ns, actor);
	snprintf(id, sizeof(id), "%s/0193e0a1-5c00-7000-8000-%012llx", actor, (unsigned long long)r.seq);
	check(natsMsg_Create(&msg, subject, NULL, r.payload.p, (int)r.payload.len), "message");
	for (int i = 0; i < RECORD_NEEDED; i++)
		check(natsMsgHeader_Set(msg, record_header_names[i], values[i]), "header");
	check(natsMsgHeader_Set(msg, "Nats-Msg-Id", id), "header");
	check(js_PublishMsgAsync(f->b.js, &msg, NULL), "js_PublishMsgAsync");
	*h = record_head(&r);
	f->seq++;
}

static void
fill_namespace(char **argv, bool actors)
{
	char stream[SUBJECT_MAX], name[32];
	struct head h = { 0 };
	struct timespec now;
	struct fill f = { .prefix = argv[3], .ns = argv[4] };
	size_t count = number_arg(argv[actors ? 5 : 6], 1);

	clock_gettime(CLOCK_REALTIME, &now);
	f.time_us = (int64_t)now.tv_sec * 1000000 - (int64_t)count;
	baseline_connect(&f.b, argv[1], false);
	snprintf(stream, sizeof(stream), "%s-%s", f.prefix, f.ns);
	f.seq = last_seq(&f.b, stream);
	uint64_t expected = f.seq + count;
	for (size_t i = 0; i < count; i++) {
		if (actors) {
			snprintf(name, sizeof(name), "actor-%014zu", i);
			h = (struct head){ 0 };
		}
		publish_event(&f, actors ? name : argv[5], &h);
	}
	baseline_complete(&f.b);
	if (last_seq(&f.b, stream) != expected)
		die("%s: not everything is stored", stream);
	baseline_close(&f.b, true);
	buf_free(&f.line);
}

static void
fill_plain(char **argv)
{
	size_t count = number_arg(argv[5], 1), size = number_arg(argv[6], 1);
	char *payload = new_payload(size);
	struct baseline b;

	baseline_connect(&b, argv[1], false);
	baseline_make_stream(&b, argv[3], argv[4]);
	baseline_publish(&b, payload, size, count);
	if (baseline_stored(&b) != count)
		die("%s: not everything is stored", argv[4]);
	baseline_close(&b, true);
	free(payload);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";

	if (argc == 7 && strcmp(what, "events") == 0)
		fill_namespace(argv, false);
	else if (argc == 6 && strcmp(what, "actors") == 0)
		fill_namespace(argv, true);
	else if (argc == 7 && strcmp(what, "plain") == 0)
		fill_plain(argv);
	else
		die("usage: bench_fill URL events PREFIX NS ACTOR COUNT | actors PREFIX NS COUNT | plain LIKE STREAM COUNT SIZE");
	return 0;
}
