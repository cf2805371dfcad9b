/*
 * Any line, given to the only decoder: it must be refused, or be encoded to a line that decodes to the same event and
 * encodes to the same bytes.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../store/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena first = { 0 }, second = { 0 };
	struct buf line = { 0 }, again = { 0 };
	struct event ev, stored;
	const char *why = NULL;
	int err = event_parse((struct span){ (const char *)data, size }, &first, &ev, &why);

	if (err != 0) {
		must((err == -EINVAL || err == -EILSEQ) && why != NULL);
		goto out;
	}
	if (ev.version == 0)
		ev.version = 1;
	if (ev.id.p == NULL)
		ev.id = SPAN("an-id");
	if (ev.actor_id.p == NULL)
		ev.actor_id = SPAN("an-actor");
	if (ev.timestamp.p == NULL)
		ev.timestamp = SPAN("2026-01-02T03:04:05.678901Z");
	event_encode(&ev, &line);
	must(!line.failed && line.len > 1 && memchr(line.p, '\n', line.len) == line.p + line.len - 1);
	must(event_parse((struct span){ line.p, line.len - 1 }, &second, &stored, &why) == 0);
	must(event_same(&ev, &stored) && event_same(&stored, &ev));
	event_encode(&stored, &again);
	must(span_eq((struct span){ line.p, line.len }, (struct span){ again.p, again.len }));
out:
	buf_free(&line);
	buf_free(&again);
	arena_free(&first);
	arena_free(&second);
	return 0;
}
