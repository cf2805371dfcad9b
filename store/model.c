#include "model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "json.h"
#include "json_walk.h"
#include "model_state.h"
#include "name.h"

#define BIT(kind) (1u << (kind))
#define BITS_BEFORE(kind) (BIT(kind) - 1)

const struct model_rule model_rules[MODEL_KINDS] = {
	[MODEL_AGGREGATE] = { "aggregates", "an aggregate has name, actors, commands, events", "name", "actors",
	    MODEL_NAME_MAX, false,
	    { { "commands", BIT(MODEL_COMMAND), "no command", false },
		{ "events", BIT(MODEL_EVENT), "no event", false } } },
	[MODEL_COMMAND] = { "commands", "a command has name, issuedBy, emits", "name", "issuedBy", MODEL_NAME_MAX,
	    false, { { "emits", BIT(MODEL_EVENT), "no event", false } } },
	[MODEL_EVENT] = { "events", "an event has name, fields", "name", NULL, MODEL_NAME_MAX, true,
	    { { NULL, 0, NULL, false } } },
	[MODEL_POLICY] = { "policies", "a policy has name, on, issues", "name", NULL, MODEL_NAME_MAX, false,
	    { { "on", BIT(MODEL_EVENT), "no event", false }, { "issues", BIT(MODEL_COMMAND), "no command", false } } },
	[MODEL_READ_MODEL] = { "readModels", "a read model has name, from", "name", NULL, MODEL_NAME_MAX, false,
	    { { "from", BIT(MODEL_EVENT), "no event", false } } },
	[MODEL_EXTERNAL] = { "externalSystems", "an external system has name, receives, emits", "name", NULL,
	    MODEL_NAME_MAX, false,
	    { { "receives", BIT(MODEL_COMMAND) | BIT(MODEL_EVENT), "no command or event", false },
		{ "emits", BIT(MODEL_EVENT), "no event", false } } },
	[MODEL_HOTSPOT] = { "hotspots", "a hotspot has text, about", "text", NULL, MODEL_TEXT_MAX, false,
	    { { "about", BITS_BEFORE(MODEL_HOTSPOT), "nothing", true } } },
};

const char *const model_type_names[MODEL_FIELDS + 1] = { [MODEL_ANY] = "any",
	[MODEL_STRING] = "string",
	[MODEL_NUMBER] = "number",
	[MODEL_INTEGER] = "integer",
	[MODEL_BOOLEAN] = "boolean",
	[MODEL_OBJECT] = "object",
	[MODEL_ARRAY] = "array",
	[MODEL_FIELDS] = "" };

/* The text is minified and checked, so that what is read is what the format says and not whether it is JSON. */
struct reader {
	struct model *m;
	struct buf *fault;
	const char *p; /* what comes next */
	const char *end;
};

__attribute__((format(printf, 3, 4))) static int
refuse(struct reader *r, const struct model_place *at, const char *format, ...)
{
	va_list args;

	model_put_place(r->fault, at);
	buf_puts(r->fault, ": ");
	va_start(args, format);
	buf_vprintf(r->fault, format, args);
	va_end(args);
	return -EINVAL;
}

/* n elements of zeros; NULL for want of memory. */
static void *
take_array(struct reader *r, size_t n, size_t size)
{
	void *p = n > SIZE_MAX / size ? NULL : arena_alloc(&r->m->arena, n * size);

	return p != NULL ? memset(p, 0, n * size) : NULL;
}

/* The members or elements of what comes next. */
static size_t
count_parts(const struct reader *r)
{
	const char *p = r->p + 1;
	bool keys = *r->p == '{';
	size_t n = 0;

	while (*p != '}' && *p != ']') {
		if (keys)
			json_walk_key(&p, r->end);
		p = json_walk_value(p, r->end);
		n++;
		if (*p == ',')
			p++;
	}
	return n;
}

/* Is there another member or element? At the end, what they are in is left. */
static bool
more_parts(struct reader *r)
{
	if (*r->p == ',')
		r->p++;
	if (*r->p != '}' && *r->p != ']')
		return true;
	r->p++;
	return false;
}

static int
enter(struct reader *r, const struct model_place *at, char bracket)
{
	if (*r->p != bracket)
		return refuse(r, at, "must be %s", bracket == '[' ? "an array" : "an object");
	return 0;
}

