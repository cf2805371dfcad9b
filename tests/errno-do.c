/*
 * Does one operation of a file system and prints the exact outcome: OK, or the name of the errno.
 *
 *     errno-do OPERATION ARGUMENT...        exit code 0 after OK, 1 after an errno, 2 for wrong usage
 *
 * The shell's own echo says "write error" and coreutils try things behind the scenes; tests need to know what one
 * system call answered. The table at the end lists the operations. Flags are written as open(2) knows them,
 * without O_ and joined by commas: WRONLY,APPEND,CREAT.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define APPEND "WRONLY,APPEND,CREAT"

static int
usage(const char *what)
{
	fprintf(stderr, "errno-do: %s\n", what);
	exit(2);
}

static int
parse_flags(char *text)
{
	static const struct {
		const char *name;
		int flag;
	} flags[] = { { "RDONLY", O_RDONLY }, { "WRONLY", O_WRONLY }, { "RDWR", O_RDWR }, { "APPEND", O_APPEND },
		{ "CREAT", O_CREAT }, { "EXCL", O_EXCL }, { "TRUNC", O_TRUNC }, { "SYNC", O_SYNC },
		{ "DIRECTORY", O_DIRECTORY }, { "TMPFILE", O_TMPFILE },
		{ "NONBLOCK", O_NONBLOCK } };
	int result = 0;

	for (char *save = NULL, *t = strtok_r(text, ",", &save); t != NULL; t = strtok_r(NULL, ",", &save)) {
		size_t i;

		for (i = 0; i < sizeof(flags) / sizeof(*flags) && strcmp(t, flags[i].name) != 0; i++)
			;
		if (i == sizeof(flags) / sizeof(*flags))
			usage(t);
		result |= flags[i].flag;
	}
	return result;
}

static int
open_with(const char *path, const char *flags)
{
	char copy[128];

	snprintf(copy, sizeof(copy), "%s", flags);
	return open(path, parse_flags(copy) | O_CLOEXEC, 0666);
}

/* Like a good program: after a short write goes on with the rest. */
static int
write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);

		if (n < 0)
			return -1;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Close, and say so if that is what failed; rc is the result so far. */
static int
finish(int fd, int rc)
{
	int saved = errno;

	if (close(fd) < 0 && rc == 0) {
		fprintf(stderr, "errno-do: close failed\n");
		return -1;
	}
	errno = saved;
	return rc;
}

static int
do_open(char **a)
{
	int fd = open_with(a[0], a[1]);

	return fd < 0 ? -1 : finish(fd, 0);
}

/* FILE FLAGS TEXT...: open, one write for each TEXT, close. */
static int
do_write(char **a)
{
	int fd = open_with(a[0], a[1]);
	int rc = 0;

	if (fd < 0)
		return -1;
	for (char **text = a + 2; rc == 0 && *text != NULL; text++)
		rc = write_all(fd, *text, strlen(*text));
	return finish(fd, rc);
}

/* FILE: all of standard input as one write to it. */
static int
do_append_stdin(char **a)
{
	const size_t cap = 400 << 20;
	size_t size = 0;
	char *data = malloc(cap); /* the pages that are not touched cost nothing */
	ssize_t n;
	int fd, rc;

	while (data != NULL && size < cap && (n = read(0, data + size, cap - size)) > 0)
		size += (size_t)n;
	if (data == NULL || size == cap)
		usage("append-stdin: too much input");
	fd = open_with(a[0], APPEND);
	rc = fd < 0 ? -1 : finish(fd, write_all(fd, data, size));
	free(data);
	return rc;
}

static int
do_append(char **a)
{
	char *args[32] = { a[0], (char[]){ APPEND } };
	int n = 2;

	for (char **text = a + 1; *text != NULL && n < 31; text++)
		args[n++] = *text;
	return do_write(args);
}

