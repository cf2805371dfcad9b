#include "poker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Set once, before the threads. */
static const char *place;

/* The mount's root, for a moment, and its device. The descriptor asks the file system nothing, as does statx with this flag. */
static int
open_root(uint64_t *dev)
{
	struct statx st;
	int fd = open(place, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) != 0) {
		int err = -errno;
		close(fd);
		return err;
	}
	*dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	return fd;
}

/* A namespace's directory, and nothing that may be mounted over it. */
static int
open_namespace(int root, const char *ns)
{
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH };
	long fd = syscall(SYS_openat2, root, ns, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/* The time of the change is now: IN_MODIFY. Without a change it is what touch does: IN_ATTRIB. */
static int
set_time(int fd, bool changed)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };

	return futimens(fd, changed ? times : NULL) == 0 ? 0 : -errno;
}

static int
open_and_set(int dir, const char *actor, int flags, bool changed)
{
	int fd = openat(dir, actor, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | flags, 0666);

	/* A read-only mount, or one of a user who may not write there: at least that it was opened can be seen. */
	if (fd < 0 && (flags & O_CREAT) == 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
		fd = openat(dir, actor, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int err = set_time(fd, changed);
	close(fd);
	return err;
}

static int
carry_out_actor(int root, const struct poker_order *o, const char *ns, const char *actor)
{
	int dir = open_namespace(root, ns), err = 0;

	if (dir < 0)
		return dir;
	switch ((enum poker_what)o->what) {
	case POKER_MADE:
		err = open_and_set(dir, actor, O_CREAT | O_EXCL, o->with_change != 0);
		break;
	case POKER_CHANGED:
		err = open_and_set(dir, actor, 0, true);
		break;
	case POKER_GONE:
		err = unlinkat(dir, actor, 0) == 0 ? 0 : -errno;
		break;
	case POKER_LINKED:
		/* Where to does not matter: the daemon knows. */
		err = symlinkat(".", dir, actor) == 0 ? 0 : -errno;
		break;
	case POKER_LOOK:
		err = -EINVAL;
		break;
	}
	close(dir);
	return err;
}

static int
carry_out_namespace(int root, const struct poker_order *o, const char *ns)
{
	int failed = 0;

	switch ((enum poker_what)o->what) {
	case POKER_MADE:
	case POKER_LOOK:
		/* Who makes a name is the one for whom the kernel always asks. */
		failed = mkdirat(root, ns, 0777);
		break;
	case POKER_GONE:
		failed = unlinkat(root, ns, AT_REMOVEDIR);
		break;
	case POKER_CHANGED:
	case POKER_LINKED:
		return -EINVAL;
	}
	return failed == 0 ? 0 : -errno;
}

static int
carry_out(const struct poker_order *o)
{
	const char *ns = o->names, *actor = ns + strlen(ns) + 1;
	uint64_t dev = 0;
	int root = open_root(&dev), err;

	if (root < 0)
		return root;
	if (dev != o->dev)
		err = -ENODEV;
	else if (*actor != '\0')
		err = carry_out_actor(root, o, ns, actor);
	else
		err = carry_out_namespace(root, o, ns);
	close(root);
	return err;
}

static void *
work(void *arg)
{
	struct poker_report report = { .tid = (int32_t)syscall(SYS_gettid) };
	struct poker_order order;

	(void)arg;
	int root = open_root(&report.dev);
	if (root >= 0)
		close(root);
	else
		report.err = root;
	while (send(POKER_FD, &report, sizeof(report), MSG_NOSIGNAL) == sizeof(report)) {
		ssize_t n = recv(POKER_FD, &order, sizeof(order), 0);
		/* The daemon has gone. */
		if (n != sizeof(order))
			break;
		report = (struct poker_report){ .id = order.id, .tid = report.tid, .err = carry_out(&order) };
	}
	_exit(0);
}

/* What the daemon may and this process must not. */
static int
drop_rights(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	const uint32_t needed = 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capget, &header, data) != 0)
		return -errno;
	for (int cap = 0; cap < 64; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* EPERM without the right to, EINVAL where there is none */
	data[0].permitted &= needed;
	data[0].effective = data[0].permitted;
	data[1].permitted = data[1].effective = 0;
	data[0].inheritable = data[1].inheritable = 0;
	return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

int
poker_main(const char *mountpoint)
{
	pthread_t thread;

	place = mountpoint;
	/* Signals that are meant for all processes of a terminal or a shutdown are the daemon's to act upon. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(POKER_FD + 1, ~0U, 0);
	if (chdir("/") != 0 || drop_rights() != 0)
		return 1;
	for (int i = 1; i < POKER_THREADS; i++)
		if (pthread_create(&thread, NULL, work, NULL) != 0)
			return 1;
	work(NULL);
	return 0;
}
