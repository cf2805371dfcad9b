#include "import_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <xxhash.h>

#include "../store/event.h"
#include "../store/json.h"

#define HEAD "{\"version\":"
#define BETWEEN ",\"id\":"

static void
set_sum(struct import_line *l, XXH128_hash_t sum)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, sum);
	memcpy(l->sum, canonical.digest, sizeof(l->sum));
}

void
import_line_begin(struct import_line *l, const char *file_name)
{
	set_sum(l, XXH3_128bits(file_name, strlen(file_name)));
}

void
import_line_free(struct import_line *l)
{
	buf_free(&l->id);
	buf_free(&l->made);
	arena_free(&l->arena);
}

/* What stands behind the version of a line in stored form: its id in quotes and the rest. Absent if it has another form. */
static struct span
behind_version(struct span line)
{
	size_t at = sizeof(HEAD) - 1, digits = at;

	if (line.len < at || memcmp(line.p, HEAD, at) != 0)
		return (struct span){ 0 };
	while (at < line.len && line.p[at] >= '0' && line.p[at] <= '9')
		at++;
	if (at == digits || line.len - at < sizeof(BETWEEN) - 1 || memcmp(line.p + at, BETWEEN, sizeof(BETWEEN) - 1) != 0)
		return (struct span){ 0 };
	at += sizeof(BETWEEN) - 1;
	return (struct span){ line.p + at, line.len - at };
}

/* The id in quotes, if it is written without escapes. */
static struct span
plain_id(struct span line)
{
	struct span rest = behind_version(line);
	const char *end;

	if (rest.len < 2 || rest.p[0] != '"')
		return (struct span){ 0 };
	end = json_plain_end((struct span){ rest.p + 1, rest.len - 1 });
	if (end + 1 >= rest.p + rest.len || end[0] != '"' || end[1] != ',')
		return (struct span){ 0 };
	return (struct span){ rest.p, (size_t)(end + 1 - rest.p) };
}

static void
derive_id(struct import_line *l, struct span line)
{
	XXH3_state_t *state = XXH3_createState();

	if (state == NULL) {
		l->id.failed = true;
		return;
	}
	XXH3_128bits_reset(state);
	XXH3_128bits_update(state, l->sum, sizeof(l->sum));
	XXH3_128bits_update(state, line.p, line.len);
	set_sum(l, XXH3_128bits_digest(state));
	XXH3_freeState(state);
	buf_puts(&l->id, "\"import-");
	for (size_t i = 0; i < sizeof(l->sum); i++)
		buf_printf(&l->id, "%02x", l->sum[i]);
	buf_putc(&l->id, '"');
}

static void
put_member(struct buf *out, const char *key, struct span string)
{
	if (string.p == NULL)
		return;
	buf_printf(out, ",\"%s\":", key);
	json_put_string(out, string);
}

static void
make(struct import_line *l, const struct event *ev)
{
	buf_puts(&l->made, "{\"eventType\":");
	json_put_string(&l->made, ev->type);
	buf_puts(&l->made, ",\"id\":");
	buf_put(&l->made, l->id.p, l->id.len);
	if (ev->version != 0)
		buf_printf(&l->made, ",\"version\":%" PRIu64, ev->version);
	put_member(&l->made, "actorId", ev->actor_id);
	put_member(&l->made, "commandId", ev->command_id);
	put_member(&l->made, "timestamp", ev->timestamp);
	buf_puts(&l->made, ",\"data\":");
	buf_put_span(&l->made, ev->data);
	if (ev->metadata.p != NULL) {
		buf_puts(&l->made, ",\"metadata\":");
		buf_put_span(&l->made, ev->metadata);
	}
	buf_putc(&l->made, '}');
}

int
import_line_take(struct import_line *l, struct span line, const char **why)
{
	struct span id = plain_id(line);
	struct event ev;

	buf_clear(&l->id);
	buf_clear(&l->made);
	l->text = line;
	l->own_id = l->versioned = true;
	if (id.p != NULL) {
		buf_put_span(&l->id, id);
		return l->id.failed ? -ENOMEM : 0;
	}
	arena_free(&l->arena);
	int err = event_parse(line, &l->arena, &ev, why);
	if (err != 0)
		return err;
	l->own_id = ev.id.p != NULL;
	l->versioned = ev.version != 0;
	if (l->own_id) {
		json_put_string(&l->id, ev.id);
	} else {
		derive_id(l, line);
		make(l, &ev);
		l->text = (struct span){ l->made.p, l->made.len };
	}
	return l->id.failed || l->made.failed ? -ENOMEM : 0;
}

bool
import_line_is(const struct import_line *l, struct span stored)
{
	struct span rest = behind_version(stored);

	return rest.len > l->id.len && memcmp(rest.p, l->id.p, l->id.len) == 0;
}

bool
import_line_same(const struct import_line *l, struct span stored)
{
	struct arena arena = { 0 };
	struct event a, b;
	const char *why;
	bool same = span_eq(l->text, stored) ||
	    (event_parse(l->text, &arena, &a, &why) == 0 && event_parse(stored, &arena, &b, &why) == 0 && event_same(&a, &b));

	arena_free(&arena);
	return same;
}
