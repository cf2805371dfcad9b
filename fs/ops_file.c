#include "ops_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../store/table.h"
#include "control.h"
#include "doc_file.h"
#include "feed_file.h"
#include "ops_bridge.h"
#include "type_file.h"

void
ops_set_handle(struct fs_env *env, struct fuse_file_info *fi, void *handle)
{
	fi->fh = (uint64_t)(uintptr_t)handle;
	atomic_fetch_add_explicit(&env->handles_given, 1, memory_order_release);
}

void *
ops_handle(const struct fs_env *env, const struct fuse_file_info *fi)
{
	(void)atomic_load_explicit(&env->handles_given, memory_order_acquire);
	return (void *)(uintptr_t)fi->fh;
}

static struct file *
file_of(const struct fs_env *env, const struct fuse_file_info *fi)
{
	return ops_handle(env, fi);
}

/* Is what is open a struct file? Else it is a feed, a type's or a control file. */
static bool
is_file(const struct node *n)
{
	return n->kind == NODE_ACTOR || (control_is_entry(n->control) && control_kind(n->control) != CONTROL_EVENT);
}

static bool
is_feed(const struct node *n)
{
	return n->kind == NODE_CONTROL && (control_kind(n->control) == CONTROL_FEED || control_kind(n->control) == CONTROL_LINES);
}

static bool
is_type(const struct node *n)
{
	return n->kind == NODE_CONTROL && control_kind(n->control) == CONTROL_TYPE;
}

static struct type_file *
type_of(const struct fs_env *env, const struct fuse_file_info *fi)
{
	return ops_handle(env, fi);
}

static struct feed_file *
feed_of(const struct fs_env *env, const struct fuse_file_info *fi)
{
	return ops_handle(env, fi);
}

/* An open control file: its text as it was when it was opened. */
struct control_file {
	struct handle handle;
	struct buf text;
	struct doc_file doc; /* what is written to it, if it takes anything */
};

static struct control_file *
control_of(const struct fs_env *env, const struct fuse_file_info *fi)
{
	return ops_handle(env, fi);
}

void
ops_reply_error(fuse_req_t req, int err)
{
	/* ENOSYS would make the kernel never ask again. */
	fuse_reply_err(req, err == -ENOSYS ? EIO : -err);
}

void
ops_reply_node_error(fuse_req_t req, int err)
{
	ops_reply_error(req, err == -ENOENT ? -ESTALE : err);
}

void
ops_file_show(struct fs_env *env, struct fuse_file_info *fi, struct file *f)
{
	ops_set_handle(env, fi, f);
	/* Pages in the cache would show sizes and bytes that are not there yet. */
	fi->direct_io = 1;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
}

static void
free_control(struct handle *h)
{
	struct control_file *c = container_of(h, struct control_file, handle);

	buf_free(&c->text);
	doc_file_destroy(&c->doc);
	free(c);
}

static int
open_control(struct fs_env *env, const struct node *n, struct fuse_file_info *fi)
{
	struct control_file *c;
	int err;

	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	doc_file_init(&c->doc);
	err = (fi->flags & O_ACCMODE) != O_WRONLY ? control_text(env, n, &c->text) : 0;
	if (err != 0) {
		free_control(&c->handle);
		return err;
	}
	c->handle.free = free_control;
	handles_add(&env->handles, &c->handle);
	ops_set_handle(env, fi, c);
	fi->direct_io = 1;
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY;
	return 0;
}

static int
open_type(struct fs_env *env, const struct node *n, struct fuse_file_info *fi)
{
	struct type_file *f;
	int err = type_file_open(env, n, &f);

	if (err != 0)
		return err;
	ops_set_handle(env, fi, f);
	fi->direct_io = 1;
	fi->noflush = 1;
	return 0;
}

static int
open_file(struct fs_env *env, struct node *n, struct fuse_file_info *fi)
{
	struct file *f;
	int err = file_open(env, n, fi->flags, false, &f);

	if (err == 0)
		ops_file_show(env, fi, f);
	return err;
}

static void
close_control(struct fs_env *env, const struct fuse_file_info *fi)
{
	struct control_file *c = control_of(env, fi);

	handles_remove(&env->handles, &c->handle);
	free_control(&c->handle);
}

