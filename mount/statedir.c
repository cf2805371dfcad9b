#include "statedir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "paths.h"

#define SERVER_FILE "server.json"
#define SERVER_FILE_MAX 1024

int
statedir_open(const char *dir)
{
	struct stat st;
	int err = paths_mkdirs(dir, 0700);
	int fd;

	if (err != 0)
		return err;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Files of one user in another's directory would lock its owner out, and let them swap what we read. */
	if (fstat(fd, &st) != 0 || st.st_uid != geteuid()) {
		close(fd);
		return -EPERM;
	}
	return fd;
}

int
statedir_lock(int dir, const char *name, int op)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err;

	if (fd < 0)
		return -errno;
	while (flock(fd, op) != 0) {
		err = -errno;
		if (err == -EINTR)
			continue;
		close(fd);
		return err;
	}
	return fd;
}

bool
statedir_locked(int dir, const char *name)
{
	/* Shared, so that two who look at the same time do not see each other. */
	int fd = statedir_lock(dir, name, LOCK_SH | LOCK_NB);

	if (fd < 0)
		return fd == -EWOULDBLOCK;
	close(fd);
	return false;
}

static bool
read_text(const cJSON *root, const char *key, char *out, size_t size)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, key));

	if (text == NULL || strlen(text) >= size)
		return false;
	/* It goes into the server's configuration between quotes. */
	if (text[strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz-")] != '\0')
		return false;
	memcpy(out, text, strlen(text) + 1);
	return true;
}

static bool
read_number(const cJSON *root, const char *key, double max, double *out)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);

	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= max))
		return false;
	*out = item->valuedouble;
	return true;
}

int
statedir_read(int dir, struct statedir_server *server)
{
	char text[SERVER_FILE_MAX + 1];
	double pid, start, port;
	cJSON *root;
	ssize_t n;
	bool ok;
	int fd = openat(dir, SERVER_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	n = read(fd, text, SERVER_FILE_MAX);
	close(fd);
	if (n < 0)
		return -EIO;
	text[n] = '\0';

	memset(server, 0, sizeof(*server));
	root = cJSON_Parse(text);
	ok = read_number(root, "pid", INT32_MAX, &pid) && read_number(root, "start", 9e15, &start) &&
	     read_number(root, "port", 65535, &port) && read_text(root, "user", server->user, sizeof(server->user)) &&
	     read_text(root, "password", server->password, sizeof(server->password));
	if (ok) {
		server->pid = (pid_t)pid;
		server->start = (uint64_t)start;
		server->port = (unsigned)port;
		server->ready = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "ready"));
	}
	cJSON_Delete(root);
	return ok ? 0 : -EINVAL;
}

int
statedir_write(int dir, const struct statedir_server *server)
{
	char temporary[64];
	char text[SERVER_FILE_MAX];
	int len, fd, err = 0;

	len = snprintf(text, sizeof(text),
	    "{\"pid\":%d,\"start\":%" PRIu64 ",\"port\":%u,\"ready\":%s,\"user\":\"%s\",\"password\":\"%s\"}\n",
	    (int)server->pid, server->start, server->port, server->ready ? "true" : "false", server->user,
	    server->password);
	snprintf(temporary, sizeof(temporary), SERVER_FILE ".%d", (int)getpid());
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		err = errno != 0 ? -errno : -EIO;
	if (close(fd) != 0 && err == 0)
		err = -errno;
	if (err == 0 && renameat(dir, temporary, dir, SERVER_FILE) != 0)
		err = -errno;
	if (err != 0)
		unlinkat(dir, temporary, 0);
	return err;
}

void
statedir_forget(int dir)
{
	unlinkat(dir, SERVER_FILE, 0);
	unlinkat(dir, STATEDIR_CONF, 0);
}

uint64_t
statedir_start_time(pid_t pid)
{
	char path[64];
	char text[1024];
	const char *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';

	/* The second field is the command's name in parentheses and may hold anything; the third is the first after
	 * them. */
	p = strrchr(text, ')');
	for (int field = 2; p != NULL && field < 22; field++)
		p = strchr(p + 1, ' ');
	return p != NULL ? strtoull(p + 1, NULL, 10) : 0;
}

static int
connect_to(unsigned port, int timeout_ms)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(int);
	int err = 0;

	if (fd < 0)
		return -errno;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	if (errno == EINPROGRESS && poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, timeout_ms) == 1 &&
	    getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err == 0)
		return fd;
	close(fd);
	return -ECONNREFUSED;
}

bool
statedir_answers(const struct statedir_server *server, int timeout_ms)
{
	char name[STATEDIR_NAME_MAX + 32];
	char info[4096];
	size_t len = 0;
	int fd = connect_to(server->port, timeout_ms);

	if (fd < 0)
		return false;
	/* A server greets with one line, "INFO {…}"; its name tells it from a stranger that has the port now. */
	while (len < sizeof(info) - 1 && memchr(info, '\n', len) == NULL) {
		ssize_t n;

		if (poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, timeout_ms) != 1)
			break;
		n = read(fd, info + len, sizeof(info) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	info[len] = '\0';
	snprintf(name, sizeof(name), "\"server_name\":\"%s\"", server->user);
	return strncmp(info, "INFO ", 5) == 0 && strstr(info, name) != NULL &&
	       strstr(info, "\"jetstream\":true") != NULL;
}
