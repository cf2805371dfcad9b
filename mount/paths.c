#include "paths.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
put_home(struct buf *out)
{
	const char *home = getenv("HOME");
	struct passwd entry, *found = NULL;
	char text[4096];

	if (home != NULL && home[0] == '/') {
		buf_puts(out, home);
		return 0;
	}
	if (getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) != 0 || found == NULL || found->pw_dir[0] != '/')
		return -ENOENT;
	buf_puts(out, found->pw_dir);
	return 0;
}

int
paths_state(struct buf *out)
{
	const char *xdg = getenv("XDG_STATE_HOME");
	int err;

	if (xdg != NULL && xdg[0] == '/')
		buf_puts(out, xdg);
	else {
		err = put_home(out);
		if (err != 0)
			return err;
		buf_puts(out, "/.local/state");
	}
	buf_puts(out, "/aether");
	return out->failed ? -ENOMEM : 0;
}

int
paths_log(struct buf *out, const char *mountpoint)
{
	const char *name = mountpoint + strspn(mountpoint, "/");
	size_t len = strlen(name);
	int err = paths_state(out);

	if (err != 0)
		return err;
	buf_puts(out, "/log/");
	/* A file name holds 255 bytes; the end of a path tells more than its beginning. */
	if (len > 200)
		name += len - 200;
	if (len == 0)
		buf_puts(out, "root");
	for (; *name != '\0'; name++)
		buf_putc(out, *name == '/' ? '-' : *name);
	buf_puts(out, ".log");
	return out->failed ? -ENOMEM : 0;
}

int
paths_absolute(struct buf *out, const char *path)
{
	char cwd[PATH_MAX];

	if (path[0] != '/') {
		if (getcwd(cwd, sizeof(cwd)) == NULL)
			return -errno;
		buf_puts(out, cwd);
		if (strcmp(cwd, "/") != 0)
			buf_putc(out, '/');
	}
	buf_puts(out, path);
	return out->failed ? -ENOMEM : 0;
}

int
paths_mkdirs(const char *path, mode_t mode)
{
	char text[PATH_MAX];
	size_t len = strlen(path);
	struct stat st;

	if (len >= sizeof(text))
		return -ENAMETOOLONG;
	memcpy(text, path, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (text[i] != '/' && text[i] != '\0')
			continue;
		text[i] = '\0';
		/* Looked at first: mkdir of a directory that is there may fail with EROFS or EACCES. */
		if (stat(text, &st) != 0 && mkdir(text, mode) != 0 && errno != EEXIST)
			return -errno;
		text[i] = path[i];
	}
	return stat(path, &st) != 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}