/* FILE TEXT...: one write for each TEXT, also after one that failed; the last one's outcome. */
static int
do_insist(char **a)
{
	int fd = open_with(a[0], APPEND);
	int rc = 0;

	if (fd < 0)
		return -1;
	for (char **text = a + 1; *text != NULL; text++)
		rc = write_all(fd, *text, strlen(*text));
	return finish(fd, rc);
}

/* FILE FLAGS OFFSET TEXT */
static int
do_pwrite(char **a)
{
	int fd = open_with(a[0], a[1]);

	return fd < 0 ? -1 : finish(fd, pwrite(fd, a[3], strlen(a[3]), atoll(a[2])) < 0 ? -1 : 0);
}

/* FILE TEXT: open for append, take O_APPEND away with fcntl, write at offset 0. */
static int
do_unappend(char **a)
{
	int fd = open_with(a[0], "WRONLY,APPEND");

	if (fd < 0)
		return -1;
	return finish(fd, fcntl(fd, F_SETFL, 0) < 0 || pwrite(fd, a[1], strlen(a[1]), 0) < 0 ? -1 : 0);
}

static int
do_truncate(char **a)
{
	return truncate(a[0], atoll(a[1]));
}

static int
do_ftruncate(char **a)
{
	int fd = open_with(a[0], "WRONLY,APPEND");

	return fd < 0 ? -1 : finish(fd, ftruncate(fd, atoll(a[1])));
}

static int
do_unlink(char **a)
{
	return unlink(a[0]);
}

static int
do_rename(char **a)
{
	return rename(a[0], a[1]);
}

static int
do_link(char **a)
{
	return link(a[0], a[1]);
}

static int
do_symlink(char **a)
{
	return symlink(a[0], a[1]);
}

static int
do_mkfifo(char **a)
{
	return mkfifo(a[0], 0666);
}

static int
do_mkdir(char **a)
{
	return mkdir(a[0], 0777);
}

static int
do_rmdir(char **a)
{
	return rmdir(a[0]);
}

static int
do_chmod(char **a)
{
	return chmod(a[0], (mode_t)strtoul(a[1], NULL, 8));
}

static int
do_chown(char **a)
{
	return lchown(a[0], (uid_t)atol(a[1]), (gid_t)atol(a[2]));
}

/* FILE now | FILE SECONDS */
static int
do_utimens(char **a)
{
	struct timespec now[2] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_NOW } };
	struct timespec then[2] = { { .tv_sec = atol(a[1]) }, { .tv_sec = atol(a[1]) } };

	return utimensat(AT_FDCWD, a[0], strcmp(a[1], "now") == 0 ? now : then, 0);
}

static int
do_setxattr(char **a)
{
	return setxattr(a[0], a[1], a[2], strlen(a[2]), 0);
}

static int
do_removexattr(char **a)
{
	return removexattr(a[0], a[1]);
}

static int
do_getxattr(char **a)
{
	char value[4096];

	return getxattr(a[0], a[1], value, sizeof(value)) < 0 ? -1 : 0;
}

static int
do_stat(char **a)
{
	struct stat st;

	return lstat(a[0], &st);
}

/* FILE: read it to its end. */
static int
do_read(char **a)
{
	char block[65536];
	ssize_t n;
	int fd = open_with(a[0], "RDONLY");

	if (fd < 0)
		return -1;
	while ((n = read(fd, block, sizeof(block))) > 0)
		;
	return finish(fd, n < 0 ? -1 : 0);
}

/* FILE FLAGS: one read. */
static int
do_read_once(char **a)
{
	char block[65536];
	int fd = open_with(a[0], a[1]);

	return fd < 0 ? -1 : finish(fd, read(fd, block, sizeof(block)) < 0 ? -1 : 0);
}

static int
do_pread(char **a)
{
	char block[65536];
	int fd = open_with(a[0], "RDONLY");

	return fd < 0 ? -1 : finish(fd, pread(fd, block, sizeof(block), atoll(a[1])) < 0 ? -1 : 0);
}

static int
do_seek(char **a)
{
	int fd = open_with(a[0], "RDONLY");

	return fd < 0 ? -1 : finish(fd, lseek(fd, atoll(a[1]), SEEK_SET) < 0 ? -1 : 0);
}

