#include "feed_file.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include <linux/fuse.h>

#include "../store/feed.h"
#include "../store/lock.h"
#include "../store/table.h"
#include "control.h"
#include "ops_file.h"

/*
 * The kernel cuts a read(2) that is larger than a request may be into several, and sends the next when one was filled. So an answer does not
 * fill one of that size, for the next might wait although there are bytes to return.
 */
#define CUT_BYTES ((size_t)1020 << 10)

/* A read that waits. */
struct waiting {
	struct waiting *next;
	fuse_req_t req;
	size_t size;
	struct feed_file *file;
	bool interrupted; /* guarded by feed_files.lock */
};

struct feed_file {
	struct handle handle;
	struct feed_files *files;
	struct feed_reader *reader;

	/* Guarded by feed_files.lock. */
	struct feed_file *next, **link; /* of feed_files.files */
	struct waiting *first, **tail;
	struct fuse_pollhandle *poll; /* the last one; all that there were stand for this file */
	fuse_req_t release;           /* it is to be closed, and that answered */
	bool queued;                  /* in feed_files.queue */
	struct feed_file *next_queued;
};

struct feed_files {
	struct feeds *feeds;
	struct handles *handles; /* the environment's */
	pthread_t thread;
	bool running;

	struct lock lock;
	/* Guarded by lock. */
	pthread_cond_t work;
	bool stop;
	bool ended; /* nothing waits any more */
	bool woken; /* feeds_next has something */
	struct feed_file *files;
	struct feed_file *queue; /* those in which there is something to do for the thread */
};

static void
queue_locked(struct feed_file *f)
{
	struct feed_files *ff = f->files;

	if (!f->queued) {
		f->queued = true;
		f->next_queued = ff->queue;
		ff->queue = f;
	}
	pthread_cond_signal(&ff->work);
}

static void
wake(void *arg)
{
	struct feed_files *ff = arg;

	lock_take(&ff->lock);
	ff->woken = true;
	pthread_cond_signal(&ff->work);
	lock_give(&ff->lock);
}

/* Answering */

static void
reply_bytes(fuse_req_t req, int err, struct feed_bytes *bytes)
{
	if (err != 0)
		ops_reply_error(req, err);
	else
		fuse_reply_iov(req, bytes->pieces, bytes->count);
	feed_bytes_free(bytes);
}

static void
interrupted(fuse_req_t req, void *arg)
{
	struct waiting *w = arg;

	(void)req;
	lock_take(&w->file->files->lock);
	w->interrupted = true;
	queue_locked(w->file);
	lock_give(&w->file->files->lock);
}

static void
answer(struct waiting *w, int err, struct feed_bytes *bytes)
{
	/* After this no interrupt is on its way to w any more. */
	fuse_req_interrupt_func(w->req, NULL, NULL);
	reply_bytes(w->req, err, bytes);
	free(w);
}

static struct waiting *
take_first_locked(struct feed_file *f)
{
	struct waiting *w = f->first;

	if (w == NULL)
		return NULL;
	f->first = w->next;
	if (f->first == NULL)
		f->tail = &f->first;
	return w;
}

static void
put_first_locked(struct feed_file *f, struct waiting *w)
{
	w->next = f->first;
	if (f->first == NULL)
		f->tail = &w->next;
	f->first = w;
}

static struct waiting *
take_interrupted_locked(struct feed_file *f)
{
	struct waiting **link = &f->first;

	while (*link != NULL && !(*link)->interrupted)
		link = &(*link)->next;
	struct waiting *w = *link;
	if (w == NULL)
		return NULL;
	*link = w->next;
	if (*link == NULL)
		f->tail = link;
	return w;
}

/* Give what there is to those that wait. */
static void
serve(struct feed_file *f)
{
	struct feed_files *ff = f->files;
	struct feed_bytes bytes = { 0 };
	struct waiting *w;

	for (;;) {
		lock_take(&ff->lock);
		w = take_first_locked(f);
		lock_give(&ff->lock);
		if (w == NULL)
			return;
		int err = feed_read(f->reader, w->size, &bytes);
		if (err == -EAGAIN)
			break;
		answer(w, err, &bytes);
	}
	lock_take(&ff->lock);
	put_first_locked(f, w);
	lock_give(&ff->lock);
}

static void
end_interrupted(struct feed_file *f)
{
	struct feed_files *ff = f->files;
	struct feed_bytes none = { 0 };
	struct waiting *w;

	do {
		lock_take(&ff->lock);
		w = take_interrupted_locked(f);
		lock_give(&ff->lock);
		if (w != NULL)
			answer(w, -EINTR, &none);
	} while (w != NULL);
}

