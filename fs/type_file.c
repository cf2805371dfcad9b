#include "type_file.h"

#include <errno.h>
#include <stdlib.h>

#include "../store/name.h"
#include "../store/table.h"
#include "../store/types.h"

struct type_file {
	struct handle handle;
	struct type_reader *reader;
};

/* A name that was cut does not say what it stands for. */
static struct type *
find_cut(struct types *t, struct span name)
{
	struct buf other = { 0 };
	struct type *type = NULL;
	bool same = false;

	while (!same && (type = types_next(t, type)) != NULL) {
		buf_clear(&other);
		name_file(&other, types_name(type));
		same = !other.failed && span_eq((struct span){ other.p, other.len }, name);
	}
	buf_free(&other);
	return type;
}

static struct type *
find(struct types *t, const char *name)
{
	struct buf text = { 0 };
	struct type *type = NULL;

	int err = name_of_file(&text, span_of(name));
	if (err == 0)
		type = types_find(t, (struct span){ text.p, text.len });
	else if (err == -EAGAIN)
		type = find_cut(t, span_of(name));
	buf_free(&text);
	return type;
}

static int
update(const struct fs_env *env, struct types *t)
{
	bool eventual = store_get_options(env->store)->eventual;

	return types_update(t, eventual ? ENV_NAMESPACE_AGE_NS : 0, eventual);
}

int
type_file_exists(const struct fs_env *env, const struct node *dir, const char *name)
{
	struct types *t;

	if (strlen(name) > NAME_FILE_MAX)
		return -ENAMETOOLONG;
	int err = types_get(env->store, node_namespace(dir), &t);
	if (err != 0)
		return err;
	/* One that is known is there, unless somebody has erased something, which its attributes will tell. */
	if (find(t, name) == NULL) {
		err = update(env, t);
		if (err == 0 && find(t, name) == NULL)
			err = -ENOENT;
	}
	types_put(t);
	return err;
}

int
type_file_list(const struct fs_env *env, const struct node *dir, backend_name_fn fn, void *arg)
{
	struct type *type = NULL;
	struct buf name = { 0 };
	struct types *t;

	int err = types_get(env->store, node_namespace(dir), &t);
	if (err != 0)
		return err;
	err = update(env, t);
	while (err == 0 && (type = types_next(t, type)) != NULL) {
		buf_clear(&name);
		name_file(&name, types_name(type));
		const char *text = buf_text(&name);
		err = text != NULL ? fn(arg, text) : -ENOMEM;
	}
	buf_free(&name);
	types_put(t);
	return err;
}

int
type_file_stat(const struct fs_env *env, const struct node *n, uint64_t *size, int64_t *time_us)
{
	struct types *t;

	int err = types_get(env->store, node_namespace(n), &t);
	if (err != 0)
		return err;
	err = types_update(t, 0, true);
	const struct type *type = err == 0 ? find(t, n->name) : NULL;
	if (type != NULL)
		types_stat(t, type, size, time_us);
	types_put(t);
	return err == 0 && type == NULL ? -ENOENT : err;
}

static void
free_file(struct handle *h)
{
	struct type_file *f = container_of(h, struct type_file, handle);

	type_reader_free(f->reader);
	free(f);
}

int
type_file_open(struct fs_env *env, const struct node *n, struct type_file **out)
{
	struct type_file *f = calloc(1, sizeof(*f));
	struct types *t = NULL;

	int err = f != NULL ? types_get(env->store, node_namespace(n), &t) : -ENOMEM;
	if (err == 0)
		err = update(env, t);
	struct type *type = err == 0 ? find(t, n->name) : NULL;
	if (err == 0)
		err = type != NULL ? type_reader_new(t, type, &f->reader) : -ENOENT;
	types_put(t);
	if (err != 0) {
		free(f);
		return err;
	}
	f->handle.free = free_file;
	handles_add(&env->handles, &f->handle);
	*out = f;
	return 0;
}

int
type_file_read(struct type_file *f, uint64_t offset, size_t size, struct buf *out)
{
	return type_read(f->reader, offset, size, out);
}

void
type_file_free(struct fs_env *env, struct type_file *f)
{
	handles_remove(&env->handles, &f->handle);
	free_file(&f->handle);
}
