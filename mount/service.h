/*
 * What `aether mount` and `aether node` have in common: from options to a store that works and a node of the cluster.
 *
 * Owns what it makes. One thread.
 */
#ifndef AETHER_MOUNT_SERVICE_H
#define AETHER_MOUNT_SERVICE_H

#include "../cluster/appends.h"
#include "../cluster/cluster.h"
#include "../cluster/due.h"
#include "../store/logger.h"
#include "../store/models.h"
#include "../store/store.h"
#include "options.h"
#include "server.h"

/* All zeros, then the first part is set. */
struct service {
	const struct options *o; /* borrowed */
	const struct clock *clock;
	void (*changed)(void *arg); /* as cluster.h's, or NULL */
	void (*event)(void *arg, struct span line);
	void *arg;

	struct buf node_id, state_dir;
	struct buf creds, nkey, tls_ca, tls_cert, tls_key;
	struct logger *lg; /* set by the caller before service_open, freed by the caller after service_close */
	struct server *server;
	struct store *store;
	struct cluster *cluster;
	struct appends *appends;
	struct due *due;
	struct models *models;
};

/* Find what depends on the user's surroundings: paths, the node's name. 0, or -errno after a message on standard error. */
int service_find(struct service *s);

/* Connect, or start the private server and connect; make store and cluster. Blocks. 0, or -errno with a line in why. */
int service_open(struct service *s, struct buf *why);

/*
 * Become a node. Who was given its id by the user waits until it is known whether that is free: only then can it be said that it
 * is not. 0, or -errno with a line in why. Blocks.
 */
int service_join(struct service *s, struct buf *why);

/* Leave the cluster: nothing of it is called any more. Before what changed and event use is freed. */
void service_leave(struct service *s);

/* Free all but the logger and the texts. Blocks. */
void service_close(struct service *s);

/* The texts. */
void service_free(struct service *s);

/* A URL's credentials are in the argument vector for all to see (ps); once they have been copied they are masked there. */
void service_hide_secrets(int argc, char **argv);

#endif
