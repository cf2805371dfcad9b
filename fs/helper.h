/*
 * The daemon's side of the process in poker.h: starting it, giving it orders, knowing it by its requests.
 *
 * Owns the process and the socket. All but helper_is are called by one thread at a time.
 */
#ifndef AETHER_FS_HELPER_H
#define AETHER_FS_HELPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "poker.h"

/* All zeros but fd -1: there is no process. */
struct helper {
	int fd; /* of the socket, for poll; -1 */
	pid_t pid;
	unsigned begun; /* threads that have reported */
	_Atomic pid_t tids[POKER_THREADS];
};

/* Start the process for that mount point. It can take orders once helper_ready. 0 or -errno. */
int helper_start(struct helper *h, const char *mountpoint);

/* Do all its threads run? */
bool helper_ready(const struct helper *h);

/* 0; -EAGAIN: it has as many orders as the socket holds; or another -errno, after which the process is of no use. Does not block. */
int helper_order(struct helper *h, const struct poker_order *order);

/* The next report: 1; 0: none is there; -errno: the process has ended. Does not block. Those of begun threads are handed out too. */
int helper_report(struct helper *h, struct poker_report *report);

/* Is that thread, as the kernel names who sent a request, one of the process? Any thread may call. */
bool helper_is(const struct helper *h, pid_t tid);

/*
 * Kill the process. It may still be waiting in the mount for an answer, or for the end of the mount, so helper_reap is the second
 * step, which blocks for that: until then its ids belong to nobody else.
 */
void helper_kill(struct helper *h);
void helper_reap(struct helper *h);

#endif
