#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../fs/fs.h"
#include "../store/clock.h"
#include "../store/event.h"
#include "actor_file.h"
#include "cli.h"
#include "live.h"
#include "mountinfo.h"

#define DATA_BYTES 100 /* of an event's data at most, and of its type */

/* A feed that is watched. */
struct source {
	struct live live;
	dev_t dev;
	ino_t ino;
	char *ns;          /* the namespace; NULL: all, and the lines say which */
	struct buf actors; /* char *, each to be freed: those that are meant; none: all */
};

struct watch {
	struct source *sources;
	size_t count;
	bool colour;
};

static void
free_source(struct source *s)
{
	live_close(&s->live);
	free(s->ns);
	for (size_t at = 0; at < s->actors.len; at += sizeof(char *)) {
		char *actor;
		memcpy(&actor, s->actors.p + at, sizeof(actor));
		free(actor);
	}
	buf_free(&s->actors);
}

/* What to watch */

/* The name that a directory has where it is, and not as it was written: `.` is one, too. */
static char *
name_of_directory(const char *path)
{
	char absolute[PATH_MAX];

	return realpath(path, absolute) != NULL ? strdup(basename(absolute)) : NULL;
}

static int
add_actor(struct source *s, const char *actor)
{
	char *copy = actor != NULL ? strdup(actor) : NULL;

	if (copy != NULL)
		buf_put(&s->actors, &copy, sizeof(copy));
	return copy == NULL || s->actors.failed ? -ENOMEM : 0;
}

/*
 * Open the feed of a directory and add it, unless it is watched already. actor NULL: all of it. An exit code, after a message if it is not
 * CLI_DONE.
 */
static int
add_feed(struct watch *w, const char *path, const char *directory, const char *actor)
{
	struct source *s = &w->sources[w->count];
	struct buf feed = { 0 };
	struct stat st;

	*s = (struct source){ .live.fd = -1 };
	buf_printf(&feed, "%s/.aether/events", directory);
	int err = buf_text(&feed) == NULL ? -ENOMEM : live_open(&s->live, AT_FDCWD, feed.p);
	buf_free(&feed);
	if (err == 0 && fstat(s->live.fd, &st) != 0)
		err = -errno;
	if (err == 0 && ioctl(s->live.fd, FS_IOC_NAMES) != 0) {
		s->ns = errno == EINVAL ? name_of_directory(directory) : NULL;
		err = s->ns == NULL ? -errno : 0;
	}
	if (err == 0 && actor != NULL)
		err = add_actor(s, actor);
	if (err != 0) {
		free_source(s);
		return cli_fail("%s: its events: %s", path, strerror(-err));
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	w->count++;
	return CLI_DONE;
}

static int
add_path(struct watch *w, const char *path)
{
	char copy[PATH_MAX], name[PATH_MAX];
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(copy))
		return cli_fail("%s: %s", path, strerror(ENAMETOOLONG));
	if (stat(path, &st) != 0)
		return cli_fail("%s: %s", path, strerror(errno));
	if (!mountinfo_aether_dev(st.st_dev))
		return cli_fail("%s is not on a mount of Aether", path);
	if (S_ISDIR(st.st_mode))
		return add_feed(w, path, path, NULL);
	fd = actor_file_open(path, O_RDONLY);
	if (fd < 0)
		return CLI_FAILED;
	close(fd);
	strcpy(copy, path);
	strcpy(name, basename(copy));
	strcpy(copy, path);
	return add_feed(w, path, dirname(copy), name);
}

/* Of one that is inside another, or is the same, only one is watched, so that each event is shown once. */
static bool
covers(const struct source *a, const struct source *b)
{
	return a->dev == b->dev && (a->ns == NULL || (a->ino == b->ino && a->actors.len == 0));
}

static void
merge(struct watch *w)
{
	for (size_t i = 0; i < w->count; i++) {
		for (size_t j = 0; j < w->count; j++) {
			struct source *a = &w->sources[i], *b = &w->sources[j];
			bool same = a->dev == b->dev && a->ino == b->ino;
			if (i == j || !(covers(a, b) || (same && b->actors.len > 0)))
				continue;
			if (!covers(a, b)) {
				buf_put(&a->actors, b->actors.p, b->actors.len);
				b->actors.len = 0;
			}
			free_source(b);
			*b = w->sources[--w->count];
			i = (size_t)-1;
			break;
		}
	}
}

/* Showing */

static void
put_colour(const struct watch *w, const char *code)
{
	if (w->colour)
		printf("\033[%sm", code);
}

/* At most limit bytes of a text, cut between characters, without what a terminal would take for a command. */
static void
put_text(struct span text, size_t limit)
{
	size_t len = text.len;

	if (len > limit) {
		len = limit;
		while (len > 0 && ((unsigned char)text.p[len] & 0xc0) == 0x80)
			len--;
	}
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)text.p[i + 1] < 0xa0;
		if (c < 0x20 || c == 0x7f || c1)
			putchar('?');
		else
			putchar(c);
		i += c1;
	}
	if (len < text.len)
		fputs("…", stdout);
}

static void
put_time(struct span timestamp)
{
	int64_t us;
	struct tm tm;
	char text[32];
	time_t seconds;

	if (clock_parse_rfc3339(timestamp.p, timestamp.len, &us) != 0)
		us = 0;
	seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
	if (localtime_r(&seconds, &tm) == NULL || strftime(text, sizeof(text), "%F %T", &tm) == 0)
		text[0] = '\0';
	fputs(text, stdout);
}

