#include "buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_MIN 64

/* Blocks double up to ARENA_MAX, so that one line costs little and a bulk write few blocks. */
#define ARENA_MIN ((size_t)1024)
#define ARENA_MAX ((size_t)256 * 1024)

static bool
buf_grow(struct buf *b, size_t n)
{
	if (b->failed)
		return false;
	if (n > SIZE_MAX / 2 - b->len)
		goto fail;

	size_t need = b->len + n;
	size_t cap = b->cap < BUF_MIN ? BUF_MIN : b->cap;
	while (cap < need)
		cap *= 2;

	char *p = realloc(b->p, cap);
	if (p == NULL)
		goto fail;
	b->p = p;
	b->cap = cap;
	return true;
fail:
	b->failed = true;
	return false;
}

char *
buf_reserve(struct buf *b, size_t n)
{
	if (b->failed || b->p == NULL || n > b->cap - b->len)
		if (!buf_grow(b, n))
			return NULL;
	return b->p + b->len;
}

void
buf_put(struct buf *b, const void *bytes, size_t n)
{
	if (n == 0)
		return;
	char *to = buf_reserve(b, n);
	if (to == NULL)
		return;
	memcpy(to, bytes, n);
	b->len += n;
}

void
buf_put_span(struct buf *b, struct span s)
{
	buf_put(b, s.p, s.len);
}

void
buf_puts(struct buf *b, const char *text)
{
	buf_put(b, text, strlen(text));
}

void
buf_putc(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void
buf_vprintf(struct buf *b, const char *format, va_list args)
{
	va_list again;

	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);

	/* vsnprintf ends the text with a NUL, which needs room but is not counted. */
	char *to = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
	if (to != NULL) {
		vsnprintf(to, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	} else {
		b->failed = true;
	}
	va_end(again);
}

void
buf_printf(struct buf *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(b, format, args);
	va_end(args);
}

char *
buf_text(struct buf *b)
{
	char *end = buf_reserve(b, 1);
	if (end == NULL)
		return NULL;
	*end = '\0';
	return b->p;
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

void
buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

struct arena_block {
	struct arena_block *next;
	_Alignas(max_align_t) char bytes[];
};

static struct arena_block *
block_new(size_t n)
{
	return malloc(sizeof(struct arena_block) + n);
}

void *
arena_alloc(struct arena *a, size_t n)
{
	const size_t align = _Alignof(max_align_t);

	if (n > SIZE_MAX / 2)
		return NULL;
	n = n == 0 ? align : (n + align - 1) / align * align;
	if (n <= a->size - a->used) {
		void *p = a->blocks->bytes + a->used;
		a->used += n;
		return p;
	}

	size_t size = a->size == 0 ? ARENA_MIN : a->size < ARENA_MAX ? a->size * 2 : ARENA_MAX;
	if (a->blocks != NULL && n > size / 2) {
		/* A block of its own, behind the first, whose rest stays in use. */
		struct arena_block *own = block_new(n);
		if (own == NULL)
			return NULL;
		own->next = a->blocks->next;
		a->blocks->next = own;
		return own->bytes;
	}

	if (size < n)
		size = n;
	struct arena_block *block = block_new(size);
	if (block == NULL)
		return NULL;
	block->next = a->blocks;
	a->blocks = block;
	a->size = size;
	a->used = n;
	return block->bytes;
}

void
arena_free(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *block = a->blocks; block != NULL; block = next) {
		next = block->next;
		free(block);
	}
	*a = (struct arena){ 0 };
}