/* A copy of what stands between quotes, decoded, with a NUL behind it. A text with a NUL in it becomes empty. */
static int
decode(struct reader *r, struct span raw, struct span *out)
{
	char *text = arena_alloc(&r->m->arena, raw.len + 1);

	if (text == NULL)
		return -ENOMEM;
	ssize_t len = json_unescape(raw, text);
	if (len < 0)
		len = 0;
	text[len] = '\0';
	*out = (struct span){ text, (size_t)len };
	return 0;
}

/* Control characters would break the line of a message and of the drawing. */
static bool
is_name(struct span text, size_t max)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return false;
	return text.len > 0 && text.len <= max;
}

static int
read_text(struct reader *r, const struct model_place *at, size_t max, struct span *out)
{
	const char *from = r->p + 1;

	if (*r->p == '"') {
		r->p = json_walk_string(r->p, r->end);
		int err = decode(r, (struct span){ from, (size_t)(r->p - 1 - from) }, out);
		if (err != 0 || is_name(*out, max))
			return err;
	}
	return refuse(r, at, "must be a string of 1 to %zu bytes without control characters", max);
}

/* The key that comes next becomes at's, and is decoded to *name. */
static int
read_key(struct reader *r, struct model_place *at, struct span *name)
{
	at->key = json_walk_key(&r->p, r->end);
	return decode(r, at->key, name);
}

static bool
is(struct span name, const char *key)
{
	return key != NULL && span_eq(name, span_of(key));
}

static int read_type(struct reader *r, const struct model_place *at, struct model_type *type);

static int
refuse_type(struct reader *r, const struct model_place *at, struct span raw)
{
	struct span name;
	int err = decode(r, raw, &name);

	if (err != 0)
		return err;
	refuse(r, at, "no type is called ");
	model_put_quoted(r->fault, name);
	buf_puts(r->fault,
	    ": there are string, number, integer, boolean, object, array, any, each with [] behind it for "
	    "an array of them; an optional field has ? behind its name");
	return -EINVAL;
}

static int
read_type_name(struct reader *r, const struct model_place *at, struct model_type *type)
{
	const char *from = r->p + 1;

	r->p = json_walk_string(r->p, r->end);
	struct span text = { from, (size_t)(r->p - 1 - from) }, word = text;
	/* What has more brackets than data can nest is no type. */
	while (word.len > 2 && text.len - word.len < (size_t)2 * JSON_DEPTH_MAX &&
	       memcmp(word.p + word.len - 2, "[]", 2) == 0) {
		struct model_type *of = take_array(r, 1, sizeof(*of));
		if (of == NULL)
			return -ENOMEM;
		type->is = MODEL_ARRAY;
		type->of = of;
		type = of;
		word.len -= 2;
	}
	for (enum model_type_is i = 0; i < MODEL_FIELDS; i++)
		if (is(word, model_type_names[i])) {
			type->is = i;
			return 0;
		}
	return refuse_type(r, at, text);
}

static int
compare_fields(const void *a, const void *b)
{
	const struct model_field *x = *(const struct model_field *const *)a, *y = *(const struct model_field *const *)b;
	int order = model_compare(x->name, y->name);

	return order != 0 ? order : x < y ? -1 : x > y;
}

/* Sort them, for looking them up; no name may be there twice. */
static int
sort_fields(struct reader *r, const struct model_place *at, struct model_type *type)
{
	const struct model_field *again = NULL;

	type->sorted = take_array(r, type->count, sizeof(const struct model_field *));
	if (type->sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < type->count; i++)
		type->sorted[i] = &type->fields[i];
	qsort(type->sorted, type->count, sizeof(const struct model_field *), compare_fields);
	for (size_t i = 1; i < type->count; i++)
		if (span_eq(type->sorted[i]->name, type->sorted[i - 1]->name) &&
		    (again == NULL || type->sorted[i] < again))
			again = type->sorted[i];
	if (again == NULL)
		return 0;
	return refuse(r, &(struct model_place){ .up = at, .key = again->raw }, "repeated field");
}

