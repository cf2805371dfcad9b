#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../store/event.h"
#include "../store/json.h"
#include "actor_file.h"
#include "cli.h"
#include "live.h"

#define READ_BYTES (128 * 1024)
#define HEAD "{\"version\":"
#define HEAD_MAX (sizeof(HEAD) - 1 + 20) /* and the digits of a version with the byte behind them */

struct replay {
	const char *path;
	uint64_t from;
	uint64_t to;
	bool follow;
	uint64_t seen; /* the version of the last line that has begun */
	enum { IN_HEAD, PRINTING, SKIPPING, PAST } state;
	char head[HEAD_MAX];
	size_t head_len;
};

static int
put(const char *p, size_t len)
{
	if (fwrite(p, 1, len, stdout) == len)
		return CLI_DONE;
	return cli_fail("standard output: %s", strerror(errno));
}

/* The line's version once the head is complete; 0 while more is needed; UINT64_MAX if it is no event's line. */
static uint64_t
head_version(const struct replay *r)
{
	const size_t fixed = sizeof(HEAD) - 1;
	uint64_t version = 0;
	size_t i = fixed;

	if (memcmp(r->head, HEAD, r->head_len < fixed ? r->head_len : fixed) != 0)
		return UINT64_MAX;
	for (; i < r->head_len && r->head[i] >= '0' && r->head[i] <= '9'; i++)
		version = version * 10 + (uint64_t)(r->head[i] - '0');
	if (i < r->head_len)
		return r->head[i] == ',' && version != 0 ? version : UINT64_MAX;
	return r->head_len == HEAD_MAX ? UINT64_MAX : 0;
}

/* One byte of a line's beginning. */
static int
take_head(struct replay *r, char c)
{
	uint64_t version;

	r->head[r->head_len++] = c;
	version = head_version(r);
	if (version == UINT64_MAX)
		return cli_fail("%s: a line does not begin with its version", r->path);
	if (version == 0)
		return CLI_DONE;
	r->seen = version;
	if (version > r->to) {
		/* Versions only rise. */
		r->state = PAST;
		return CLI_DONE;
	}
	r->state = version >= r->from ? PRINTING : SKIPPING;
	return r->state == PRINTING ? put(r->head, r->head_len) : CLI_DONE;
}

static int
take(struct replay *r, const char *p, size_t len)
{
	int code = CLI_DONE;

	while (len > 0 && code == CLI_DONE && r->state != PAST) {
		const char *end;
		size_t n = 1;

		if (r->state == IN_HEAD) {
			code = take_head(r, *p);
		} else {
			end = memchr(p, '\n', len);
			n = end != NULL ? (size_t)(end + 1 - p) : len;
			if (r->state == PRINTING)
				code = put(p, n);
			if (end != NULL) {
				r->state = r->seen == r->to ? PAST : IN_HEAD;
				r->head_len = 0;
			}
		}
		p += n;
		len -= n;
	}
	return code;
}

/* Read on to the end of what there is. */
static int
take_file(struct replay *r, int fd, char *chunk)
{
	int code = CLI_DONE;
	ssize_t n = 0;

	while (code == CLI_DONE && r->state != PAST && (n = read(fd, chunk, READ_BYTES)) > 0)
		code = take(r, chunk, (size_t)n);
	if (n < 0)
		code = cli_fail("%s: %s", r->path, strerror(errno));
	if (code == CLI_DONE && fflush(stdout) != 0)
		code = cli_fail("standard output: %s", strerror(errno));
	return code;
}

/*
 * What is printed is what the file holds, from where it was read to; its namespace's feed only says up to which version there is something,
 * so nothing is missed or out of order whatever the feed leaves out.
 */
struct following {
	struct live live;
	struct span actor;
	struct buf needle; /* what a line of the actor holds; others may hold it too */
	uint64_t latest;   /* the version that the actor has, at least */
};

/* How long it takes, at most, until what is stored is read from an open file. */
#define LAG_MS 6

static int
begin_following(struct following *f, const char *path, char copy[PATH_MAX])
{
	struct buf feed = { 0 };
	int err;

	/* The path was opened, so it fits. */
	strcpy(copy, path);
	buf_printf(&feed, "%s/.aether/events", dirname(copy));
	err = buf_text(&feed) == NULL ? -ENOMEM : live_open(&f->live, AT_FDCWD, feed.p);
	buf_free(&feed);
	strcpy(copy, path);
	f->actor = span_of(basename(copy));
	buf_puts(&f->needle, "\"actorId\":");
	json_put_string(&f->needle, f->actor);
	return err == 0 && f->needle.failed ? -ENOMEM : err;
}

