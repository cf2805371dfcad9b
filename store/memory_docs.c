/* Documents in memory: one behind the other, as they were put. */
#include <errno.h>
#include <stdlib.h>

#include "memory.h"
#include "memory_state.h"

struct mem_doc {
	struct mem_doc *next; /* newer */
	enum doc_kind kind;
	uint64_t seq;
	char *ns, *actor;
	struct buf text;
};

static bool
is_of(const struct mem_doc *d, const struct doc_name *name)
{
	return d->kind == name->kind && strcmp(d->ns, name->ns) == 0 && strcmp(d->actor, name->actor != NULL ? name->actor : "") == 0;
}

static void
free_doc(struct mem_doc *d)
{
	free(d->ns);
	free(d->actor);
	buf_free(&d->text);
	free(d);
}

/* The last of that name, and how many there are. */
static struct mem_doc *
last_locked(const struct memory *m, const struct doc_name *name, size_t *count)
{
	struct mem_doc *last = NULL;

	*count = 0;
	for (struct mem_doc *d = m->docs; d != NULL; d = d->next) {
		if (is_of(d, name)) {
			last = d;
			++*count;
		}
	}
	return last;
}

static void
drop_oldest_locked(struct memory *m, const struct doc_name *name)
{
	for (struct mem_doc **at = &m->docs; *at != NULL; at = &(*at)->next) {
		struct mem_doc *d = *at;
		if (is_of(d, name)) {
			*at = d->next;
			free_doc(d);
			return;
		}
	}
}

static struct mem_doc *
new_doc(const struct doc_name *name, struct span text)
{
	struct mem_doc *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->kind = name->kind;
	d->ns = strdup(name->ns);
	d->actor = strdup(name->actor != NULL ? name->actor : "");
	buf_put_span(&d->text, text);
	if (d->ns != NULL && d->actor != NULL && !d->text.failed)
		return d;
	free_doc(d);
	return NULL;
}

int
memory_doc_put(struct backend *b, const struct doc_name *name, const uint64_t *behind, struct span text, int64_t deadline_ns,
    uint64_t *seq)
{
	struct memory *m = container_of(b, struct memory, base);
	struct mem_doc *d = new_doc(name, text), **end = &m->docs;
	size_t count;
	int err = text.len > MEMORY_PAYLOAD_MAX ? -EMSGSIZE : 0;

	(void)deadline_ns;
	if (d == NULL)
		return -ENOMEM;
	lock_take(&m->lock);
	const struct mem_doc *last = last_locked(m, name, &count);
	if (err == 0 && behind != NULL && *behind != (last != NULL ? last->seq : 0))
		err = -ESTALE;
	if (err == 0) {
		while (*end != NULL)
			end = &(*end)->next;
		*end = d;
		d->seq = *seq = ++m->doc_seq;
		if (count == DOC_KEPT && name->kind != DOC_MODEL)
			drop_oldest_locked(m, name);
	}
	lock_give(&m->lock);
	if (err != 0)
		free_doc(d);
	else if (name->kind == DOC_MODEL)
		listener_tell(&m->models, name->ns);
	return err;
}

int
memory_doc_list(struct backend *b, enum doc_kind kind, int64_t deadline_ns, uint64_t *last_seq, backend_name_fn fn, void *arg)
{
	struct memory *m = container_of(b, struct memory, base);
	struct buf names = { 0 };

	(void)deadline_ns;
	lock_take(&m->lock);
	*last_seq = m->doc_seq;
	for (const struct mem_doc *d = m->docs; d != NULL; d = d->next)
		if (d->kind == kind)
			buf_put(&names, d->ns, strlen(d->ns) + 1);
	lock_give(&m->lock);
	int err = names.failed ? -ENOMEM : 0;
	for (size_t at = 0; err == 0 && at < names.len; at += strlen(names.p + at) + 1)
		err = fn(arg, names.p + at);
	buf_free(&names);
	return err;
}

void
memory_models_listen(struct backend *b, void (*changed)(void *arg, const char *ns), void *arg)
{
	listener_set(&container_of(b, struct memory, base)->models, changed, arg);
}

int
memory_doc_get(struct backend *b, const struct doc_name *name, uint64_t from_seq, int64_t deadline_ns, struct buf *text,
    uint64_t *seq)
{
	struct memory *m = container_of(b, struct memory, base);
	const struct mem_doc *found = NULL;

	(void)deadline_ns;
	lock_take(&m->lock);
	for (const struct mem_doc *d = m->docs; d != NULL && (from_seq == 0 || found == NULL); d = d->next)
		if (is_of(d, name) && d->seq >= from_seq)
			found = d;
	if (found != NULL) {
		buf_put(text, found->text.p, found->text.len);
		*seq = found->seq;
	}
	lock_give(&m->lock);
	return found == NULL ? -ENOENT : text->failed ? -ENOMEM : 0;
}

int
memory_doc_drop(struct backend *b, const char *ns, const char *actor, int64_t deadline_ns)
{
	struct memory *m = container_of(b, struct memory, base);

	(void)deadline_ns;
	lock_take(&m->lock);
	for (struct mem_doc **at = &m->docs; *at != NULL;) {
		struct mem_doc *d = *at;
		if (d->kind == DOC_MODEL || strcmp(d->ns, ns) != 0 || (actor != NULL && strcmp(d->actor, actor) != 0)) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		free_doc(d);
	}
	lock_give(&m->lock);
	return 0;
}

void
memory_docs_free(struct memory *m)
{
	while (m->docs != NULL) {
		struct mem_doc *d = m->docs;
		m->docs = d->next;
		free_doc(d);
	}
}
