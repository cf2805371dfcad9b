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
#include <sys/xattr.h>
#include <unistd.h>

#include "../fs/fs.h"
#include "../store/json.h"
#include "cli.h"
#include "mountinfo.h"

int
actor_file_parent(const char *path)
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
actor_file_open_at(int directory, const char *name, const char *shown, int flags)
{
	uint64_t version;
	int fd = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC, 0666);

	if (fd < 0) {
		cli_fail("%s: %s", shown, strerror(errno));
		return -1;
	}
	if (ioctl(fd, FS_IOC_VERSION, &version) == 0)
		return fd;
	cli_fail("%s is not an actor%s%s", shown, errno != ENOTTY ? ": " : "", errno != ENOTTY ? strerror(errno) : "");
	close(fd);
	return -1;
}

int
actor_file_open(const char *path, int flags)
{
	char copy[PATH_MAX];
	int parent = actor_file_parent(path);
	int fd;

	if (parent < 0)
		return -1;
	strcpy(copy, path);
	/* Relative to the directory that was looked at, so that it cannot be another by now. */
	fd = actor_file_open_at(parent, basename(copy), path, flags);
	close(parent);
	return fd;
}

uint64_t
actor_file_version(int fd)
{
	uint64_t version = 0;

	return ioctl(fd, FS_IOC_VERSION, &version) == 0 ? version : 0;
}

static int
note_number(void *arg, const struct json_member *m)
{
	struct actor_file_conflict *c = arg;
	char *to = NULL;

	if (span_eq(m->key, SPAN("currentVersion")))
		to = c->current;
	else if (span_eq(m->key, SPAN("attemptedVersion")))
		to = c->attempted;
	if (to != NULL && m->value.len < sizeof(c->current)) {
		memcpy(to, m->value.p, m->value.len);
		to[m->value.len] = '\0';
	}
	return 0;
}

void
actor_file_conflict(int fd, struct actor_file_conflict *c)
{
	struct arena arena = { 0 };
	struct span minified;
	char text[4096];
	const char *why;
	ssize_t n = fgetxattr(fd, "user.aether.conflict", text, sizeof(text));

	*c = (struct actor_file_conflict){ "?", "?" };
	if (n > 0)
		json_object((struct span){ text, (size_t)n }, &arena, note_number, c, &minified, &why);
	arena_free(&arena);
}

const char *
actor_file_explain(int err)
{
	switch (err) {
	case EINVAL:
		return "malformed event; the mount's log says which line and why";
	case EILSEQ:
		return "not UTF-8 text";
	case EMSGSIZE:
		return "an event is larger than the server allows";
	case EEXIST:
		return "an event with this id and other content is stored already";
	case EACCES:
		return "NATS refuses it, or the file's mode does";
	case ENOSPC:
		return "JetStream is out of storage";
	case ETIMEDOUT:
		return "no answer in time: it may be stored or not";
	default:
		return strerror(err);
	}
}
