#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../store/lock.h"
#include "bridge.h"
#include "entries.h"
#include "lines.h"
#include "notify.h"

struct files {
	struct lock lock;
	/* Guarded by lock. */
	struct file *first;
	pthread_cond_t empty;
};

struct file {
	struct fs_env *env;
	struct node *node; /* counted */
	struct actor *actor;
	uint64_t base; /* the byte of the actor where reading begins */
	bool past;         /* it ends where head says, whatever comes */
	bool writing;      /* opened for it */
	bool import;       /* created by this handle and written without O_APPEND */
	struct append_chain chain; /* guarded by the actor */

	/* Guarded by files.lock. */
	struct file *next;
	struct file **link; /* what points here */
	bool closing;

	struct file_op last; /* for file_close */

	/* Only touched by the operation whose turn it is. */
	struct lines lines;
	uint64_t accepted; /* bytes taken so far, for an import */
	uint64_t owner;    /* who wrote last */

	struct lock lock;
	/* Guarded by lock. */
	bool known; /* head is set */
	struct head head;
	uint64_t version;
	struct file_op *unsettled; /* writes that were answered and have not ended, oldest first */
	struct file_op **unsettled_tail;
	struct file_op *settling; /* the one whose turn it is, if it waits for them */
	bool busy; /* it is some operation's turn; the others wait in the queue */
	struct file_op *queue;
	struct file_op **queue_tail;
};

int
files_new(struct files **out)
{
	struct files *fs = calloc(1, sizeof(*fs));

	if (fs == NULL)
		return -ENOMEM;
	lock_init(&fs->lock, LOCK_FILES);
	lock_cond_init(&fs->empty);
	*out = fs;
	return 0;
}

void
files_free(struct files *fs)
{
	if (fs == NULL)
		return;
	pthread_cond_destroy(&fs->empty);
	lock_destroy(&fs->lock);
	free(fs);
}

static void
enlist(struct files *fs, struct file *f)
{
	lock_take(&fs->lock);
	f->next = fs->first;
	f->link = &fs->first;
	if (f->next != NULL)
		f->next->link = &f->next;
	fs->first = f;
	lock_give(&fs->lock);
}

static void
delist(struct files *fs, struct file *f)
{
	lock_take(&fs->lock);
	*f->link = f->next;
	if (f->next != NULL)
		f->next->link = f->link;
	if (fs->first == NULL)
		pthread_cond_broadcast(&fs->empty);
	lock_give(&fs->lock);
}

static int
may_open(const struct fs_env *env, int flags, bool created)
{
	bool writing = (flags & O_ACCMODE) != O_RDONLY;

	if (env->options.read_only && (writing || (flags & O_TRUNC)))
		return -EROFS;
	if (created)
		return 0;
	if ((flags & O_TRUNC) || (writing && !(flags & O_APPEND)))
		return -EPERM;
	return 0;
}

int
file_open(struct fs_env *env, struct node *n, int flags, bool created, struct file **out)
{
	bool eventual = store_get_options(env->store)->eventual;
	struct backend_status status;
	struct entry_part part = { 0 };
	struct file *f;
	int err = may_open(env, flags, created);

	if (err == 0 && n->kind == NODE_ACTOR)
		err = node_actor(env->nodes, n, &part.actor);
	else if (err == 0)
		entries_part(n, &part);
	if (err != 0)
		return err;
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	f->actor = part.actor;
	f->base = part.base;
	f->past = part.past;
	if ((flags & O_ACCMODE) != O_WRONLY && !created) {
		err = actor_head(f->actor, eventual ? INT64_MAX : 0, eventual, &f->head);
		/* Where it begins was found in a life that is over. */
		if (err == 0 && n->kind != NODE_ACTOR && f->head.life != part.life)
			err = -ENOENT;
		if (err != 0) {
			free(f);
			return err;
		}
		if (f->past)
			f->head = part.end;
		/* Programs take the size from fstat and read up to there. */
		if (n->kind == NODE_ACTOR)
			notify_opened(env->notify, n, &f->head);
		f->known = true;
		f->chain = (struct append_chain){ .bound = true, .life = f->head.life };
	}
	store_status(env->store, &status);
	f->lines.max = status.payload_max;
	f->env = env;
	f->node = n;
	f->writing = (flags & O_ACCMODE) != O_RDONLY;
	f->import = created && !(flags & O_APPEND);
	f->queue_tail = &f->queue;
	f->unsettled_tail = &f->unsettled;
	lock_init(&f->lock, LOCK_FILE);
	node_ref(env->nodes, n);
	enlist(env->files, f);
	*out = f;
	return 0;
}

