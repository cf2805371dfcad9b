/*
 * Models as the tests write them: JSON with ' for ", so that it can be read between C's quotes.
 */
#ifndef AETHER_TESTS_MODEL_TEXT_H
#define AETHER_TESTS_MODEL_TEXT_H

#include "../../store/model.h"

/* The JSON, as long as its memory, so that what reads beyond it is seen; the caller frees its bytes. */
struct span model_text(const char *text);

/* The model, which must have no fault, or NULL after a failed check. */
struct model *model_text_parse(const char *text);

#endif