/* FILE SIZE: what reads of that size give goes to standard error, EOVERFLOW as a line; to the end. */
static int
do_live(char **a)
{
	size_t size = (size_t)atol(a[1]);
	char *block = malloc(size);
	ssize_t n;
	int fd = block != NULL ? open_with(a[0], "RDONLY") : -1;

	while (fd >= 0 && ((n = read(fd, block, size)) > 0 || (n < 0 && (errno == EOVERFLOW || errno == EINTR)))) {
		if (n < 0 && errno == EINTR)
			continue; /* it was stopped, and goes on */
		if (write_all(2, n < 0 ? "EOVERFLOW\n" : block, n < 0 ? 10 : (size_t)n) != 0)
			usage("live: standard error is gone");
	}
	free(block);
	return fd < 0 ? -1 : finish(fd, n < 0 ? -1 : 0);
}

/* Is fd readable, within so many milliseconds? As one of the three calls says. */
static int
readable(const char *call, int fd, int ms)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	struct timeval within = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	fd_set set;

	if (strcmp(call, "poll") == 0)
		return poll(&polled, 1, ms);
	if (strcmp(call, "epoll") == 0) {
		int epoll = epoll_create1(EPOLL_CLOEXEC);
		int n = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0 ? -1 : epoll_wait(epoll, &event, 1, ms);
		close(epoll);
		return n;
	}
	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, &set, NULL, NULL, &within);
}

/* poll|select|epoll FILE COMMAND: wait until it is readable, while the shell command runs. EALREADY: it was before; ETIMEDOUT: it never is. */
static int
do_wake(char **a)
{
	char command[4096];
	int fd = open_with(a[1], "RDONLY,NONBLOCK"), n;

	if (fd < 0)
		return -1;
	n = readable(a[0], fd, 0);
	if (n == 0) {
		snprintf(command, sizeof(command), "(%s) >/dev/null &", a[2]);
		if (system(command) != 0)
			usage(a[2]);
		n = readable(a[0], fd, 60000);
		errno = n == 0 ? ETIMEDOUT : errno;
	} else if (n > 0) {
		errno = EALREADY;
		n = -1;
	}
	return finish(fd, n == 1 ? 0 : -1);
}

/* FILE: map it privately; what the map holds goes to standard error, for it is not an outcome. */
static int
do_mmap(char **a)
{
	struct stat st;
	char *p;
	int fd = open_with(a[0], "RDONLY");

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return finish(fd, -1);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return finish(fd, -1);
	fwrite(p, 1, (size_t)st.st_size, stderr);
	munmap(p, (size_t)st.st_size);
	return finish(fd, 0);
}

/* FILE COMMAND: open and read one byte; run the shell command; read the rest through the same handle. */
static int
do_held_read(char **a)
{
	char block[65536];
	ssize_t n;
	int fd = open_with(a[0], "RDONLY");

	if (fd < 0)
		return -1;
	if (read(fd, block, 1) != 1 || system(a[1]) != 0)
		usage("held-read: the byte or the command failed");
	while ((n = read(fd, block, sizeof(block))) > 0)
		fwrite(block, 1, (size_t)n, stderr);
	return finish(fd, n < 0 ? -1 : 0);
}

/*
 * FILE PREFIX COUNT SECONDS retry|once: append COUNT events with ids PREFIX-1, PREFIX-2 and so on, one write each, and say which ids
 * were acknowledged, one a line on standard error. With retry, one that failed is sent again until SECONDS have passed since the start.
 */
