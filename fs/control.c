#include "control.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../store/models.h"
#include "../store/name.h"
#include "../store/snapshot.h"
#include "bridge.h"
#include "cluster_files.h"
#include "entries.h"
#include "space.h"
#include "type_file.h"

struct control_entry {
	const char *name; /* NULL for a member of a dynamic directory */
	mode_t mode;
	enum control_kind kind;
	/* A file: its text. */
	int (*text)(struct fs_env *env, const struct node *n, struct buf *out);
	/* One that may be written: what to do with it. */
	int (*save)(struct fs_env *env, const struct node *n, struct span text);
	bool lines; /* of many lines, as a rule */
	/* A directory with fixed children. */
	const struct control_entry *children;
	size_t child_count;
	/* A directory with one kind of children: does name exist, and which names are there? list NULL: one for each actor of the
	 * namespace. */
	const struct control_entry *member;
	int (*exists)(const struct fs_env *env, const struct node *dir, const char *name);
	int (*list)(const struct fs_env *env, const struct node *dir, backend_name_fn fn, void *arg);
};

#define FILE_ENTRY(entry_name, fn) FILE_ENTRY_MODE(entry_name, 0444, fn)
#define FILE_ENTRY_MODE(entry_name, entry_mode, fn)                                                                    \
	{                                                                                                              \
		.name = (entry_name), .mode = S_IFREG | (entry_mode), .text = (fn)                                     \
	}
#define FEED_ENTRY(entry_name, entry_mode, entry_kind)                                                                 \
	{                                                                                                              \
		.name = (entry_name), .kind = (entry_kind), .mode = S_IFREG | (entry_mode)                             \
	}
#define DIR_ENTRY(entry_name, table)                                                                                   \
	{                                                                                                              \
		.name = (entry_name), .mode = S_IFDIR | 0555, .children = (table),                                     \
		.child_count = sizeof(table) / sizeof((table)[0])                                                      \
	}

/* .aether/version */
static int
text_version(struct fs_env *env, const struct node *n, struct buf *out)
{
	(void)n;
	buf_printf(out, "aether %s\n", env->options.version);
	return 0;
}

/* .aether/status */
static void
put_nats(cJSON *status, struct fs_env *env, const struct backend_status *s)
{
	cJSON *nats = cJSON_AddObjectToObject(status, "nats");
	char url[256];

	store_url(env->store, url, sizeof(url));
	cJSON_AddBoolToObject(nats, "connected", s->connected);
	cJSON_AddBoolToObject(nats, "silent", s->silent);
	cJSON_AddStringToObject(nats, "url", url);
	cJSON_AddNumberToObject(nats, "reconnects", (double)s->reconnects);
}

static void
put_live(cJSON *status, struct fs_env *env)
{
	cJSON *live = cJSON_AddObjectToObject(status, "live");
	struct bridge_status s;

	bridge_status(env->bridge, &s);
	cJSON_AddNumberToObject(live, "followed", (double)s.followed);
	cJSON_AddNumberToObject(live, "waiting", (double)s.waiting);
	cJSON_AddBoolToObject(live, "held", s.held);
	cJSON_AddNumberToObject(live, "told", (double)s.told);
}

static void
put_storage(cJSON *status, const struct backend_limits *l, uint64_t payload_max)
{
	cJSON *storage = cJSON_AddObjectToObject(status, "storage");

	cJSON_AddNumberToObject(storage, "usedBytes", (double)l->used_bytes);
	if (l->max_bytes == UINT64_MAX)
		cJSON_AddNullToObject(storage, "maxBytes");
	else
		cJSON_AddNumberToObject(storage, "maxBytes", (double)l->max_bytes);
	cJSON_AddNumberToObject(storage, "payloadMax", (double)payload_max);
}

