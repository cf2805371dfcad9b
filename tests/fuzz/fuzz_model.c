/*
 * Any text as a model: it must be refused with one line that begins with a path, or be checked against and drawn. What
 * follows the first newline is a line of an actor, given to the model by the only decoder.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../store/event.h"
#include "../../store/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
must_be_a_line(const struct buf *why, char first)
{
	must(!why->failed && why->len > 0 && memchr(why->p, '\n', why->len) == NULL);
	must(first == '\0' || why->p[0] == first);
}

static void
check(const struct model *m, struct span line)
{
	static const char *const actors[] = { "order-1", "a", "" };
	struct arena arena = { 0 };
	struct buf why = { 0 };
	struct event ev;
	const char *refusal;

	for (size_t i = 0; i < sizeof(actors) / sizeof(actors[0]); i++) {
		if (event_parse(line, &arena, &ev, &refusal) != 0)
			break;
		buf_clear(&why);
		int err = model_check(m, span_of(actors[i]), &ev, &why);
		must(err == 0 ? why.len == 0 : err == -EINVAL);
		if (err != 0)
			must_be_a_line(&why, '\0');
	}
	buf_free(&why);
	arena_free(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { (const char *)data, size }, line = { "", 0 };
	struct buf out = { 0 };
	struct model *m;
	const char *newline = size > 0 ? memchr(text.p, '\n', size) : NULL;

	if (newline != NULL) {
		line = (struct span){ newline + 1, (size_t)(text.p + size - newline - 1) };
		text.len = (size_t)(newline - text.p);
	}
	int err = model_parse(text, &m, &out);
	must((err == 0) == (m != NULL));
	if (err != 0) {
		must(err == -EINVAL);
		must_be_a_line(&out, '$');
	} else {
		check(m, line);
		must(model_dot(m, "a title", &out) == 0 && out.len > 2 && memcmp(out.p + out.len - 2, "}\n", 2) == 0);
	}
	model_free(m);
	buf_free(&out);
	return 0;
}
