/*
 * Where an import has to go on: which of a file's lines an actor holds already. They were appended in the file's order, so it is enough to
 * go through both side by side. Owns its memory, borrows the descriptors; one thread.
 */
#ifndef AETHER_MOUNT_IMPORT_RESUME_H
#define AETHER_MOUNT_IMPORT_RESUME_H

#include <stdbool.h>

#include "import_line.h"
#include "line_reader.h"
#include "progress.h"

struct import_resume {
	struct line_reader file;
	struct import_line line; /* the one that was taken last */
	uint64_t began_bytes;    /* the file's bytes that were skipped unread: file.line counts from there */
	uint64_t actor_bytes;    /* the actor's size when it was looked at */
	uint64_t stored_bytes;   /* the file's bytes that were found to be stored */
	const char *why;         /* why the line is no event; NULL: reading failed */
	bool actor_failed;       /* an error was the actor's */
};

void import_resume_begin(struct import_resume *r, int fd, const char *file_name);
void import_resume_free(struct import_resume *r);

/* Take the file's next line that is not empty. 1; 0 at the end; -errno, of the line if why is set. */
int import_resume_next(struct import_resume *r);

/*
 * Take the file's first line that the actor, open for reading, does not hold. 1; 0: it holds all of them; -EEXIST if it holds another event with
 * that line's id; or another -errno. Tells progress what is stored.
 */
int import_resume_find(struct import_resume *r, int actor, struct progress *progress);

#endif
