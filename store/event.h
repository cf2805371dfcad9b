/*
 * Events and their text form: reading a line, checking it, and writing the canonical line.
 * This is the only encoder and the only decoder; store/FORMAT.md describes the bytes.
 *
 * Knows nothing of storage or time: versions, ids and timestamps are filled in by the caller. Pure functions; any
 * thread.
 */
#ifndef AETHER_STORE_EVENT_H
#define AETHER_STORE_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define EVENT_VERSION_MAX INT64_MAX
#define EVENT_ID_MAX 128 /* bytes */

/*
 * One event. Absent fields have span.p == NULL, and version 0. Strings are decoded UTF-8; data and metadata are
 * minified JSON text. After event_parse every event has type and data.
 */
struct event {
	uint64_t version; /* 1 .. EVENT_VERSION_MAX, 0 = absent */
	struct span id;   /* 1 .. EVENT_ID_MAX bytes */
	struct span type; /* not empty */
	struct span actor_id;
	struct span command_id;
	struct span timestamp; /* RFC 3339, as written */
	struct span data;      /* a JSON object */
	struct span metadata;  /* a JSON object of strings */
};

/*
 * Read one line (without its newline) as the contract says: an object with eventType is an event, an object without it
 * is the data of an event of type Event, anything else is the text of an event of type Text. Stored lines are read by
 * the same function.
 *
 * The event's spans point into arena, or into static text; line may go away. Returns 0; -EILSEQ (NUL or not UTF-8);
 * -EINVAL (malformed, unknown or repeated key, wrong type or range); -ENOMEM. An object may nest JSON_DEPTH_MAX deep as
 * it will be stored, so one less if it is data without eventType. On failure *why is a static text for the log and
 * names the key.
 */
int event_parse(struct span line, struct arena *arena, struct event *ev, const char **why);

/* Append the canonical line, newline included. Every field but command_id and metadata must be present. */
void event_encode(const struct event *ev, struct buf *out);

/*
 * Does the stored event hold what the offered one says? Every field that offered has must equal stored's; what offered
 * leaves out was filled in by the daemon and is not compared.
 */
bool event_same(const struct event *offered, const struct event *stored);

#endif
