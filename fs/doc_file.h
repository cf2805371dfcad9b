/*
 * A control file that takes a JSON document, whole: what is written through one handle is collected until the object that
 * it begins with has ended, and saved by the write(2) that brings its end, so that whoever writes sees what became of it. It may have
 * several lines, and come in several writes as programs make them that fill a buffer before they write: for many, bash's echo first of
 * all, do not look at what close(2) says, so a write that ends a line inside the object, and no buffer, is refused at once where documents
 * are a line as a rule.
 *
 * After it only white space may follow, which is dropped. Owns what has come so far. Any thread may call.
 */
#ifndef AETHER_FS_DOC_FILE_H
#define AETHER_FS_DOC_FILE_H

#include <stdbool.h>

#include "../store/lock.h"
#include "env.h"
#include "node.h"

struct doc_file {
	struct lock lock;
	/* Guarded by lock. */
	struct buf input;
	size_t seen; /* bytes of input that have been looked at */
	size_t depth;
	bool in_string, escaped;
	bool saved;
	int refused; /* -errno: what belonged to something that was refused, and so is what follows; 0 */
};

void doc_file_init(struct doc_file *d);
void doc_file_destroy(struct doc_file *d);

/*
 * More of it has been written. If it is whole now, n's save is called (control.h), and blocks. 0: taken. -EINVAL: it is no object, or something
 * follows it; -EMSGSIZE: it is larger than a message may be; or what save says. After an error what has come so far is dropped. After the
 * first two what follows through the same handle gets the same answer, for it may be the rest of what the kernel took a part of.
 */
int doc_file_write(struct fs_env *env, const struct node *n, struct doc_file *d, const char *data, size_t size);

/* A descriptor has been closed. -EINVAL: a document has begun and not ended; it is dropped. */
int doc_file_flush(struct fs_env *env, const struct node *n, struct doc_file *d);

#endif
