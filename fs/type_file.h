/*
 * `by-type/<EventType>` of a namespace: all its events of one type, in stream order, as a file that only grows.
 *
 * Owns the open ones. A file is called as name_file (../store/name.h) says of its type. Any thread may call; all of it blocks, but for
 * freeing.
 */
#ifndef AETHER_FS_TYPE_FILE_H
#define AETHER_FS_TYPE_FILE_H

#include "../store/backend.h"
#include "env.h"
#include "node.h"

/* dir is a `by-type`. 0, -ENOENT (no event of that type), -ENAMETOOLONG, or -errno of the store. */
int type_file_exists(const struct fs_env *env, const struct node *dir, const char *name);

/* The names in it, as of now. 0, -errno of the store, or what fn returned. */
int type_file_list(const struct fs_env *env, const struct node *dir, backend_name_fn fn, void *arg);

/* n is a file of it. Size in bytes, and when its newest event was stored (Unix microseconds). 0, -ENOENT, or -errno of the store. */
int type_file_stat(const struct fs_env *env, const struct node *n, uint64_t *size, int64_t *time_us);

struct type_file;

/* 0, -ENOENT, -ENOMEM, or -errno of the store. It is freed with the file system if type_file_free does not come first. */
int type_file_open(struct fs_env *env, const struct node *n, struct type_file **out);
/* As type_read of ../store/types.h. */
int type_file_read(struct type_file *f, uint64_t offset, size_t size, struct buf *out);
void type_file_free(struct fs_env *env, struct type_file *f);

#endif
