#include "model_text.h"

#include <stdlib.h>

#include "check.h"

struct span
model_text(const char *text)
{
	size_t len = strlen(text);
	char *copy = malloc(len + (len == 0));

	for (size_t i = 0; i < len; i++)
		copy[i] = text[i] == '\'' ? '"' : text[i];
	return (struct span){ copy, len };
}

struct model *
model_text_parse(const char *text)
{
	struct span copy = model_text(text);
	struct buf fault = { 0 };
	struct model *m;

	CHECK_EQ_INT(model_parse(copy, &m, &fault), 0);
	CHECK_EQ_STR(buf_text(&fault), "");
	/* What the model keeps must be its own. */
	memset((char *)copy.p, 'x', copy.len);
	free((char *)copy.p);
	buf_free(&fault);
	return m;
}
