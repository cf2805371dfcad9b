/*
 * What a line of an import becomes, such that whoever imports the same file again makes the same of it and stores nothing twice: a line
 * without an id gets one that follows from the file's name and from all such lines up to and with it. Pure; one thread.
 */
#ifndef AETHER_MOUNT_IMPORT_LINE_H
#define AETHER_MOUNT_IMPORT_LINE_H

#include <stdbool.h>

#include "../store/buf.h"

#define IMPORT_SUM_BYTES 16

struct import_line {
	struct span text;    /* what is to be written, without newline: the line itself or in made */
	struct buf id;       /* as it stands in a stored line, in quotes */
	struct buf made;
	struct arena arena;
	bool own_id;    /* the line brought it */
	bool versioned; /* and this */
	/* XXH3 (128 bits, canonical) of this sum before and a line without id; at first of the file's name alone. */
	unsigned char sum[IMPORT_SUM_BYTES];
};

/* All zeros becomes ready for the lines of a file. */
void import_line_begin(struct import_line *l, const char *file_name);
void import_line_free(struct import_line *l);

/*
 * Take the file's next line, which must not be empty and is borrowed until the next. 0, or as event_parse with *why; a line in the stored
 * form is not looked at further than its id. After a failure go no further.
 */
int import_line_take(struct import_line *l, struct span line, const char **why);

/* Does a stored line have the id? */
bool import_line_is(const struct import_line *l, struct span stored);

/* Is a stored line that has the id what the line says? */
bool import_line_same(const struct import_line *l, struct span stored);

#endif
