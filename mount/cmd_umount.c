#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "bounded.h"
#include "cli.h"
#include "mountinfo.h"
#include "paths.h"
#include "unmount.h"

#define BUSY_TRIES 25
#define BUSY_PAUSE_NS 20000000
#define END_MS 30000 /* how long a daemon may take to end: appends under way come first */

/* Where the mount is, as the kernel lists it. 0, or an exit code after a message. */
static int
find_target(const char *path, char target[PATH_MAX])
{
	struct buf absolute = { 0 };
	size_t len;
	int err = paths_absolute(&absolute, path);

	/* Tried as written first: no file system is asked, so it works for one that does not answer. */
	for (len = absolute.len; len > 1 && absolute.p[len - 1] == '/'; len--)
		absolute.p[len - 1] = '\0';
	if (err == 0 && len < PATH_MAX && buf_text(&absolute) != NULL) {
		memcpy(target, absolute.p, len);
		target[len] = '\0';
	} else {
		target[0] = '\0';
	}
	buf_free(&absolute);
	if (target[0] != '\0' && mountinfo_aether_at(target))
		return 0;
	if (realpath(path, target) == NULL)
		return cli_fail("%s: %s", path, strerror(errno));
	if (!mountinfo_aether_at(target))
		return cli_fail("%s is not a mount of Aether", path);
	return 0;
}

/* A descriptor of the daemon's process; or -errno: -ENOTCONN if it is dead, others if it cannot be told. */
static int
open_daemon(const char *target, pid_t *pid)
{
	struct buf path = { 0 }, text = { 0 };
	const cJSON *item;
	cJSON *status;
	int err;

	buf_printf(&path, "%s/.aether/status", target);
	err = buf_text(&path) != NULL ? bounded_read(path.p, BOUNDED_MS, &text) : -ENOMEM;
	buf_free(&path);
	if (err == 0) {
		status = cJSON_Parse(text.p);
		item = cJSON_GetObjectItemCaseSensitive(status, "pid");
		*pid = cJSON_IsNumber(item) ? item->valueint : 0;
		cJSON_Delete(status);
		err = *pid > 1 ? pidfd_open(*pid, 0) : -EINVAL;
		if (err == -1)
			err = -errno;
	}
	buf_free(&text);
	return err;
}

static int
wait_for_end(int daemon, pid_t pid)
{
	struct pollfd ended = { .fd = daemon, .events = POLLIN };
	int n;

	do
		n = poll(&ended, 1, END_MS);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return CLI_DONE;
	return cli_fail("unmounted, but the daemon (pid %d) has not ended within %d s", (int)pid, END_MS / 1000);
}

/* The process that repeats other nodes' changes (../fs/poker.h) has the mount open for a moment each time: that is no use by anybody. */
static int
unmount_when_free(const char *target, bool lazy, struct buf *why)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	int err;

	for (int tries = 0;; tries++) {
		err = unmount(target, lazy, why);
		if (err != -EBUSY || tries == BUSY_TRIES)
			return err;
		buf_clear(why);
		nanosleep(&pause, NULL);
	}
}

static int
umount_at(const char *target)
{
	struct buf why = { 0 };
	pid_t pid = 0;
	int daemon = open_daemon(target, &pid);
	int code = CLI_DONE;

	if (unmount_when_free(target, daemon == -ENOTCONN, &why) != 0)
		code = cli_fail("%s%s", buf_text(&why), daemon == -ETIMEDOUT ? "; the daemon does not answer" : "");
	else if (daemon >= 0)
		code = wait_for_end(daemon, pid);
	else if (daemon != -ENOTCONN)
		cli_fail("unmounted, without waiting for the daemon, whose pid is not known: %s", strerror(-daemon));
	if (code == CLI_DONE && mountinfo_aether_at(target))
		code = cli_fail("%s is still mounted", target);
	if (daemon >= 0)
		close(daemon);
	buf_free(&why);
	return code;
}

static int
umount_main(int argc, char **argv)
{
	static const struct cli_option none[] = { { NULL, 0, false, 0 } };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = none };
	const char *value, *path = NULL;
	struct buf why = { 0 };
	char target[PATH_MAX];
	int id, code;

	while ((id = cli_next(&c, &value, &why)) != CLI_END) {
		if (id == CLI_BAD) {
			code = cli_usage(&command_umount, "%s", buf_text(&why));
			buf_free(&why);
			return code;
		}
		if (path != NULL)
			return cli_usage(&command_umount, "unexpected argument '%s'", value);
		path = value;
	}
	if (path == NULL)
		return cli_usage(&command_umount, "MOUNTPOINT is missing");
	code = find_target(path, target);
	return code == CLI_DONE ? umount_at(target) : code;
}

const struct cli_command command_umount = {
	.name = "umount",
	.summary = "unmount, and wait until the daemon has ended",
	.usage = "Usage: aether umount MOUNTPOINT\n"
		 "\n"
		 "Unmounts and returns when the daemon has ended: all that was acknowledged is stored, and another "
		 "mount may\n"
		 "follow. A mount whose daemon was killed is removed.\n",
	.run = umount_main,
};
