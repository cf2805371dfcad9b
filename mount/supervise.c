#include "supervise.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/clock.h"
#include "../store/logger.h"
#include "natsd.h"
#include "statedir.h"

#define POLL_MS 20
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 2000
#define STEADY_NS (5 * NS_PER_SEC) /* a server that served this long starts the pauses from the beginning */
#define FAILURES_MAX 3             /* starts of a server that nobody relies on yet */
#define LOG_MAX_BYTES (16 * 1024 * 1024)

enum state {
	CLEARING, /* something holds server.lock: an orphan that has to end */
	STARTING, /* a server runs and does not answer yet */
	SERVING,  /* it answers */
	PAUSING,  /* it has died; wait before the next */
	STOPPING, /* no mount is left */
	ENDED
};

static const char *const state_names[] = { "clearing", "starting", "serving", "pausing", "stopping", "ended" };

/* moves[from] has a bit for each state that may follow. */
static const unsigned moves[] = {
	[CLEARING] = 1U << STARTING | 1U << PAUSING | 1U << STOPPING,
	[STARTING] = 1U << SERVING | 1U << PAUSING | 1U << STOPPING,
	[SERVING] = 1U << PAUSING | 1U << STOPPING,
	[PAUSING] = 1U << CLEARING | 1U << STOPPING | 1U << ENDED,
	[STOPPING] = 1U << ENDED,
	[ENDED] = 0,
};

struct supervisor {
	const char *dir;
	int dirfd;
	const struct clock *clock;
	struct logger *lg;
	enum state state;
	struct statedir_server server;
	bool relied_on; /* a mount may know the port: it must not change */
	char path[PATH_MAX];
	bool sync_always;
	pid_t pid; /* of our server, 0 if there is none */
	int pidfd;
	int unused_fd; /* readable once no mount is left */
	int failures;  /* starts in a row that came to nothing */
	int pause_ms;
	int64_t serving_since_ns;
};

static void
set_state(struct supervisor *s, enum state next)
{
	assert(moves[s->state] & 1U << next);
	log_info(s->lg, "supervisor: %s -> %s", state_names[s->state], state_names[next]);
	s->state = next;
}

/* What the thread that waits for users.lock needs; it frees it. */
struct watch {
	int users_dir;
	int unused_fd;
};

