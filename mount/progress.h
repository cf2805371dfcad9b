/*
 * A progress bar on standard error: percent, bytes, rate, and the time that is left. Shown only if that is a terminal. Owns nothing but
 * the terminal's line; one thread.
 */
#ifndef AETHER_MOUNT_PROGRESS_H
#define AETHER_MOUNT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "../store/buf.h"
#include "../store/clock.h"

struct progress {
	const struct clock *clock;
	bool shown;
	bool drawn; /* the line has something on it */
	uint64_t total_bytes; /* 0: not known */
	uint64_t moved_bytes;
	uint64_t skipped_bytes; /* done, but not now: they say nothing about the rate */
	int64_t began_ns;
	int64_t drawn_ns;
};

/* Is a bar wanted and possible? If not, the other calls do nothing, and the total need not be found out. */
bool progress_wanted(bool quiet);

/* shown: what progress_wanted said. clock is borrowed. */
void progress_begin(struct progress *p, const struct clock *clock, bool shown, uint64_t total_bytes);

/* So many bytes more are done, now or earlier. */
void progress_moved(struct progress *p, uint64_t bytes);
void progress_skipped(struct progress *p, uint64_t bytes);

/* Clear the line, so that a message can stand there. */
void progress_clear(struct progress *p);

/* What came of it, in place of the bar. */
void progress_end(struct progress *p);

/* The bar's line, columns wide at most, as it is now_ns; for tests, too. */
void progress_line(const struct progress *p, int64_t now_ns, unsigned columns, struct buf *out);

#endif
