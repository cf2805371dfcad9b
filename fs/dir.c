#include "dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../store/name.h"
#include "../store/table.h"
#include "cluster_files.h"
#include "control.h"
#include "entries.h"
#include "notify.h"

#define DOTS 2

struct names {
	struct buf text;    /* each: its file type as one character, the name, a NUL */
	struct buf offsets; /* size_t, where each begins in text */
};

struct dir {
	struct handle handle;
	struct fs_env *env;
	struct node *node;   /* counted */
	struct index *index; /* counted; NULL: the names are in names */
	struct names names;
	struct event_list *events; /* of an `events`, which has no names; else NULL */
	bool used; /* read from the beginning already */
};

static int
add(struct names *names, const char *name, char type)
{
	size_t offset = names->text.len;

	buf_putc(&names->text, type);
	buf_put(&names->text, name, strlen(name) + 1);
	buf_put(&names->offsets, &offset, sizeof(offset));
	return names->text.failed || names->offsets.failed ? -ENOMEM : 0;
}

/* A stream that somebody else made may have a name that no directory can show. */
static int
add_namespace(void *arg, const char *name)
{
	return name_check_namespace(span_of(name)) == 0 ? add(arg, name, 'd') : 0;
}

static int
add_control(void *arg, const char *name, mode_t mode)
{
	return add(arg, name, S_ISDIR(mode) ? 'd' : 'f');
}

static int
collect(struct fs_env *env, const struct node *n, struct names *names)
{
	switch (n->kind) {
	case NODE_ROOT:
		return store_ns_list(env->store, add_namespace, names);
	case NODE_CONTROL:
		return S_ISDIR(control_mode(n->control)) ? control_list(env, n, add_control, names) : -ENOTDIR;
	case NODE_NAMESPACE:
	case NODE_ACTOR:
		return -ENOTDIR;
	}
	return -ENOTDIR;
}

static void
free_names(struct names *names)
{
	buf_free(&names->text);
	buf_free(&names->offsets);
}

static void
free_dir(struct handle *h)
{
	struct dir *d = container_of(h, struct dir, handle);

	event_list_free(d->events);
	free_names(&d->names);
	if (d->index != NULL)
		index_put(d->index);
	node_put(d->env->nodes, d->node, 1);
	free(d);
}

static bool
lists_actors(const struct node *n)
{
	return n->kind == NODE_NAMESPACE || (n->kind == NODE_CONTROL && control_lists_actors(n->control));
}

/* An index that does not follow the stream now, for want of a connection or because it has only begun to, does not show whether there
 * is a namespace, nor that NATS is away. */
static int
check_index(const struct dir *d)
{
	struct store *s = d->env->store;
	bool eventual = store_get_options(s)->eventual;
	struct backend_status status;
	struct ns_info info;

	store_status(s, &status);
	if (status.connected && index_is_live(d->index))
		return 0;
	return store_ns_info(s, node_namespace(d->node), status.connected ? ENV_NAMESPACE_AGE_NS : 0, eventual, &info);
}

static int
fetch(struct dir *d)
{
	if (d->node->kind == NODE_CONTROL && control_kind(d->node->control) == CONTROL_EVENTS)
		return event_list_new(d->env, d->node, &d->events);
	if (!lists_actors(d->node))
		return collect(d->env, d->node, &d->names);
	int err = index_get(d->env->store, node_namespace(d->node), &d->index);
	return err != 0 ? err : check_index(d);
}

int
dir_open(struct fs_env *env, struct node *n, struct dir **out)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	d->env = env;
	d->node = n;
	node_ref(env->nodes, n);
	int err = fetch(d);
	if (err != 0) {
		free_dir(&d->handle);
		return err;
	}
	d->handle.free = free_dir;
	handles_add(&env->handles, &d->handle);
	*out = d;
	return 0;
}