/* What was opened is not wanted. */
static void
close_unseen(struct fs_env *env, const struct node *n, const struct fuse_file_info *fi)
{
	if (is_file(n))
		file_free(file_of(env, fi));
	else if (is_type(n))
		type_file_free(env, type_of(env, fi));
	else
		close_control(env, fi);
}

static void
open_feed(fuse_req_t req, const struct node *n)
{
	struct feed_file *f;
	int err = feed_file_open(ops_env(req), n, &f);

	if (err != 0)
		ops_reply_node_error(req, err);
	else
		feed_file_reply_open(ops_env(req), req, f);
}

void
ops_file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = ops_node(req, ino);
	bool writing = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC);
	int err = -EPERM;

	if (n->kind == NODE_ACTOR && ops_bridge_open(req, fi))
		return;
	if (is_feed(n) && !writing) {
		open_feed(req, n);
		return;
	}
	if (is_type(n) && !writing)
		err = open_type(ops_env(req), n, fi);
	else if (is_file(n) && (n->kind == NODE_ACTOR || !writing))
		err = open_file(ops_env(req), n, fi);
	else if (!is_file(n) && writing && control_takes(n->control) && ops_env(req)->options.read_only)
		err = -EROFS;
	else if (!is_file(n) && (!writing || control_takes(n->control)))
		err = open_control(ops_env(req), n, fi);
	if (err != 0) {
		ops_reply_node_error(req, err);
		return;
	}
	/* When the open was interrupted there will be no release. */
	if (fuse_reply_open(req, fi) == -ENOENT)
		close_unseen(ops_env(req), n, fi);
}

static void
read_control(fuse_req_t req, const struct buf *text, uint64_t offset, size_t size)
{
	size_t from = offset < text->len ? (size_t)offset : text->len;
	struct buf out = { 0 };

	/* A copy, because the reader may have its bytes and close the file before the reply has returned here. */
	buf_put(&out, text->p + from, size < text->len - from ? size : text->len - from);
	if (out.failed)
		fuse_reply_err(req, ENOMEM);
	else
		fuse_reply_buf(req, out.p, out.len);
	buf_free(&out);
}

static void
read_type(fuse_req_t req, struct type_file *f, uint64_t offset, size_t size)
{
	struct buf out = { 0 };
	int err = type_file_read(f, offset, size, &out);

	if (err != 0)
		ops_reply_error(req, err);
	else
		fuse_reply_buf(req, out.p, out.len);
	buf_free(&out);
}

void
ops_file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct actor_bytes out = { 0 };

	if (is_feed(ops_node(req, ino))) {
		feed_file_read(feed_of(ops_env(req), fi), req, size, (fi->flags & O_NONBLOCK) != 0);
		return;
	}
	if (is_type(ops_node(req, ino))) {
		read_type(req, type_of(ops_env(req), fi), (uint64_t)offset, size);
		return;
	}
	if (!is_file(ops_node(req, ino))) {
		read_control(req, &control_of(ops_env(req), fi)->text, (uint64_t)offset, size);
		return;
	}
	int err = file_read(file_of(ops_env(req), fi), (uint64_t)offset, size, &out);
	if (err != 0)
		ops_reply_error(req, err);
	else
		fuse_reply_iov(req, out.pieces, (int)out.count);
	actor_bytes_free(&out);
}

/* A request that is answered when its operation has ended. Owns a copy of what is written, until then. */
struct later {
	struct file_op op;
	fuse_req_t req;
	char *data;
};

static void
interrupted(fuse_req_t req, void *arg)
{
	struct later *l = arg;

	(void)req;
	file_cancel(&l->op);
}

static void
answer(struct file_op *op, int err, size_t written)
{
	struct later *l = op->user;

	/* After this no interrupt is on its way to l any more. */
	fuse_req_interrupt_func(l->req, NULL, NULL);
	if (err != 0)
		ops_reply_error(l->req, err);
	else if (op->kind == FILE_WRITE)
		fuse_reply_write(l->req, written);
	else
		fuse_reply_err(l->req, 0);
	free(l->data);
	l->data = NULL;
}

static void
drop(struct file_op *op)
{
	free(op->user);
}

