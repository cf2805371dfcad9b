/*
 * The EventStorming model of a namespace: reading model.json, refusing what it does not allow, drawing it.
 *
 * Owns the parsed model and nothing else; knows no file, no store and no clock. A model does not change once it is
 * parsed: any thread may check against it and draw it until it is freed.
 *
 * The format. Every key may be left out but the names; an unknown or repeated key is a fault.
 *
 *	{ "enforce": true,
 *	  "aggregates":      [{ "name", "actors": "order-*", "commands": [command…], "events": [event…] }],
 *	  "commands":        [{ "name", "issuedBy": "Customer", "emits": [event…] }],
 *	  "events":          [{ "name": "OrderPlaced", "fields": { "total": "number", … } }],
 *	  "policies":        [{ "name", "on": [event…], "issues": [command…] }],
 *	  "readModels":      [{ "name", "from": [event…] }],
 *	  "externalSystems": [{ "name", "receives": [command or event…], "emits": [event…] }],
 *	  "hotspots":        [{ "text", "about": any name }] }
 *
 * - Names, and what stands in actors and issuedBy, are 1 to 255 bytes without control characters; the text of a hotspot
 *   up to 1024. A name is unique among those of its kind.
 * - What a list names must be declared under its kind, and stands in the list once. "about" and "receives" reach
 *   everything that has the name. issuedBy is a person and is declared nowhere.
 * - "actors" is a pattern of fnmatch(3): * any text, ? one byte, [a-z] one byte of those, \ takes the next as it is.
 *   With "enforce" every aggregate must have it.
 * - An event that no aggregate declares may stand in the model: it is drawn, and with "enforce" no actor takes it.
 * - An event without "fields" may hold any data. With it, the data holds these and no others.
 *
 * Fields: an object of names and types. "name?" is optional: it may be absent or null (null being what takes a field
 * out of an actor's state); all others must be there and no field may be there twice. A type is one of
 *
 *	"string" "number" "boolean" "object" "array" "any"
 *	"integer"            a number of digits alone, after a minus or not: 9007199254740993, not 1.0 and not 1e2
 *	"string[]"           an array of these; likewise for every other name of a type, and "string[][]"
 *	[type]               the same for any type, such as [{ "sku": "string" }]
 *	{ "sku": "string" }  an object of these fields and no others
 */
#ifndef AETHER_STORE_MODEL_H
#define AETHER_STORE_MODEL_H

#include <stdbool.h>

#include "buf.h"
#include "event.h"

#define MODEL_NAME_MAX 255    /* bytes */
#define MODEL_TEXT_MAX 1024   /* bytes of a hotspot's text */
#define MODEL_FIELDS_MAX 1024 /* of one object */

struct model;

/*
 * Read a model. 0, and *out is the caller's to free; -EINVAL, and fault has got the path of the first fault and what is
 * wrong there, on one line: `$.aggregates[1].events[0]: no event is called "OrderPlacd"`; -ENOMEM. *out is NULL after a
 * failure. Faults of form come first, in the order of the text, then names that two have, then names that nothing has.
 */
int model_parse(struct span text, struct model **out, struct buf *fault);

/* NULL is allowed. */
void model_free(struct model *m);

/* Does it say "enforce": true? */
bool model_enforces(const struct model *m);

/*
 * May this event be appended to this actor? ev is as event_parse has left it; only type and data are looked at. 0, or
 * -EINVAL, and why has got the rule that it breaks, on one line: `OrderPlaced: $.total must be a number`. Of several
 * aggregates whose actors match, it suffices that one declares the type; if none matches, no event is allowed.
 */
int model_check(const struct model *m, struct span actor, const struct event *ev, struct buf *why);

/*
 * Append a drawing of the model for Graphviz (dot), as notes in the colours of EventStorming. m may be NULL: no model
 * yet. title may hold any bytes. 0 or -ENOMEM.
 */
int model_dot(const struct model *m, const char *title, struct buf *out);

#endif
