#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "js_state.h"

#define FENCE_ABANDONED_NS (10 * NS_PER_SEC)

struct js_stream {
	struct table_link link;
	uint64_t replicas;     /* 0: not known */
	char fence[64];        /* as js_note_stream was told, empty if there is none */
	int64_t fence_seen_ns; /* since when */
	bool trusted;          /* as js_note_trusted says */
	bool reported;         /* js_first_report has been here */
	char ns[];
};

static bool
stream_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct js_stream, link)->ns, key) == 0;
}

static struct js_stream *
stream_locked(struct jetstream *js, const char *ns, bool make)
{
	size_t size = strlen(ns) + 1;
	uint64_t hash = XXH3_64bits(ns, size - 1);
	struct table_link *link = table_find(&js->streams, hash, stream_match, ns);

	if (link != NULL)
		return container_of(link, struct js_stream, link);
	struct js_stream *stream = make ? calloc(1, sizeof(*stream) + size) : NULL;
	if (stream == NULL)
		return NULL;
	memcpy(stream->ns, ns, size);
	if (table_add(&js->streams, hash, &stream->link) != 0) {
		free(stream);
		return NULL;
	}
	return stream;
}

void
js_forget_stream(struct jetstream *js, const char *ns)
{
	lock_take(&js->lock);
	struct js_stream *stream = stream_locked(js, ns, false);
	if (stream != NULL) {
		table_remove(&js->streams, &stream->link);
		free(stream);
	}
	lock_give(&js->lock);
}

void
js_note_replicas(struct jetstream *js, const char *ns, uint64_t replicas)
{
	lock_take(&js->lock);
	struct js_stream *stream = stream_locked(js, ns, true);
	if (stream != NULL)
		stream->replicas = replicas;
	lock_give(&js->lock);
}

uint64_t
js_known_replicas(struct jetstream *js, const char *ns)
{
	lock_take(&js->lock);
	struct js_stream *stream = stream_locked(js, ns, false);
	uint64_t replicas = stream != NULL ? stream->replicas : 0;
	lock_give(&js->lock);
	return replicas;
}

bool
js_note_stream(struct jetstream *js, const char *ns, uint64_t replicas, const char *fence)
{
	int64_t now = clock_mono(js->clock);
	bool abandoned = false;

	lock_take(&js->lock);
	struct js_stream *stream = stream_locked(js, ns, true);
	if (stream != NULL) {
		stream->replicas = replicas;
		if (strcmp(stream->fence, fence) != 0) {
			snprintf(stream->fence, sizeof(stream->fence), "%s", fence);
			stream->fence_seen_ns = now;
		}
		abandoned = fence[0] != '\0' && now - stream->fence_seen_ns > FENCE_ABANDONED_NS;
	}
	lock_give(&js->lock);
	return abandoned;
}

void
js_note_trusted(struct jetstream *js, const char *ns, bool trusted)
{
	lock_take(&js->lock);
	struct js_stream *stream = stream_locked(js, ns, true);
	if (stream != NULL)
		stream->trusted = trusted;
	lock_give(&js->lock);
}

bool
js_is_trusted(struct jetstream *js, const char *ns)
{
	lock_take(&js->lock);
	struct js_stream *stream = stream_locked(js, ns, false);
	bool trusted = stream != NULL && stream->trusted;
	lock_give(&js->lock);
	return trusted;
}

bool
js_first_report(struct jetstream *js, const char *ns)
{
	lock_take(&js->lock);
	struct js_stream *stream = stream_locked(js, ns, true);
	bool first = stream != NULL && !stream->reported;
	if (stream != NULL)
		stream->reported = true;
	lock_give(&js->lock);
	return first;
}

void
js_free_streams(struct jetstream *js)
{
	struct table_link *link;

	while ((link = table_pop(&js->streams)) != NULL)
		free(container_of(link, struct js_stream, link));
	table_free(&js->streams);
}