static void
notify_poll(struct feed_file *f)
{
	lock_take(&f->files->lock);
	struct fuse_pollhandle *ph = f->poll;
	f->poll = NULL;
	lock_give(&f->files->lock);
	if (ph == NULL)
		return;
	(void)fuse_lowlevel_notify_poll(ph);
	fuse_pollhandle_destroy(ph);
}

static void
feed_free(struct feed_file *f)
{
	lock_take(&f->files->lock);
	*f->link = f->next;
	if (f->next != NULL)
		f->next->link = f->link;
	lock_give(&f->files->lock);
	feed_close(f->reader);
	if (f->poll != NULL)
		fuse_pollhandle_destroy(f->poll);
	free(f);
}

/* What was queued: reads that have come, interrupts, the release. */
static void
attend(struct feed_file *f)
{
	lock_take(&f->files->lock);
	f->queued = false;
	fuse_req_t release = f->release;
	lock_give(&f->files->lock);
	if (release != NULL) {
		feed_free(f);
		fuse_reply_err(release, 0);
		return;
	}
	serve(f);
	end_interrupted(f);
}

/* The next read that waits, in whatever file. */
static struct waiting *
take_any(struct feed_files *ff)
{
	struct waiting *w = NULL;

	lock_take(&ff->lock);
	for (struct feed_file *f = ff->files; f != NULL && w == NULL; f = f->next)
		w = take_first_locked(f);
	lock_give(&ff->lock);
	return w;
}

static void
end_all(struct feed_files *ff)
{
	struct feed_bytes none = { 0 };
	struct waiting *w;

	while ((w = take_any(ff)) != NULL)
		answer(w, -EIO, &none);
}

/* Whoever polls asks again, and learns that it has ended. */
static void
notify_all(struct feed_files *ff)
{
	struct fuse_pollhandle *ph;

	do {
		ph = NULL;
		lock_take(&ff->lock);
		for (struct feed_file *f = ff->files; f != NULL && ph == NULL; f = f->next) {
			ph = f->poll;
			f->poll = NULL;
		}
		lock_give(&ff->lock);
		if (ph != NULL) {
			(void)fuse_lowlevel_notify_poll(ph);
			fuse_pollhandle_destroy(ph);
		}
	} while (ph != NULL);
}

static void
attend_all(struct feed_file *queue)
{
	struct feed_file *f;

	while ((f = queue) != NULL) {
		queue = f->next_queued;
		attend(f);
	}
}

static void *
run(void *arg)
{
	struct feed_files *ff = arg;
	struct feed_file *f;

	lock_take(&ff->lock);
	for (;;) {
		while (!ff->stop && !ff->woken && ff->queue == NULL)
			lock_wait(&ff->lock, &ff->work);
		if (ff->stop)
			break;
		struct feed_file *queue = ff->queue;
		ff->queue = NULL;
		ff->woken = false;
		bool ended = ff->ended;
		lock_give(&ff->lock);
		while ((f = feeds_next(ff->feeds)) != NULL) {
			serve(f);
			notify_poll(f);
		}
		attend_all(queue);
		if (ended) {
			end_all(ff);
			notify_all(ff);
		}
		lock_take(&ff->lock);
	}
	lock_give(&ff->lock);
	return NULL;
}

/* The requests */

static void
free_handle(struct handle *h)
{
	feed_free(container_of(h, struct feed_file, handle));
}

int
feed_file_open(struct fs_env *env, const struct node *n, struct feed_file **out)
{
	struct feed_file *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	f->files = env->feed_files;
	f->tail = &f->first;
	bool lines = control_kind(n->control) == CONTROL_LINES;
	int err = lines ? feed_open_lines(f->files->feeds, f, &f->reader) : feed_open(f->files->feeds, node_namespace(n), f, &f->reader);
	if (err != 0) {
		free(f);
		return err;
	}
	lock_take(&f->files->lock);
	f->link = &f->files->files;
	f->next = *f->link;
	if (f->next != NULL)
		f->next->link = &f->next;
	*f->link = f;
	lock_give(&f->files->lock);
	f->handle.free = free_handle;
	handles_add(&env->handles, &f->handle);
	*out = f;
	return 0;
}

void
feed_file_reply_open(struct fs_env *env, fuse_req_t req, struct feed_file *f)
{
	struct fuse_file_info fi = { 0 };
	struct fuse_open_out out = { .open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE | FOPEN_STREAM | FOPEN_NOFLUSH };

	/* Put together here, because libfuse has no word for a stream: without a position no reader waits for another that has the
	 * same open file, in the kernel, where no signal reaches it. */
	ops_set_handle(env, &fi, f);
	out.fh = fi.fh;
	if (fuse_reply_buf(req, (const char *)&out, sizeof(out)) != -ENOENT)
		return;
	handles_remove(&env->handles, &f->handle);
	feed_free(f);
}

