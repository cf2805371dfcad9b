#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actor_file.h"
#include "cli.h"
#include "import_actor.h"
#include "interrupt.h"
#include "mountinfo.h"
#include "progress.h"
#include "transfer.h"

static int
import_entry(const struct transfer_entry *e, struct progress *p)
{
	struct import_source source = { .name = e->name, .shown = e->from_shown };
	int code;

	source.fd = openat(e->from.fd, e->name, O_RDONLY | O_CLOEXEC);
	if (source.fd < 0) {
		progress_clear(p);
		return cli_fail("%s: %s", e->from_shown, strerror(errno));
	}
	code = import_actor(e->to.fd, e->name, e->to_shown, &source, p);
	close(source.fd);
	return code;
}

/* The directory at path, made if it does not exist; it is on a mount of Aether. -1 after a message. */
static int
open_namespace(const char *path, mode_t mode)
{
	int parent = actor_file_parent(path), fd;
	char copy[PATH_MAX];

	if (parent < 0)
		return -1;
	strcpy(copy, path);
	if (mkdirat(parent, basename(copy), mode) != 0 && errno != EEXIST) {
		cli_fail("%s: %s", path, errno == EPERM ? "a namespace cannot be in a namespace" : strerror(errno));
		fd = -1;
	} else {
		strcpy(copy, path);
		fd = openat(parent, basename(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			cli_fail("%s: %s", path, errno == ENOTDIR ? "it is an actor, and a directory needs a namespace" : strerror(errno));
	}
	close(parent);
	return fd;
}

static bool
is_directory_of_aether(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && mountinfo_aether_dev(st.st_dev);
}

static int
import_tree(const char *path, const char *file, int fd, const struct stat *st, bool quiet)
{
	int to = is_directory_of_aether(path) ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) :
						open_namespace(path, st->st_mode & 0777);
	bool shown = progress_wanted(quiet);
	struct progress p;
	int code;

	if (to < 0)
		return CLI_FAILED;
	progress_begin(&p, clock_system(), shown, shown ? transfer_total(fd) : 0);
	code = transfer_directory((struct transfer_place){ fd, file }, (struct transfer_place){ to, path }, import_entry, false, &p);
	if (code == CLI_DONE)
		progress_end(&p);
	progress_clear(&p);
	close(to);
	return code;
}

static int
import_file(const char *path, const char *file, int fd, const struct stat *st, bool quiet)
{
	char copy[PATH_MAX], name[PATH_MAX], shown[PATH_MAX];
	struct import_source source = { .fd = fd, .name = "-", .shown = fd == STDIN_FILENO ? "standard input" : file };
	struct progress p;
	int directory, code;

	if (strlen(file) >= sizeof(name) || strlen(path) >= sizeof(copy))
		return cli_fail("%s", strerror(ENAMETOOLONG));
	strcpy(name, file);
	if (fd != STDIN_FILENO)
		source.name = basename(name);
	snprintf(shown, sizeof(shown), "%s", path);
	strcpy(copy, path);
	const char *actor = basename(copy);
	if (is_directory_of_aether(path)) {
		/* As with cp. */
		if (fd == STDIN_FILENO)
			return cli_fail("%s is a directory: standard input needs an actor", path);
		actor = source.name;
		snprintf(shown, sizeof(shown), "%s/%.255s", path, actor);
		directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		directory = actor_file_parent(path);
	}
	if (directory < 0)
		return CLI_FAILED;
	progress_begin(&p, clock_system(), progress_wanted(quiet), S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0);
	code = import_actor(directory, actor, shown, &source, &p);
	if (code == CLI_DONE)
		progress_end(&p);
	progress_clear(&p);
	close(directory);
	return code;
}

static int
import(const char *path, const char *file, bool quiet)
{
	int fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC), code;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return cli_fail("%s: %s", file, strerror(errno));
	interrupt_catch();
	if (S_ISDIR(st.st_mode))
		code = import_tree(path, file, fd, &st, quiet);
	else
		code = import_file(path, file, fd, &st, quiet);
	if (fd != STDIN_FILENO)
		close(fd);
	return code;
}

static int
import_main(int argc, char **argv)
{
	struct transfer_arguments a;
	int code = transfer_arguments(&command_import, argc, argv, &a);

	return code == CLI_DONE ? import(a.path, a.file, a.quiet) : code;
}

const struct cli_command command_import = {
	.name = "import",
	.summary = "append a file's lines to an actor, or a directory's files",
	.usage = "Usage: aether import PATH FILE|DIR [--quiet]\n"
		 "\n"
		 "Appends the lines of FILE (- is standard input) to the actor at PATH, which is created if its namespace "
		 "exists; if\n"
		 "PATH is a namespace, to the actor of the file's name in it. Of DIR, each file goes into the actor of its "
		 "name in the\n"
		 "namespace PATH, which is made if it does not exist; PATH may be a mount if DIR holds one directory for "
		 "each namespace.\n"
		 "\n"
		 "What was exported comes back with the same versions, ids and times. Other lines become events as by "
		 "writing them to\n"
		 "the actor's file, with ids that follow from the file's name and content. So an import that was "
		 "interrupted is given\n"
		 "again as it was: it goes on where it stopped, and stores nothing twice. At a line that is refused it "
		 "stops and names it.\n"
		 "\n"
		 "  -q, --quiet   no progress bar; there is none either when standard error is not a terminal\n"
		 "\n"
		 "Exit codes: 0 stored, 1 failed, 2 usage, 3 version conflict.\n",
	.run = import_main,
};
