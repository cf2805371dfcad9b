#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Where the socket is put in the daemon first, so that it is not in the way of what the process has open. */
#define HIGH_FD 10

static int
spawn(struct helper *h, int child_fd, const char *mountpoint)
{
	char *argv[] = { "aether", "poke", (char *)(uintptr_t)mountpoint, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_adddup2(&actions, child_fd, POKER_FD);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	int err = posix_spawn(&h->pid, "/proc/self/exe", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

int
helper_start(struct helper *h, const char *mountpoint)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return -errno;
	int child = fcntl(fds[1], F_DUPFD_CLOEXEC, HIGH_FD);
	int err = child < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ? -errno : 0;
	close(fds[1]);
	if (err == 0)
		err = spawn(h, child, mountpoint);
	if (child >= 0)
		close(child);
	if (err != 0) {
		close(fds[0]);
		h->pid = 0;
		return err;
	}
	h->fd = fds[0];
	h->begun = 0;
	return 0;
}

bool
helper_ready(const struct helper *h)
{
	return h->fd >= 0 && h->begun == POKER_THREADS;
}

int
helper_order(struct helper *h, const struct poker_order *order)
{
	ssize_t n = send(h->fd, order, sizeof(*order), MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n == sizeof(*order))
		return 0;
	return n < 0 && (errno == EAGAIN || errno == ENOBUFS) ? -EAGAIN : n < 0 ? -errno : -EIO;
}

int
helper_report(struct helper *h, struct poker_report *report)
{
	ssize_t n;

	do
		n = recv(h->fd, report, sizeof(*report), MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n != sizeof(*report))
		return -ECONNRESET;
	if (report->id == 0 && h->begun < POKER_THREADS)
		atomic_store(&h->tids[h->begun++], report->tid);
	return 1;
}

bool
helper_is(const struct helper *h, pid_t tid)
{
	for (int i = 0; i < POKER_THREADS; i++)
		if (tid != 0 && atomic_load_explicit(&h->tids[i], memory_order_relaxed) == tid)
			return true;
	return false;
}

void
helper_kill(struct helper *h)
{
	if (h->pid > 0)
		kill(h->pid, SIGKILL);
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

void
helper_reap(struct helper *h)
{
	/* First, for who comes next may get the same id. */
	for (int i = 0; i < POKER_THREADS; i++)
		atomic_store(&h->tids[i], 0);
	while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	h->pid = 0;
	h->begun = 0;
}
