#include "export_actor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "actor_file.h"
#include "cli.h"
#include "interrupt.h"
#include "prefix.h"

#define CHUNK_BYTES (1024 * 1024)
#define PART_MAX 64
/* What is in a part before the last multiple of this was on the disk before more was written, so only the rest can suffer from a power failure. */
#define SYNC_BYTES (64 * 1024 * 1024)

struct export {
	const struct export_place *from;
	const struct export_place *file;
	struct progress *progress;
	int actor;
	uint64_t size_bytes; /* of the actor when it was opened: what comes later is not waited for */
	mode_t mode;
	char part[PART_MAX]; /* the name until it is complete */
	int part_fd;
	uint64_t have_bytes; /* in the part */
};

/* Of any name, and not longer than a file's name may be. Each has its own, so that it is found again. */
static void
name_part(const char *name, char part[PART_MAX])
{
	XXH128_hash_t sum = XXH3_128bits(name, strlen(name));

	snprintf(part, PART_MAX, ".aether-%016llx%016llx.part", (unsigned long long)sum.high64, (unsigned long long)sum.low64);
}

static int
fail(const struct export *x, const struct export_place *what, int err)
{
	progress_clear(x->progress);
	return cli_fail("%s: %s", what->shown, strerror(err));
}

static int
write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR && !interrupt_seen())
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* To the end of the next stretch that is put on the disk as a whole. */
static size_t
stretch(uint64_t at, uint64_t end)
{
	uint64_t left = end - at, whole = SYNC_BYTES - at % SYNC_BYTES;

	left = left < whole ? left : whole;
	return left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
}

/*
 * Copy bytes of one file, from an offset to an end, to the same place of the part, or to another descriptor, where it stands. counted: they come
 * from the actor.
 */
static int
copy(struct export *x, int from, const struct export_place *from_place, uint64_t at, uint64_t end, int to, bool counted)
{
	char *chunk = malloc(CHUNK_BYTES);
	int code = chunk != NULL ? CLI_DONE : cli_fail("%s", strerror(ENOMEM));

	while (code == CLI_DONE && at < end) {
		ssize_t n = pread(from, chunk, stretch(at, end), (off_t)at);
		int err = n > 0 ? write_all(to, chunk, (size_t)n) : 0;

		if (err == 0 && n > 0 && to == x->part_fd && (at + (uint64_t)n) % SYNC_BYTES == 0 && fdatasync(to) != 0)
			err = -errno;
		if (interrupt_seen()) {
			progress_clear(x->progress);
			code = cli_fail("%s: interrupted; the same command again goes on from here", x->file->shown);
		} else if (n < 0 && errno != EINTR) {
			code = fail(x, from_place, errno);
		} else if (n == 0) {
			/* It was erased meanwhile. */
			code = fail(x, from_place, ESTALE);
		} else if (err != 0) {
			code = fail(x, x->file, -err);
		} else if (n > 0) {
			at += (uint64_t)n;
			if (counted)
				progress_moved(x->progress, (uint64_t)n);
		}
	}
	free(chunk);
	return code;
}

