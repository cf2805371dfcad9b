/*
 * Walking over JSON text that is known to be good and has no white space, as json_object leaves it: where does a piece
 * that begins here end? Nothing is checked again. Pure functions; any thread.
 */
#ifndef AETHER_STORE_JSON_WALK_H
#define AETHER_STORE_JSON_WALK_H

#include "buf.h"

/* Behind the closing quote of the string that begins at p. end: of the whole text. */
const char *json_walk_string(const char *p, const char *end);

/* Behind the value that begins at p, whatever it is. */
const char *json_walk_value(const char *p, const char *end);

/* The raw text between the quotes of the key at p; *p goes behind its colon. */
struct span json_walk_key(const char **p, const char *end);

#endif