static int
text_status(struct fs_env *env, const struct node *n, struct buf *out)
{
	const struct store_options *options = store_get_options(env->store);
	int64_t uptime_ns = clock_mono(env->clock) - env->start_mono_ns;
	struct backend_status nats;
	struct backend_limits limits;
	cJSON *status = cJSON_CreateObject();

	(void)n;
	store_status(env->store, &nats);
	cJSON_AddStringToObject(status, "nodeId", env->options.node_id);
	cJSON_AddNumberToObject(status, "pid", getpid());
	cJSON_AddStringToObject(status, "mountpoint", env->options.mountpoint);
	cJSON_AddStringToObject(status, "version", env->options.version);
	cJSON_AddStringToObject(status, "store", store_backend_name(env->store));
	put_nats(status, env, &nats);
	put_live(status, env);
	cJSON_AddNumberToObject(status, "snapshotsTaken", (double)snapshots_taken(env->store));
	cJSON_AddStringToObject(status, "consistency", options->eventual ? "eventual" : "close-to-open");
	cJSON_AddStringToObject(status, "commit", env->options.commit_async ? "async" : "sync");
	cJSON_AddNumberToObject(status, "timeoutSeconds", (double)options->timeout_ns / NS_PER_SEC);
	cJSON_AddNumberToObject(status, "uptimeSeconds", (double)(uptime_ns / NS_PER_MS) / 1000);
	/* How it stands must be readable at once, most of all when something is wrong. */
	space_glance(env->space, &limits);
	put_storage(status, &limits, nats.payload_max);
	char *text = cJSON_Print(status);
	cJSON_Delete(status);
	if (text == NULL)
		return -ENOMEM;
	buf_printf(out, "%s\n", text);
	cJSON_free(text);
	return 0;
}

/* .aether/conflicts, of all namespaces at the root */
static int
text_conflicts(struct fs_env *env, const struct node *n, struct buf *out)
{
	store_conflicts(env->store, node_namespace(n), NULL, out);
	return 0;
}

/* <namespace>/.aether/actors/<actor>/version */
static int
text_actor_version(struct fs_env *env, const struct node *n, struct buf *out)
{
	bool eventual = store_get_options(env->store)->eventual;
	struct head head;
	int err = store_head(env->store, node_namespace(n), n->parent->name, eventual ? INT64_MAX : 0, eventual, &head);

	if (err != 0)
		return err;
	buf_printf(out, "%" PRIu64 "\n", head.version);
	return 0;
}

/* <namespace>/.aether/actors/<actor>/state */
static int
text_actor_state(struct fs_env *env, const struct node *n, struct buf *out)
{
	struct actor *a;
	int err = entries_actor(env, n->parent, &a);

	return err == 0 ? snapshot_state(a, out) : err;
}

/* <namespace>/.aether/actors/<actor>/snapshot: empty if there is none. */
static int
text_actor_snapshot(struct fs_env *env, const struct node *n, struct buf *out)
{
	struct head head;
	struct actor *a;
	int err = entries_actor(env, n->parent, &a);

	if (err == 0)
		err = snapshot_load(a, out);
	return err == -ENOENT ? actor_head(a, 0, false, &head) : err;
}

static int
save_actor_snapshot(struct fs_env *env, const struct node *n, struct span text)
{
	struct actor *a;
	int err = entries_actor(env, n->parent, &a);

	return err == 0 ? snapshot_save(a, text) : err;
}

static int
actor_exists(const struct fs_env *env, const struct node *dir, const char *name)
{
	struct head head;
	int err = name_check_actor(span_of(name));

	if (err != 0)
		return err == -ENAMETOOLONG ? err : -ENOENT;
	return store_head(env->store, node_namespace(dir), name, ENV_ACTOR_AGE_NS, true, &head);
}

static int
number_exists(const struct fs_env *env, const struct node *dir, const char *name)
{
	(void)env;
	(void)dir;
	return entries_check_name(name);
}

/* The rest of an actor is named by whoever wants it. */
static int
list_nothing(const struct fs_env *env, const struct node *dir, backend_name_fn fn, void *arg)
{
	(void)env, (void)dir, (void)fn, (void)arg;
	return 0;
}

static int
time_exists(const struct fs_env *env, const struct node *dir, const char *name)
{
	(void)env;
	(void)dir;
	return entries_check_time(name);
}

static const struct control_entry event_member = { .kind = CONTROL_EVENT, .mode = S_IFREG | 0444, .text = entries_text };
static const struct control_entry from_member = { .kind = CONTROL_FROM, .mode = S_IFREG | 0444 };

static const struct control_entry at_member = { .kind = CONTROL_AT, .mode = S_IFREG | 0444 };