static struct later *
later_new(fuse_req_t req, const struct fuse_file_info *fi, enum file_op_kind kind, const char *data, size_t size)
{
	struct later *l = malloc(sizeof(*l));
	char *copy = size > 0 ? malloc(size) : NULL;

	if (l == NULL || (size > 0 && copy == NULL)) {
		free(copy);
		free(l);
		return NULL;
	}
	if (size > 0)
		memcpy(copy, data, size);
	l->op = (struct file_op){ .file = file_of(ops_env(req), fi), .kind = kind, .data = copy, .size = size };
	l->op.owner = fi->lock_owner;
	l->op.done = answer;
	l->op.drop = drop;
	l->op.user = l;
	l->req = req;
	l->data = copy;
	return l;
}

void
ops_file_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct node *n = ops_node(req, ino);
	struct later *l;

	if (size == 0) {
		fuse_reply_write(req, 0);
		return;
	}
	if (!is_file(n)) {
		int err = doc_file_write(ops_env(req), n, &control_of(ops_env(req), fi)->doc, data, size);
		if (err != 0)
			ops_reply_error(req, err);
		else
			fuse_reply_write(req, size);
		return;
	}
	l = later_new(req, fi, FILE_WRITE, data, size);
	if (l == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	l->op.offset = (uint64_t)offset;
	l->op.appending = (fi->flags & O_APPEND) != 0;
	l->op.durable = (fi->flags & (O_SYNC | O_DSYNC)) != 0;
	fuse_req_interrupt_func(req, interrupted, l);
	file_submit(&l->op);
}

static void
submit_empty(fuse_req_t req, const struct fuse_file_info *fi, enum file_op_kind kind)
{
	struct later *l = later_new(req, fi, kind, NULL, 0);

	if (l == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (kind == FILE_SYNC)
		fuse_req_interrupt_func(req, interrupted, l);
	file_submit(&l->op);
}

void
ops_file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *n = ops_node(req, ino);

	if (ops_bridge_handle(fi))
		fuse_reply_err(req, 0);
	else if (is_file(n))
		submit_empty(req, fi, FILE_FLUSH);
	else if (control_takes(n->control))
		ops_reply_error(req, doc_file_flush(ops_env(req), n, &control_of(ops_env(req), fi)->doc));
	else
		fuse_reply_err(req, 0);
}

void
ops_file_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	if (!is_file(ops_node(req, ino)))
		fuse_reply_err(req, 0);
	else if (file_may_write(file_of(ops_env(req), fi)))
		submit_empty(req, fi, FILE_SYNC);
	else
		ops_reply_error(req, file_await(file_of(ops_env(req), fi)));
}

static void
released(struct file_op *op, int err, size_t written)
{
	/* Nobody waits for this answer; a line that was lost has been logged. */
	(void)err;
	(void)written;
	fuse_reply_err(op->user, 0);
	file_free(op->file);
}

void
ops_file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (ops_bridge_handle(fi)) {
		fuse_reply_err(req, 0);
		return;
	}
	if (is_file(ops_node(req, ino))) {
		file_close(file_of(ops_env(req), fi), released, req);
		return;
	}
	if (is_feed(ops_node(req, ino))) {
		feed_file_release(feed_of(ops_env(req), fi), req);
		return;
	}
	if (is_type(ops_node(req, ino)))
		type_file_free(ops_env(req), type_of(ops_env(req), fi));
	else
		close_control(ops_env(req), fi);
	fuse_reply_err(req, 0);
}

void
ops_file_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
	if (is_feed(ops_node(req, ino))) {
		feed_file_poll(feed_of(ops_env(req), fi), req, ph);
		return;
	}
	/* As any regular file. The kernel must be told each time, for it would never ask again for a feed either. */
	if (ph != NULL)
		fuse_pollhandle_destroy(ph);
	fuse_reply_poll(req, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

void
ops_file_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
    const void *in, size_t in_size, size_t out_size)
{
	uint64_t version;

	(void)arg;
	(void)in;
	(void)in_size;
	if (is_feed(ops_node(req, ino)) && cmd == FS_IOC_NAMES) {
		int err = feed_file_name(feed_of(ops_env(req), fi));
		if (err != 0)
			ops_reply_error(req, err);
		else
			fuse_reply_ioctl(req, 0, NULL, 0);
		return;
	}
	if (ops_node(req, ino)->kind != NODE_ACTOR || (flags & FUSE_IOCTL_DIR) || cmd != FS_IOC_VERSION ||
	    out_size < sizeof(version)) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	version = file_version(file_of(ops_env(req), fi));
	fuse_reply_ioctl(req, 0, &version, sizeof(version));
}
