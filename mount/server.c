#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/lock.h"
#include "natsd.h"
#include "statedir.h"
#include "supervise.h"

#define LOOK_MS 10
#define ANSWER_MS 1000
#define RETRY_MIN_NS (50 * NS_PER_MS)
#define RETRY_MAX_NS (2 * NS_PER_SEC)

extern char **environ;

struct server {
	char *dir;
	int dirfd;
	int users_fd; /* holds users.lock, shared */
	const struct clock *clock;
	struct logger *lg;
	struct statedir_server at; /* fixed once server_start has returned */
	char url[64];
	pid_t supervisor; /* that this process started and has not reaped; 0 if none */

	pthread_t guard;
	bool guarded;
	struct lock lock; /* guards lost and stopping */
	pthread_cond_t wake;
	bool lost;
	bool stopping;
};

static void
sleep_ms(int ms)
{
	usleep((useconds_t)ms * 1000);
}

/* Did the supervisor that this process started fail? Reaps it if it has ended. */
static bool
supervisor_failed(struct server *s)
{
	int status;

	if (s->supervisor == 0 || waitpid(s->supervisor, &status, WNOHANG) != s->supervisor)
		return false;
	s->supervisor = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) != 0;
}

static int
spawn_supervisor(struct server *s)
{
	char log[4096];
	char *argv[] = { (char *)"aether", (char *)"supervise", s->dir, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t set;
	int err;

	if (snprintf(log, sizeof(log), "%s/" STATEDIR_LOG, s->dir) >= (int)sizeof(log))
		return -ENAMETOOLONG;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, 0, 1);
	posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_APPEND | O_CREAT, 0600);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigfillset(&set);
	posix_spawnattr_setsigdefault(&attr, &set);
	err = posix_spawn(&s->supervisor, "/proc/self/exe", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	if (err != 0)
		s->supervisor = 0;
	return -err;
}

/*
 * users.lock, shared. If there is nobody else, neither mount nor supervisor, then the port of former times is cleared,
 * for it may have become someone else's.
 */
static int
take_users_lock(struct server *s, int64_t deadline_ns)
{
	struct statedir_server old;
	int alone, supervisor;

	alone = statedir_lock(s->dirfd, STATEDIR_USERS, LOCK_EX | LOCK_NB);
	if (alone >= 0) {
		supervisor = statedir_lock(s->dirfd, STATEDIR_SUPERVISOR, LOCK_EX | LOCK_NB);
		if (supervisor >= 0) {
			if (statedir_read(s->dirfd, &old) == 0 && old.port != 0) {
				old.port = 0;
				statedir_write(s->dirfd, &old);
			}
			close(supervisor);
		}
		close(alone);
	}
	/* Not a blocking flock: a supervisor that never finishes must not make the mount hang. */
	while ((s->users_fd = statedir_lock(s->dirfd, STATEDIR_USERS, LOCK_SH | LOCK_NB)) == -EWOULDBLOCK) {
		if (clock_mono(s->clock) > deadline_ns)
			return -ETIMEDOUT;
		sleep_ms(LOOK_MS);
	}
	return s->users_fd < 0 ? s->users_fd : 0;
}

static int
find_or_start(struct server *s, int64_t deadline_ns, struct buf *why)
{
	int64_t spawn_at = 0, delay = RETRY_MIN_NS;

	for (;;) {
		int64_t now = clock_mono(s->clock);
		int err;

		if (statedir_read(s->dirfd, &s->at) == 0 && s->at.ready && s->at.port != 0 &&
		    statedir_answers(&s->at, ANSWER_MS))
			return 0;
		if (supervisor_failed(s)) {
			buf_printf(why, "the private nats-server does not start; see %s/" STATEDIR_LOG, s->dir);
			return -EIO;
		}
		if (now > deadline_ns) {
			buf_printf(why, "the private nats-server is not ready yet; see %s/" STATEDIR_LOG, s->dir);
			return -ETIMEDOUT;
		}
		if (s->supervisor == 0 && now >= spawn_at && !statedir_locked(s->dirfd, STATEDIR_SUPERVISOR)) {
			err = spawn_supervisor(s);
			if (err != 0) {
				buf_printf(
				    why, "cannot start the private nats-server's supervisor: %s", strerror(-err));
				return err;
			}
			spawn_at = now + delay;
			delay = delay * 2 < RETRY_MAX_NS ? delay * 2 : RETRY_MAX_NS;
		}
		sleep_ms(LOOK_MS);
	}
}

