#include "detach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mountinfo.h"

struct detach {
	dev_t dev;
	void (*fn)(void *arg);
	void *arg;
	int mounts; /* the kernel's list: it polls as exceptional when it has changed */
	int end;    /* an eventfd: the thread shall end */
	pthread_t thread;
};

/* Whose mount is to be seen at that path, if it is one of ours? */
static int
find_dev(const char *mountpoint, dev_t *dev)
{
	struct mountinfo *list;
	int n = mountinfo_read(&list);
	int err = -ENOENT;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		if (strcmp(list[i].target, mountpoint) != 0)
			continue;
		err = strcmp(list[i].type, MOUNTINFO_TYPE) == 0 ? 0 : -ENOENT;
		*dev = list[i].dev;
	}
	mountinfo_free(list, n);
	return err;
}

static void *
run(void *arg)
{
	struct detach *d = arg;
	struct pollfd fds[] = { { .fd = d->mounts, .events = POLLPRI }, { .fd = d->end, .events = POLLIN } };

	while (mountinfo_aether_dev(d->dev)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents != 0)
			return NULL;
	}
	d->fn(d->arg);
	return NULL;
}

int
detach_new(struct detach **out, const char *mountpoint, void (*fn)(void *arg), void *arg)
{
	struct detach *d;
	dev_t dev;
	int err;

	*out = NULL;
	if (find_dev(mountpoint, &dev) != 0)
		return 0;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return -ENOMEM;
	*d = (struct detach){ .dev = dev, .fn = fn, .arg = arg };
	d->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	d->end = eventfd(0, EFD_CLOEXEC);
	err = d->mounts < 0 || d->end < 0 ? -errno : -pthread_create(&d->thread, NULL, run, d);
	if (err == 0) {
		*out = d;
		return 0;
	}
	if (d->mounts >= 0)
		close(d->mounts);
	if (d->end >= 0)
		close(d->end);
	free(d);
	return err;
}

void
detach_free(struct detach *d)
{
	if (d == NULL)
		return;
	(void)eventfd_write(d->end, 1);
	pthread_join(d->thread, NULL);
	close(d->mounts);
	close(d->end);
	free(d);
}