static int
read_field(struct reader *r, struct model_place *at, struct model_field *field)
{
	int err = read_key(r, at, &field->name);

	if (err == 0)
		field->raw.p = arena_alloc(&r->m->arena, at->key.len);
	if (err != 0 || field->raw.p == NULL)
		return -ENOMEM;
	memcpy((char *)field->raw.p, at->key.p, at->key.len);
	field->raw.len = at->key.len;
	if (field->name.len > 1 && field->name.p[field->name.len - 1] == '?') {
		field->optional = true;
		field->name.len--;
		field->raw.len -= field->raw.p[field->raw.len - 1] == '?' ? 1 : strlen("\\u003f");
	}
	if (!is_name(field->name, MODEL_NAME_MAX))
		return refuse(
		    r, at, "a field's name must have 1 to %d bytes and no control characters", MODEL_NAME_MAX);
	return read_type(r, at, &field->type);
}

static int
read_fields(struct reader *r, const struct model_place *at, struct model_type *type)
{
	struct model_place member = { .up = at };
	int err = enter(r, at, '{');

	if (err != 0)
		return err;
	type->is = MODEL_FIELDS;
	type->count = count_parts(r);
	if (type->count > MODEL_FIELDS_MAX)
		return refuse(r, at, "more than %d fields", MODEL_FIELDS_MAX);
	type->fields = take_array(r, type->count, sizeof(struct model_field));
	if (type->fields == NULL)
		return -ENOMEM;
	r->p++;
	for (size_t i = 0; more_parts(r); i++)
		if ((err = read_field(r, &member, &type->fields[i])) != 0)
			return err;
	return sort_fields(r, at, type);
}

static int
read_type(struct reader *r, const struct model_place *at, struct model_type *type)
{
	switch (*r->p) {
	case '"':
		return read_type_name(r, at, type);
	case '{':
		return read_fields(r, at, type);
	case '[':
		break;
	default:
		return refuse(r, at, "must be a type: a string, an object of fields, or an array of one type");
	}
	if (count_parts(r) != 1)
		return refuse(r, at, "must have one type in it, that of every element");
	struct model_type *of = take_array(r, 1, sizeof(*of));
	if (of == NULL)
		return -ENOMEM;
	type->is = MODEL_ARRAY;
	type->of = of;
	r->p++;
	int err = read_type(r, &(struct model_place){ .up = at }, of);
	r->p++;
	return err;
}

static int
read_event_fields(struct reader *r, const struct model_place *at, struct model_item *item)
{
	struct model_type *type = take_array(r, 1, sizeof(*type));

	item->fields = type;
	return type == NULL ? -ENOMEM : read_fields(r, at, type);
}

static int
read_list(struct reader *r, const struct model_place *at, bool single, struct model_item *item, size_t list)
{
	int err = single ? 0 : enter(r, at, '[');

	if (err != 0)
		return err;
	item->names_count[list] = single ? 1 : count_parts(r);
	item->names[list] = take_array(r, item->names_count[list], sizeof(struct span));
	if (item->names[list] == NULL)
		return -ENOMEM;
	if (single)
		return read_text(r, at, MODEL_NAME_MAX, item->names[list]);
	struct model_place element = { .up = at };
	for (r->p++; err == 0 && more_parts(r); element.index++)
		err = read_text(r, &element, MODEL_NAME_MAX, &item->names[list][element.index]);
	return err;
}

static int
read_item_value(struct reader *r, const struct model_place *at, struct span key, struct model_item *item)
{
	const struct model_rule *rule = &model_rules[item->kind];
	bool name = is(key, rule->name_key);

	if (name || is(key, rule->about_key)) {
		struct span *to = name ? &item->name : &item->about;
		return to->p != NULL ? refuse(r, at, "repeated key")
				     : read_text(r, at, name ? rule->name_max : MODEL_NAME_MAX, to);
	}
	if (rule->fields && is(key, "fields"))
		return item->fields != NULL ? refuse(r, at, "repeated key") : read_event_fields(r, at, item);
	for (size_t i = 0; i < MODEL_LISTS; i++)
		if (is(key, rule->lists[i].key))
			return item->names[i] != NULL ? refuse(r, at, "repeated key")
						      : read_list(r, at, rule->lists[i].single, item, i);
	return refuse(r, at, "unknown key: %s", rule->keys);
}

