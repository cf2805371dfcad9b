#include "transfer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"

static DIR *
open_listing(int directory)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (dir == NULL && fd >= 0)
		close(fd);
	return dir;
}

uint64_t
transfer_total(int directory)
{
	DIR *dir = open_listing(directory);
	uint64_t total = 0;
	struct dirent *e;
	struct stat st;
	int inner;

	if (dir == NULL)
		return 0;
	while (!interrupt_seen() && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' || fstatat(dirfd(dir), e->d_name, &st, 0) != 0)
			continue;
		if (S_ISREG(st.st_mode)) {
			total += (uint64_t)st.st_size;
		} else if (S_ISDIR(st.st_mode) &&
		    (inner = openat(dirfd(dir), e->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0) {
			total += transfer_total(inner);
			close(inner);
		}
	}
	closedir(dir);
	return total;
}

static int
fail(const char *shown, const char *why, struct progress *progress)
{
	progress_clear(progress);
	return cli_fail("%s: %s", shown, why);
}

static int
enter(const struct transfer_entry *e, mode_t mode, transfer_file_fn fn, bool sync, struct progress *progress)
{
	struct transfer_place from = { .shown = e->from_shown }, to = { .fd = -1, .shown = e->to_shown };
	int code = CLI_DONE;

	from.fd = openat(e->from.fd, e->name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (from.fd < 0)
		code = fail(from.shown, strerror(errno), progress);
	else if (mkdirat(e->to.fd, e->name, mode & 0777) != 0 && errno != EEXIST)
		code = fail(to.shown, errno == EPERM ? "a namespace cannot be in a namespace" : strerror(errno), progress);
	else if ((to.fd = openat(e->to.fd, e->name, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		code = fail(to.shown, strerror(errno), progress);
	if (code == CLI_DONE)
		code = transfer_directory(from, to, fn, sync, progress);
	if (from.fd >= 0)
		close(from.fd);
	if (to.fd >= 0)
		close(to.fd);
	return code;
}

static int
take(struct transfer_place from, struct transfer_place to, const char *name, transfer_file_fn fn, bool sync,
    struct progress *progress)
{
	char from_shown[PATH_MAX], to_shown[PATH_MAX];
	struct transfer_entry e = { name, from, to, from_shown, to_shown };
	struct stat st;

	snprintf(from_shown, sizeof(from_shown), "%s/%s", from.shown, name);
	snprintf(to_shown, sizeof(to_shown), "%s/%s", to.shown, name);
	if (fstatat(from.fd, name, &st, 0) != 0)
		return fail(from_shown, strerror(errno), progress);
	if (S_ISREG(st.st_mode))
		return fn(&e, progress);
	if (S_ISDIR(st.st_mode))
		return enter(&e, st.st_mode, fn, sync, progress);
	return fail(from_shown, "it is neither a file nor a directory", progress);
}

int
transfer_directory(struct transfer_place from, struct transfer_place to, transfer_file_fn fn, bool sync,
    struct progress *progress)
{
	DIR *dir = open_listing(from.fd);
	int code = CLI_DONE, fd;
	struct dirent *e;

	if (dir == NULL)
		return fail(from.shown, strerror(errno), progress);
	while (code == CLI_DONE && (errno = 0, e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (interrupt_seen())
			code = fail(from.shown, "interrupted; the same command again goes on from here", progress);
		else
			code = take(from, to, e->d_name, fn, sync, progress);
	}
	if (code == CLI_DONE && errno != 0)
		code = fail(from.shown, strerror(errno), progress);
	closedir(dir);
	if (sync && code == CLI_DONE) {
		fd = openat(to.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || fsync(fd) != 0)
			code = fail(to.shown, strerror(errno), progress);
		if (fd >= 0)
			close(fd);
	}
	return code;
}

int
transfer_arguments(const struct cli_command *command, int argc, char **argv, struct transfer_arguments *a)
{
	enum { QUIET };
	static const struct cli_option options[] = { { "quiet", 'q', false, QUIET }, { NULL, 0, false, 0 } };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = options };
	struct buf why = { 0 };
	const char *value;
	int id, code;

	*a = (struct transfer_arguments){ .quiet = false };
	while ((id = cli_next(&c, &value, &why)) != CLI_END) {
		if (id == CLI_BAD) {
			code = cli_usage(command, "%s", buf_text(&why));
			buf_free(&why);
			return code;
		}
		if (id == QUIET)
			a->quiet = true;
		else if (a->path == NULL)
			a->path = value;
		else if (a->file == NULL)
			a->file = value;
		else
			return cli_usage(command, "unexpected argument '%s'", value);
	}
	if (a->file == NULL)
		return cli_usage(command, "%s is missing", a->path == NULL ? "PATH" : "FILE");
	return CLI_DONE;
}
