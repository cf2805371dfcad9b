#include "import_actor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../store/event.h"
#include "actor_file.h"
#include "cli.h"
#include "import_line.h"
#include "import_resume.h"
#include "interrupt.h"
#include "line_reader.h"
#include "prefix.h"

#define BATCH_BYTES (512 * 1024) /* one write(2) has about as much, and is one request to the mount */
/* An event without a version is known by its id for two minutes after it was stored (README.md): by then no retry may be under way. */
#define RETRY_NS (90 * NS_PER_SEC)

/* A line of the batch. */
struct sent {
	size_t end;    /* of it, newline included, in the batch */
	uint64_t line; /* of the file */
};

struct import {
	const char *actor;
	const char *shown;
	const struct import_source *from;
	struct progress *progress;
	struct import_resume at; /* the file, and how far it was taken */
	int fd;                  /* the actor, for appending */
	struct buf batch;
	struct buf sent;    /* struct sent, of each line of the batch */
	uint64_t told_bytes; /* of the file, that progress knows of */
};

/* Lines before the place where the file was gone on with; only messages need them. */
static uint64_t
lines_before(const struct import *im)
{
	char chunk[16 * 1024];
	uint64_t lines = 0, at = 0;

	while (at < im->at.began_bytes) {
		uint64_t left = im->at.began_bytes - at;
		ssize_t n = pread(im->from->fd, chunk, left < sizeof(chunk) ? left : sizeof(chunk), (off_t)at);
		if (n <= 0)
			break;
		for (const char *p = chunk; (p = memchr(p, '\n', (size_t)(chunk + n - p))) != NULL; p++)
			lines++;
		at += (uint64_t)n;
	}
	return lines;
}

static int
say_interrupted(struct import *im)
{
	progress_clear(im->progress);
	return cli_fail("%s: interrupted; the same command again goes on from here", im->from->shown);
}

/* Why the mount takes a line for malformed. */
static const char *
why_malformed(const struct import *im, struct span line)
{
	struct arena arena = { 0 };
	struct event ev;
	const char *why = NULL;

	if (event_parse(line, &arena, &ev, &why) == 0 && ev.actor_id.p != NULL && !span_eq(ev.actor_id, span_of(im->actor)))
		why = "its actorId is another than the file's name";
	arena_free(&arena);
	return why != NULL ? why : "malformed event; the mount's log says why";
}

/* Says why the line was not stored. Returns the exit code. */
static int
report(struct import *im, int err, uint64_t line, struct span text, const char *why)
{
	struct actor_file_conflict c;
	int code = CLI_FAILED;

	progress_clear(im->progress);
	if (err == EINTR && interrupt_seen())
		return say_interrupted(im);
	line += lines_before(im);
	if (err == ESTALE) {
		actor_file_conflict(im->fd, &c);
		cli_fail("%s:%" PRIu64 ": version conflict: %s is at version %s, attempted %s", im->from->shown, line, im->shown,
		    c.current, c.attempted);
		code = CLI_CONFLICT;
	} else {
		if (why == NULL)
			why = err == EINVAL ? why_malformed(im, text) : actor_file_explain(err);
		cli_fail("%s:%" PRIu64 ": %s", im->from->shown, line, why);
	}
	if (line > 1)
		cli_fail("what comes before it is stored; the same command, with that line mended, goes on from there");
	return code;
}

/* Is it a line that is refused, and not just this moment? */
static bool
is_refusal(int err)
{
	return err == EINVAL || err == EILSEQ || err == ESTALE || err == EEXIST || err == EMSGSIZE;
}

static struct sent
sent_at(const struct import *im, size_t i)
{
	struct sent s;

	memcpy(&s, im->sent.p + i * sizeof(s), sizeof(s));
	return s;
}

static int
report_sent(struct import *im, int err, size_t i)
{
	size_t begin = i > 0 ? sent_at(im, i - 1).end : 0, end = sent_at(im, i).end;

	return report(im, err, sent_at(im, i).line, (struct span){ im->batch.p + begin, end - begin - 1 }, NULL);
}

/*
 * Write the batch. The lines of a write that is refused are tried in halves, until all before the one that is to blame are stored. So are
 * they after ETIMEDOUT: they have ids, and fewer are faster.
 */
