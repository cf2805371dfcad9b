/*
 * Names of namespaces and actors: which are allowed, and how they are written on the wire.
 *
 * On the wire every byte outside A-Z a-z 0-9 - _ ~ (RFC 3986's unreserved set without the dot, which separates
 * NATS tokens) is written %XX with upper-case hexadecimal digits. The encoding is reversible and unique.
 * Pure functions; any thread.
 */
#ifndef AETHER_STORE_NAME_H
#define AETHER_STORE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

#define NAME_ACTOR_MAX 255     /* bytes */
#define NAME_NAMESPACE_MAX 128 /* bytes */

/*
 * May an actor or a namespace be created with this name?
 * 0, or in this order: -ENAMETOOLONG, -EPERM (leading dot: reserved), -EILSEQ (not UTF-8),
 * -EINVAL (empty, control character U+0000-U+001F or U+007F, or '/').
 */
int name_check_actor(struct span name);
int name_check_namespace(struct span name);

/*
 * Is it well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF)? NUL counts as
 * well-formed.
 */
bool name_utf8(const char *p, size_t len);

/* Append the wire form of name, which may be any bytes, to out. */
void name_encode(struct buf *out, struct span name);

/*
 * Append the name that wire stands for. 0, or -EINVAL if wire is not what name_encode gives for any name that
 * name_check_actor allows; out is then unchanged. So what strangers put on the wire never becomes a file name with a
 * NUL or a slash.
 */
int name_decode(struct buf *out, struct span wire);

/*
 * How a text, which may be any bytes, is called as a file: as it is, but that '/', '%', control characters and a leading dot
 * are written %XX as on the wire, and one that would then have more than 255 bytes is cut, and ends in "%~" and 32 hexadecimal digits of its
 * XXH3 (128 bits). Appended.
 */
#define NAME_FILE_MAX 255
void name_file(struct buf *out, struct span text);

/* Append the text that such a name stands for. 0; -EINVAL: it is none of name_file's; -EAGAIN: it was cut, and the text must be looked for. */
int name_of_file(struct buf *out, struct span name);

#endif
