/*
 * Lists of NATS URLs, and the secrets in them. Pure functions; any thread.
 *
 * A URL is [nats://|tls://][user:password@|token@]host[:port]; a list has commas between them.
 */
#ifndef AETHER_MOUNT_URLS_H
#define AETHER_MOUNT_URLS_H

#include "../store/buf.h"

/* Is it a list of such URLs? 0, or -EINVAL with a reason in why that holds no part of the URL, for any part may be a
 * secret. */
int urls_check(const char *urls, struct buf *why);

/* Append the list without credentials. urls must have passed urls_check. */
void urls_redact(struct buf *out, const char *urls);

/*
 * Overwrite in place, with '*', whatever may be a credential in an argument of the command line: all from its first
 * "://" (or from its beginning when there is none) to its last '@'. Arguments without '@' stay as they are.
 */
void urls_mask(char *argument);

#endif
