#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../store/event.h"
#include "actor_file.h"
#include "cli.h"

#define READ_BYTES (128 * 1024)
#define HEAD "{\"version\":"
#define HEAD_MAX (sizeof(HEAD) - 1 + 20) /* and the digits of a version with the byte behind them */

struct replay {
	const char *path;
	uint64_t from;
	uint64_t to;
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
				r->state = IN_HEAD;
				r->head_len = 0;
			}
		}
		p += n;
		len -= n;
	}
	return code;
}

static int
replay(struct replay *r)
{
	char *chunk = malloc(READ_BYTES);
	int fd = actor_file_open(r->path, O_RDONLY);
	int code = CLI_DONE;
	ssize_t n = 0;

	if (fd < 0 || chunk == NULL) {
		free(chunk);
		return CLI_FAILED;
	}
	while (code == CLI_DONE && r->state != PAST && (n = read(fd, chunk, READ_BYTES)) > 0)
		code = take(r, chunk, (size_t)n);
	if (n < 0)
		code = cli_fail("%s: %s", r->path, strerror(errno));
	close(fd);
	free(chunk);
	if (code == CLI_DONE && fflush(stdout) != 0)
		code = cli_fail("standard output: %s", strerror(errno));
	return code;
}

static int
replay_main(int argc, char **argv)
{
	enum { FROM, TO };
	static const struct cli_option options[] = { { "from", 0, true, FROM }, { "to", 0, true, TO },
		{ NULL, 0, false, 0 } };
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
		else if (!cli_version(value, 0, id == FROM ? &r.from : &r.to))
			return cli_usage(&command_replay, "bad value '%s' of option '--%s': it must be a version",
			    value, options[id].name);
	}
	if (r.path == NULL)
		return cli_usage(&command_replay, "PATH is missing");
	return replay(&r);
}

const struct cli_command command_replay = {
	.name = "replay",
	.summary = "print an actor's events, or a range of them",
	.usage = "Usage: aether replay PATH [--from N] [--to N]\n"
		 "\n"
		 "Prints the events of the actor at PATH, one a line, whose versions are N or more (--from) and N or "
		 "less (--to).\n",
	.run = replay_main,
};
