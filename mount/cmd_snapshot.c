#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../store/clock.h"
#include "../store/event.h"
#include "../store/json.h"
#include "actor_file.h"
#include "cli.h"

#define INPUT_MAX (64 * 1024 * 1024) /* bytes; any server's limit is far below */
#define TRIES 100

/* An actor and its namespace. */
struct subject {
	const char *path;
	const char *name;
	int ns;
};

struct snapshot {
	uint64_t version; /* 0: not said */
	struct span actor;
	struct span state;
	struct span timestamp;
};

/* Open the actor's namespace, having seen that it is one. CLI_FAILED after a message. */
static int
find(struct subject *s, const char *path, char copy[PATH_MAX])
{
	int fd;

	s->path = path;
	s->ns = actor_file_parent(path);
	if (s->ns < 0)
		return CLI_FAILED;
	/* It fits, or it would not have been opened. */
	s->name = basename(strcpy(copy, path));
	fd = actor_file_open_at(s->ns, s->name, path, O_RDONLY);
	if (fd < 0) {
		close(s->ns);
		return CLI_FAILED;
	}
	close(fd);
	return CLI_DONE;
}

/* Open what the namespace has of the actor under a name. A descriptor or -errno. */
static int
open_of(const struct subject *s, const char *what, int flags)
{
	struct buf path = { 0 };
	int fd;

	buf_printf(&path, ".aether/actors/%s/%s", s->name, what);
	fd = buf_text(&path) == NULL ? -ENOMEM : openat(s->ns, path.p, flags | O_CLOEXEC);
	fd = fd == -1 ? -errno : fd;
	buf_free(&path);
	return fd;
}

static int
read_to_end(int fd, struct buf *out)
{
	const size_t step = 64 * 1024;
	ssize_t n;

	do {
		char *to = buf_reserve(out, step);
		if (to == NULL)
			return -ENOMEM;
		n = read(fd, to, step);
		if (n < 0)
			return -errno;
		out->len += (size_t)n;
	} while (n > 0 && out->len <= INPUT_MAX);
	return n == 0 ? 0 : -EFBIG;
}

static int
read_of(const struct subject *s, const char *what, struct buf *out)
{
	int fd = open_of(s, what, O_RDONLY), err;

	if (fd < 0)
		return fd;
	err = read_to_end(fd, out);
	close(fd);
	return err;
}

static int
read_version(const struct subject *s, uint64_t *version)
{
	struct buf text = { 0 };
	int err = read_of(s, "version", &text);

	if (err == 0 && text.len > 0 && text.p[text.len - 1] == '\n')
		text.len--;
	if (err == 0)
		err = buf_text(&text) == NULL ? -ENOMEM : cli_version(text.p, 0, version) ? 0 : -EPROTO;
	buf_free(&text);
	return err;
}

/* The folded state and the version that it is of: the one that the actor had before and after it was read. */
static int
read_state(const struct subject *s, struct buf *state, uint64_t *version)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t after = 0;
		int err = read_version(s, version);

		if (err == 0 && *version == 0)
			return cli_fail("%s has no events, so no state to save", s->path);
		buf_clear(state);
		if (err == 0)
			err = read_of(s, "state", state);
		if (err == 0)
			err = read_version(s, &after);
		if (err != 0)
			return cli_fail("%s: its state: %s", s->path, strerror(-err));
		if (after == *version)
			return CLI_DONE;
	}
	return cli_fail("%s: appends come faster than its state can be read", s->path);
}

/* The value of a JSON string without escapes; what has any is left as it is, and refused as something else. */
static struct span
unquoted(struct span value)
{
	return value.len >= 2 && value.p[0] == '"' ? (struct span){ value.p + 1, value.len - 2 } : (struct span){ 0 };
}

static int
note_member(void *arg, const struct json_member *m)
{
	struct snapshot *snap = arg;
	char digits[24];

	if (span_eq(m->key, SPAN("actorId"))) {
		snap->actor = m->value;
	} else if (span_eq(m->key, SPAN("state"))) {
		snap->state = m->value;
	} else if (span_eq(m->key, SPAN("timestamp"))) {
		snap->timestamp = unquoted(m->value);
		if (clock_parse_rfc3339(snap->timestamp.p != NULL ? snap->timestamp.p : "", snap->timestamp.len, NULL) != 0)
			return -EBADMSG;
	} else if (span_eq(m->key, SPAN("version")) && m->value.len < sizeof(digits)) {
		memcpy(digits, m->value.p, m->value.len);
		digits[m->value.len] = '\0';
		return cli_version(digits, 1, &snap->version) ? 0 : -EBADMSG;
	} else {
		return -EBADMSG;
	}
	return 0;
}

