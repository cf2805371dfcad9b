#include "prefix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_BYTES (4 * 1024)
#define TAIL_BYTES (256 * 1024)

/* Returns the bytes that were there, or -errno. */
static ssize_t
read_at(int fd, char *to, size_t len, uint64_t at)
{
	size_t have = 0;

	while (have < len) {
		ssize_t n = pread(fd, to + have, len - have, (off_t)(at + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int
piece_matches(int a, int b, char *of_a, char *of_b, uint64_t at, size_t len)
{
	ssize_t in_a = read_at(a, of_a, len, at);
	ssize_t in_b = in_a >= 0 ? read_at(b, of_b, len, at) : in_a;

	if (in_b < 0)
		return (int)in_b;
	return (size_t)in_a == len && (size_t)in_b == len && memcmp(of_a, of_b, len) == 0;
}

int
prefix_matches(int a, int b, uint64_t len)
{
	size_t head = len < HEAD_BYTES ? (size_t)len : HEAD_BYTES;
	size_t tail = len < TAIL_BYTES ? (size_t)len : TAIL_BYTES;
	char *room = malloc(2 * tail + 1);
	int matches;

	if (room == NULL)
		return -ENOMEM;
	matches = piece_matches(a, b, room, room + tail, len - tail, tail);
	if (matches == 1 && tail < len)
		matches = piece_matches(a, b, room, room + tail, 0, head);
	free(room);
	return matches;
}

int
prefix_compare(int a, int b, uint64_t at, uint64_t end)
{
	char *room = malloc(2 * TAIL_BYTES);
	int matches = room != NULL ? 1 : -ENOMEM;

	while (matches == 1 && at < end) {
		size_t len = end - at < TAIL_BYTES ? (size_t)(end - at) : TAIL_BYTES;
		matches = piece_matches(a, b, room, room + TAIL_BYTES, at, len);
		at += len;
	}
	free(room);
	return matches;
}
