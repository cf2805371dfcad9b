/*
 * The requests of the kernel on open actors and control files. As ops.h; apart from it because writing is answered
 * later, by a struct that owns the request.
 */
#ifndef AETHER_FS_OPS_FILE_H
#define AETHER_FS_OPS_FILE_H

#include "file.h"
#include "libfuse.h"

/* Make fi the kernel's view of a file that was opened; the file is the kernel's then. */
void ops_file_show(struct fs_env *env, struct fuse_file_info *fi, struct file *f);

void ops_file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void ops_file_write(
    fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi);
void ops_file_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_file_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_file_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_file_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph);
void ops_file_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg, struct fuse_file_info *fi,
    unsigned flags, const void *in, size_t in_size, size_t out_size);

/* Reply with an error of ours. */
void ops_reply_error(fuse_req_t req, int err);
/*
 * The same for an operation that walks to a node which the kernel has. Where it is not there any more that is ESTALE: the kernel then
 * forgets the name, walks once more, and so finds out itself, or creates it anew.
 */
void ops_reply_node_error(fuse_req_t req, int err);

/*
 * The kernel's number for an open handle is its address. What one thread wrote into the handle, another that is given the number must
 * see, though it went through the kernel: setting and reading it are a release and an acquire.
 */
void ops_set_handle(struct fs_env *env, struct fuse_file_info *fi, void *handle);
void *ops_handle(const struct fs_env *env, const struct fuse_file_info *fi);

/* What a request is about: its mount, and the node that it names. */
static inline struct fs_env *
ops_env(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline struct node *
ops_node(fuse_req_t req, fuse_ino_t ino)
{
	return node_of(ops_env(req)->nodes, ino);
}

#endif
