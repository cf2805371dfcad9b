#include "service.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "../store/jetstream.h"
#include "../store/memory.h"
#include "cli.h"
#include "paths.h"
#include "urls.h"
#include "version.h"

#define CONNECT_MIN_NS (5 * NS_PER_SEC)
/* Longer than it takes until a node that was killed is taken for failed, and a leader elected before. */
#define JOIN_NS (12 * NS_PER_SEC)

/* What was given, else NULL. */
static const char *
text_or_null(struct buf *b)
{
	return b->len > 0 ? buf_text(b) : NULL;
}

static int
make_absolute(struct buf *out, const char *path)
{
	return path != NULL ? paths_absolute(out, path) : 0;
}

static int
find_paths(struct service *s)
{
	const struct options *o = s->o;
	int err = 0;

	if (o->state_dir != NULL)
		err = paths_absolute(&s->state_dir, o->state_dir);
	else if (o->nats == NULL && !o->memory)
		err = paths_state(&s->state_dir);
	if (err == -ENOENT) {
		cli_fail("no home directory for the state: set HOME, or use --state-dir");
		return err;
	}
	if (err != 0 || (err = make_absolute(&s->creds, o->creds)) != 0 || (err = make_absolute(&s->nkey, o->nkey)) != 0 ||
	    (err = make_absolute(&s->tls_ca, o->tls_ca)) != 0 || (err = make_absolute(&s->tls_cert, o->tls_cert)) != 0 ||
	    (err = make_absolute(&s->tls_key, o->tls_key)) != 0)
		cli_fail("%s", strerror(-err));
	return err;
}

static int
name_node(struct service *s)
{
	char host[HOST_NAME_MAX + 1] = "";
	unsigned char random[4];

	if (s->o->node_id != NULL) {
		buf_puts(&s->node_id, s->o->node_id);
	} else {
		if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
			strcpy(host, "node");
		s->clock->random(s->clock, random, sizeof(random));
		buf_printf(&s->node_id, "%s-%02x%02x%02x%02x", host, random[0], random[1], random[2], random[3]);
	}
	if (buf_text(&s->node_id) != NULL)
		return 0;
	cli_fail("%s", strerror(ENOMEM));
	return -ENOMEM;
}

int
service_find(struct service *s)
{
	int err = find_paths(s);

	return err != 0 ? err : name_node(s);
}

static int
open_cluster(struct service *s, const struct jetstream_options *nats, struct buf *why)
{
	const struct cluster_options cluster = {
		.node_id = buf_text(&s->node_id),
		.version = AETHER_VERSION,
		.capacity = 1,
		.nats = nats,
		.clock = s->clock,
		.lg = s->lg,
		.changed = s->changed,
		.event = s->event,
		.arg = s->arg,
	};

	return cluster_new(&s->cluster, &cluster, why);
}

/* The backend, and the cluster over the same server. */
static int
connect_all(struct service *s, struct backend **backend, struct buf *why)
{
	const struct options *o = s->o;
	struct jetstream_options js = {
		.urls = o->nats,
		.creds = text_or_null(&s->creds),
		.nkey = text_or_null(&s->nkey),
		.tls_ca = text_or_null(&s->tls_ca),
		.tls_cert = text_or_null(&s->tls_cert),
		.tls_key = text_or_null(&s->tls_key),
		.prefix = o->prefix,
		.replicas = o->replicas,
		.connect_timeout_ns = o->timeout_ns > CONNECT_MIN_NS ? o->timeout_ns : CONNECT_MIN_NS,
	};
	struct buf name = { 0 };
	int err = 0;

	if (o->memory) {
		err = memory_new(backend, s->clock);
		return err != 0 ? err : open_cluster(s, NULL, why);
	}
	if (o->nats == NULL) {
		err = server_start(&s->server, buf_text(&s->state_dir), SERVER_START_NS, s->clock, s->lg, why);
		if (err != 0)
			return err;
		js.urls = server_url(s->server);
		js.user = server_user(s->server);
		js.password = server_password(s->server);
		js.on_disconnect = server_lost;
		js.arg = s->server;
	}
	buf_printf(&name, "aether %s", buf_text(&s->node_id));
	js.client_name = buf_text(&name);
	err = js.client_name != NULL ? jetstream_new(backend, &js, s->clock, s->lg, why) : -ENOMEM;
	if (err == 0)
		err = open_cluster(s, &js, why);
	buf_free(&name);
	return err;
}

int
service_open(struct service *s, struct buf *why)
{
	const struct store_options store = {
		.timeout_ns = s->o->timeout_ns,
		.cache_bytes = s->o->cache_bytes,
		.eventual = s->o->eventual,
	};
	struct backend *backend = NULL;
	int err = connect_all(s, &backend, why);

	if (err == 0) {
		err = store_new(&s->store, backend, s->clock, s->lg, &store);
		backend = NULL;
	}
	if (backend != NULL)
		backend->ops->free(backend);
	if (err == 0)
		err = models_new(&s->models, s->store);
	if (err == 0)
		err = due_new(&s->due, s->cluster, s->store, s->o->snapshot_every);
	if (err == 0)
		err = appends_new(&s->appends, s->cluster, s->store, s->lg, !s->o->read_only);
	if (err != 0 && why->len == 0)
		buf_puts(why, strerror(-err));
	return err;
}

int
service_join(struct service *s, struct buf *why)
{
	int err = cluster_start(s->cluster);

	if (err != 0) {
		buf_printf(why, "cannot be a node of the cluster: %s", strerror(-err));
		return err;
	}
	if (s->o->node_id == NULL)
		return 0;
	err = cluster_await(s->cluster, JOIN_NS, why);
	if (err == -ETIMEDOUT)
		log_warn(s->lg, "the cluster does not answer; this node goes on trying to join it");
	return err == -EEXIST ? err : 0;
}

void
service_leave(struct service *s)
{
	cluster_stop(s->cluster);
}

void
service_close(struct service *s)
{
	service_leave(s);
	appends_stop(s->appends);
	due_stop(s->due);
	models_stop(s->models);
	store_free(s->store);
	appends_free(s->appends);
	due_free(s->due);
	models_free(s->models);
	cluster_free(s->cluster);
	server_free(s->server);
}

void
service_free(struct service *s)
{
	struct buf *bufs[] = { &s->node_id, &s->state_dir, &s->creds, &s->nkey, &s->tls_ca, &s->tls_cert, &s->tls_key };

	for (size_t i = 0; i < sizeof(bufs) / sizeof(bufs[0]); i++)
		buf_free(bufs[i]);
}

void
service_hide_secrets(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--nats=", 7) == 0)
			urls_mask(argv[i] + 7);
		else if (strcmp(argv[i], "--nats") == 0 && i + 1 < argc)
			urls_mask(argv[i + 1]);
	}
}
