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
	bool plain; /* id, type and command_id are known to hold nothing that JSON escapes; false is always right */
};

/*
 * Read one line (without its newline) as the contract says: an object with eventType is an event, an object without it
 * is the data of an event of type Event, anything else is the text of an event of type Text. Stored lines are read by
 * the same function.
 *
 * The event's spans point into line, into arena, or into static text. Returns 0; -EILSEQ (NUL or not UTF-8);
 * -EINVAL (malformed, unknown or repeated key, wrong type or range); -ENOMEM. An object may nest JSON_DEPTH_MAX deep as
 * it will be stored, so one less if it is data without eventType. On failure *why is a static text for the log and
 * names the key.
 */
int event_parse(struct span line, struct arena *arena, struct event *ev, const char **why);

/* Is the text what event_parse does not refuse with -EILSEQ? A text of many lines is if all of them are. */
bool event_is_text(struct span text);

/* event_parse for a line of which event_is_text is known. */
int event_parse_text(struct span line, struct arena *arena, struct event *ev, const char **why);

/* What the lines of one actor that are stamped together share, in the form in which it is written. */
struct event_frame {
	struct span actor; /* key and value of actorId */
	struct span stamp; /* the same and those of timestamp */
};

/* The frame's text lies in arena. timestamp is one of RFC 3339. 0 or -ENOMEM. */
int event_frame(struct event_frame *f, struct span actor, struct span timestamp, struct arena *arena);

/* No line of ev is longer whose version is its, whose id is in ev or as long as id_len, and whose frame is f. */
size_t event_size_max(const struct event *ev, size_t id_len, const struct event_frame *f);

/*
 * Write the canonical line, newline included, to memory with room for event_size_max; returns where the next byte goes.
 * version is in decimal. Of ev its own id, if it has one, else id is written, which needs no escapes; its own timestamp,
 * if it has one, else the frame's; always the frame's actor.
 */
char *event_write(char *to, const struct event *ev, struct span version, struct span id, const struct event_frame *f);

/* Append the canonical line of one event. Every field but command_id and metadata must be present. */
void event_encode(const struct event *ev, struct buf *out);

/*
 * Does the stored event hold what the offered one says? Every field that offered has must equal stored's; what offered
 * leaves out was filled in by the daemon and is not compared.
 */
bool event_same(const struct event *offered, const struct event *stored);

#endif