void
file_free(struct file *f)
{
	struct files *fs = f->env->files;

	lines_free(&f->lines);
	lock_destroy(&f->lock);
	node_put(f->env->nodes, f->node, 1);
	/* Last, for files_drain takes it as the end of everything. */
	delist(fs, f);
	free(f);
}

uint64_t
file_version(struct file *f)
{
	lock_take(&f->lock);
	uint64_t version = f->version;
	lock_give(&f->lock);
	return version;
}

/* The newest head that is needed to read up to end. */
static int
head_for(struct file *f, uint64_t offset, uint64_t end, struct head *head)
{
	struct head now;
	bool known;

	lock_take(&f->lock);
	known = f->known;
	*head = f->head;
	lock_give(&f->lock);
	if (known && (end <= head->size || f->past))
		return 0;
	int err = actor_head(f->actor, ENV_ACTOR_AGE_NS, true, &now);
	if (known && (err == -ENOENT || (err == 0 && now.life > head->life)))
		return -ESTALE; /* what was opened has been erased */
	/* What the file has seen can be read on while NATS is away, and its end is then where it was. */
	if (err != 0)
		return known && (offset < head->size || err == -ETIMEDOUT) ? 0 : err;
	lock_take(&f->lock);
	if (!f->known || now.seq > f->head.seq)
		f->head = now;
	f->known = true;
	*head = f->head;
	lock_give(&f->lock);
	return 0;
}

int
file_read(struct file *f, uint64_t offset, size_t size, struct actor_bytes *out)
{
	struct head head;

	offset += f->base;
	int err = head_for(f, offset, offset + size, &head);

	if (err != 0 || size == 0)
		return err;
	ssize_t n = actor_borrow(f->actor, &head, offset, size, out);
	return n < 0 ? (int)n : 0;
}

bool
file_may_write(const struct file *f)
{
	return f->writing;
}

int
file_await(struct file *f)
{
	struct head head;

	return actor_head(f->actor, INT64_MAX, false, &head);
}

static void take_turn(struct file *f, struct file_op *op);

/* An operation has ended: tell, and let the next one have its turn. */
static void
finish(struct file_op *op, int err, size_t written)
{
	struct file *f = op->file;
	struct file_op *next;

	lock_take(&f->lock);
	next = f->queue;
	if (next != NULL) {
		f->queue = next->next;
		if (f->queue == NULL)
			f->queue_tail = &f->queue;
	} else {
		f->busy = false;
	}
	lock_give(&f->lock);
	buf_free(&op->text);
	void (*drop)(struct file_op *) = op->early ? NULL : op->drop;
	/* After this neither op nor, unless next was waiting, f need be there. */
	op->done(op, err, written);
	if (drop != NULL)
		drop(op);
	/* As deep as there are operations in the queue, at worst: the kernel lets few of them through at a time. */
	if (next != NULL)
		take_turn(f, next);
}

static void
give_up(struct file *f, int err)
{
	log_warn(f->env->lg, "%s/%s: gave up an unfinished line of %zu bytes when it was closed: %s",
	    f->node->parent->name, f->node->name, f->lines.pending.len, strerror(-err));
	lines_clear(&f->lines);
}

static void
failed(struct file *f, const struct file_op *op, int err)
{
	switch (op->kind) {
	case FILE_WRITE:
		lines_refused(&f->lines, op->data, op->size, err);
		return;
	case FILE_SYNC:
		return;
	case FILE_FLUSH:
		/* The writer is told; to try again behind its back could store the line twice. */
	case FILE_CLOSE:
		give_up(f, err);
		return;
	}
}

