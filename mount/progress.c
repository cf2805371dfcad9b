#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_NS (100 * NS_PER_MS)
#define BAR_MAX 40
#define COLUMNS_DEFAULT 80
#define HOURS_MAX 99 /* more is no estimate */

bool
progress_wanted(bool quiet)
{
	const char *term = getenv("TERM");

	return !quiet && isatty(STDERR_FILENO) && (term == NULL || strcmp(term, "dumb") != 0);
}

void
progress_begin(struct progress *p, const struct clock *clock, bool shown, uint64_t total_bytes)
{
	*p = (struct progress){ .clock = clock, .shown = shown, .total_bytes = total_bytes };
	p->began_ns = shown ? clock_mono(clock) : 0;
}

static void
put_bytes(struct buf *out, double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t unit = 0;

	for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		bytes /= 1024;
	buf_printf(out, unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void
put_left(struct buf *out, double seconds)
{
	if (seconds >= (HOURS_MAX + 1) * 3600.0)
		return;
	unsigned s = (unsigned)(seconds + 0.5);
	if (s >= 3600)
		buf_printf(out, "  %u:%02u:%02u left", s / 3600, s / 60 % 60, s % 60);
	else
		buf_printf(out, "  %u:%02u left", s / 60, s % 60);
}

/* Bytes a second; 0 while it is too early to say. */
static double
rate_of(const struct progress *p, int64_t now_ns)
{
	double seconds = (double)(now_ns - p->began_ns) / (double)NS_PER_SEC;

	return seconds > 0.05 ? (double)p->moved_bytes / seconds : 0;
}

void
progress_line(const struct progress *p, int64_t now_ns, unsigned columns, struct buf *out)
{
	uint64_t done = p->moved_bytes + p->skipped_bytes;
	/* What is moved grows meanwhile. */
	uint64_t total = p->total_bytes > done || p->total_bytes == 0 ? p->total_bytes : done;
	double rate = rate_of(p, now_ns);
	struct buf text = { 0 };
	unsigned width;

	put_bytes(&text, (double)done);
	if (total > 0) {
		buf_puts(&text, " of ");
		put_bytes(&text, (double)total);
	}
	if (rate > 0) {
		buf_puts(&text, "  ");
		put_bytes(&text, rate);
		buf_puts(&text, "/s");
		if (total > 0)
			put_left(&text, (double)(total - done) / rate);
	}
	/* "100% [", "] " and a column that stays free, so that the line does not wrap. */
	width = columns > text.len + 9 ? columns - (unsigned)text.len - 9 : 0;
	width = width < BAR_MAX ? width : BAR_MAX;
	if (total > 0 && columns > 5)
		buf_printf(out, "%3u%% ", (unsigned)((double)done * 100 / (double)total));
	if (total > 0 && width >= 4) {
		unsigned filled = (unsigned)((double)done * width / (double)total);
		buf_putc(out, '[');
		for (unsigned i = 0; i < width; i++)
			buf_putc(out, i < filled ? '=' : i == filled ? '>' : ' ');
		buf_puts(out, "] ");
	}
	buf_put(out, text.p, text.len);
	if (out->len >= columns)
		out->len = columns > 0 ? columns - 1 : 0;
	buf_free(&text);
}

static unsigned
columns_of_terminal(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : COLUMNS_DEFAULT;
}

static void
draw(struct progress *p)
{
	struct buf line = { 0 };
	int64_t now_ns;

	if (!p->shown)
		return;
	now_ns = clock_mono(p->clock);
	if (p->drawn_ns != 0 && now_ns - p->drawn_ns < DRAW_NS)
		return;
	progress_line(p, now_ns, columns_of_terminal(), &line);
	fprintf(stderr, "\r%.*s\033[K", (int)line.len, line.p != NULL ? line.p : "");
	fflush(stderr);
	p->drawn = true;
	p->drawn_ns = now_ns;
	buf_free(&line);
}

void
progress_moved(struct progress *p, uint64_t bytes)
{
	p->moved_bytes += bytes;
	draw(p);
}

void
progress_skipped(struct progress *p, uint64_t bytes)
{
	p->skipped_bytes += bytes;
	draw(p);
}

void
progress_clear(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}

void
progress_end(struct progress *p)
{
	struct buf text = { 0 };
	int64_t took_ns;

	progress_clear(p);
	if (!p->shown)
		return;
	took_ns = clock_mono(p->clock) - p->began_ns;
	put_bytes(&text, (double)p->moved_bytes);
	buf_printf(&text, " in %.1f s", (double)took_ns / (double)NS_PER_SEC);
	if (rate_of(p, p->began_ns + took_ns) > 0) {
		buf_puts(&text, ", ");
		put_bytes(&text, rate_of(p, p->began_ns + took_ns));
		buf_puts(&text, "/s");
	}
	if (p->skipped_bytes > 0) {
		buf_puts(&text, "; ");
		put_bytes(&text, (double)p->skipped_bytes);
		buf_puts(&text, " were there already");
	}
	fprintf(stderr, "%.*s\n", (int)text.len, text.p != NULL ? text.p : "");
	buf_free(&text);
}
