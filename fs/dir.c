#include "dir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../store/index.h"
#include "../store/name.h"
#include "../store/table.h"
#include "control.h"

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
	struct index *index; /* of a namespace, which has no list of its own */
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
	case NODE_NAMESPACE:
		return 0;
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

	free_names(&d->names);
	index_put(d->index);
	node_put(d->env->nodes, d->node, 1);
	free(d);
}

int
dir_open(struct fs_env *env, struct node *n, struct dir **out)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return -ENOMEM;
	int err = n->kind == NODE_NAMESPACE ? index_get(env->store, n->name, &d->index) : collect(env, n, &d->names);
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
	struct index *index = NULL;
	int err = d->index != NULL ? index_get(d->env->store, d->node->name, &index) : collect(d->env, d->node, &names);
	if (err != 0) {
		free_names(&names);
		return err;
	}
	index_put(d->index);
	d->index = index;
	free_names(&d->names);
	d->names = names;
	return 0;
}

/* The entry of the index at or behind that position. */
static int
indexed_entry(struct dir *d, uint64_t *position, const char **name)
{
	uint64_t at = *position - DOTS;
	struct index_entry e;
	int more;

	/* Somebody else may have put names there that no directory can show. */
	do
		more = index_next(d->index, &at, &e);
	while (more > 0 && name_check_actor(span_of(e.name)) != 0);
	*position = at + DOTS;
	*name = e.name;
	return more;
}

int
dir_entry(struct dir *d, uint64_t *position, const char **name, uint64_t *ino, mode_t *mode)
{
	const struct node *parent = d->node->parent != NULL ? d->node->parent : d->node;
	size_t offset;
	int more = 1;

	*mode = S_IFDIR;
	if (*position < DOTS) {
		*name = *position == 0 ? "." : "..";
		*ino = *position == 0 ? d->node->ino : parent->ino;
		++*position;
		return 1;
	}
	if (d->index != NULL) {
		*mode = S_IFREG;
		more = indexed_entry(d, position, name);
	} else if (*position - DOTS >= d->names.offsets.len / sizeof(offset)) {
		return 0;
	} else {
		memcpy(&offset, d->names.offsets.p + (*position - DOTS) * sizeof(offset), sizeof(offset));
		if (d->names.text.p[offset] != 'd')
			*mode = S_IFREG;
		*name = d->names.text.p + offset + 1;
		++*position;
	}
	if (more > 0)
		*ino = node_child_ino(d->node, *name);
	return more;
}

void
dir_free(struct dir *d)
{
	if (d == NULL)
		return;
	handles_remove(&d->env->handles, &d->handle);
	free_dir(&d->handle);
}
