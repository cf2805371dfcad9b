#include "unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int
spawn_helper(char **argv, pid_t *pid, int *output)
{
	posix_spawn_file_actions_t actions;
	int fds[2];
	int err;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
	err = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (err != 0)
		close(fds[0]);
	*output = fds[0];
	return -err;
}

/* The set-user-id helper of FUSE, for users who are not root. */
static int
with_helper(const char *target, bool lazy, struct buf *why)
{
	char *argv[] = { (char *)"fusermount3", (char *)(lazy ? "-uz" : "-u"), (char *)"--", (char *)target, NULL };
	char text[512];
	size_t len = 0;
	int status = 0, output = -1, err;
	ssize_t n;
	pid_t pid;

	err = spawn_helper(argv, &pid, &output);
	if (err != 0) {
		buf_printf(why, "cannot run fusermount3: %s", strerror(-err));
		return err;
	}
	while (len < sizeof(text) - 1 && (n = read(output, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(output);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	text[len] = '\0';
	/* It has one exit status for every failure, and speaks the language of the C locale. */
	if (strstr(text, "busy") != NULL)
		return -EBUSY;
	text[strcspn(text, "\n")] = '\0';
	buf_printf(why, "%s", text[0] != '\0' ? text : "fusermount3 failed");
	return -EIO;
}

int
unmount(const char *target, bool lazy, struct buf *why)
{
	int err = umount2(target, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) != 0 ? -errno : 0;

	if (err == -EPERM)
		err = with_helper(target, lazy, why);
	else if (err != 0 && err != -EBUSY)
		buf_printf(why, "cannot unmount %s: %s", target, strerror(-err));
	if (err == -EBUSY)
		buf_printf(
		    why, "%s is in use: a process has a file of it open, or its working directory in it", target);
	return err;
}
