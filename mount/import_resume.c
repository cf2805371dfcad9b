#include "import_resume.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "prefix.h"

void
import_resume_begin(struct import_resume *r, int fd, const char *file_name)
{
	r->file.fd = fd;
	import_line_begin(&r->line, file_name);
}

void
import_resume_free(struct import_resume *r)
{
	line_reader_free(&r->file);
	import_line_free(&r->line);
}

int
import_resume_next(struct import_resume *r)
{
	struct span line;
	int more;

	r->why = NULL;
	do {
		if (interrupt_seen())
			return -EINTR;
		more = line_reader_next(&r->file, &line);
	} while ((more == 1 && line.len == 0) || (more == -EINTR && !interrupt_seen()));
	if (more != 1)
		return more;
	int err = import_line_take(&r->line, line, &r->why);
	return err == 0 ? 1 : err;
}

static void
note_stored(struct import_resume *r, struct progress *progress, uint64_t upto_bytes)
{
	progress_skipped(progress, upto_bytes - r->stored_bytes);
	r->stored_bytes = upto_bytes;
}

/* The quick way: what was exported, or an actor that only this file went into in stored form. 1 if it was gone. */
static int
skip_prefix(struct import_resume *r, int actor, struct progress *progress)
{
	struct stat st;

	/* Standard input may stand in the middle of its file. */
	if (fstat(r->file.fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < r->actor_bytes ||
	    lseek(r->file.fd, 0, SEEK_CUR) != 0)
		return 0;
	int same = prefix_matches(actor, r->file.fd, r->actor_bytes);
	if (same != 1)
		return same;
	int err = line_reader_seek(&r->file, r->actor_bytes);
	if (err != 0)
		return err;
	r->began_bytes = r->actor_bytes;
	note_stored(r, progress, r->actor_bytes);
	return 1;
}

/* Go on in the actor behind the event that has the line's id. 1; 0: it is not there before that end; -EEXIST: it is another; or -errno. */
static int
find_in_actor(struct import_resume *r, struct line_reader *actor, uint64_t end_bytes)
{
	struct span stored;
	int more = 0;

	while (actor->offset < end_bytes && (more = line_reader_next(actor, &stored)) == 1) {
		if (interrupt_seen())
			return -EINTR;
		if (import_line_is(&r->line, stored))
			return import_line_same(&r->line, stored) ? 1 : -EEXIST;
	}
	if (more < 0)
		r->actor_failed = true;
	return more < 0 ? more : 0;
}

static int
walk(struct import_resume *r, struct line_reader *actor, struct progress *progress)
{
	uint64_t found_bytes = 0; /* of the actor, up to and with the last event that was found */
	uint64_t before = 0;
	int more;

	while ((more = import_resume_next(r)) == 1) {
		int found = find_in_actor(r, actor, UINT64_MAX);

		if (found == 1) {
			found_bytes = actor->offset;
		} else if (found == 0 && found_bytes > 0 && r->line.own_id && !r->line.versioned) {
			/* An id that the file has twice was stored once, where it came first. */
			found = line_reader_seek(actor, 0);
			if (found == 0)
				found = find_in_actor(r, actor, found_bytes);
			if (found == 1)
				found = line_reader_seek(actor, found_bytes) == 0 ? 1 : -errno;
		}
		if (found < 0)
			return found;
		if (found == 0) {
			note_stored(r, progress, before);
			return 1;
		}
		before = r->file.offset;
		if (before - r->stored_bytes >= 1024 * 1024)
			note_stored(r, progress, before);
	}
	if (more == 0)
		note_stored(r, progress, r->file.offset);
	return more;
}

int
import_resume_find(struct import_resume *r, int actor, struct progress *progress)
{
	struct line_reader reader = { .fd = actor };
	struct stat st;
	int more;

	r->actor_failed = false;
	if (fstat(actor, &st) != 0) {
		r->actor_failed = true;
		return -errno;
	}
	r->actor_bytes = (uint64_t)st.st_size;
	if (st.st_size == 0)
		return import_resume_next(r);
	more = skip_prefix(r, actor, progress);
	if (more == 1)
		return import_resume_next(r);
	if (more == 0)
		more = walk(r, &reader, progress);
	else
		r->actor_failed = true;
	line_reader_free(&reader);
	return more;
}