/* Open the part, for this process alone: whoever had it may have given it the file's name in between. 0 or -errno. */
static int
open_part(struct export *x)
{
	const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
	struct stat mine, there;

	for (;;) {
		x->part_fd = openat(x->file->directory, x->part, flags, x->mode);
		if (x->part_fd < 0)
			return -errno;
		if (flock(x->part_fd, LOCK_EX | LOCK_NB) != 0 || fstat(x->part_fd, &mine) != 0)
			return -errno;
		if (fstatat(x->file->directory, x->part, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == mine.st_ino &&
		    there.st_dev == mine.st_dev)
			break;
		close(x->part_fd);
	}
	x->have_bytes = (uint64_t)mine.st_size;
	return 0;
}

/* Keep of the part what is the actor's beginning, and take the rest of the whole file that is there, whole_bytes long. An exit code. */
static int
begin_part(struct export *x, int whole, uint64_t whole_bytes)
{
	int matches = x->have_bytes <= x->size_bytes ? prefix_matches(x->actor, x->part_fd, x->have_bytes) : 0;
	int code = CLI_DONE;

	/* At a multiple it may have died before the last stretch was on the disk. */
	if (matches == 1 && x->have_bytes > 0)
		matches = prefix_compare(
		    x->actor, x->part_fd, (x->have_bytes - 1) / SYNC_BYTES * SYNC_BYTES, x->have_bytes);
	if (matches < 0)
		return fail(x, x->from, -matches);
	if (matches == 0) {
		if (ftruncate(x->part_fd, 0) != 0)
			return fail(x, x->file, errno);
		x->have_bytes = 0;
	}
	if (lseek(x->part_fd, (off_t)x->have_bytes, SEEK_SET) < 0)
		return fail(x, x->file, errno);
	/* Copied, not renamed, so that the older one stays as long as there is no newer. */
	if (x->have_bytes < whole_bytes)
		code = copy(x, whole, x->file, x->have_bytes, whole_bytes, x->part_fd, false);
	if (code == CLI_DONE && x->have_bytes < whole_bytes)
		x->have_bytes = whole_bytes;
	progress_skipped(x->progress, x->have_bytes);
	return code;
}

static int
write_file(struct export *x, int whole, uint64_t whole_bytes)
{
	int err = open_part(x), code;

	if (err == -EWOULDBLOCK) {
		progress_clear(x->progress);
		code = cli_fail("%s: another export to it is under way", x->file->shown);
	} else if (err != 0) {
		code = fail(x, x->file, -err);
	} else {
		code = begin_part(x, whole, whole_bytes);
		if (code == CLI_DONE)
			code = copy(x, x->actor, x->from, x->have_bytes, x->size_bytes, x->part_fd, true);
		if (code == CLI_DONE &&
		    (fsync(x->part_fd) != 0 ||
			renameat(x->file->directory, x->part, x->file->directory, x->file->name) != 0))
			code = fail(x, x->file, errno);
	}
	if (x->part_fd >= 0)
		close(x->part_fd);
	return code;
}

static int
export_open(struct export *x)
{
	struct stat st;

	x->actor = actor_file_open_at(x->from->directory, x->from->name, x->from->shown, O_RDONLY);
	if (x->actor < 0)
		return CLI_FAILED;
	if (fstat(x->actor, &st) != 0) {
		fail(x, x->from, errno);
		close(x->actor);
		return CLI_FAILED;
	}
	x->size_bytes = (uint64_t)st.st_size;
	x->mode = (st.st_mode & 0666) | 0600;
	return CLI_DONE;
}

/* What the file is that has the name already. */
static int
export_over(struct export *x, int whole)
{
	struct stat st;
	int matches;

	if (fstat(whole, &st) != 0)
		return fail(x, x->file, errno);
	matches = S_ISREG(st.st_mode) && (uint64_t)st.st_size <= x->size_bytes ?
	    prefix_matches(x->actor, whole, (uint64_t)st.st_size) :
	    0;
	if (matches < 0)
		return fail(x, x->from, -matches);
	if (matches == 0) {
		progress_clear(x->progress);
		return cli_fail("%s is there and is not an earlier export of %s: move it away", x->file->shown, x->from->shown);
	}
	if ((uint64_t)st.st_size < x->size_bytes)
		return write_file(x, whole, (uint64_t)st.st_size);
	progress_skipped(x->progress, x->size_bytes);
	return CLI_DONE;
}

int
export_actor(const struct export_place *from, const struct export_place *file, struct progress *progress)
{
	struct export x = { .from = from, .file = file, .progress = progress, .part_fd = -1 };
	int code = export_open(&x), whole;

	if (code != CLI_DONE)
		return code;
	name_part(file->name, x.part);
	/* Not to wait for the reader of a fifo. */
	whole = openat(file->directory, file->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (whole >= 0)
		code = export_over(&x, whole);
	else if (errno == ENOENT)
		code = write_file(&x, -1, 0);
	else
		code = fail(&x, file, errno);
	if (whole >= 0)
		close(whole);
	close(x.actor);
	return code;
}

int
export_stream(const struct export_place *from, int to, const char *to_shown, struct progress *progress)
{
	struct export_place file = { .directory = -1, .shown = to_shown };
	struct export x = { .from = from, .file = &file, .progress = progress, .part_fd = -1 };
	int code = export_open(&x);

	if (code != CLI_DONE)
		return code;
	code = copy(&x, x.actor, from, 0, x.size_bytes, to, true);
	close(x.actor);
	return code;
}
