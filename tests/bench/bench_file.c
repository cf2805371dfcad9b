/*
 * What common tools do with a file, timed without the start of a process; prints one number.
 *
 *     bench_file tail PATH PATTERN          microseconds of what `tail -n 1` does: open, fstat, the last blocks, close
 *     bench_file head LINES PATH PATTERN    microseconds of what `head -n LINES` does: open, read until there are as many
 *                                           lines, close
 *     bench_file run COMMAND...             seconds from the start of the command to its end; its output is dropped
 *
 * The last line that was read must begin with PATTERN.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define BLOCK 8192 /* what coreutils reads at once here */
#define KEPT (4 << 20)

static char kept[KEPT];

static double
us_since(int64_t start)
{
	return (double)(now_ns() - start) / 1000;
}

static int
open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s: %m", path);
	return fd;
}

static void
check_line(const char *path, const char *text, const char *pattern)
{
	if (strncmp(text, pattern, strlen(pattern)) != 0)
		die("%s: a line begins with %.40s instead of %s", path, text, pattern);
}

/* Blocks aligned to BLOCK from the end of the file, until the newline before the last line is found. */
static double
time_tail(const char *path, const char *pattern)
{
	const char *line = NULL;
	struct stat st;
	int64_t start = now_ns();
	int fd = open_file(path);

	if (fstat(fd, &st) != 0 || st.st_size == 0)
		die("%s: %m, or empty", path);
	size_t want = (size_t)(st.st_size % BLOCK) != 0 ? (size_t)(st.st_size % BLOCK) : BLOCK;
	off_t at = st.st_size;
	char *text = kept + sizeof(kept) - 1;
	while (line == NULL && text - kept > BLOCK) {
		at -= (off_t)want;
		text -= want;
		if (lseek(fd, at, SEEK_SET) != at || read(fd, text, want) != (ssize_t)want)
			die("%s: %m", path);
		size_t len = (size_t)(kept + sizeof(kept) - 1 - text);
		char *before = memrchr(text, '\n', len - 1);
		line = before != NULL ? before + 1 : at == 0 ? text : NULL;
		want = BLOCK;
	}
	if (close(fd) != 0)
		die("%s: %m", path);
	double us = us_since(start);
	if (line == NULL)
		die("%s: too long a line", path);
	check_line(path, line, pattern);
	return us;
}

static double
time_head(size_t lines, const char *path, const char *pattern)
{
	size_t len = 0, found = 0;
	const char *line = kept;
	int64_t start = now_ns();
	int fd = open_file(path);

	while (found < lines && len + BLOCK < sizeof(kept)) {
		ssize_t n = read(fd, kept + len, BLOCK);
		if (n <= 0)
			die("%s: %zu lines of %zu: %m", path, found, lines);
		for (char *p = kept + len; p < kept + len + n && found < lines; p++)
			if (*p == '\n' && ++found < lines)
				line = p + 1;
		len += (size_t)n;
	}
	if (close(fd) != 0)
		die("%s: %m", path);
	double us = us_since(start);
	check_line(path, line, pattern);
	return us;
}

static double
time_run(char **command)
{
	int status, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int64_t start = now_ns();
	pid_t pid = fork();

	if (pid == 0) {
		dup2(null, STDOUT_FILENO);
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("failed: %s", command[0]);
	return (double)(now_ns() - start) / 1e9;
}

int
main(int argc, char **argv)
{
	double value;

	if (argc == 4 && strcmp(argv[1], "tail") == 0)
		value = time_tail(argv[2], argv[3]);
	else if (argc == 5 && strcmp(argv[1], "head") == 0)
		value = time_head(number_arg(argv[2], 1), argv[3], argv[4]);
	else if (argc > 2 && strcmp(argv[1], "run") == 0)
		value = time_run(argv + 2);
	else
		die("usage: bench_file tail PATH PATTERN | head LINES PATH PATTERN | run COMMAND...");
	printf("%.6g\n", value);
	return 0;
}
