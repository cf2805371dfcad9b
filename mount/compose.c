#include "compose.h"

#include <errno.h>
#include <inttypes.h>

#include "../store/event.h"
#include "../store/json.h"

/* What an object says about itself. */
struct keys {
	bool type;
	bool version;
	bool id;
};

static int
note_key(void *arg, const struct json_member *m)
{
	struct keys *keys = arg;

	if (span_eq(m->key, SPAN("eventType")))
		keys->type = true;
	else if (span_eq(m->key, SPAN("version")))
		keys->version = true;
	else if (span_eq(m->key, SPAN("id")))
		keys->id = true;
	return 0;
}

static void
put_version(struct compose *c, struct buf *out)
{
	if (c->version == 0)
		return;
	buf_printf(out, "\"version\":%" PRIu64 ",", c->version);
	/* Past the highest there is no next; the mount refuses it. */
	c->version++;
}

static void
put_id(struct compose *c, struct buf *out)
{
	char id[UUID_LEN + 1];

	clock_uuid7(c->clock, id);
	buf_printf(out, "\"id\":\"%s\"", id);
}

static void
put_event(struct compose *c, struct span type, struct span data, struct buf *out)
{
	buf_puts(out, "{\"eventType\":");
	json_put_string(out, type);
	buf_putc(out, ',');
	put_version(c, out);
	put_id(c, out);
	buf_puts(out, ",\"data\":");
	buf_put_span(out, data);
	buf_puts(out, "}\n");
}

static int
put_text(struct compose *c, struct span text, struct buf *out)
{
	struct buf data = { 0 };

	if (c->version == 0) {
		buf_put_span(out, text);
		buf_putc(out, '\n');
		return 0;
	}
	buf_puts(&data, "{\"text\":");
	json_put_string(&data, text);
	buf_putc(&data, '}');
	put_event(c, SPAN("Text"), (struct span){ data.p, data.len }, out);
	if (data.failed)
		out->failed = true;
	buf_free(&data);
	return 0;
}

static int
put_object(struct compose *c, struct span object, const struct keys *keys, struct buf *out, const char **why)
{
	if (c->type != NULL) {
		put_event(c, span_of(c->type), object, out);
	} else if (c->version == 0) {
		buf_put_span(out, object);
		buf_putc(out, '\n');
	} else if (!keys->type) {
		put_event(c, SPAN("Event"), object, out);
	} else {
		if (keys->version) {
			*why = "the event has a version already, besides --version";
			return -EINVAL;
		}
		/* In front of what is there: the object has a member, eventType, at least. */
		buf_putc(out, '{');
		put_version(c, out);
		if (!keys->id) {
			put_id(c, out);
			buf_putc(out, ',');
		}
		buf_put(out, object.p + 1, object.len - 1);
		buf_putc(out, '\n');
	}
	return 0;
}

int
compose_line(struct compose *c, struct span input, struct buf *out, const char **why)
{
	struct arena arena = { 0 };
	struct span object;
	struct keys keys = { 0 };

	if (c->version > EVENT_VERSION_MAX) {
		*why = "there is no version after the highest";
		return -EINVAL;
	}
	if (c->type == NULL && (input.len == 0 || input.p[0] != '{'))
		return put_text(c, input, out);
	int err = json_object(input, &arena, note_key, &keys, &object, why);
	if (err == 0)
		err = put_object(c, object, &keys, out, why);
	arena_free(&arena);
	return err == 0 && out->failed ? -ENOMEM : err;
}