static void
heed(struct following *f, struct span line)
{
	struct arena arena = { 0 };
	struct event ev;
	const char *why;

	if (memmem(line.p, line.len, f->needle.p, f->needle.len) == NULL)
		return;
	if (event_parse((struct span){ line.p, line.len - 1 }, &arena, &ev, &why) == 0 && span_eq(ev.actor_id, f->actor) &&
	    ev.version > f->latest)
		f->latest = ev.version;
	arena_free(&arena);
}

/* Take what the feed says, and wait until there is, or may be, something in the file. 0, -ENODATA at the feed's end, or -errno. */
static int
wait_following(struct following *f, const struct replay *r)
{
	struct live *lives[] = { &f->live };
	struct span line;
	int more;

	for (;;) {
		while ((more = live_next(&f->live, &line)) == 1)
			heed(f, line);
		/* Of what was missed, anything may have been the actor's. */
		if (more == -EOVERFLOW || (more == 0 && r->seen < f->latest))
			return live_wait(NULL, 0, LAG_MS);
		if (more == 0)
			more = live_wait(lives, 1, -1);
		if (more != 0)
			return more;
	}
}

static int
follow(struct replay *r, char *chunk)
{
	char copy[PATH_MAX];
	struct following f = { .live.fd = -1 };
	int fd = actor_file_open(r->path, O_RDONLY), code = CLI_FAILED, err = 0;

	if (fd < 0)
		return CLI_FAILED;
	err = begin_following(&f, r->path, copy);
	/* Again, so that it holds what was stored before the feed was there. */
	close(fd);
	fd = err == 0 ? actor_file_open(r->path, O_RDONLY) : -1;
	if (err != 0)
		cli_fail("%s: its namespace's events: %s", r->path, strerror(-err));
	while (fd >= 0 && (code = take_file(r, fd, chunk)) == CLI_DONE && r->state != PAST && err == 0)
		err = wait_following(&f, r);
	if (fd >= 0 && code == CLI_DONE && r->state != PAST)
		code = cli_fail("%s: %s", r->path, err == -ENODATA ? "its namespace is gone" : strerror(-err));
	if (fd >= 0)
		close(fd);
	live_close(&f.live);
	buf_free(&f.needle);
	return code;
}

static int
replay(struct replay *r)
{
	char *chunk = malloc(READ_BYTES);
	int fd, code = CLI_FAILED;

	if (chunk == NULL)
		return cli_fail("%s", strerror(ENOMEM));
	if (r->follow) {
		code = follow(r, chunk);
	} else if ((fd = actor_file_open(r->path, O_RDONLY)) >= 0) {
		code = take_file(r, fd, chunk);
		close(fd);
	}
	free(chunk);
	return code;
}

static int
replay_main(int argc, char **argv)
{
	enum { FROM, TO, FOLLOW };
	static const struct cli_option options[] = { { "from", 0, true, FROM }, { "to", 0, true, TO },
		{ "follow", 'f', false, FOLLOW }, { NULL, 0, false, 0 } };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = options };
	struct replay r = { .from = 0, .to = EVENT_VERSION_MAX };
	struct buf why = { 0 };
	const char *value;
	int id, code;

	while ((id = cli_next(&c, &value, &why)) != CLI_END) {
		if (id == CLI_BAD) {
			code = cli_usage(&command_replay, "%s", buf_text(&why));
			buf_free(&why);
			return code;
		}
		if (id == CLI_ARGUMENT && r.path != NULL)
			return cli_usage(&command_replay, "unexpected argument '%s'", value);
		if (id == CLI_ARGUMENT)
			r.path = value;
		else if (id == FOLLOW)
			r.follow = true;
		else if (!cli_version(value, 0, id == FROM ? &r.from : &r.to))
			return cli_usage(&command_replay, "bad value '%s' of option '--%s': it must be a version",
			    value, options[id].name);
	}
	if (r.path == NULL)
		return cli_usage(&command_replay, "PATH is missing");
	if (r.to < r.from)
		return cli_usage(&command_replay, "--to %" PRIu64 " is below --from %" PRIu64, r.to, r.from);
	return replay(&r);
}

const struct cli_command command_replay = {
	.name = "replay",
	.summary = "print an actor's events, or a range of them",
	.usage = "Usage: aether replay PATH [--from N] [--to N] [--follow]\n"
		 "\n"
		 "Prints the events of the actor at PATH, one a line, whose versions are N or more (--from) and N or "
		 "less (--to).\n"
		 "\n"
		 "  -f, --follow  go on with those that are appended later, on any node, until interrupted or past --to\n",
	.run = replay_main,
};