static const struct control_entry actor_entries[] = {
	FILE_ENTRY("version", text_actor_version),
	FILE_ENTRY("state", text_actor_state),
	{ .name = "snapshot", .mode = S_IFREG | 0644, .text = text_actor_snapshot, .save = save_actor_snapshot },
	FILE_ENTRY("shard", cluster_text_actor_shard),
	FILE_ENTRY("owner", cluster_text_actor_owner),
	{ .name = "events",
	    .kind = CONTROL_EVENTS,
	    .mode = S_IFDIR | 0555,
	    .member = &event_member,
	    .exists = number_exists,
	    .list = list_nothing },
	{ .name = "from",
	    .mode = S_IFDIR | 0555,
	    .member = &from_member,
	    .exists = number_exists,
	    .list = list_nothing },
	{ .name = "at", .mode = S_IFDIR | 0555, .member = &at_member, .exists = time_exists, .list = list_nothing },
};
static const struct control_entry actor_member = DIR_ENTRY(NULL, actor_entries);

static const struct control_entry at_time_member = { .kind = CONTROL_AT_TIME, .mode = S_IFREG | 0444 };
static const struct control_entry time_member = {
	.kind = CONTROL_TIME,
	.mode = S_IFDIR | 0555,
	.member = &at_time_member,
	.exists = actor_exists,
};

static const struct control_entry type_member = { .kind = CONTROL_TYPE, .mode = S_IFREG | 0444 };

/* <namespace>/.aether/model.json: empty if there is none. */
static int
text_model(struct fs_env *env, const struct node *n, struct buf *out)
{
	return store_model_text(env->store, node_namespace(n), 0, out);
}

static int
save_model(struct fs_env *env, const struct node *n, struct span text)
{
	return store_model_set(env->store, node_namespace(n), text);
}

/* <namespace>/.aether/model.dot */
static int
text_model_dot(struct fs_env *env, const struct node *n, struct buf *out)
{
	return store_model_dot(env->store, node_namespace(n), out);
}

/* <namespace>/.aether/models/<number> */
static int
text_old_model(struct fs_env *env, const struct node *n, struct buf *out)
{
	return store_model_text(env->store, node_namespace(n), strtoull(n->name, NULL, 10), out);
}

static int
old_model_exists(const struct fs_env *env, const struct node *dir, const char *name)
{
	struct buf text = { 0 };
	int err = strcmp(name, "0") == 0 ? -ENOENT : entries_check_name(name);

	if (err == 0)
		err = store_model_text(env->store, node_namespace(dir), strtoull(name, NULL, 10), &text);
	buf_free(&text);
	return err;
}

struct number_list {
	backend_name_fn fn;
	void *arg;
};

static int
list_number(void *arg, uint64_t number)
{
	const struct number_list *l = arg;
	char name[24];

	snprintf(name, sizeof(name), "%" PRIu64, number);
	return l->fn(l->arg, name);
}

static int
list_old_models(const struct fs_env *env, const struct node *dir, backend_name_fn fn, void *arg)
{
	struct number_list l = { fn, arg };

	return store_model_list(env->store, node_namespace(dir), list_number, &l);
}

static const struct control_entry old_model_member = FILE_ENTRY(NULL, text_old_model);

static const struct control_entry link_member = { .kind = CONTROL_LINK, .mode = S_IFLNK | 0777 };

static const struct control_entry namespace_entries[] = {
	{ .name = "actors",
	    .mode = S_IFDIR | 0555,
	    .member = &actor_member,
	    .exists = actor_exists },
	{ .name = "at", .mode = S_IFDIR | 0555, .member = &time_member, .exists = time_exists, .list = list_nothing },
	{ .name = "by-type", .mode = S_IFDIR | 0555, .member = &type_member, .exists = type_file_exists, .list = type_file_list },
	/* Nobody may write there, but for who tells of it (poker.h), who may have no more rights than its user. */
	{ .name = "owned",
	    .kind = CONTROL_OWNED,
	    .mode = S_IFDIR | 0755,
	    .member = &link_member,
	    .exists = cluster_owned_exists },
	FILE_ENTRY("conflicts", text_conflicts),
	FEED_ENTRY("events", 0444, CONTROL_FEED),
	{ .name = "model.json", .mode = S_IFREG | 0644, .text = text_model, .save = save_model, .lines = true },
	FILE_ENTRY("model.dot", text_model_dot),
	{ .name = "models",
	    .mode = S_IFDIR | 0555,
	    .member = &old_model_member,
	    .exists = old_model_exists,
	    .list = list_old_models },
};
static const struct control_entry namespace_tree = DIR_ENTRY(CONTROL_NAME, namespace_entries);