/* Read a snapshot as `show` prints it; its spans lie in text or arena. */
static int
parse_snapshot(const struct subject *s, struct span text, struct arena *arena, struct snapshot *snap)
{
	struct buf name = { 0 };
	struct span minified;
	const char *why = NULL;
	int err = json_object(text, arena, note_member, snap, &minified, &why), code = CLI_DONE;

	json_put_string(&name, span_of(s->name));
	if (err == -EBADMSG)
		code = cli_fail("not a snapshot: keys are actorId, version, state and timestamp; a state alone needs --version");
	else if (err != 0)
		code = cli_fail("not a snapshot: %s", err == -EINVAL ? why : strerror(-err));
	else if (snap->version == 0 || snap->state.p == NULL)
		code = cli_fail("not a snapshot: version or state is missing; a state alone needs --version");
	else if (snap->state.p[0] != '{')
		code = cli_fail("not a snapshot: its state is not an object");
	else if (snap->actor.p != NULL && !span_eq(snap->actor, (struct span){ name.p, name.len }))
		code = cli_fail("not a snapshot of %s: its actorId is %.*s", s->path, (int)snap->actor.len, snap->actor.p);
	buf_free(&name);
	return code;
}

static int
report_refusal(const struct subject *s, const struct snapshot *snap, int err)
{
	uint64_t latest;

	if (err == EINVAL && read_version(s, &latest) == 0 && latest < snap->version)
		return cli_fail("version %" PRIu64 " is ahead of %s, which is at version %" PRIu64, snap->version, s->path, latest);
	if (err == EINVAL)
		return cli_fail("%s: the mount does not take it for a snapshot; its log says why", s->path);
	if (err == EMSGSIZE)
		return cli_fail("%s: the snapshot is larger than the server allows", s->path);
	return cli_fail("%s: its snapshot: %s", s->path, strerror(err));
}

static int
write_snapshot(const struct subject *s, const struct snapshot *snap)
{
	char now[CLOCK_RFC3339_LEN + 1];
	struct buf line = { 0 };
	size_t at = 0;
	int err = 0, fd;

	clock_rfc3339(clock_wall(clock_system()), now);
	buf_puts(&line, "{\"actorId\":");
	json_put_string(&line, span_of(s->name));
	buf_printf(&line, ",\"version\":%" PRIu64 ",\"state\":", snap->version);
	buf_put_span(&line, snap->state);
	buf_puts(&line, ",\"timestamp\":");
	json_put_string(&line, snap->timestamp.p != NULL ? snap->timestamp : span_of(now));
	buf_puts(&line, "}\n");
	/* As a shell does it that writes a whole file. */
	fd = line.failed ? -ENOMEM : open_of(s, "snapshot", O_WRONLY | O_TRUNC);
	err = fd < 0 ? -fd : 0;
	while (err == 0 && at < line.len) {
		ssize_t n = write(fd, line.p + at, line.len - at);
		if (n >= 0)
			at += (size_t)n;
		else if (errno != EINTR)
			err = errno;
	}
	if (fd >= 0 && close(fd) != 0 && err == 0)
		err = errno;
	buf_free(&line);
	if (err != 0)
		return report_refusal(s, snap, err);
	return printf("%" PRIu64 "\n", snap->version) < 0 || fflush(stdout) != 0 ?
	    cli_fail("standard output: %s", strerror(errno)) :
	    CLI_DONE;
}

/* JSON itself, a file, or "-". */
static int
read_input(const char *input, struct buf *text)
{
	bool standard = strcmp(input, "-") == 0;
	int fd = standard ? STDIN_FILENO : -1, err;

	if (input[strspn(input, " \t\r\n")] == '{') {
		buf_puts(text, input);
		err = text->failed ? -ENOMEM : 0;
	} else {
		if (!standard)
			fd = open(input, O_RDONLY | O_CLOEXEC);
		err = fd >= 0 ? read_to_end(fd, text) : -errno;
		if (fd >= 0 && !standard)
			close(fd);
	}
	if (err != 0)
		return cli_fail("%s: %s", standard ? "standard input" : input, strerror(-err));
	if (!event_is_text((struct span){ text->p, text->len }))
		return cli_fail("%s: not UTF-8 text", standard ? "standard input" : input);
	return CLI_DONE;
}

