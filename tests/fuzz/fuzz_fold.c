/*
 * Lines: the first is a state to load, the others are patches to merge into it. What is refused changes nothing; what
 * is merged gives the object that a slow merge of cJSON trees gives, and loads again as it is written.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "../../store/fold.h"
#include "../../store/json.h"
#include "../unit/merge_cjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

static void
text_of(const struct fold *f, struct buf *out)
{
	buf_clear(out);
	must(fold_text(f, out) == 0 && out->len == fold_len(f));
}

/* NULL as well if cJSON cannot hold it: it takes no long numbers, and its strings end with a NUL. */
static cJSON *
tree_of(struct span text)
{
	static const char nul[] = "\\u0000";

	return memmem(text.p, text.len, nul, sizeof(nul) - 1) != NULL ? NULL : cJSON_ParseWithLength(text.p, text.len);
}

static void
must_print_alike(const cJSON *tree, struct span text)
{
	cJSON *other = tree_of(text);
	char *a = cJSON_PrintUnformatted(tree);
	char *b = cJSON_PrintUnformatted(other);

	must(other == NULL || (a != NULL && b != NULL && strcmp(a, b) == 0));
	free(a);
	free(b);
	cJSON_Delete(other);
}

/* The text is an object as json.h has it, minified, and what was merged may be merged again. */
static void
must_be_whole(struct fold *f, struct span patch, struct span text)
{
	struct arena arena = { 0 };
	struct fold *loaded = NULL;
	struct buf again = { 0 };
	struct span minified;
	const char *why;

	must(json_object(text, &arena, NULL, NULL, &minified, &why) == 0 && span_eq(text, minified));
	must(fold_new(&loaded) == 0 && fold_load(loaded, text) == 0);
	text_of(loaded, &again);
	must(span_eq(text, (struct span){ again.p, again.len }));
	must(fold_merge(f, patch) == 0 && fold_len(f) == text.len);
	must(fold_load(f, text) == 0);
	buf_free(&again);
	arena_free(&arena);
	fold_free(loaded);
}

static void
step(struct fold *f, struct span line, bool load)
{
	struct buf before = { 0 }, after = { 0 };
	struct arena arena = { 0 };
	struct span minified;
	const char *why;

	text_of(f, &before);
	int valid = json_object(line, &arena, NULL, NULL, &minified, &why);
	cJSON *patch = valid == 0 ? tree_of(line) : NULL;
	cJSON *tree = load ? cJSON_CreateObject() : tree_of((struct span){ before.p, before.len });
	must((load ? fold_load(f, line) : fold_merge(f, line)) == valid);
	text_of(f, &after);
	if (valid != 0) {
		must(span_eq((struct span){ before.p, before.len }, (struct span){ after.p, after.len }));
	} else if (patch != NULL && tree != NULL) {
		merge_cjson(tree, patch, !load);
		must_print_alike(tree, (struct span){ after.p, after.len });
	}
	if (valid == 0 && !load)
		must_be_whole(f, line, (struct span){ after.p, after.len });
	cJSON_Delete(patch);
	cJSON_Delete(tree);
	arena_free(&arena);
	buf_free(&before);
	buf_free(&after);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size;
	struct fold *f = NULL;
	bool load = true;

	must(fold_new(&f) == 0);
	size_t empty = fold_bytes(f);
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline != NULL ? newline : end;
		step(f, (struct span){ p, (size_t)(stop - p) }, load);
		load = false;
		p = newline != NULL ? newline + 1 : end;
	}
	must(fold_load(f, SPAN("{}")) == 0 && fold_bytes(f) == empty && fold_len(f) == 2);
	fold_free(f);
	return 0;
}