static int
read_item(struct reader *r, const struct model_place *at, struct model_item *item)
{
	struct model_place member = { .up = at };
	struct span key;
	int err = enter(r, at, '{');

	if (err != 0)
		return err;
	for (r->p++; more_parts(r);) {
		err = read_key(r, &member, &key);
		if (err == 0)
			err = read_item_value(r, &member, key, item);
		if (err != 0)
			return err;
	}
	if (item->name.p == NULL) {
		member.key = span_of(model_rules[item->kind].name_key);
		return refuse(r, &member, "is missing");
	}
	return 0;
}

static int
read_section(struct reader *r, const struct model_place *at, enum model_kind kind)
{
	struct model_section *s = &r->m->sections[kind];
	struct model_place element = { .up = at };
	int err = s->items != NULL ? refuse(r, at, "repeated key") : enter(r, at, '[');

	if (err != 0)
		return err;
	s->count = count_parts(r);
	s->items = take_array(r, s->count, sizeof(struct model_item));
	if (s->items == NULL)
		return -ENOMEM;
	for (r->p++; err == 0 && more_parts(r); element.index++) {
		struct model_item *item = &s->items[element.index];
		item->kind = kind;
		item->index = element.index;
		err = read_item(r, &element, item);
	}
	return err;
}

static int
read_enforce(struct reader *r, const struct model_place *at, bool *seen)
{
	const char *from = r->p;

	if (*seen)
		return refuse(r, at, "repeated key");
	*seen = true;
	r->p = json_walk_value(r->p, r->end);
	struct span value = { from, (size_t)(r->p - from) };
	r->m->enforce = is(value, "true");
	return r->m->enforce || is(value, "false") ? 0 : refuse(r, at, "must be true or false");
}

static int
read_model(struct reader *r)
{
	const struct model_place top = { .up = NULL };
	struct model_place member = { .up = &top };
	bool enforce_seen = false;
	int err = 0;

	for (r->p++; err == 0 && more_parts(r);) {
		struct span key;
		enum model_kind kind = 0;
		err = read_key(r, &member, &key);
		if (err != 0)
			break;
		while (kind < MODEL_KINDS && !is(key, model_rules[kind].section))
			kind++;
		if (kind < MODEL_KINDS)
			err = read_section(r, &member, kind);
		else if (is(key, "enforce"))
			err = read_enforce(r, &member, &enforce_seen);
		else
			err = refuse(r, &member,
			    "unknown key: a model has enforce, aggregates, commands, events, policies, readModels, "
			    "externalSystems, hotspots");
	}
	return err;
}

/* With enforce, an aggregate without actors would only ever refuse. */
static int
check_actors(struct reader *r)
{
	const struct model_section *s = &r->m->sections[MODEL_AGGREGATE];
	const struct model_place top = { .up = NULL }, section = { &top, SPAN("aggregates"), 0 };

	for (size_t i = 0; r->m->enforce && i < s->count; i++)
		if (s->items[i].about.p == NULL) {
			const struct model_place item = { .up = &section, .index = i };
			return refuse(r, &(struct model_place){ .up = &item, .key = SPAN("actors") },
			    "is missing, and \"enforce\" is true");
		}
	return 0;
}

static int
parse(struct reader *r, struct span text, struct arena *scratch)
{
	const struct model_place top = { .up = NULL };
	struct span json;
	const char *why = NULL;

	if (!name_utf8(text.p, text.len))
		return refuse(r, &top, "not UTF-8");
	int err = json_object(text, scratch, NULL, NULL, &json, &why);
	if (err != 0)
		return err == -EINVAL ? refuse(r, &top, "%s", why) : err;
	r->p = json.p;
	r->end = json.p + json.len;
	err = read_model(r);
	if (err == 0)
		err = check_actors(r);
	return err != 0 ? err : model_link(r->m, r->fault);
}

int
model_parse(struct span text, struct model **out, struct buf *fault)
{
	struct arena scratch = { 0 };
	struct reader r = { .m = calloc(1, sizeof(struct model)), .fault = fault };

	*out = NULL;
	if (r.m == NULL)
		return -ENOMEM;
	int err = parse(&r, text, &scratch);
	arena_free(&scratch);
	if (err != 0)
		model_free(r.m);
	else
		*out = r.m;
	return err;
}

void
model_free(struct model *m)
{
	if (m == NULL)
		return;
	arena_free(&m->arena);
	free(m);
}

bool
model_enforces(const struct model *m)
{
	return m->enforce;
}
