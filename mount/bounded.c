#include "bounded.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Shared with the thread. Who is the last to leave frees it. */
struct job {
	char *path;
	bool want_content;
	struct stat st;
	struct buf content;
	int err;

	pthread_mutex_t lock; /* guards done and abandoned */
	pthread_cond_t ended;
	bool done;
	bool abandoned;
};

static void
job_free(struct job *job)
{
	pthread_mutex_destroy(&job->lock);
	pthread_cond_destroy(&job->ended);
	buf_free(&job->content);
	free(job->path);
	free(job);
}

static int
read_all(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		char *to = buf_reserve(out, 64 * 1024);

		n = to != NULL ? read(fd, to, 64 * 1024) : -1;
		if (n > 0)
			out->len += (size_t)n;
	} while (n > 0);
	if (n < 0)
		err = out->failed ? -ENOMEM : -errno;
	close(fd);
	return err;
}

static void *
job_main(void *arg)
{
	struct job *job = arg;
	bool abandoned;

	if (job->want_content)
		job->err = read_all(job->path, &job->content);
	else
		job->err = stat(job->path, &job->st) != 0 ? -errno : 0;

	pthread_mutex_lock(&job->lock);
	job->done = true;
	abandoned = job->abandoned;
	pthread_cond_signal(&job->ended);
	pthread_mutex_unlock(&job->lock);
	if (abandoned)
		job_free(job);
	return NULL;
}

static struct job *
job_new(const char *path, bool want_content)
{
	struct job *job = calloc(1, sizeof(*job));
	pthread_condattr_t attr;

	if (job == NULL)
		return NULL;
	job->path = strdup(path);
	if (job->path == NULL) {
		free(job);
		return NULL;
	}
	job->want_content = want_content;
	pthread_mutex_init(&job->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&job->ended, &attr);
	pthread_condattr_destroy(&attr);
	return job;
}

/* True if it ended in time: then the job is the caller's alone again. */
static bool
job_run(struct job *job, int timeout_ms)
{
	struct timespec at;
	pthread_t thread;
	bool done;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += timeout_ms / 1000;
	at.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_sec++;
		at.tv_nsec -= 1000000000L;
	}
	if (pthread_create(&thread, NULL, job_main, job) != 0) {
		job->err = -EAGAIN;
		return true;
	}
	pthread_mutex_lock(&job->lock);
	while (!job->done && pthread_cond_timedwait(&job->ended, &job->lock, &at) == 0)
		;
	done = job->done;
	job->abandoned = !done;
	pthread_mutex_unlock(&job->lock);
	if (done)
		pthread_join(thread, NULL);
	else
		pthread_detach(thread);
	return done;
}

int
bounded_stat(const char *path, int timeout_ms, struct stat *st)
{
	struct job *job = job_new(path, false);
	int err;

	if (job == NULL)
		return -ENOMEM;
	if (!job_run(job, timeout_ms))
		return -ETIMEDOUT;
	err = job->err;
	*st = job->st;
	job_free(job);
	return err;
}

int
bounded_read(const char *path, int timeout_ms, struct buf *out)
{
	struct job *job = job_new(path, true);
	int err;

	if (job == NULL)
		return -ENOMEM;
	if (!job_run(job, timeout_ms))
		return -ETIMEDOUT;
	err = job->err;
	if (err == 0)
		buf_put(out, job->content.p, job->content.len);
	job_free(job);
	return err != 0 ? err : buf_text(out) != NULL ? 0 : -ENOMEM;
}
