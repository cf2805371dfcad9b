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
#include "compose.h"

#define BATCH_BYTES (128 * 1024)          /* one write(2) has about as much */
#define LINE_MAX_BYTES (64 * 1024 * 1024) /* of a line that is composed; the server's limit is far below */

struct append_job {
	const char *path;
	int fd;
	struct compose compose;
	uint64_t lines; /* of standard input that were looked at, when it is composed */
};

/* Returns the exit code for a failed write or close. */
static int
report_failure(const struct append_job *job, int err, struct span line)
{
	uint64_t version = actor_file_version(job->fd);
	struct actor_file_conflict c;
	int code = CLI_CONFLICT;

	if (err == ESTALE) {
		actor_file_conflict(job->fd, &c);
		cli_fail("version conflict: %s is at version %s, attempted %s", job->path, c.current, c.attempted);
	} else {
		code = cli_fail("%s: %s", job->path, actor_file_explain(err));
	}
	/* Its id makes it harmless to send it again, if it can be. */
	if (err == ETIMEDOUT && compose_changes(&job->compose) && line.len > 0 && line.len < 4096)
		cli_fail("to be sure, append this line again as it is:\n%.*s", (int)line.len - 1, line.p);
	if (version != 0)
		cli_fail("what came before is stored, up to version %" PRIu64, version);
	return code;
}

static int
write_all(const struct append_job *job, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(job->fd, p, len);

		if (n < 0)
			return report_failure(job, errno, (struct span){ p, len });
		p += n;
		len -= (size_t)n;
	}
	return CLI_DONE;
}

static int
append_argument(struct append_job *job, const char *text)
{
	struct buf line = { 0 };
	const char *why = NULL;
	int err = compose_line(&job->compose, span_of(text), &line, &why);
	int code;

	if (err == -EINVAL)
		code = cli_fail(
		    "%s: %s", job->compose.type != NULL ? "the data is not a JSON object" : "malformed event", why);
	else if (err != 0)
		code = cli_fail("%s", strerror(-err));
	else
		code = write_all(job, line.p, line.len);
	buf_free(&line);
	return code;
}

/* Compose the lines of text and write them; each batch is one commit. */
static int
append_composed(struct append_job *job, const char *text, size_t len)
{
	struct buf batch = { 0 };
	int code = CLI_DONE;

	while (len > 0 && code == CLI_DONE) {
		const char *end = memchr(text, '\n', len);
		size_t line = end != NULL ? (size_t)(end - text) : len;
		const char *why = NULL;
		int err;

		job->lines++;
		err = line > 0 ? compose_line(&job->compose, (struct span){ text, line }, &batch, &why) : 0;

		if (err != 0)
			code = cli_fail("standard input, line %" PRIu64 ": %s; nothing of this batch is stored",
			    job->lines, err == -EINVAL ? why : strerror(-err));
		line += end != NULL;
		text += line;
		len -= line;
		if (code == CLI_DONE && (batch.len >= BATCH_BYTES || len == 0)) {
			code = write_all(job, batch.p, batch.len);
			buf_clear(&batch);
		}
	}
	buf_free(&batch);
	return code;
}

static int
append_lines(struct append_job *job, const char *text, size_t len)
{
	return compose_changes(&job->compose) ? append_composed(job, text, len) : write_all(job, text, len);
}

/* The bytes up to and with the last newline. */
static size_t
whole_lines(const struct buf *b)
{
	const char *end = b->len > 0 ? memrchr(b->p, '\n', b->len) : NULL;

	return end != NULL ? (size_t)(end + 1 - b->p) : 0;
}

