/*
 * A file line by line, in memory that is bounded by its longest line. Owns its buffer, borrows the descriptor; one thread.
 */
#ifndef AETHER_MOUNT_LINE_READER_H
#define AETHER_MOUNT_LINE_READER_H

#include <stdint.h>

#include "../store/buf.h"

#define LINE_READER_MAX (64 * 1024 * 1024) /* bytes of a line; any server's limit is far below */

/* All zeros but fd begins where the descriptor stands. */
struct line_reader {
	int fd;
	struct buf b;
	size_t at;       /* in b, of the next line */
	uint64_t offset; /* of the next line, in bytes from where it began; it may be set at that time */
	uint64_t line;   /* how many lines there were */
	int ended;       /* the file has ended */
};

/*
 * The next line without its newline; the last one need not have one. 1, 0 at the end, -EMSGSIZE for a line that is too long, -EINTR if
 * a signal came while it waited, or another -errno of read(2). The line is borrowed until the next call.
 */
int line_reader_next(struct line_reader *r, struct span *line);

/* Go on at an offset. The descriptor must be able to seek. 0 or -errno. */
int line_reader_seek(struct line_reader *r, uint64_t offset);

void line_reader_free(struct line_reader *r);

#endif
