/*
 * What a parsed model is, for the files that read it, check against it and draw it; and how a place in JSON text is
 * named in what they say. Nobody else includes this.
 */
#ifndef AETHER_STORE_MODEL_STATE_H
#define AETHER_STORE_MODEL_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "model.h"

enum model_kind {
	MODEL_AGGREGATE,
	MODEL_COMMAND,
	MODEL_EVENT,
	MODEL_POLICY,
	MODEL_READ_MODEL,
	MODEL_EXTERNAL,
	MODEL_HOTSPOT,
	MODEL_KINDS
};

#define MODEL_LISTS 2

enum model_type_is {
	MODEL_ANY,
	MODEL_STRING,
	MODEL_NUMBER,
	MODEL_INTEGER,
	MODEL_BOOLEAN,
	MODEL_OBJECT, /* of anything */
	MODEL_ARRAY,
	MODEL_FIELDS /* an object of those that are declared */
};

/* As they are written in a model; one of fields has none. */
extern const char *const model_type_names[MODEL_FIELDS + 1];

struct model_type {
	enum model_type_is is;
	const struct model_type *of;       /* of an array's elements; NULL: anything */
	struct model_field *fields;        /* in the order of the text */
	const struct model_field **sorted; /* by name */
	size_t count;
};

struct model_field {
	struct span name;
	struct span raw; /* the name as it stands between quotes in JSON */
	bool optional;
	struct model_type type;
};

/* What a list of names refers to. One name may stand for items of several kinds. */
struct model_refs {
	const struct model_item **items;
	size_t count;
};

/* A note. Texts end with a NUL that is not counted. */
struct model_item {
	enum model_kind kind;
	size_t index;                    /* in its section */
	struct span name;                /* a hotspot's text */
	struct span about;               /* an aggregate's actors, a command's issuedBy; absent elsewhere */
	struct span *names[MODEL_LISTS]; /* as they are written, in the order of the kind's rule */
	size_t names_count[MODEL_LISTS];
	struct model_refs refs[MODEL_LISTS]; /* what they stand for */
	struct model_refs declared_by;       /* an event's aggregates */
	const struct model_type *fields;     /* an event's; NULL: any data */
};

struct model_section {
	struct model_item *items;
	const struct model_item **sorted; /* by name */
	size_t count;
};

struct model {
	struct arena arena; /* all that it points to */
	bool enforce;
	struct model_section sections[MODEL_KINDS];
};

/* The keys of a kind, for reading and for paths. */
struct model_rule {
	const char *section;
	const char *keys; /* all that an item may have, for messages */
	const char *name_key;
	const char *about_key;
	size_t name_max;
	bool fields;
	struct model_list_rule {
		const char *key;
		unsigned kinds; /* bits of what may be named */
		const char *no; /* what is not there if a name is not */
		bool single;    /* a string instead of a list */
	} lists[MODEL_LISTS];
};

extern const struct model_rule model_rules[MODEL_KINDS];

/* A place in JSON text, inner to outer: a member if it has a key (raw), else an element; the outermost has no up. */
struct model_place {
	const struct model_place *up;
	struct span key;
	size_t index;
};

/* Append $.a[0]["b c"]. */
void model_put_place(struct buf *out, const struct model_place *at);

/* Append the text as a JSON string, the end of a long one left out. */
void model_put_quoted(struct buf *out, struct span text);

/* The item with that name, or NULL. */
const struct model_item *model_find(const struct model *m, enum model_kind kind, struct span name);

/* An order of names. */
int model_compare(struct span a, struct span b);

/* Make refs of the names that the items have. 0, -EINVAL with the fault, or -ENOMEM. */
int model_link(struct model *m, struct buf *fault);

#endif