/* What a read gave is written at once, so that a slow producer's lines are not held back. */
static int
append_input(struct append_job *job)
{
	struct buf b = { 0 };
	int code = CLI_DONE;

	while (code == CLI_DONE) {
		char *to = buf_reserve(&b, BATCH_BYTES);
		ssize_t n = to != NULL ? read(0, to, BATCH_BYTES) : -1;
		size_t ready;

		if (n < 0) {
			code = cli_fail("standard input: %s", strerror(to != NULL ? errno : ENOMEM));
			break;
		}
		b.len += (size_t)n;
		ready = whole_lines(&b);
		if (n == 0) {
			/* The newline makes an unfinished last line fail in write, not in close. */
			if (ready < b.len)
				buf_putc(&b, '\n');
			code = b.failed ? cli_fail("%s", strerror(ENOMEM)) : append_lines(job, b.p, b.len);
			break;
		}
		/* A mount puts the parts of a long line together itself. */
		if (ready == 0 && b.len >= BATCH_BYTES && !compose_changes(&job->compose))
			ready = b.len;
		else if (ready == 0 && b.len > LINE_MAX_BYTES)
			code = cli_fail("standard input: a line is too long");
		if (code == CLI_DONE && ready > 0) {
			code = append_lines(job, b.p, ready);
			memmove(b.p, b.p + ready, b.len - ready);
			b.len -= ready;
		}
	}
	buf_free(&b);
	return code;
}

static int
append_to(struct append_job *job, const char *input)
{
	uint64_t version;
	int code;

	job->fd = actor_file_open(job->path, O_WRONLY | O_APPEND | O_CREAT);
	if (job->fd < 0)
		return CLI_FAILED;
	code = strcmp(input, "-") == 0 ? append_input(job) : append_argument(job, input);
	/* With commit=async it is here that errors come, and the version is known afterwards. */
	if (code == CLI_DONE && fsync(job->fd) != 0)
		code = report_failure(job, errno, (struct span){ 0 });
	version = actor_file_version(job->fd);
	if (close(job->fd) != 0 && code == CLI_DONE)
		code = cli_fail("%s: %s", job->path, actor_file_explain(errno));
	if (code == CLI_DONE && (printf("%" PRIu64 "\n", version) < 0 || fflush(stdout) != 0))
		code = cli_fail("standard output: %s", strerror(errno));
	return code;
}

static int
append_main(int argc, char **argv)
{
	enum { VERSION, TYPE };
	static const struct cli_option options[] = { { "version", 0, true, VERSION }, { "type", 0, true, TYPE },
		{ NULL, 0, false, 0 } };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = options };
	struct append_job job = { .compose = { .clock = clock_system() } };
	const char *value, *input = NULL;
	struct buf why = { 0 };
	int id, code;

	while ((id = cli_next(&c, &value, &why)) != CLI_END) {
		if (id == CLI_BAD) {
			code = cli_usage(&command_append, "%s", buf_text(&why));
			buf_free(&why);
			return code;
		}
		if (id == VERSION && !cli_version(value, 1, &job.compose.version))
			return cli_usage(
			    &command_append, "bad value '%s' of option '--version': it must be 1 to 2^63-1", value);
		if (id == TYPE && value[0] == '\0')
			return cli_usage(&command_append, "bad value '' of option '--type': it must not be empty");
		if (id == TYPE)
			job.compose.type = value;
		if (id == CLI_ARGUMENT && job.path == NULL)
			job.path = value;
		else if (id == CLI_ARGUMENT && input == NULL)
			input = value;
		else if (id == CLI_ARGUMENT)
			return cli_usage(&command_append, "unexpected argument '%s'", value);
	}
	if (job.path == NULL)
		return cli_usage(&command_append, "PATH is missing");
	if (input == NULL && job.compose.type == NULL)
		return cli_usage(&command_append, "JSON or - is missing");
	return append_to(&job, input != NULL ? input : "{}");
}

const struct cli_command command_append = {
	.name = "append",
	.summary = "append an event to an actor, print its version",
	.usage = "Usage: aether append PATH [--version N] [--type TYPE] [JSON | -]\n"
		 "\n"
		 "Appends to the actor at PATH, which is created if its namespace exists, and prints the version of "
		 "the last event.\n"
		 "JSON is an event, data, or text, as a line of the file is; - stands for lines on standard input.\n"
		 "\n"
		 "  --type TYPE   an event of that type; JSON is its data, {} if it is left out\n"
		 "  --version N   the event has version N, the next line N + 1 and so on; when the actor's latest "
		 "version is\n"
		 "                not lower nothing is stored: exit code 3, and both versions on standard error\n"
		 "\n"
		 "With either option the event gets an id, so that appending the same line twice stores it once.\n"
		 "Exit codes: 0 stored, 1 failed, 2 usage, 3 version conflict.\n",
	.run = append_main,
};