static void
show(const struct watch *w, const char *ns, size_t ns_len, const struct event *ev)
{
	put_colour(w, "2");
	put_time(ev->timestamp);
	put_colour(w, "0");
	putchar(' ');
	put_colour(w, "36");
	put_text((struct span){ ns, ns_len }, ns_len);
	putchar('/');
	put_text(ev->actor_id, ev->actor_id.len);
	put_colour(w, "0");
	printf(" %llu ", (unsigned long long)ev->version);
	put_colour(w, "32");
	put_text(ev->type, DATA_BYTES);
	put_colour(w, "0");
	putchar(' ');
	put_text(ev->data, DATA_BYTES);
	putchar('\n');
}

static bool
is_wanted(const struct source *s, struct span actor)
{
	for (size_t at = 0; at < s->actors.len; at += sizeof(char *)) {
		char *name;
		memcpy(&name, s->actors.p + at, sizeof(name));
		if (span_eq(span_of(name), actor))
			return true;
	}
	return s->actors.len == 0;
}

static void
show_line(const struct watch *w, const struct source *s, struct span line)
{
	const char *ns = s->ns, *tab = ns == NULL ? memchr(line.p, '\t', line.len) : NULL;
	size_t ns_len = ns != NULL ? strlen(ns) : 0;
	struct arena arena = { 0 };
	struct event ev;
	const char *why;

	if (tab != NULL) {
		ns = line.p;
		ns_len = (size_t)(tab - line.p);
		line = (struct span){ tab + 1, line.len - ns_len - 1 };
	}
	if (ns != NULL && event_parse((struct span){ line.p, line.len - 1 }, &arena, &ev, &why) == 0) {
		if (is_wanted(s, ev.actor_id))
			show(w, ns, ns_len, &ev);
	} else {
		put_text((struct span){ line.p, line.len - 1 }, DATA_BYTES);
		putchar('\n');
	}
	arena_free(&arena);
}

/* In the place where events are not shown. */
static void
put_notice(const struct watch *w, const struct source *s, const char *what)
{
	put_colour(w, "33");
	printf("-- %s%s", s->ns != NULL ? s->ns : "", s->ns != NULL ? ": " : "");
	fputs(what, stdout);
	put_colour(w, "0");
	putchar('\n');
}

/* Show what there is. False: nothing more will come. */
static bool
show_source(const struct watch *w, struct source *s)
{
	struct span line;
	int more;

	while ((more = live_next(&s->live, &line)) == 1 || more == -EOVERFLOW) {
		if (more == 1)
			show_line(w, s, line);
		else
			put_notice(w, s, "events are missing here: more than could be shown in time");
	}
	if (more == 0)
		return true;
	put_notice(w, s, more == -ENODATA ? "the namespace is gone" : strerror(-more));
	return false;
}

static int
watch(struct watch *w)
{
	struct live **lives = calloc(w->count, sizeof(struct live *));
	int err = lives == NULL ? -ENOMEM : 0;

	while (err == 0) {
		for (size_t i = 0; i < w->count; i++) {
			if (show_source(w, &w->sources[i]))
				continue;
			free_source(&w->sources[i]);
			w->sources[i--] = w->sources[--w->count];
		}
		if (fflush(stdout) != 0)
			err = -errno;
		if (w->count == 0)
			break;
		for (size_t i = 0; i < w->count; i++)
			lives[i] = &w->sources[i].live;
		if (err == 0)
			err = live_wait(lives, w->count, -1);
	}
	free(lives);
	return err == 0 ? CLI_DONE : cli_fail("%s", strerror(-err));
}

static bool
wants_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (no == NULL || no[0] == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
}

static int
watch_main(int argc, char **argv)
{
	static const struct cli_option none[] = { { NULL, 0, false, 0 } };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = none };
	struct watch w = { .sources = calloc((size_t)argc, sizeof(*w.sources)), .colour = wants_colour() };
	struct buf why = { 0 };
	const char *value;
	int id, code = w.sources != NULL ? CLI_DONE : cli_fail("%s", strerror(ENOMEM));

	while (code == CLI_DONE && (id = cli_next(&c, &value, &why)) != CLI_END)
		code = id == CLI_BAD ? cli_usage(&command_watch, "%s", buf_text(&why)) : add_path(&w, value);
	if (code == CLI_DONE && w.count == 0)
		code = cli_usage(&command_watch, "PATH is missing");
	if (code == CLI_DONE) {
		merge(&w);
		code = watch(&w);
	}
	for (size_t i = 0; i < w.count; i++)
		free_source(&w.sources[i]);
	free(w.sources);
	buf_free(&why);
	return code;
}

const struct cli_command command_watch = {
	.name = "watch",
	.summary = "show events as they are stored",
	.usage = "Usage: aether watch PATH…\n"
		 "\n"
		 "Shows each event that is stored from now on, by any node, one a line: time, namespace/actor, version, "
		 "type, and\n"
		 "the beginning of its data. A PATH is an actor, a namespace, or a mount, which stands for all its "
		 "namespaces. Ends\n"
		 "when it is interrupted, or all namespaces are gone. With NO_COLOR in the environment, or when it does not "
		 "write to\n"
		 "a terminal, nothing is coloured.\n",
	.run = watch_main,
};