/* One look; true when the server answers. */
static bool
restore(struct server *s)
{
	struct statedir_server found;
	int err;

	if (statedir_answers(&s->at, ANSWER_MS))
		return true;
	if (supervisor_failed(s))
		log_error(s->lg, "the private nats-server does not start; see %s/" STATEDIR_LOG, s->dir);
	if (s->supervisor != 0 || statedir_locked(s->dirfd, STATEDIR_SUPERVISOR))
		return false;
	/* Should the file be gone or be damaged, a new server would listen where nobody looks. */
	err = statedir_read(s->dirfd, &found);
	if (err != 0 || found.port != s->at.port) {
		s->at.pid = 0;
		err = statedir_write(s->dirfd, &s->at);
	}
	log_warn(s->lg, "the private nats-server's supervisor is gone: starting another");
	if (err == 0)
		err = spawn_supervisor(s);
	if (err != 0)
		log_error(s->lg, "cannot start the private nats-server's supervisor: %s", strerror(-err));
	return false;
}

/* Wait until woken or until delay_ns have passed. */
static void
doze_locked(struct server *s, int64_t delay_ns)
{
	(void)lock_wait_until(&s->lock, &s->wake, clock_mono(s->clock) + delay_ns);
}

static void *
guard_main(void *arg)
{
	struct server *s = arg;
	int64_t delay = RETRY_MIN_NS;

	lock_take(&s->lock);
	while (!s->stopping) {
		if (!s->lost) {
			delay = RETRY_MIN_NS;
			lock_wait(&s->lock, &s->wake);
			continue;
		}
		s->lost = false;
		lock_give(&s->lock);
		bool answers = restore(s);
		lock_take(&s->lock);
		if (answers || s->stopping)
			continue;
		s->lost = true;
		doze_locked(s, delay);
		delay = delay * 2 < RETRY_MAX_NS ? delay * 2 : RETRY_MAX_NS;
	}
	lock_give(&s->lock);
	return NULL;
}

static int
start_guard(struct server *s)
{
	int err;
	pthread_cond_destroy(&s->wake);
	lock_cond_init(&s->wake);
	err = pthread_create(&s->guard, NULL, guard_main, s);
	s->guarded = err == 0;
	return -err;
}

static struct server *
server_alloc(const char *dir, const struct clock *clock, struct logger *lg)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->dir = strdup(dir);
	if (s->dir == NULL) {
		free(s);
		return NULL;
	}
	s->dirfd = s->users_fd = -1;
	s->clock = clock;
	s->lg = lg;
	lock_init(&s->lock, LOCK_SERVER);
	lock_cond_init(&s->wake);
	return s;
}

int
server_start(struct server **out, const char *dir, int64_t timeout_ns, const struct clock *clock, struct logger *lg,
    struct buf *why)
{
	const int64_t deadline_ns = clock_mono(clock) + timeout_ns;
	struct server *s = server_alloc(dir, clock, lg);
	char path[4096];
	int err;

	if (s == NULL)
		return -ENOMEM;
	err = natsd_find(path, sizeof(path));
	if (err != 0) {
		buf_puts(why, "nats-server is not found: install it, or name it in AETHER_NATS_SERVER, or use --nats");
		goto fail;
	}
	err = s->dirfd = statedir_open(dir);
	if (err < 0) {
		buf_printf(why, "cannot use the state directory %s: %s", dir,
		    err == -EPERM ? "it belongs to another user" : strerror(-err));
		goto fail;
	}
	err = take_users_lock(s, deadline_ns);
	if (err != 0) {
		buf_printf(why, "cannot lock %s/" STATEDIR_USERS ": %s", dir,
		    err == -ETIMEDOUT ? "a supervisor that is shutting down holds it" : strerror(-err));
		goto fail;
	}
	err = find_or_start(s, deadline_ns, why);
	if (err != 0)
		goto fail;
	snprintf(s->url, sizeof(s->url), "nats://127.0.0.1:%u", s->at.port);
	err = start_guard(s);
	if (err != 0)
		goto fail;
	*out = s;
	return 0;
fail:
	server_free(s);
	return err;
}

const char *
server_url(const struct server *s)
{
	return s->url;
}

const char *
server_user(const struct server *s)
{
	return s->at.user;
}

const char *
server_password(const struct server *s)
{
	return s->at.password;
}

void
server_lost(void *arg)
{
	struct server *s = arg;

	lock_take(&s->lock);
	s->lost = true;
	pthread_cond_signal(&s->wake);
	lock_give(&s->lock);
}

void
server_free(struct server *s)
{
	if (s == NULL)
		return;
	if (s->guarded) {
		lock_take(&s->lock);
		s->stopping = true;
		pthread_cond_signal(&s->wake);
		lock_give(&s->lock);
		pthread_join(s->guard, NULL);
	}
	if (s->users_fd >= 0)
		close(s->users_fd);
	if (s->dirfd >= 0)
		close(s->dirfd);
	lock_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
	free(s->dir);
	free(s);
}