static void *
wait_for_no_users(void *arg)
{
	const struct watch w = *(struct watch *)arg;
	const uint64_t one = 1;

	free(arg);
	/* The descriptor stays open, and with it the lock, until the process has ended: so no mount comes in between.
	 */
	while (statedir_lock(w.users_dir, STATEDIR_USERS, LOCK_EX) < 0)
		usleep(100 * 1000);
	while (write(w.unused_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	return NULL;
}

enum event { NOTHING, SERVER_DIED, UNUSED };

static enum event
wait_event(const struct supervisor *s, int timeout_ms)
{
	struct pollfd fds[] = { { .fd = s->unused_fd, .events = POLLIN },
		{ .fd = s->pid != 0 ? s->pidfd : -1, .events = POLLIN } };
	int n;

	do
		n = poll(fds, 2, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (fds[1].revents != 0)
		return SERVER_DIED;
	return fds[0].revents != 0 ? UNUSED : NOTHING;
}

static void
reap(struct supervisor *s, enum log_level level, const char *when)
{
	int status = 0;

	while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		log_at(s->lg, level, "supervisor: nats-server (pid %d) was killed by signal %d %s", (int)s->pid,
		    WTERMSIG(status), when);
	else
		log_at(s->lg, level, "supervisor: nats-server (pid %d) exited with status %d %s", (int)s->pid,
		    WEXITSTATUS(status), when);
	close(s->pidfd);
	s->pid = 0;
}

/* Signal what server.json names, if that process is still the one it was. */
static void
signal_orphan(const struct supervisor *s, int sig)
{
	struct statedir_server orphan;
	int fd;

	if (statedir_read(s->dirfd, &orphan) != 0 || orphan.pid == 0)
		return;
	fd = pidfd_open(orphan.pid, 0);
	if (fd < 0)
		return;
	/* Compared after the descriptor is open: from here on it is this process or none. */
	if (statedir_start_time(orphan.pid) == orphan.start) {
		log_warn(
		    s->lg, "supervisor: a former nats-server (pid %d) still runs: signal %d", (int)orphan.pid, sig);
		pidfd_send_signal(fd, sig, NULL, 0);
	}
	close(fd);
}

static void
new_server(struct supervisor *s)
{
	unsigned char random[4 + 32];
	char *p = s->server.password;

	memset(&s->server, 0, sizeof(s->server));
	s->clock->random(s->clock, random, sizeof(random));
	snprintf(s->server.user, sizeof(s->server.user), "aether-%02x%02x%02x%02x", random[0], random[1], random[2],
	    random[3]);
	for (size_t i = 4; i < sizeof(random); i++, p += 2)
		snprintf(p, 3, "%02x", random[i]);
	s->server.port = natsd_free_port(s->clock);
}

static int
launch(struct supervisor *s, int lock_fd)
{
	int err;

	if (!s->relied_on)
		new_server(s);
	err = natsd_configure(s->dirfd, s->dir, &s->server, s->sync_always);
	if (err != 0) {
		close(lock_fd);
		return err;
	}
	s->server.ready = false;
	s->pid = natsd_start(s->dirfd, s->dir, s->path, lock_fd);
	if (s->pid < 0) {
		err = s->pid;
		s->pid = 0;
		return err;
	}
	s->pidfd = pidfd_open(s->pid, 0);
	fcntl(s->pidfd, F_SETFD, FD_CLOEXEC);
	s->server.pid = s->pid;
	s->server.start = statedir_start_time(s->pid);
	err = statedir_write(s->dirfd, &s->server);
	if (err != 0) {
		kill(s->pid, SIGKILL);
		reap(s, LOG_LEVEL_WARN, "since server.json cannot be written");
	}
	return err;
}

static enum state
clearing(struct supervisor *s)
{
	const int64_t begun = clock_mono(s->clock);
	bool termed = false;
	int lock_fd, err;

	while ((lock_fd = statedir_lock(s->dirfd, STATEDIR_SERVER, LOCK_EX | LOCK_NB)) < 0) {
		int64_t waited_ms = (clock_mono(s->clock) - begun) / NS_PER_MS;

		/* It had its signal when its supervisor died; a moment's grace keeps the log quiet. */
		if (!termed && waited_ms > 5 * POLL_MS) {
			signal_orphan(s, SIGTERM);
			termed = true;
		}
		if (waited_ms > SUPERVISE_STOP_MS) {
			signal_orphan(s, SIGKILL);
			if (waited_ms > 2 * SUPERVISE_STOP_MS && wait_event(s, 0) == UNUSED)
				return STOPPING;
			usleep(1000 * 1000);
		}
		usleep(POLL_MS * 1000);
	}
	err = launch(s, lock_fd);
	if (err == 0)
		return STARTING;
	log_error(s->lg, "supervisor: cannot start nats-server: %s", strerror(-err));
	s->failures++;
	return PAUSING;
}

static enum state
starting(struct supervisor *s)
{
	for (;;) {
		switch (wait_event(s, POLL_MS)) {
		case NOTHING:
			break;
		case UNUSED:
			return STOPPING;
		case SERVER_DIED:
			reap(s, LOG_LEVEL_WARN, "before it was ready");
			if (s->relied_on && !natsd_port_free(s->server.port))
				log_error(s->lg,
				    "supervisor: port %u is taken by another process; mounts that are up need it",
				    s->server.port);
			s->failures++;
			return PAUSING;
		}
		/* It listens only once JetStream has recovered, however long that takes. */
		if (statedir_answers(&s->server, 1000))
			break;
	}
	s->server.ready = true;
	s->relied_on = true;
	s->failures = 0;
	s->serving_since_ns = clock_mono(s->clock);
	if (statedir_write(s->dirfd, &s->server) != 0)
		log_error(s->lg, "supervisor: cannot write server.json");
	log_info(s->lg, "supervisor: nats-server (pid %d) is ready on port %u", (int)s->pid, s->server.port);
	return SERVING;
}

static enum state
serving(struct supervisor *s)
{
	if (wait_event(s, -1) == UNUSED)
		return STOPPING;
	reap(s, LOG_LEVEL_WARN, "while in use");
	if (clock_mono(s->clock) - s->serving_since_ns > STEADY_NS)
		s->pause_ms = PAUSE_MIN_MS;
	return PAUSING;
}

static enum state
pausing(struct supervisor *s)
{
	/* A start that fails while no mount is up is that mount's error to report, not ours to repeat for ever. */
	if (!s->relied_on && s->failures >= FAILURES_MAX) {
		statedir_forget(s->dirfd);
		return ENDED;
	}
	if (wait_event(s, s->pause_ms) == UNUSED)
		return STOPPING;
	s->pause_ms = s->pause_ms * 2 < PAUSE_MAX_MS ? s->pause_ms * 2 : PAUSE_MAX_MS;
	return CLEARING;
}

static enum state
stopping(struct supervisor *s)
{
	if (s->pid != 0) {
		struct pollfd died = { .fd = s->pidfd, .events = POLLIN };

		kill(s->pid, SIGTERM);
		if (poll(&died, 1, SUPERVISE_STOP_MS) == 0)
			kill(s->pid, SIGKILL);
		reap(s, LOG_LEVEL_INFO, "as told, since no mount is left");
	}
	statedir_forget(s->dirfd);
	return ENDED;
}

static void
run(struct supervisor *s)
{
	while (s->state != ENDED) {
		enum state next = ENDED;

		switch (s->state) {
		case CLEARING:
			next = clearing(s);
			break;
		case STARTING:
			next = starting(s);
			break;
		case SERVING:
			next = serving(s);
			break;
		case PAUSING:
			next = pausing(s);
			break;
		case STOPPING:
			next = stopping(s);
			break;
		case ENDED:
			break;
		}
		set_state(s, next);
	}
}

/* The program, its version, and what a former supervisor left behind. */
static int
prepare(struct supervisor *s)
{
	int major = 0, minor = 0;
	int err = natsd_find(s->path, sizeof(s->path));

	if (err != 0) {
		log_error(s->lg, "supervisor: nats-server is not installed");
		return err;
	}
	err = natsd_version(s->path, &major, &minor);
	if (err != 0) {
		log_error(s->lg, "supervisor: %s does not tell its version: %s", s->path, strerror(-err));
		return err;
	}
	s->sync_always = natsd_syncs(major, minor);
	log_info(s->lg, "supervisor: pid %d, %s %d.%d, %s", (int)getpid(), s->path, major, minor,
	    s->sync_always ? "sync_interval: always" : "fsync every two minutes (sync_interval: always needs 2.10)");
	s->relied_on = statedir_read(s->dirfd, &s->server) == 0 && s->server.port != 0;
	return 0;
}

static int
watch_users(struct supervisor *s)
{
	struct watch *w = malloc(sizeof(*w));
	pthread_t thread;
	int err;

	s->unused_fd = eventfd(0, EFD_CLOEXEC);
	if (w == NULL || s->unused_fd < 0) {
		free(w);
		return -ENOMEM;
	}
	*w = (struct watch){ .users_dir = s->dirfd, .unused_fd = s->unused_fd };
	err = pthread_create(&thread, NULL, wait_for_no_users, w);
	if (err != 0) {
		free(w);
		return -err;
	}
	pthread_detach(thread);
	return 0;
}

/* The lock, or -EWOULDBLOCK. Tried for a while: those who only look whether it is taken hold it for a moment. */
static int
take_supervisor_lock(int dirfd)
{
	int fd = -EWOULDBLOCK;

	for (int i = 0; i < 25; i++) {
		fd = statedir_lock(dirfd, STATEDIR_SUPERVISOR, LOCK_EX | LOCK_NB);
		if (fd != -EWOULDBLOCK)
			break;
		usleep(POLL_MS * 1000);
	}
	return fd;
}

static void
detach(void)
{
	/* Whatever the caller's caller left open (a test's pipe, a shell's lock) is not ours to keep open. */
	close_range(3, ~0U, 0);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	prctl(PR_SET_NAME, "aether-superv");
	if (chdir("/") != 0)
		return;
}

static void
rotate_log(int dirfd)
{
	struct stat st;

	if (fstatat(dirfd, STATEDIR_LOG, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > LOG_MAX_BYTES)
		renameat(dirfd, STATEDIR_LOG, dirfd, STATEDIR_LOG ".1");
}

int
supervise(const char *dir)
{
	struct supervisor s = { .dir = dir, .clock = clock_system(), .state = CLEARING, .pause_ms = PAUSE_MIN_MS };
	char log[PATH_MAX];
	int lock_fd;

	detach();
	s.dirfd = statedir_open(dir);
	if (s.dirfd < 0)
		return 1;
	lock_fd = take_supervisor_lock(s.dirfd);
	if (lock_fd < 0)
		return lock_fd == -EWOULDBLOCK ? 0 : 1;
	rotate_log(s.dirfd);
	if (snprintf(log, sizeof(log), "%s/" STATEDIR_LOG, dir) >= (int)sizeof(log) ||
	    logger_new(&s.lg, log, LOG_LEVEL_INFO) != 0)
		return 1;
	if (watch_users(&s) != 0 || prepare(&s) != 0)
		return 1;
	run(&s);
	/* Neither closed nor unlocked here: the end of the process does it, when everything else is done. */
	log_info(s.lg, "supervisor: done");
	logger_free(s.lg);
	return s.failures >= FAILURES_MAX ? 1 : 0;
}
