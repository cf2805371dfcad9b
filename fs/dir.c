#include "dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../store/name.h"
#include "../store/table.h"
#include "control.h"
#include "entries.h"

#define DOTS 2

struct names {
	struct buf text;    /* each: its file type as one character, the name, a NUL */
	struct buf offsets; /* size_t, where each begins in text */
};

struct dir {
	struct handle handle;
	struct fs_env *env;
	struct node *node; /* counted */
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
add_actor(void *arg, const char *name)
{
	return name_check_actor(span_of(name)) == 0 ? add(arg, name, 'f') : 0;
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
	case NODE_NAMESPACE:
		return store_actor_list(env->store, n->name, add_actor, names);
	case NODE_CONTROL:
		return S_ISDIR(control_mode(n->control)) ? control_list(env, n, add_control, names) : -ENOTDIR;
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
	node_put(d->env->nodes, d->node, 1);
	free(d);
}

int
dir_open(struct fs_env *env, struct node *n, struct dir **out)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	bool events = n->kind == NODE_CONTROL && control_kind(n->control) == CONTROL_EVENTS;
	int err = events ? event_list_new(env, n, &d->events) : collect(env, n, &d->names);
	if (err != 0) {
		free_names(&d->names);
		free(d);
		return err;
	}
	d->env = env;
	d->node = n;
	node_ref(env->nodes, n);
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

int
dir_entry(struct dir *d, uint64_t position, const char **name, uint64_t *ino, mode_t *mode)
{
	const struct node *parent = d->node->parent != NULL ? d->node->parent : d->node;
	size_t offset;

	*mode = S_IFDIR;
	if (position < DOTS) {
		*name = position == 0 ? "." : "..";
		*ino = position == 0 ? d->node->ino : parent->ino;
		return 1;
	}
	if (d->events != NULL) {
		int found = event_list_at(d->events, position - DOTS, name);
		if (found == 1) {
			*mode = S_IFREG;
			*ino = node_child_ino(d->node, *name);
		}
		return found;
	}
	if (position - DOTS >= d->names.offsets.len / sizeof(offset))
		return 0;
	memcpy(&offset, d->names.offsets.p + (position - DOTS) * sizeof(offset), sizeof(offset));
	if (d->names.text.p[offset] != 'd')
		*mode = S_IFREG;
	*name = d->names.text.p + offset + 1;
	*ino = node_child_ino(d->node, *name);
	return 1;
}

void
dir_free(struct dir *d)
{
	if (d == NULL)
		return;
	handles_remove(&d->env->handles, &d->handle);
	free_dir(&d->handle);
}