int
dir_rewind(struct dir *d)
{
	struct names names = { 0 };

	if (!d->used) {
		d->used = true;
		return 0;
	}
	if (d->index != NULL)
		return check_index(d);
	if (d->events != NULL)
		return event_list_rewind(d->events);
	int err = collect(d->env, d->node, &names);
	if (err != 0) {
		free_names(&names);
		return err;
	}
	free_names(&d->names);
	d->names = names;
	return 0;
}

static bool
is_owned(const struct node *n)
{
	return n->kind == NODE_CONTROL && control_kind(n->control) == CONTROL_OWNED;
}

static bool
is_time(const struct node *n)
{
	return n->kind == NODE_CONTROL && control_kind(n->control) == CONTROL_TIME;
}

/* 1, 0, or -errno. */
static int
is_listed(const struct dir *d, const struct index_entry *e)
{
	/* Somebody else may have stored under a subject that no actor can have. */
	if (name_check_actor(span_of(e->name)) != 0)
		return 0;
	if (is_time(d->node))
		return entries_was_there(d->env, d->node, e->name, &e->head);
	return !is_owned(d->node) || cluster_owns_actor(d->env, node_namespace(d->node), e->name);
}

static int
next_actor(struct dir *d, uint64_t position, struct dir_entry *e)
{
	uint64_t at = position - DOTS;
	struct index_entry found;
	int more, listed = 0;

	while ((more = index_next(d->index, &at, &found)) == 1 && (listed = is_listed(d, &found)) == 0)
		;
	if (more != 1 || listed < 0)
		return more != 1 ? more : listed;
	e->name = found.name;
	e->mode = d->node->kind == NODE_NAMESPACE ? S_IFREG : control_mode(control_member(d->node->control)) & S_IFMT;
	e->actor = d->node->kind == NODE_NAMESPACE;
	e->next = at + DOTS;
	return 1;
}

static int
next_event(const struct dir *d, uint64_t position, struct dir_entry *e)
{
	e->mode = S_IFREG;
	e->actor = false;
	e->next = position + 1;
	return event_list_at(d->events, position - DOTS, &e->name);
}

static int
next_name(const struct dir *d, uint64_t position, struct dir_entry *e)
{
	size_t offset;

	if (position - DOTS >= d->names.offsets.len / sizeof(offset))
		return 0;
	memcpy(&offset, d->names.offsets.p + (position - DOTS) * sizeof(offset), sizeof(offset));
	e->name = d->names.text.p + offset + 1;
	e->mode = d->names.text.p[offset] == 'd' ? S_IFDIR : S_IFREG;
	e->actor = false;
	e->next = position + 1;
	return 1;
}

int
dir_next(struct dir *d, uint64_t position, struct dir_entry *e)
{
	const struct node *parent = d->node->parent != NULL ? d->node->parent : d->node;
	int more;

	if (position < DOTS) {
		e->name = position == 0 ? "." : "..";
		e->ino = node_ino(position == 0 ? d->node : parent);
		e->mode = S_IFDIR;
		e->actor = false;
		e->next = position + 1;
		return 1;
	}
	if (d->index != NULL)
		more = next_actor(d, position, e);
	else
		more = d->events != NULL ? next_event(d, position, e) : next_name(d, position, e);
	if (more == 1)
		e->ino = node_child_ino(d->node, e->name);
	return more;
}

struct index *
dir_index(const struct dir *d)
{
	return d->node->kind == NODE_NAMESPACE ? d->index : NULL;
}

bool
dir_keep_cached(struct dir *d)
{
	return notify_list(d->env->notify, d->node, d->index);
}

void
dir_ended(struct dir *d, uint64_t position)
{
	if (d->node->kind == NODE_NAMESPACE && position >= DOTS)
		notify_listed(d->env->notify, d->node, d->index, position - DOTS);
}

void
dir_free(struct dir *d)
{
	if (d == NULL)
		return;
	handles_remove(&d->env->handles, &d->handle);
	free_dir(&d->handle);
}