static int
do_load(char **a)
{
	time_t end = time(NULL) + atol(a[3]);
	int retry = strcmp(a[4], "retry") == 0;
	int fd = -1, rc = 0;

	for (long i = 1; i <= atol(a[2]); i++) {
		char line[512];
		int n = snprintf(line, sizeof(line), "{\"eventType\":\"Load\",\"id\":\"%s-%ld\",\"data\":{\"n\":%ld}}\n", a[1], i, i);

		do {
			if (fd < 0)
				fd = open_with(a[0], APPEND);
			rc = fd < 0 ? -1 : write_all(fd, line, (size_t)n);
			if (rc < 0)
				nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		} while (rc < 0 && retry && time(NULL) < end);
		if (rc == 0)
			fprintf(stderr, "%s-%ld\n", a[1], i);
		else if (retry)
			return -1;
		if (time(NULL) >= end)
			break;
	}
	return fd < 0 ? -1 : finish(fd, 0);
}

/* FILE PREFIX COUNT: the same, 20 events at a time, which count as acknowledged when fsync says so; an error is not the end. */
static int
do_load_fsync(char **a)
{
	enum { AT_ONCE = 20 };
	int fd = open_with(a[0], APPEND);

	for (long i = 1; fd >= 0 && i <= atol(a[2]); i += AT_ONCE) {
		int rc = 0;

		for (long k = i; rc == 0 && k < i + AT_ONCE; k++) {
			char line[256];
			int n = snprintf(line, sizeof(line), "{\"eventType\":\"Load\",\"id\":\"%s-%ld\"}\n", a[1], k);
			rc = write_all(fd, line, (size_t)n);
		}
		if (fsync(fd) != 0 || rc != 0)
			continue;
		for (long k = i; k < i + AT_ONCE; k++)
			fprintf(stderr, "%s-%ld\n", a[1], k);
	}
	return fd < 0 ? -1 : finish(fd, 0);
}

/* FILE STEP...: the outcome of each step, on one line: sync, close (both are tried again if they stand there again), !COMMAND for a
 * shell, which has no outcome, or a line to write. */
static int
do_steps(char **a)
{
	int fd = open_with(a[0], APPEND), rc;

	for (char **step = a + 1; fd >= 0 && *step != NULL; step++) {
		char line[4096];
		int n = snprintf(line, sizeof(line), "%s\n", *step);

		if ((*step)[0] == '!') {
			if (system(*step + 1) != 0)
				usage(*step);
			continue;
		}
		if (strcmp(*step, "sync") == 0) {
			rc = fsync(fd);
		} else if (strcmp(*step, "close") == 0) {
			/* The first of two descriptors: the file stays open. */
			int copy = dup(fd);
			rc = close(copy);
		} else {
			rc = write(fd, line, (size_t)n) == n ? 0 : -1;
		}
		printf("%s ", rc == 0 ? "OK" : strerrorname_np(errno));
		fflush(stdout);
	}
	return fd < 0 ? -1 : finish(fd, 0);
}

static void
nothing(int signal)
{
	(void)signal;
}

/* FILE: one read, while a signal comes every 20 ms. */
static int
do_interrupted(char **a)
{
	struct itimerval every = { .it_interval.tv_usec = 20000, .it_value.tv_usec = 20000 };
	struct sigaction act = { .sa_handler = nothing };
	char block[4096];
	int fd = open_with(a[0], "RDONLY");

	if (fd < 0)
		return -1;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	return finish(fd, read(fd, block, sizeof(block)) < 0 ? -1 : 0);
}

/* FILE COUNT MICROSECONDS: append COUNT lines, one write each, while a signal comes every so often. */
static int
do_signals(char **a)
{
	struct itimerval every = { .it_interval.tv_usec = atol(a[2]), .it_value.tv_usec = atol(a[2]) };
	struct sigaction act = { .sa_handler = nothing };
	int fd = open_with(a[0], APPEND);
	int rc = 0;

	if (fd < 0)
		return -1;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (long i = 0; rc == 0 && i < atol(a[1]); i++)
		rc = write_all(fd, "line\n", 5);
	every = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &every, NULL);
	return finish(fd, rc);
}

