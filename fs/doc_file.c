#include "doc_file.h"

#include <errno.h>

#include "control.h"

/* Of those that programs fill before they write, the smallest; the others are multiples of it. */
#define BUFFER_BYTES 4096

void
doc_file_init(struct doc_file *d)
{
	*d = (struct doc_file){ .depth = 0 };
	lock_init(&d->lock, LOCK_FILE);
}

void
doc_file_destroy(struct doc_file *d)
{
	buf_free(&d->input);
	lock_destroy(&d->lock);
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where is its end, if that has come? Whether it is JSON is not known yet. */
static bool
find_end_locked(struct doc_file *d)
{
	while (d->seen < d->input.len) {
		char c = d->input.p[d->seen++];
		if (d->escaped)
			d->escaped = false;
		else if (d->in_string && c == '\\')
			d->escaped = true;
		else if (c == '"')
			d->in_string = !d->in_string;
		else if (d->in_string)
			continue;
		else if (c == '{' || c == '[')
			d->depth++;
		else if ((c == '}' || c == ']') && --d->depth == 0)
			return true;
	}
	return false;
}

static bool
is_blank(const char *from, const char *end)
{
	while (from < end && is_space(*from))
		from++;
	return from == end;
}

static void
drop_locked(struct doc_file *d)
{
	buf_clear(&d->input);
	d->seen = d->depth = 0;
	d->in_string = d->escaped = false;
}

static int
refuse(const struct fs_env *env, const struct node *n, const char *why)
{
	log_warn(env->lg, "%s/%s: %s: what was written is not taken: %s", node_namespace(n), n->parent->name, n->name, why);
	return -EINVAL;
}

/* Take what has come into account. 1: the document is whole; 0: more is to come; or -errno. */
static int
take_locked(struct fs_env *env, const struct node *n, struct doc_file *d, bool ends_line)
{
	struct backend_status status;

	store_status(env->store, &status);
	if (d->input.failed)
		return -ENOMEM;
	if (d->seen == 0 && d->input.p[0] != '{')
		return refuse(env, n, "it is no JSON object");
	if (!find_end_locked(d)) {
		if (ends_line)
			return refuse(env, n, "it ends within the object");
		if (d->input.len <= status.payload_max)
			return 0;
		(void)refuse(env, n, "it is larger than a message may be");
		return -EMSGSIZE;
	}
	if (!is_blank(d->input.p + d->seen, d->input.p + d->input.len))
		return refuse(env, n, "something follows the object");
	d->input.len = d->seen;
	return 1;
}

int
doc_file_write(struct fs_env *env, const struct node *n, struct doc_file *d, const char *data, size_t size)
{
	bool ends_line = data[size - 1] == '\n' && size % BUFFER_BYTES != 0 && !control_takes_lines(n->control);
	const char *end = data + size;
	struct buf whole = { 0 };
	int err = 0;

	lock_take(&d->lock);
	if (d->input.len == 0)
		while (data < end && is_space(*data))
			data++;
	if (d->refused != 0) {
		err = d->refused;
	} else if (data < end && d->saved) {
		err = refuse(env, n, "there is something behind the object that was saved");
	} else if (data < end) {
		buf_put(&d->input, data, (size_t)(end - data));
		err = take_locked(env, n, d, ends_line);
	}
	if (err == 1) {
		whole = d->input;
		d->input = (struct buf){ 0 };
		d->saved = true; /* unless that fails; nobody else's write comes before it is known */
	}
	if (err < 0)
		d->refused = err;
	if (err != 0)
		drop_locked(d);
	lock_give(&d->lock);
	if (err != 1)
		return err;
	err = control_save(env, n, (struct span){ whole.p, whole.len });
	buf_free(&whole);
	if (err != 0) {
		lock_take(&d->lock);
		d->saved = false;
		lock_give(&d->lock);
	}
	return err;
}

int
doc_file_flush(struct fs_env *env, const struct node *n, struct doc_file *d)
{
	int err = 0;

	lock_take(&d->lock);
	if (d->input.len > 0) {
		err = refuse(env, n, "it ends within the object");
		drop_locked(d);
	}
	lock_give(&d->lock);
	return err;
}
