/*
 * The process that repeats on the mount what came from elsewhere, so that the kernel raises inotify for it: FUSE has no call for that.
 *
 * A process and not a thread: a thread of the daemon that waits in the daemon's own mount can make the daemon unkillable. It
 * knows nothing but the mount's place: it takes orders from a socket, one packet each, carries each out with one thread, which makes
 * system calls on the mount, and reports. Between orders it holds nothing open there. It ends when the socket does, that is with the
 * daemon, however that ends. bridge.h is the other side.
 *
 * It runs with the rights of its user without any capability but, if the daemon has them, the two that it takes to open any actor for
 * writing and to set its time (CAP_DAC_OVERRIDE, CAP_FOWNER). It makes sure that each order is carried out on the daemon's
 * file system and on no other that may be mounted there by then.
 */
#ifndef AETHER_FS_POKER_H
#define AETHER_FS_POKER_H

#include <stdbool.h>
#include <stdint.h>

/* One thread each, since one may have to wait for a local writer of its actor. */
#define POKER_THREADS 4

/* The socket's descriptor in the process. */
#define POKER_FD 3

enum poker_what {
	POKER_MADE,    /* make the actor or namespace: CREATE, for an actor also OPEN, ATTRIB or MODIFY, CLOSE_WRITE */
	POKER_CHANGED, /* open the actor for append, set its time, close it: OPEN, MODIFY, CLOSE_WRITE */
	POKER_GONE,    /* remove it: DELETE */
	POKER_LINKED,  /* make a symbolic link: CREATE */
	POKER_LOOK     /* have the kernel ask for the namespace, whatever it believes: EEXIST */
};

#define POKER_NAMES_MAX 512

struct poker_order {
	uint64_t id;  /* not 0 */
	uint64_t dev; /* of the file system */
	uint32_t what;
	uint32_t with_change; /* of POKER_MADE: MODIFY rather than ATTRIB */
	char names[POKER_NAMES_MAX]; /* the namespace, or the path of another directory, and the actor, empty if it is about the namespace, each with its NUL */
};

struct poker_report {
	uint64_t id;  /* of the order; 0: the thread has begun */
	uint64_t dev; /* when it has begun: of the file system at the mount point */
	int32_t tid;
	int32_t err; /* 0 or -errno */
};

/* Be the process. mountpoint is absolute. Does not return before it is over; the exit status. */
int poker_main(const char *mountpoint);

#endif
