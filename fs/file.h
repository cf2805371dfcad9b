/*
 * Open actors: reading, and writing line by line.
 *
 * An open file is of one life of its actor: that in which it was opened for reading, or first written to. Once that has been erased
 * reads are -ESTALE and writes -ENOENT, whether the actor has been made anew or not.
 *
 * Owns what is particular to one open file: the unfinished line, the order of the operations that append, the actor's
 * head as this file has seen it. Knows nothing of FUSE. Any thread may call.
 *
 * Operations that append (struct file_op) are carried out one after the other, in the order in which they were
 * submitted, for each needs to know what the one before left unfinished. None of them blocks: an operation ends with
 * its done, on whatever thread that happens.
 *
 * With options.commit_async a write ends before its lines are stored (struct append's accepted). Its error, should one come, is that of
 * the next write, FILE_SYNC or FILE_FLUSH, once; what was written behind it and before that is not stored. These two and FILE_CLOSE wait
 * until all that was written before has ended.
 */
#ifndef AETHER_FS_FILE_H
#define AETHER_FS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../store/actor.h"
#include "env.h"
#include "node.h"

struct file;
struct files;

/* The list of open files. 0 or -ENOMEM. */
int files_new(struct files **out);

/* Commit what is unfinished in every file still open, close them, and wait until all have been freed. No other call may
 * be under way. Blocks. */
void files_drain(struct files *fs);

/* There must be no open files any more. NULL is fine. */
void files_free(struct files *fs);

/*
 * Open an actor that exists with the flags of open(2). For reading it is asked what the newest is, unless options are
 * eventual. Writing needs O_APPEND, except through the handle that created the actor: such writes must follow each
 * other without a gap from offset 0. Blocks. 0; -EPERM (O_TRUNC, or writing without O_APPEND), -EROFS, -ENOMEM, or as
 * actor_head. n is counted for the file's life. n may also be what entries_part tells of, for reading only: its offsets are then from
 * where that begins.
 */
int file_open(struct fs_env *env, struct node *n, int flags, bool created, struct file **out);

/* In the done of file_close, or if nothing was ever submitted. */
void file_free(struct file *f);

/* Read up to size bytes; less only at the end. out must be empty and, after 0, be given to actor_bytes_free. Blocks. 0 or
 * -errno. */
int file_read(struct file *f, uint64_t offset, size_t size, struct actor_bytes *out);

/*
 * For an fsync of who cannot write: wait until all that this node has answered for the actor has ended, whoever wrote
 * it. Blocks. 0 or as actor_head; their errors are their writers' to be told.
 */
int file_await(struct file *f);
bool file_may_write(const struct file *f);

/* The version of the last event that was committed through this file, 0: none. */
uint64_t file_version(struct file *f);

enum file_op_kind {
	FILE_WRITE, /* take data: commit its whole lines, keep the rest */
	FILE_FLUSH, /* a descriptor was closed: commit the unfinished line if its writer did that; given up if that
		       fails. Who wrote nothing that is under way, and was not the last to write, neither waits nor is told
		       an error: it has only inherited the descriptor */
	FILE_SYNC,  /* commit the unfinished line; it stays if that fails */
	FILE_CLOSE  /* commit the unfinished line, the last chance; only by file_close */
};

/*
 * One operation. The caller sets the first part. It keeps data until done is called, and the struct until drop is called
 * after that, maybe much later; if drop is NULL, done is the end (not for FILE_WRITE with commit_async). Neither must
 * block.
 */
struct file_op {
	struct file *file;
	enum file_op_kind kind;
	const char *data; /* FILE_WRITE only, as size, offset and appending */
	size_t size;      /* at least 1 */
	uint64_t offset;
	bool appending; /* the handle has O_APPEND now, whatever it had when it was opened; offset means nothing then */
	bool durable;   /* the handle has O_SYNC or O_DSYNC: the end of a write says that it is stored, in any case */
	uint64_t owner; /* who writes or closes, as the kernel tells; 0: not known */
	/* err 0: written is how much of data is done with, all of it or up to a line's end. Else nothing of data is
	 * stored. */
	void (*done)(struct file_op *op, int err, size_t written);
	void (*drop)(struct file_op *op);
	void *user;

	/* For file.c's use; zeros. */
	struct append append;
	struct buf text; /* what is appended, where that is not just a piece of data */
	size_t whole;
	bool early; /* it was answered before its lines were stored */
	struct file_op *next;
};

void file_submit(struct file_op *op);

/* Submit the file's last operation, which needs no memory. The file and its operation are freed by the file_free that
 * done must call. */
void file_close(struct file *f, void (*done)(struct file_op *op, int err, size_t written), void *user);

/*
 * Give an operation up if it has to wait for NATS and nothing was sent yet: it ends with -EINTR. May be called from before file_submit until done
 * has returned, never calls done, and never blocks on the network.
 */
void file_cancel(struct file_op *op);

#endif
