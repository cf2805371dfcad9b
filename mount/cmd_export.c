#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "export_actor.h"
#include "interrupt.h"
#include "mountinfo.h"
#include "progress.h"
#include "transfer.h"

static int
export_entry(const struct transfer_entry *e, struct progress *p)
{
	struct export_place from = { e->from.fd, e->name, e->from_shown }, file = { e->to.fd, e->name, e->to_shown };

	return export_actor(&from, &file, p);
}

static int
export_tree(const char *path, const struct stat *st, const char *file, struct progress *p, bool shown)
{
	struct transfer_place from = { .shown = path }, to = { .fd = -1, .shown = file };
	int code = CLI_DONE;

	from.fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (from.fd < 0)
		code = cli_fail("%s: %s", path, strerror(errno));
	else if (mkdir(file, st->st_mode & 0777) != 0 && errno != EEXIST)
		code = cli_fail("%s: %s", file, strerror(errno));
	else if ((to.fd = open(file, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		code = cli_fail("%s: %s", file, errno == ENOTDIR ? "it is a file, and a namespace needs a directory" : strerror(errno));
	if (code == CLI_DONE) {
		progress_begin(p, clock_system(), shown, shown ? transfer_total(from.fd) : 0);
		code = transfer_directory(from, to, export_entry, true, p);
	}
	if (from.fd >= 0)
		close(from.fd);
	if (to.fd >= 0)
		close(to.fd);
	return code;
}

/* To what is no regular file: a pipe, a terminal. */
static int
export_out(const struct export_place *from, const char *file, struct progress *p)
{
	bool standard = strcmp(file, "-") == 0;
	int fd = standard ? STDOUT_FILENO : open(file, O_WRONLY | O_CLOEXEC), code;

	if (fd < 0)
		return cli_fail("%s: %s", file, strerror(errno));
	code = export_stream(from, fd, standard ? "standard output" : file, p);
	if (!standard && close(fd) != 0 && code == CLI_DONE)
		code = cli_fail("%s: %s", file, strerror(errno));
	return code;
}

/* The file in its directory; a directory is given a file of the actor's name. */
static int
export_to_file(const struct export_place *from, const char *file, struct progress *p)
{
	char real[PATH_MAX], copy[PATH_MAX], shown[PATH_MAX];
	struct export_place to = { .shown = shown };
	struct stat st;
	bool there = stat(file, &st) == 0;
	int code, fd;

	if (strcmp(file, "-") == 0 || (there && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return export_out(from, file, p);
	/* What a symbolic link leads to is meant, not the link. */
	if (there && realpath(file, real) == NULL)
		return cli_fail("%s: %s", file, strerror(errno));
	if (!there && strlen(file) >= sizeof(real))
		return cli_fail("%s: %s", file, strerror(ENAMETOOLONG));
	if (!there)
		strcpy(real, file);
	strcpy(copy, real);
	if (there && S_ISDIR(st.st_mode)) {
		to.name = from->name;
		snprintf(shown, sizeof(shown), "%s/%.255s", file, to.name);
		to.directory = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		snprintf(shown, sizeof(shown), "%s", file);
		to.name = basename(real);
		to.directory = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (to.directory < 0)
		return cli_fail("%s: %s", file, strerror(errno));
	code = export_actor(from, &to, p);
	/* So that its name is there after a power failure, too. */
	fd = code == CLI_DONE ? openat(to.directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (code == CLI_DONE && (fd < 0 || fsync(fd) != 0))
		code = cli_fail("%s: %s", file, strerror(errno));
	if (fd >= 0)
		close(fd);
	close(to.directory);
	return code;
}

static int
export(const char *path, const char *file, bool quiet)
{
	/* Beside the events on one terminal a bar would only disturb. */
	bool shown = progress_wanted(quiet) && !(strcmp(file, "-") == 0 && isatty(STDOUT_FILENO));
	char copy[PATH_MAX], name[PATH_MAX];
	struct export_place from = { .shown = path };
	struct progress p = { 0 };
	struct stat st;
	int code;

	if (strlen(path) >= sizeof(copy))
		return cli_fail("%s: %s", path, strerror(ENAMETOOLONG));
	if (stat(path, &st) != 0)
		return cli_fail("%s: %s", path, strerror(errno));
	if (!mountinfo_aether_dev(st.st_dev))
		return cli_fail("%s is not on a mount of Aether", path);
	if (S_ISDIR(st.st_mode) && strcmp(file, "-") == 0)
		return cli_usage(&command_export, "%s is a directory: it needs a directory", path);
	interrupt_catch();
	if (S_ISDIR(st.st_mode)) {
		code = export_tree(path, &st, file, &p, shown);
	} else {
		strcpy(copy, path);
		strcpy(name, path);
		from.name = basename(name);
		from.directory = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (from.directory < 0)
			return cli_fail("%s: %s", path, strerror(errno));
		progress_begin(&p, clock_system(), shown, (uint64_t)st.st_size);
		code = export_to_file(&from, file, &p);
		close(from.directory);
	}
	if (code == CLI_DONE)
		progress_end(&p);
	progress_clear(&p);
	return code;
}

static int
export_main(int argc, char **argv)
{
	struct transfer_arguments a;
	int code = transfer_arguments(&command_export, argc, argv, &a);

	return code == CLI_DONE ? export(a.path, a.file, a.quiet) : code;
}

const struct cli_command command_export = {
	.name = "export",
	.summary = "copy an actor to a file, or a namespace to a directory",
	.usage = "Usage: aether export PATH FILE|DIR [--quiet]\n"
		 "\n"
		 "Makes FILE (- is standard output) what the actor at PATH is, one event a line; a DIR that exists is given a "
		 "file of\n"
		 "the actor's name. If PATH is a namespace, DIR is made and given a file for each actor; if it is a mount, "
		 "DIR is\n"
		 "given a directory for each namespace. `aether import` takes all of these.\n"
		 "\n"
		 "A file has its name once it is complete; until then it is a hidden one beside it. An export that was "
		 "interrupted, or\n"
		 "is older than its actor, is given again as it was, and goes on: what is there already is kept. A file that is "
		 "not the\n"
		 "beginning of its actor is not touched, and an error.\n"
		 "\n"
		 "  -q, --quiet   no progress bar; there is none either when standard error is not a terminal\n"
		 "\n"
		 "Exit codes: 0 done, 1 failed, 2 usage.\n",
	.run = export_main,
};