static void
set_version(struct file *f, uint64_t version)
{
	lock_take(&f->lock);
	if (version > f->version)
		f->version = version;
	lock_give(&f->lock);
}

/* How much of the write is done with once the append has consumed what it says. */
static size_t
consumed(struct file *f, const struct file_op *op)
{
	size_t written = lines_committed(&f->lines, op->data, op->size, op->whole, op->append.consumed);

	f->accepted += written;
	return written;
}

static void settled(struct file *f, struct file_op *op);

/* A write that was answered has ended. Its error, if any, is in the chain. */
static void
ended_late(struct file *f, struct file_op *op)
{
	struct file_op *settling = NULL;

	lock_take(&f->lock);
	struct file_op **at = &f->unsettled;
	while (*at != op)
		at = &(*at)->next;
	*at = op->next;
	if (op->next == NULL)
		f->unsettled_tail = at;
	if (f->unsettled == NULL) {
		settling = f->settling;
		f->settling = NULL;
	}
	lock_give(&f->lock);
	if (op->drop != NULL)
		op->drop(op);
	/* Without one that waits the file may be gone. */
	if (settling != NULL)
		settled(f, settling);
}

static void
appended(struct append *ap, int err)
{
	struct file_op *op = ap->user;
	struct file *f = op->file;
	size_t written = 0;

	if (err == 0 && ap->version != 0)
		set_version(f, ap->version);
	if (op->early) {
		ended_late(f, op);
		return;
	}
	if (err == -ETIMEDOUT)
		bridge_doubt(f->env->bridge, f->node->parent->name, f->node->name);
	if (err != 0) {
		failed(f, op, err);
	} else if (op->kind == FILE_WRITE) {
		written = consumed(f, op);
		/* To report success and no byte would make writers try for ever. */
		if (written == 0)
			err = -EIO;
	} else {
		lines_clear(&f->lines);
	}
	finish(op, err, written);
}

/* The lines of a write will be stored, or an error told later. */
static void
accepted(struct append *ap)
{
	struct file_op *op = ap->user;
	struct file *f = op->file;

	op->early = true;
	lock_take(&f->lock);
	op->next = NULL;
	*f->unsettled_tail = op;
	f->unsettled_tail = &op->next;
	lock_give(&f->lock);
	finish(op, 0, consumed(f, op));
}

static void
commit(struct file_op *op, const char *data, size_t size)
{
	struct file *f = op->file;

	op->append.data = data;
	op->append.size = size;
	op->append.done = appended;
	op->append.user = op;
	op->append.chain = &f->chain;
	if (op->kind == FILE_WRITE && f->env->options.commit_async)
		op->append.accepted = op->durable ? NULL : accepted;
	actor_append(f->node->actor, &op->append);
}

static void
refuse(struct file_op *op, int err, const char *why)
{
	const struct file *f = op->file;

	log_warn(f->env->lg, "write to %s/%s refused: %s (%s)", f->node->parent->name, f->node->name, why,
	    strerrorname_np(-err));
	finish(op, err, 0);
}

static void
take_write(struct file *f, struct file_op *op)
{
	int err = actor_chain_take(f->actor, &f->chain);

	if (err != 0) {
		failed(f, op, err);
		finish(op, err, 0);
		return;
	}
	if (!op->appending && !f->import) {
		refuse(op, -EPERM, "O_APPEND was taken away");
		return;
	}
	if (!op->appending && op->offset != f->accepted) {
		refuse(op, -EPERM, "it does not go on where the one before ended");
		return;
	}
	err = lines_offer(&f->lines, op->data, op->size, &op->whole);
	if (err != 0) {
		refuse(
		    op, err, err == -EMSGSIZE ? "a line is larger than the server's max_payload allows" : "no memory");
		return;
	}
	f->owner = op->owner;
	if (op->whole == 0) {
		f->accepted += op->size;
		finish(op, 0, op->size);
		return;
	}
	if (f->lines.pending.len == 0) {
		commit(op, op->data, op->whole);
		return;
	}
	buf_put(&op->text, f->lines.pending.p, f->lines.pending.len);
	buf_put(&op->text, op->data, op->whole);
	if (op->text.failed)
		refuse(op, -ENOMEM, "no memory");
	else
		commit(op, op->text.p, op->text.len);
}

