/* What the log says of appends that failed. */
#ifndef AETHER_STORE_APPEND_LOG_H
#define AETHER_STORE_APPEND_LOG_H

#include <stddef.h>

#include "backend.h"
#include "logger.h"
#include "store.h"

/* line: of the input, from 1; 0 if it is not about one. why NULL: what err means. */
void append_log(struct logger *lg, struct actor_name name, int err, size_t line, const char *why);

/* So many more ended with err because one before them had. */
void append_log_others(struct logger *lg, struct actor_name name, size_t others, int err);

void append_log_conflict(struct logger *lg, struct actor_name name, size_t line, const struct conflict *c);

#endif
