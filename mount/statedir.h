/*
 * The state directory of the private nats-server: its locks and the file that says where the server is.
 *
 * What is in it (mode 0700, files 0600):
 *   jetstream/        what nats-server stores
 *   nats.conf         its configuration, with the credentials; written anew at every start
 *   nats-server.log   its output, and the supervisor's log
 *   server.json       struct statedir_server
 *   users.lock        shared by every mount for its life; exclusive by a supervisor that is shutting down
 *   supervisor.lock   exclusive by the one supervisor for its life
 *   server.lock       exclusive by nats-server itself, which inherits it open: the kernel drops it when the last
 * process that could touch jetstream/ has gone, and not before
 *
 * All locks are flock(2)s. Their files are never removed: two files of one name would be two locks.
 * supervise.h has the protocol. No state in memory; any thread may call.
 */
#ifndef AETHER_MOUNT_STATEDIR_H
#define AETHER_MOUNT_STATEDIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define STATEDIR_USERS "users.lock"
#define STATEDIR_SUPERVISOR "supervisor.lock"
#define STATEDIR_SERVER "server.lock"
#define STATEDIR_LOG "nats-server.log"
#define STATEDIR_CONF "nats.conf"

#define STATEDIR_NAME_MAX 32
#define STATEDIR_PASSWORD_MAX 72

/* The private server as server.json has it. */
struct statedir_server {
	pid_t pid;      /* 0: none was started yet */
	uint64_t start; /* field 22 of /proc/<pid>/stat, so that a pid that was used again is not mistaken for it */
	unsigned port;  /* on 127.0.0.1; 0: not chosen, nobody relies on one */
	bool ready;     /* it has accepted connections since it was started */
	char user[STATEDIR_NAME_MAX]; /* also the server's name, which it announces to whoever connects */
	char password[STATEDIR_PASSWORD_MAX];
};

/* Open the directory, creating it and its parents (mode 0700). A file descriptor; or -errno, -EPERM when it is another
 * user's. */
int statedir_open(const char *dir);

/*
 * Open the lock file and apply flock operation op (LOCK_SH or LOCK_EX, with LOCK_NB or not). A file descriptor that
 * holds the lock and does not survive exec, or -errno: -EWOULDBLOCK if it is taken.
 */
int statedir_lock(int dir, const char *name, int op);

/* Does somebody hold this lock exclusively? */
bool statedir_locked(int dir, const char *name);

/* Read server.json: 0, -ENOENT, -EINVAL when it is not what statedir_write writes, or another -errno. */
int statedir_read(int dir, struct statedir_server *server);

/* Replace server.json at once as a whole. 0 or -errno. */
int statedir_write(int dir, const struct statedir_server *server);

/* Remove server.json and nats.conf: nobody uses the server any more. */
void statedir_forget(int dir);

/* Field 22 of /proc/<pid>/stat, or 0 if there is no such process. */
uint64_t statedir_start_time(pid_t pid);

/* Does the server at that port accept connections, say that it is the one meant, and have JetStream? Takes at most
 * timeout_ms. */
bool statedir_answers(const struct statedir_server *server, int timeout_ms);

#endif