static int
flush(struct import *im)
{
	const struct clock *clock = clock_system();
	size_t count = im->sent.len / sizeof(struct sent), first = 0, upto = count, at = 0;
	int64_t since_ns = 0;
	int err = 0;

	while (at < im->batch.len) {
		if (interrupt_seen())
			return say_interrupted(im);
		ssize_t n = write(im->fd, im->batch.p + at, sent_at(im, upto - 1).end - at);

		if (n >= 0) {
			at += (size_t)n;
			while (first < count && sent_at(im, first).end <= at)
				first++;
			upto = count;
			since_ns = 0;
			continue;
		}
		err = errno;
		if (err == ETIMEDOUT && since_ns == 0)
			since_ns = clock_mono(clock);
		bool again = err == ETIMEDOUT && clock_mono(clock) - since_ns < RETRY_NS;
		if ((is_refusal(err) || again) && upto - first > 1)
			upto = first + (upto - first) / 2;
		else if (!again && !(err == EINTR && !interrupt_seen()))
			break;
	}
	if (at < im->batch.len)
		return report_sent(im, err, first);
	buf_clear(&im->batch);
	buf_clear(&im->sent);
	progress_moved(im->progress, im->at.file.offset - im->told_bytes);
	im->told_bytes = im->at.file.offset;
	return CLI_DONE;
}

static int
add(struct import *im)
{
	struct sent s = { .line = im->at.file.line };

	buf_put_span(&im->batch, im->at.line.text);
	buf_putc(&im->batch, '\n');
	s.end = im->batch.len;
	buf_put(&im->sent, &s, sizeof(s));
	return im->batch.failed || im->sent.failed ? -ENOMEM : 0;
}

/* More is 1: there is a line that is not stored, and perhaps others behind it. */
static int
send_rest(struct import *im, int more)
{
	/* The first line alone shows whether the actor holds something else; a mount looks for each line of a batch that may be an old one. */
	size_t enough = im->at.actor_bytes > 0 ? 1 : BATCH_BYTES;
	int code = CLI_DONE;

	while (more == 1 && code == CLI_DONE) {
		int err = add(im);
		if (err == 0 && im->batch.len >= enough) {
			code = flush(im);
			enough = BATCH_BYTES;
		}
		more = err == 0 ? import_resume_next(&im->at) : err;
	}
	/* A line that is wrong does not take those before it along. */
	if (code == CLI_DONE && !(more == -EINTR && interrupt_seen()))
		code = flush(im);
	if (code == CLI_DONE && more < 0)
		code = report(im, -more, im->at.file.line + (im->at.why == NULL), (struct span){ 0 }, im->at.why);
	return code;
}

/* Two imports into one actor follow each other, and one follows what another that was killed has under way. The lock is this machine's. */
static void
wait_for_turn(struct import *im)
{
	if (flock(im->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return;
	progress_clear(im->progress);
	cli_fail("%s: waits for another import into it", im->shown);
	while (flock(im->fd, LOCK_EX) != 0 && errno == EINTR && !interrupt_seen())
		;
}

static int
import(struct import *im, int directory)
{
	/* Whatever the mount's commit is, a write says what became of its lines. */
	im->fd = actor_file_open_at(directory, im->actor, im->shown, O_WRONLY | O_APPEND | O_CREAT | O_SYNC);
	if (im->fd < 0)
		return CLI_FAILED;
	wait_for_turn(im);

	/* Opened after that, so that it has what was stored meanwhile. */
	int actor = actor_file_open_at(directory, im->actor, im->shown, O_RDONLY), code = CLI_FAILED;
	if (actor >= 0) {
		int more = import_resume_find(&im->at, actor, im->progress);
		im->told_bytes = im->at.stored_bytes;
		if (more == -EEXIST)
			code = report(im, EEXIST, im->at.file.line, (struct span){ 0 }, NULL);
		else if (more < 0 && im->at.actor_failed)
			code = cli_fail("%s: %s", im->shown, strerror(-more));
		else
			code = send_rest(im, more);
		close(actor);
	}
	if (close(im->fd) != 0 && code == CLI_DONE)
		code = cli_fail("%s: %s", im->shown, actor_file_explain(errno));
	return code;
}

/* Does the actor hold the file and nothing else, as a cheap look at both tells? Of many files most do when an import goes on. */
static bool
is_whole(const struct import *im, int directory)
{
	struct stat file, st;
	bool whole = false;
	int actor;

	if (fstat(im->from->fd, &file) != 0 || !S_ISREG(file.st_mode) || file.st_size == 0 ||
	    lseek(im->from->fd, 0, SEEK_CUR) != 0 || fstatat(directory, im->actor, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_size != file.st_size)
		return false;
	actor = openat(directory, im->actor, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (actor < 0)
		return false;
	if (fstat(actor, &st) == 0 && st.st_size == file.st_size)
		whole = prefix_matches(actor, im->from->fd, (uint64_t)st.st_size) == 1;
	close(actor);
	if (whole)
		progress_skipped(im->progress, (uint64_t)st.st_size);
	return whole;
}

int
import_actor(int directory, const char *actor, const char *shown, const struct import_source *from,
    struct progress *progress)
{
	struct import im = { .actor = actor, .shown = shown, .from = from, .progress = progress };
	int code;

	if (is_whole(&im, directory))
		return CLI_DONE;
	import_resume_begin(&im.at, from->fd, from->name);
	code = import(&im, directory);
	import_resume_free(&im.at);
	buf_free(&im.batch);
	buf_free(&im.sent);
	return code;
}
