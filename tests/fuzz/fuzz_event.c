/*
 * A line that event_parse accepts must, once it is stored, be one line of JSON that reads back as the same event and
 * is written again as the same bytes, for ever.
 */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "../../store/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                     \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			abort();                                                                                       \
	} while (0)

/* What the daemon fills in before it stores an event. */
static void
fill_in(struct event *ev)
{
	if (ev->version == 0)
		ev->version = 1;
	if (ev->id.p == NULL)
		ev->id = SPAN("0193e0a1-0000-7000-8000-000000000000");
	if (ev->actor_id.p == NULL)
		ev->actor_id = SPAN("order-123");
	if (ev->timestamp.p == NULL)
		ev->timestamp = SPAN("2026-11-23T05:27:33.123456Z");
}

/* cJSON refuses numbers of more than 63 characters, which are fine here. */
static bool
has_long_number(struct span line)
{
	size_t run = 0;

	for (size_t i = 0; i < line.len; i++) {
		run = memchr("+-.0123456789eE", line.p[i], 15) != NULL ? run + 1 : 0;
		if (run > 63)
			return true;
	}
	return false;
}

static void
check_cjson(struct span line)
{
	const char *end = NULL;

	if (has_long_number(line))
		return;
	cJSON *tree = cJSON_ParseWithLengthOpts(line.p, line.len, &end, false);
	MUST(cJSON_IsObject(tree) && end == line.p + line.len);
	MUST(cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(tree, "data")));
	MUST(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(tree, "eventType")));
	cJSON_Delete(tree);
}

static void
check_text(struct span input, const struct event *ev)
{
	MUST(span_eq(ev->type, SPAN("Text")));
	cJSON *tree = cJSON_ParseWithLength(ev->data.p, ev->data.len);
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "text"));
	MUST(text != NULL && span_eq(span_of(text), input));
	cJSON_Delete(tree);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = { 0 };
	struct buf once = { 0 };
	struct buf twice = { 0 };
	struct event ev, again;
	const char *why = NULL;
	struct span input = { (const char *)data, size };

	int err = event_parse(input, &arena, &ev, &why);
	MUST((err == 0) == (why == NULL));
	if (err == 0) {
		if (size == 0 || data[0] != '{')
			check_text(input, &ev);
		fill_in(&ev);
		event_encode(&ev, &once);
		MUST(!once.failed && memchr(once.p, '\n', once.len) == once.p + once.len - 1);

		struct span line = { once.p, once.len - 1 };
		MUST(event_parse(line, &arena, &again, &why) == 0);
		MUST(again.version == ev.version && event_same(&ev, &again) && event_same(&again, &ev));
		event_encode(&again, &twice);
		MUST(twice.len == once.len && memcmp(twice.p, once.p, once.len) == 0);
		check_cjson(line);
	}
	buf_free(&once);
	buf_free(&twice);
	arena_free(&arena);
	return 0;
}