/* DIR: read it whole, then, backwards, each place again from where telldir said that it was. ERANGE: something else is there. */
static int
do_seekdir(char **a)
{
	enum { MOST = 10000 };
	static struct {
		long at;
		ino_t ino;
	} seen[MOST];
	const struct dirent *e;
	int count = 0, rc = 0;
	DIR *dir = opendir(a[0]);

	if (dir == NULL)
		return -1;
	for (seen[0].at = telldir(dir); count < MOST - 1 && (e = readdir(dir)) != NULL; seen[++count].at = telldir(dir))
		seen[count].ino = e->d_ino;
	/* Steps that do not fit into the kernel's buffers. */
	for (int i = count - 1; rc == 0 && i >= 0; i -= 97) {
		seekdir(dir, seen[i].at);
		e = readdir(dir);
		rc = e != NULL && e->d_ino == seen[i].ino ? 0 : -1;
	}
	closedir(dir);
	errno = rc != 0 ? ERANGE : 0;
	return rc;
}

static const struct operation {
	const char *name;
	int (*run)(char **args);
	int args; /* at least */
	const char *what;
} operations[] = {
	{ "append", do_append, 2, "FILE TEXT..." },
	{ "append-stdin", do_append_stdin, 1, "FILE" },
	{ "chmod", do_chmod, 2, "FILE OCTAL" },
	{ "chown", do_chown, 3, "FILE UID GID" },
	{ "ftruncate", do_ftruncate, 2, "FILE SIZE" },
	{ "getxattr", do_getxattr, 2, "FILE NAME" },
	{ "held-read", do_held_read, 2, "FILE COMMAND" },
	{ "insist", do_insist, 2, "FILE TEXT..." },
	{ "interrupted", do_interrupted, 1, "FILE" },
	{ "link", do_link, 2, "FILE NEW" },
	{ "live", do_live, 2, "FILE SIZE" },
	{ "load", do_load, 5, "FILE PREFIX COUNT SECONDS retry|once" },
	{ "load-fsync", do_load_fsync, 3, "FILE PREFIX COUNT" },
	{ "mkdir", do_mkdir, 1, "DIR" },
	{ "mkfifo", do_mkfifo, 1, "FILE" },
	{ "mmap", do_mmap, 1, "FILE" },
	{ "open", do_open, 2, "FILE FLAGS" },
	{ "pread", do_pread, 2, "FILE OFFSET" },
	{ "pwrite", do_pwrite, 4, "FILE FLAGS OFFSET TEXT" },
	{ "read", do_read, 1, "FILE" },
	{ "read-once", do_read_once, 2, "FILE FLAGS" },
	{ "removexattr", do_removexattr, 2, "FILE NAME" },
	{ "rename", do_rename, 2, "FILE NEW" },
	{ "rmdir", do_rmdir, 1, "DIR" },
	{ "seek", do_seek, 2, "FILE OFFSET" },
	{ "seekdir", do_seekdir, 1, "DIR" },
	{ "setxattr", do_setxattr, 3, "FILE NAME VALUE" },
	{ "signals", do_signals, 3, "FILE COUNT MICROSECONDS" },
	{ "stat", do_stat, 1, "FILE" },
	{ "steps", do_steps, 2, "FILE STEP..." },
	{ "symlink", do_symlink, 2, "TARGET NEW" },
	{ "truncate", do_truncate, 2, "FILE SIZE" },
	{ "unappend", do_unappend, 2, "FILE TEXT" },
	{ "unlink", do_unlink, 1, "FILE" },
	{ "utimens", do_utimens, 2, "FILE now|SECONDS" },
	{ "wake", do_wake, 3, "poll|select|epoll FILE COMMAND" },
	{ "write", do_write, 3, "FILE FLAGS TEXT..." },
};

int
main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(operations) / sizeof(*operations); i++) {
		if (strcmp(argv[1], operations[i].name) != 0)
			continue;
		if (argc - 2 < operations[i].args)
			usage(operations[i].what);
		if (operations[i].run(argv + 2) == 0) {
			puts("OK");
			return 0;
		}
		puts(strerrorname_np(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		fprintf(stderr, "errno-do %s %s\n", operations[i].name, operations[i].what);
	return 2;
}
