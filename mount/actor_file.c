#include "actor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../fs/fs.h"
#include "cli.h"
#include "mountinfo.h"

/* The directory that the file is or will be in, if that is on a mount of Aether. */
static int
open_parent(const char *path)
{
	char copy[PATH_MAX];
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof(copy)) {
		cli_fail("%s: %s", path, strerror(ENAMETOOLONG));
		return -1;
	}
	strcpy(copy, path);
	fd = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		cli_fail("%s: %s", path, errno == ENOENT ? "no such namespace" : strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (mountinfo_aether_dev(st.st_dev))
		return fd;
	cli_fail("%s is not an actor: it is not on a mount of Aether", path);
	close(fd);
	return -1;
}

int
actor_file_open(const char *path, int flags)
{
	char copy[PATH_MAX];
	uint64_t version;
	int parent = open_parent(path);
	int fd;

	if (parent < 0)
		return -1;
	strcpy(copy, path);
	/* Relative to the directory that was looked at, so that it cannot be another by now. */
	fd = openat(parent, basename(copy), flags | O_NOFOLLOW | O_CLOEXEC, 0666);
	close(parent);
	if (fd < 0) {
		cli_fail("%s: %s", path, strerror(errno));
		return -1;
	}
	if (ioctl(fd, FS_IOC_VERSION, &version) == 0)
		return fd;
	cli_fail("%s is not an actor%s%s", path, errno != ENOTTY ? ": " : "", errno != ENOTTY ? strerror(errno) : "");
	close(fd);
	return -1;
}

uint64_t
actor_file_version(int fd)
{
	uint64_t version = 0;

	return ioctl(fd, FS_IOC_VERSION, &version) == 0 ? version : 0;
}