/* Commit the unfinished line, unless its rest was refused. */
static void
take_end(struct file *f, struct file_op *op)
{
	int refused = f->lines.refused;

	if (refused == 0) {
		commit(op, f->lines.pending.p, f->lines.pending.len);
		return;
	}
	if (op->kind != FILE_SYNC)
		give_up(f, refused);
	finish(op, refused, 0);
}

static bool
is_last_writer(const struct file *f, const struct file_op *op)
{
	return op->kind != FILE_FLUSH || f->owner == 0 || f->owner == op->owner;
}

/* Nothing of what was written before op is under way any more. */
static void
settled(struct file *f, struct file_op *op)
{
	bool last = is_last_writer(f, op);
	int err = actor_chain_take(f->actor, &f->chain);

	if (err != 0) {
		/* The start of a line that was written behind what failed. */
		if (last && op->kind != FILE_SYNC && f->lines.pending.len > 0)
			give_up(f, err);
		finish(op, err, 0);
	} else if (f->lines.pending.len == 0 || !last) {
		finish(op, 0, 0);
	} else {
		take_end(f, op);
	}
}

/*
 * Every process that ends or runs another closes what it has inherited. One that wrote nothing must neither wait for what others wrote
 * nor be told their errors.
 */
static bool
concerns(struct file *f, const struct file_op *op)
{
	bool yes = is_last_writer(f, op);

	lock_take(&f->lock);
	for (const struct file_op *w = f->unsettled; !yes && w != NULL; w = w->next)
		yes = w->owner == op->owner;
	lock_give(&f->lock);
	return yes;
}

static void
settle(struct file *f, struct file_op *op)
{
	lock_take(&f->lock);
	bool wait = f->unsettled != NULL;
	lock_give(&f->lock);
	/* Before it counts as waiting, for then it may end, and the file with it. */
	if (wait)
		actor_append_hurry(f->actor);
	lock_take(&f->lock);
	wait = f->unsettled != NULL;
	if (wait)
		f->settling = op;
	lock_give(&f->lock);
	if (!wait)
		settled(f, op);
}

static void
take_turn(struct file *f, struct file_op *op)
{
	if (op->kind == FILE_WRITE)
		take_write(f, op);
	else if (concerns(f, op))
		settle(f, op);
	else
		finish(op, 0, 0);
}

void
file_submit(struct file_op *op)
{
	struct file *f = op->file;

	lock_take(&f->lock);
	bool mine = !f->busy;
	f->busy = true;
	op->next = NULL;
	if (!mine) {
		*f->queue_tail = op;
		f->queue_tail = &op->next;
	}
	lock_give(&f->lock);
	if (mine)
		take_turn(f, op);
}

void
file_cancel(struct file_op *op)
{
	actor_append_cancel(op->file->node->actor, &op->append);
}

void
file_close(struct file *f, void (*done)(struct file_op *op, int err, size_t written), void *user)
{
	struct files *fs = f->env->files;

	lock_take(&fs->lock);
	bool closing = f->closing;
	f->closing = true;
	lock_give(&fs->lock);
	if (closing)
		return;
	f->last = (struct file_op){ .file = f, .kind = FILE_CLOSE, .done = done, .user = user };
	file_submit(&f->last);
}

static void
drained(struct file_op *op, int err, size_t written)
{
	(void)err;
	(void)written;
	file_free(op->file);
}

/* A file that nobody is closing. */
static struct file *
next_open(struct files *fs)
{
	struct file *f;

	lock_take(&fs->lock);
	for (f = fs->first; f != NULL && f->closing; f = f->next)
		;
	lock_give(&fs->lock);
	return f;
}

void
files_drain(struct files *fs)
{
	struct file *f;

	while ((f = next_open(fs)) != NULL)
		file_close(f, drained, NULL);
	lock_take(&fs->lock);
	while (fs->first != NULL)
		lock_wait(&fs->lock, &fs->empty);
	lock_give(&fs->lock);
}
