/*
 * What the file system shows of the cluster, though neither knows the other: a struct of functions for fs, made of the cluster's.
 */
#ifndef AETHER_MOUNT_WIRING_H
#define AETHER_MOUNT_WIRING_H

#include "../cluster/cluster.h"
#include "../fs/fs.h"

/* c is borrowed as long as the file system lives. */
struct fs_cluster wiring_cluster(struct cluster *c);

#endif