void
feed_files_tell(struct feed_files *ff, struct span line)
{
	feeds_tell(ff->feeds, line);
}

static bool
has_ended(struct feed_files *ff)
{
	lock_take(&ff->lock);
	bool ended = ff->ended;
	lock_give(&ff->lock);
	return ended;
}

void
feed_file_read(struct feed_file *f, fuse_req_t req, size_t size, bool nonblock)
{
	struct feed_bytes bytes;
	struct waiting *w;

	if (size > CUT_BYTES)
		size--;
	int err = feed_read(f->reader, size, &bytes);
	if (err == -EAGAIN && nonblock && has_ended(f->files))
		err = -EIO;
	if (err != -EAGAIN || nonblock) {
		reply_bytes(req, err, &bytes);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		ops_reply_error(req, -ENOMEM);
		return;
	}
	w->req = req;
	w->size = size;
	w->file = f;
	/* Before it can be answered, for that frees w. */
	fuse_req_interrupt_func(req, interrupted, w);
	lock_take(&f->files->lock);
	*f->tail = w;
	f->tail = &w->next;
	queue_locked(f); /* something may have come meanwhile, or the interrupt */
	lock_give(&f->files->lock);
}

int
feed_file_name(struct feed_file *f)
{
	return feed_name(f->reader);
}

void
feed_file_poll(struct feed_file *f, fuse_req_t req, struct fuse_pollhandle *ph)
{
	struct fuse_pollhandle *old = NULL;
	unsigned events = 0;

	lock_take(&f->files->lock);
	bool ended = f->files->ended;
	if (ph != NULL) {
		old = f->poll;
		f->poll = ph;
	}
	lock_give(&f->files->lock);
	if (old != NULL)
		fuse_pollhandle_destroy(old);
	/* After the handle is there, so that what comes from here on is told with it. */
	switch (feed_poll(f->reader)) {
	case FEED_ENDED:
		events = POLLIN | POLLRDNORM | POLLHUP;
		break;
	case FEED_READABLE:
		events = POLLIN | POLLRDNORM;
		break;
	case FEED_NOTHING:
		events = ended ? POLLIN | POLLRDNORM | POLLERR : 0;
		break;
	}
	fuse_reply_poll(req, events);
}

void
feed_file_release(struct feed_file *f, fuse_req_t req)
{
	struct feed_files *ff = f->files;

	handles_remove(ff->handles, &f->handle);
	lock_take(&ff->lock);
	f->release = req;
	queue_locked(f);
	lock_give(&ff->lock);
}

/* All of them */

int
feed_files_new(struct feed_files **out, struct fs_env *env)
{
	struct feed_files *ff = calloc(1, sizeof(*ff));
	struct feed_options options = { .ops = &feed_source_store,
		.source = env->store,
		.clock = env->clock,
		.timeout_ns = store_get_options(env->store)->timeout_ns,
		.queue_bytes = FEED_QUEUE_BYTES,
		.wake = wake,
		.arg = ff };

	if (ff == NULL)
		return -ENOMEM;
	ff->handles = &env->handles;
	lock_init(&ff->lock, LOCK_FEED_FILES);
	lock_cond_init(&ff->work);
	*out = ff;
	int err = feeds_new(&ff->feeds, &options);
	if (err == 0)
		err = -pthread_create(&ff->thread, NULL, run, ff);
	ff->running = err == 0;
	return err;
}

void
feed_files_end(struct feed_files *ff)
{
	lock_take(&ff->lock);
	ff->ended = true;
	ff->woken = true;
	pthread_cond_signal(&ff->work);
	lock_give(&ff->lock);
}

void
feed_files_stop(struct feed_files *ff)
{
	if (ff == NULL || !ff->running)
		return;
	lock_take(&ff->lock);
	ff->stop = true;
	pthread_cond_signal(&ff->work);
	lock_give(&ff->lock);
	pthread_join(ff->thread, NULL);
	ff->running = false;
	attend_all(ff->queue);
	ff->queue = NULL;
	end_all(ff);
}

void
feed_files_free(struct feed_files *ff)
{
	if (ff == NULL)
		return;
	feeds_free(ff->feeds);
	pthread_cond_destroy(&ff->work);
	lock_destroy(&ff->lock);
	free(ff);
}
