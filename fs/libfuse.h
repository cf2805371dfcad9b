/* libfuse's low-level interface, at the one version of it that fs is written for. */
#ifndef AETHER_FS_LIBFUSE_H
#define AETHER_FS_LIBFUSE_H

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>

#endif
