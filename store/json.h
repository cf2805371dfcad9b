/*
 * A strict scanner for JSON text (RFC 8259): checks a value and leaves out insignificant white space, every other
 * byte as it was. Numbers are never converted, so 9007199254740993, 1.10 and 1e400 keep their text.
 *
 * cJSON accepts more than RFC 8259 (01, 1., raw control characters in strings) and refuses numbers over 63
 * characters; what users append is immutable, so it is checked here and cJSON only serves as a unit test's oracle
 * and for JSON that Aether itself exchanges with NATS. Pure functions; any thread; recursion is bounded by depth.
 */
#ifndef AETHER_STORE_JSON_H
#define AETHER_STORE_JSON_H

#include <stddef.h>
#include <sys/types.h>

#include "buf.h"

#define JSON_DEPTH_MAX 128 /* objects and arrays inside each other, the outermost counted */

/*
 * One member of an object. key is the raw text between its quotes, value the minified text; depth is how many
 * objects and arrays inside each other the value has, 0 for a string, number or literal.
 */
struct json_member {
	struct span key;
	struct span value;
	int depth;
};

/* Called for every member of the outermost object, in order. Return 0, or -errno to stop the scan with it. */
typedef int (*json_member_fn)(void *arg, const struct json_member *m);

/*
 * Check that text is exactly one JSON object, white space around it allowed. *minified becomes the object without white
 * space: it lies in text if there was none inside it, else in arena. fn (may be NULL) sees each member of it; keys lie
 * in text, values as *minified does or in text.
 * Returns 0, or -EINVAL or -ENOMEM with *why (static text) set, or what fn returned.
 * UTF-8 is not checked here: do that before. Raw control characters in strings, lone surrogate escapes and depth over
 * JSON_DEPTH_MAX are -EINVAL.
 */
int json_object(struct span text, struct arena *arena, json_member_fn fn, void *arg, struct span *minified, const char **why);

/*
 * The end of the object that text begins with, at least its '{', if that is JSON without white space; NULL if it is not. The
 * object counts as the depth-th of those inside each other.
 */
const char *json_compact_object(struct span text, int depth);

/* Likewise the end of the value of any kind that text, at least one byte, begins with. The value counts as in none. */
const char *json_compact_value(struct span text);

/* The first byte of text that cannot stand for itself in a JSON string (quote, backslash, control character), or its end. */
const char *json_plain_end(struct span text);

/*
 * Decode the raw text between a string's quotes (already checked by the scanner) to UTF-8; out needs room for raw.len
 * bytes. Returns the length, or -EINVAL for an escaped NUL (\u0000), which no name or id here can hold.
 */
ssize_t json_unescape(struct span raw, char *out);

/* The same for text that is neither: an escaped NUL becomes a byte of zero. */
ssize_t json_unescape_any(struct span raw, char *out);

/* Append text as a JSON string with quotes. Escapes only what RFC 8259 requires: \" \\ \b \f \n \r \t and \u00xx. */
void json_put_string(struct buf *out, struct span text);

/* The same into memory with room for json_string_len(text) bytes; returns where the next byte goes. */
char *json_write_string(char *to, struct span text);
size_t json_string_len(struct span text);

#endif
