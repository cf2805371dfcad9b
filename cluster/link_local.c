/* A node alone: the two keys are in memory, nobody is told anything. */
#include <errno.h>

#include "cluster_state.h"

static void
local_read(void *arg, enum core_key key)
{
	struct cluster *c = arg;
	struct post p = { .kind = POST_READ, .key = key, .revision = c->local.revision[key] };

	if (p.revision == 0)
		p.err = -ENOENT;
	cluster_post(c, &p, (struct span){ c->local.value[key].p, c->local.value[key].len }, NULL);
}

static void
local_write(void *arg, enum core_key key, uint64_t id, uint64_t revision, struct span value)
{
	struct cluster *c = arg;
	struct post p = { .kind = POST_WRITTEN, .key = key, .id = id };

	if (revision != c->local.revision[key]) {
		p.err = -ESTALE;
	} else {
		buf_clear(&c->local.value[key]);
		buf_put_span(&c->local.value[key], value);
		p.revision = c->local.revision[key] = ++c->local.revisions;
	}
	cluster_post(c, &p, (struct span){ NULL, 0 }, NULL);
}

static void
local_beat(void *arg, uint64_t id, uint64_t term, struct span body)
{
	struct post p = { .kind = POST_ANSWER, .id = id, .err = -EHOSTUNREACH };

	(void)term, (void)body;
	cluster_post(arg, &p, (struct span){ NULL, 0 }, NULL);
}

static void
local_answer(void *arg, void *from, struct span body)
{
	(void)arg, (void)from, (void)body;
}

static void
local_listen(void *arg, uint64_t term)
{
	(void)arg, (void)term;
}

static void
local_news(void *arg, struct span body)
{
	(void)arg, (void)body;
}

static int
local_open(struct cluster *c, const struct jetstream_options *nats, struct buf *why)
{
	(void)c, (void)nats, (void)why;
	return 0;
}

static void
local_close(struct cluster *c)
{
	buf_free(&c->local.value[CORE_LEASE]);
	buf_free(&c->local.value[CORE_VIEW]);
}

const struct link link_local = {
	.io = {
	    .read = local_read,
	    .write = local_write,
	    .beat = local_beat,
	    .answer = local_answer,
	    .listen = local_listen,
	    .news = local_news,
	},
	.open = local_open,
	.close = local_close,
};