/* version 0: the input is a whole snapshot, else a state. input NULL: the state is the mount's. */
static int
save(const struct subject *s, const char *input, uint64_t version)
{
	struct snapshot snap = { .version = version };
	struct buf text = { 0 };
	struct arena arena = { 0 };
	const char *why;
	bool whole = input != NULL && version == 0;
	int code = input != NULL ? read_input(input, &text) : read_state(s, &text, &snap.version);

	if (code == CLI_DONE && whole) {
		code = parse_snapshot(s, (struct span){ text.p != NULL ? text.p : "", text.len }, &arena, &snap);
	} else if (code == CLI_DONE) {
		int err = json_object((struct span){ text.p != NULL ? text.p : "", text.len }, &arena, NULL, NULL, &snap.state, &why);
		if (err != 0)
			code = cli_fail("the state is not a JSON object: %s", err == -EINVAL ? why : strerror(-err));
	}
	if (code == CLI_DONE)
		code = write_snapshot(s, &snap);
	arena_free(&arena);
	buf_free(&text);
	return code;
}

static int
show(const struct subject *s)
{
	struct buf text = { 0 };
	int err = read_of(s, "snapshot", &text), code = CLI_DONE;

	if (err == -ENOENT || (err == 0 && text.len == 0))
		code = cli_fail("%s has no snapshot", s->path);
	else if (err != 0)
		code = cli_fail("%s: its snapshot: %s", s->path, strerror(-err));
	else if (fwrite(text.p, 1, text.len, stdout) != text.len || fflush(stdout) != 0)
		code = cli_fail("standard output: %s", strerror(errno));
	buf_free(&text);
	return code;
}

static int
run(const char *what, const char *path, const char *input, uint64_t version)
{
	bool saves = what != NULL && strcmp(what, "save") == 0;
	char copy[PATH_MAX];
	struct subject s;
	int code;

	if (what == NULL)
		return cli_usage(&command_snapshot, "save or show is missing");
	if (!saves && strcmp(what, "show") != 0)
		return cli_usage(&command_snapshot, "unknown word '%s': it must be save or show", what);
	if (path == NULL)
		return cli_usage(&command_snapshot, "PATH is missing");
	if (!saves && input != NULL)
		return cli_usage(&command_snapshot, "unexpected argument '%s'", input);
	if (!saves && version != 0)
		return cli_usage(&command_snapshot, "show takes no --version: there is the latest");
	if (version != 0 && input == NULL)
		return cli_usage(&command_snapshot, "--version needs a state: JSON, FILE or -");
	if (input != NULL && input[0] == '\0')
		return cli_usage(&command_snapshot, "JSON, FILE or - is empty");
	code = find(&s, path, copy);
	if (code == CLI_DONE) {
		code = saves ? save(&s, input, version) : show(&s);
		close(s.ns);
	}
	return code;
}

static int
snapshot_main(int argc, char **argv)
{
	enum { VERSION };
	static const struct cli_option options[] = { { "version", 0, true, VERSION }, { NULL, 0, false, 0 } };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = options };
	const char *value, *words[3] = { NULL, NULL, NULL };
	struct buf why = { 0 };
	uint64_t version = 0;
	int id, code;
	size_t count = 0;

	while ((id = cli_next(&c, &value, &why)) != CLI_END) {
		if (id == CLI_BAD) {
			code = cli_usage(&command_snapshot, "%s", buf_text(&why));
			buf_free(&why);
			return code;
		}
		if (id == VERSION && !cli_version(value, 1, &version))
			return cli_usage(
			    &command_snapshot, "bad value '%s' of option '--version': it must be 1 to 2^63-1", value);
		if (id == CLI_ARGUMENT && count == 3)
			return cli_usage(&command_snapshot, "unexpected argument '%s'", value);
		if (id == CLI_ARGUMENT)
			words[count++] = value;
	}
	return run(words[0], words[1], words[2], version);
}

const struct cli_command command_snapshot = {
	.name = "snapshot",
	.summary = "save or show the snapshot of an actor's state",
	.usage = "Usage: aether snapshot save PATH\n"
		 "       aether snapshot save PATH --version N JSON|FILE|-\n"
		 "       aether snapshot save PATH JSON|FILE|-\n"
		 "       aether snapshot show PATH\n"
		 "\n"
		 "save stores a snapshot of the actor at PATH and prints its version: of the state that the mount folds from "
		 "the actor's\n"
		 "events; with --version, of a state of your own, as it is after event N; or a whole snapshot as show prints it, "
		 "in which\n"
		 "actorId and timestamp may be left out. JSON is an object, - stands for standard input. N must not be above "
		 "the actor's\n"
		 "latest version.\n"
		 "\n"
		 "show prints the latest snapshot: {\"actorId\",\"version\",\"state\",\"timestamp\"}. If there is none it fails.\n"
		 "\n"
		 "Exit codes: 0 done, 1 failed, 2 usage.\n",
	.run = snapshot_main,
};
