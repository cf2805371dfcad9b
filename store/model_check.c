#include <errno.h>
#include <fnmatch.h>
#include <stdint.h>

#include "json.h"
#include "json_walk.h"
#include "model.h"
#include "model_state.h"
#include "name.h"

/* As a name is written with an escape for every byte. */
#define RAW_NAME_MAX (MODEL_NAME_MAX * 6)

#define SEEN_WORDS ((MODEL_FIELDS_MAX + 63) / 64)

/* The data of an event, which is JSON without white space: event_parse has seen to that. */
struct check {
	const struct model_item *event;
	struct buf *why;
	const char *p; /* what comes next */
	const char *end;
};

static int
refuse(struct check *c, const struct model_place *at, const char *what)
{
	buf_put_span(c->why, c->event->name);
	buf_puts(c->why, ": ");
	model_put_place(c->why, at);
	buf_putc(c->why, ' ');
	buf_puts(c->why, what);
	return -EINVAL;
}

static const struct model_field *
search(const struct model_type *type, struct span name)
{
	size_t low = 0, high = type->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = model_compare(name, type->sorted[middle]->name);
		if (order == 0)
			return type->sorted[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The field that a raw key names, or NULL. Writers mostly keep to one order of keys: guess is looked at first. */
static const struct model_field *
find_field(const struct model_type *type, struct span raw, size_t guess)
{
	char name[RAW_NAME_MAX];

	if (guess < type->count && span_eq(type->fields[guess].raw, raw))
		return &type->fields[guess];
	if (memchr(raw.p, '\\', raw.len) == NULL)
		return search(type, raw);
	ssize_t len = raw.len <= sizeof(name) ? json_unescape(raw, name) : -1;
	return len < 0 ? NULL : search(type, (struct span){ name, (size_t)len });
}

static int check_value(struct check *c, const struct model_place *at, const struct model_type *type);

static int
check_missing(struct check *c, const struct model_place *at, const struct model_type *type, const uint64_t *seen)
{
	for (size_t i = 0; i < type->count; i++)
		if (!type->fields[i].optional && (seen[i / 64] >> i % 64 & 1) == 0)
			return refuse(c, &(struct model_place){ .up = at, .key = type->fields[i].raw }, "is missing");
	return 0;
}

static int
check_fields(struct check *c, const struct model_place *at, const struct model_type *type)
{
	struct model_place member = { .up = at };
	uint64_t seen[SEEN_WORDS];
	size_t guess = 0;

	memset(seen, 0, (type->count + 63) / 64 * sizeof(seen[0]));
	for (c->p++; *c->p != '}'; c->p += *c->p == ',') {
		member.key = json_walk_key(&c->p, c->end);
		const struct model_field *field = find_field(type, member.key, guess);
		if (field == NULL)
			return refuse(c, &member, "is not declared");
		size_t i = (size_t)(field - type->fields);
		if ((seen[i / 64] >> i % 64 & 1) != 0)
			return refuse(c, &member, "is repeated");
		seen[i / 64] |= (uint64_t)1 << i % 64;
		guess = i + 1;
		if (field->optional && *c->p == 'n') {
			c->p += strlen("null");
			continue;
		}
		int err = check_value(c, &member, &field->type);
		if (err != 0)
			return err;
	}
	c->p++;
	return check_missing(c, at, type, seen);
}

static int
check_array(struct check *c, const struct model_place *at, const struct model_type *of)
{
	struct model_place element = { .up = at };

	if (of == NULL) {
		c->p = json_walk_value(c->p, c->end);
		return 0;
	}
	for (c->p++; *c->p != ']'; c->p += *c->p == ',', element.index++) {
		int err = check_value(c, &element, of);
		if (err != 0)
			return err;
	}
	c->p++;
	return 0;
}

static bool
is_number(char first)
{
	return first == '-' || (first >= '0' && first <= '9');
}

static bool
is_integer(const char *p)
{
	if (!is_number(*p++))
		return false;
	while (*p >= '0' && *p <= '9')
		p++;
	return *p != '.' && *p != 'e' && *p != 'E';
}

static int
check_value(struct check *c, const struct model_place *at, const struct model_type *type)
{
	char first = *c->p;

	switch (type->is) {
	case MODEL_ANY:
		break;
	case MODEL_STRING:
		if (first != '"')
			return refuse(c, at, "must be a string");
		break;
	case MODEL_NUMBER:
		if (!is_number(first))
			return refuse(c, at, "must be a number");
		break;
	case MODEL_INTEGER:
		if (!is_integer(c->p))
			return refuse(c, at, "must be an integer, written in digits alone");
		break;
	case MODEL_BOOLEAN:
		if (first != 't' && first != 'f')
			return refuse(c, at, "must be true or false");
		break;
	case MODEL_OBJECT:
		if (first != '{')
			return refuse(c, at, "must be an object");
		break;
	case MODEL_ARRAY:
		return first == '[' ? check_array(c, at, type->of) : refuse(c, at, "must be an array");
	case MODEL_FIELDS:
		return first == '{' ? check_fields(c, at, type) : refuse(c, at, "must be an object");
	}
	c->p = json_walk_value(c->p, c->end);
	return 0;
}

/* The actor's name, as fnmatch needs it; no name is longer. */
struct actor {
	char name[NAME_ACTOR_MAX + 1];
};

static bool
is_for(const struct model_item *aggregate, const struct actor *actor)
{
	return aggregate->about.p != NULL && fnmatch(aggregate->about.p, actor->name, 0) == 0;
}

static bool
is_declared(const struct model_item *event, const struct actor *actor)
{
	for (size_t i = 0; event != NULL && i < event->declared_by.count; i++)
		if (is_for(event->declared_by.items[i], actor))
			return true;
	return false;
}

/* No aggregate that the actor is of declares the type. */
static int
refuse_type(const struct model *m, const struct actor *actor, struct span type, struct buf *why)
{
	const struct model_section *s = &m->sections[MODEL_AGGREGATE];
	const struct model_item *first = NULL;
	size_t more = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (!is_for(&s->items[i], actor))
			continue;
		if (first == NULL)
			first = &s->items[i];
		else
			more++;
	}
	if (first == NULL) {
		buf_puts(why, "no aggregate's actors match ");
		model_put_quoted(why, span_of(actor->name));
		return -EINVAL;
	}
	buf_printf(why, "aggregate %s (%s)", first->name.p, first->about.p);
	if (more == 0)
		buf_puts(why, " does not declare event type ");
	else
		buf_printf(why, " and %zu more do not declare event type ", more);
	model_put_quoted(why, type);
	return -EINVAL;
}

int
model_check(const struct model *m, struct span actor, const struct event *ev, struct buf *why)
{
	const struct model_place top = { .up = NULL };
	const struct model_item *event = model_find(m, MODEL_EVENT, ev->type);
	struct actor name;

	if (actor.len > NAME_ACTOR_MAX)
		actor.len = NAME_ACTOR_MAX;
	memcpy(name.name, actor.p, actor.len);
	name.name[actor.len] = '\0';
	if (!is_declared(event, &name))
		return refuse_type(m, &name, ev->type, why);
	if (event->fields == NULL)
		return 0;
	struct check c = { .event = event, .why = why, .p = ev->data.p, .end = ev->data.p + ev->data.len };
	return check_value(&c, &top, event->fields);
}