static const struct control_entry cluster_member = FILE_ENTRY(NULL, cluster_text_node);

static const struct control_entry cluster_entries[] = {
	FILE_ENTRY("self", cluster_text_self),
	FILE_ENTRY("leader", cluster_text_leader),
	{ .name = "nodes",
	    .mode = S_IFDIR | 0555,
	    .member = &cluster_member,
	    .exists = cluster_node_exists,
	    .list = cluster_list_nodes },
	FILE_ENTRY("shards", cluster_text_shards),
	FEED_ENTRY("events", 0444, CONTROL_LINES),
};

static const struct control_entry root_entries[] = {
	FILE_ENTRY("version", text_version),
	FILE_ENTRY("status", text_status),
	/* Of namespaces that not everybody may enter. */
	FILE_ENTRY_MODE("conflicts", 0400, text_conflicts),
	FEED_ENTRY("events", 0400, CONTROL_FEED),
	DIR_ENTRY("cluster", cluster_entries),
};
static const struct control_entry root_tree = DIR_ENTRY(CONTROL_NAME, root_entries);

enum control_kind
control_kind(const struct control_entry *e)
{
	return e->kind;
}

mode_t
control_mode(const struct control_entry *e)
{
	return e->mode;
}

bool
control_is_entry(const struct control_entry *e)
{
	return e->kind >= CONTROL_EVENT && e->kind <= CONTROL_AT_TIME;
}

bool
control_lists_actors(const struct control_entry *e)
{
	return e->member != NULL && e->list == NULL;
}

const struct control_entry *
control_member(const struct control_entry *e)
{
	return e->member;
}

bool
control_comes_and_goes(const struct control_entry *e)
{
	return e->kind == CONTROL_LINK || e == &cluster_member;
}

bool
control_grows(const struct control_entry *e)
{
	return e->kind == CONTROL_FROM || e->kind == CONTROL_TYPE;
}

const struct control_entry *
control_tree(const struct node *n)
{
	return n->kind == NODE_ROOT ? &root_tree : &namespace_tree;
}

int
control_lookup(const struct fs_env *env, const struct node *dir, const char *name, const struct control_entry **out)
{
	const struct control_entry *e = dir->control;

	if (e->member != NULL) {
		*out = e->member;
		return e->exists(env, dir, name);
	}
	for (size_t i = 0; i < e->child_count; i++) {
		if (strcmp(e->children[i].name, name) == 0) {
			*out = &e->children[i];
			return 0;
		}
	}
	return strlen(name) > NAME_ACTOR_MAX ? -ENAMETOOLONG : -ENOENT;
}

struct member_list {
	control_name_fn fn;
	void *arg;
	mode_t mode;
};

static int
list_member(void *arg, const char *name)
{
	struct member_list *l = arg;

	return l->fn(l->arg, name, l->mode);
}

int
control_list(const struct fs_env *env, const struct node *dir, control_name_fn fn, void *arg)
{
	const struct control_entry *e = dir->control;
	int err = 0;

	if (e->member != NULL) {
		struct member_list l = { fn, arg, e->member->mode };
		return e->list(env, dir, list_member, &l);
	}
	for (size_t i = 0; i < e->child_count && err == 0; i++)
		err = fn(arg, e->children[i].name, e->children[i].mode);
	return err;
}

int
control_text(struct fs_env *env, const struct node *file, struct buf *out)
{
	if (file->control->text == NULL)
		return -EISDIR;
	int err = file->control->text(env, file, out);
	return err == 0 && out->failed ? -ENOMEM : err;
}

bool
control_takes(const struct control_entry *e)
{
	return e->save != NULL;
}

bool
control_takes_lines(const struct control_entry *e)
{
	return e->lines;
}

int
control_save(struct fs_env *env, const struct node *file, struct span text)
{
	return file->control->save(env, file, text);
}
