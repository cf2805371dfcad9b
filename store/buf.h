/*
 * A growable byte buffer, and spans: borrowed pieces of text with a length.
 *
 * Owns its bytes and nothing else. Not locked: one thread at a time.
 */
#ifndef AETHER_STORE_BUF_H
#define AETHER_STORE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Borrowed bytes, not NUL-terminated. p is NULL exactly when the span stands for "absent". */
struct span {
	const char *p;
	size_t len;
};

#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })

static inline struct span
span_of(const char *text)
{
	return (struct span){ text, text != NULL ? strlen(text) : 0 };
}

static inline bool
span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/*
 * All zeros is an empty buffer. Growing fails only for want of memory; the failure sticks
 * (failed stays true and later puts do nothing), so that a caller checks once at the end.
 */
struct buf {
	char *p;
	size_t len;
	size_t cap;
	bool failed;
};

/* Make room for n more bytes; returns where they go (the caller adds to len), or NULL. */
char *buf_reserve(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *bytes, size_t n);
void buf_put_span(struct buf *b, struct span s);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Append a NUL that is not counted in len and return the text, or NULL if the buffer has failed. Owned by b. */
char *buf_text(struct buf *b);

/* Forget the content, keep the memory, clear failed. */
void buf_clear(struct buf *b);

/* Release the memory; the buffer is empty and usable again. */
void buf_free(struct buf *b);

/*
 * Memory handed out in pieces that never move and are all released together: the parsed form of
 * one append lives in one arena. All zeros is an empty arena.
 */
struct arena {
	struct arena_block *blocks;
	size_t used;
	size_t size;
};

/* n bytes, aligned for any type, uninitialised; NULL for want of memory. n = 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t n);

/* Release everything; the arena is empty and usable again. */
void arena_free(struct arena *a);

#endif
