#include "fold.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <xxhash.h>

#include "json.h"
#include "table.h"

/* As many members are found faster one after the other than by their hash. */
#define LISTED_MAX 8

/* A value's memory is kept for the next one, unless that needs less than this part of it. */
#define ROOM_MIN 64
#define ROOM_PART 4

struct object {
	struct member *first;
	struct member *last;
	size_t count;
	struct table index; /* without slots, or of all members */
};

/*
 * The key as it was written lies at the beginning of bytes. The name, which is the key with its escapes decoded, lies
 * behind it, or is the key itself if that has none: every escape is longer than what it stands for, so that is when
 * they have the same length.
 */
struct member {
	struct table_link link; /* in the object's index */
	struct member *prev;
	struct member *next;
	struct object *object; /* the value, or NULL: it is text */
	char *text;
	size_t len;
	size_t room;
	size_t key_len;
	size_t name_len;
	char bytes[];
};

struct fold {
	struct object root;
	size_t len;
	size_t bytes;
	uint64_t seed; /* differs between runs, so that nobody can write keys that all have the same hash */
};

/*
 * A patch that has been checked as a whole, so that what is read below fails for want of memory only. No value ends up
 * deeper than it was in the patch or the state it came from: so the result nests no deeper than JSON_DEPTH_MAX either,
 * and recursion is bounded.
 */
struct patch {
	struct fold *f;
	const char *end;
	bool nulls_delete; /* else the text is a whole state */
	struct buf name;
};

struct key {
	struct span raw;
	struct span name;
};

static struct span
name_of(const struct member *m)
{
	return (struct span){ m->bytes + (m->name_len == m->key_len ? 0 : m->key_len), m->name_len };
}

static size_t
member_size(const struct member *m)
{
	return sizeof(*m) + m->key_len + (m->name_len == m->key_len ? 0 : m->name_len);
}

static size_t
index_size(const struct object *o)
{
	return o->index.slots != NULL ? (o->index.mask + 1) * sizeof(*o->index.slots) : 0;
}

static uint64_t
hash_of(const struct fold *f, struct span name)
{
	return XXH3_64bits_withSeed(name.p, name.len, f->seed);
}

static bool
has_name(const struct table_link *link, const void *name)
{
	return span_eq(name_of(container_of(link, struct member, link)), *(const struct span *)name);
}

static struct member *
find(const struct fold *f, const struct object *o, struct span name)
{
	if (o->index.slots != NULL) {
		struct table_link *link = table_find(&o->index, hash_of(f, name), has_name, &name);
		return link != NULL ? container_of(link, struct member, link) : NULL;
	}
	for (struct member *m = o->first; m != NULL; m = m->next)
		if (span_eq(name_of(m), name))
			return m;
	return NULL;
}

/* The last member of o has just been added. An index that cannot be made is done without. */
static void
index_last(struct fold *f, struct object *o)
{
	struct member *m = o->index.slots != NULL ? o->last : o->first;

	if (o->index.slots == NULL && o->count <= LISTED_MAX)
		return;
	f->bytes -= index_size(o);
	for (; m != NULL; m = m->next)
		if (table_add(&o->index, hash_of(f, name_of(m)), &m->link) != 0)
			break;
	f->bytes += index_size(o);
}

static void
drop_index(struct fold *f, struct object *o)
{
	f->bytes -= index_size(o);
	table_free(&o->index);
}

static void free_members(struct fold *f, struct object *o);

static void
free_object(struct fold *f, struct member *m)
{
	if (m->object == NULL)
		return;
	free_members(f, m->object);
	free(m->object);
	m->object = NULL;
	f->bytes -= sizeof(struct object);
	f->len -= SPAN("{}").len;
}

static void
free_text(struct fold *f, struct member *m)
{
	free(m->text);
	m->text = NULL;
	f->bytes -= m->room;
	f->len -= m->len;
	m->room = m->len = 0;
}

/* The quotes and the colon, and a comma between two members. */
static size_t
text_around(const struct object *o, const struct member *m)
{
	return m->key_len + 3 + (o->count > 1);
}

static void
remove_member(struct fold *f, struct object *o, struct member *m)
{
	f->len -= text_around(o, m);
	f->bytes -= member_size(m);
	*(m->prev != NULL ? &m->prev->next : &o->first) = m->next;
	*(m->next != NULL ? &m->next->prev : &o->last) = m->prev;
	o->count--;
	if (o->index.slots != NULL)
		table_remove(&o->index, &m->link);
	/* Not as soon as it could be: one member more or less must not make and drop it each time. */
	if (o->count <= LISTED_MAX / 2)
		drop_index(f, o);
	free_object(f, m);
	free_text(f, m);
	free(m);
}

static void
free_members(struct fold *f, struct object *o)
{
	while (o->last != NULL)
		remove_member(f, o, o->last);
}

/* A member without a value, which the caller sets. */
static struct member *
add_member(struct fold *f, struct object *o, const struct key *key)
{
	bool same = key->name.len == key->raw.len;
	struct member *m = malloc(sizeof(*m) + key->raw.len + (same ? 0 : key->name.len));

	if (m == NULL)
		return NULL;
	*m = (struct member){ .prev = o->last, .key_len = key->raw.len, .name_len = key->name.len };
	memcpy(m->bytes, key->raw.p, key->raw.len);
	if (!same)
		memcpy(m->bytes + key->raw.len, key->name.p, key->name.len);
	*(o->last != NULL ? &o->last->next : &o->first) = m;
	o->last = m;
	o->count++;
	f->bytes += member_size(m);
	f->len += text_around(o, m);
	index_last(f, o);
	return m;
}

static int
set_text(struct fold *f, struct member *m, struct span text)
{
	if (text.len > m->room || (m->room > ROOM_MIN && text.len < m->room / ROOM_PART)) {
		char *p = realloc(m->text, text.len);
		if (p == NULL)
			return -ENOMEM;
		f->bytes += text.len - m->room;
		m->text = p;
		m->room = text.len;
	}
	free_object(f, m);
	memcpy(m->text, text.p, text.len);
	f->len += text.len - m->len;
	m->len = text.len;
	return 0;
}

static int
set_object(struct fold *f, struct member *m)
{
	struct object *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return -ENOMEM;
	free_object(f, m);
	free_text(f, m);
	m->object = o;
	f->bytes += sizeof(*o);
	f->len += SPAN("{}").len;
	return 0;
}

static struct span
rest(const struct patch *patch, const char *p)
{
	return (struct span){ p, (size_t)(patch->end - p) };
}

/* The place of the value that follows the key at p, or NULL. The key is good until the next is read. */
static const char *
read_key(struct patch *patch, const char *p, struct key *key)
{
	const char *end = json_compact_value(rest(patch, p));

	key->raw = key->name = (struct span){ p + 1, (size_t)(end - p) - 2 };
	if (memchr(key->raw.p, '\\', key->raw.len) != NULL) {
		buf_clear(&patch->name);
		char *to = buf_reserve(&patch->name, key->raw.len);
		if (to == NULL)
			return NULL;
		key->name = (struct span){ to, (size_t)json_unescape_any(key->raw, to) };
	}
	return end + 1;
}

static const char *merge_object(struct patch *patch, struct object *into, const char *p);

/* Like all that read a patch: p is where the value begins; returns its end, or NULL for want of memory. */
static const char *
merge_value(struct patch *patch, struct member *m, const char *p)
{
	if (*p == '{') {
		bool into_it = m->object != NULL && patch->nulls_delete;
		return into_it || set_object(patch->f, m) == 0 ? merge_object(patch, m->object, p) : NULL;
	}
	const char *end = json_compact_value(rest(patch, p));
	return set_text(patch->f, m, (struct span){ p, (size_t)(end - p) }) == 0 ? end : NULL;
}

static const char *
merge_member(struct patch *patch, struct object *into, const struct key *key, const char *p)
{
	struct member *m = find(patch->f, into, key->name);

	if (*p == 'n' && patch->nulls_delete) {
		if (m != NULL)
			remove_member(patch->f, into, m);
		return p + SPAN("null").len;
	}
	bool had_value = m != NULL;
	if (m == NULL && (m = add_member(patch->f, into, key)) == NULL)
		return NULL;
	p = merge_value(patch, m, p);
	if (p == NULL && !had_value)
		remove_member(patch->f, into, m);
	return p;
}

static const char *
merge_object(struct patch *patch, struct object *into, const char *p)
{
	if (p[1] == '}')
		return p + 2;
	do {
		struct key key;
		p = read_key(patch, p + 1, &key);
		if (p != NULL)
			p = merge_member(patch, into, &key, p);
	} while (p != NULL && *p == ',');
	return p != NULL ? p + 1 : NULL;
}

static int
merge_text(struct fold *f, struct span text, bool nulls_delete)
{
	struct patch patch = { .f = f, .nulls_delete = nulls_delete };
	struct arena arena = { 0 };
	struct span minified;
	const char *why;
	int err = text.p == NULL ? -EINVAL : json_object(text, &arena, NULL, NULL, &minified, &why);

	if (err == 0) {
		patch.end = minified.p + minified.len;
		if (merge_object(&patch, &f->root, minified.p) == NULL)
			err = -ENOMEM;
	}
	buf_free(&patch.name);
	arena_free(&arena);
	return err;
}

static struct fold
empty(const struct fold *f)
{
	return (struct fold){ .len = SPAN("{}").len, .bytes = sizeof(*f), .seed = (uintptr_t)f };
}

int
fold_new(struct fold **out)
{
	struct fold *f = malloc(sizeof(*f));

	if (f == NULL)
		return -ENOMEM;
	*f = empty(f);
	*out = f;
	return 0;
}

int
fold_load(struct fold *f, struct span text)
{
	struct fold loaded = empty(f);
	int err = merge_text(&loaded, text, false);

	if (err == 0) {
		struct fold old = *f;
		*f = loaded;
		loaded = old;
	}
	free_members(&loaded, &loaded.root);
	return err;
}

int
fold_merge(struct fold *f, struct span patch)
{
	return merge_text(f, patch, true);
}

static void
put_object(const struct object *o, struct buf *out)
{
	buf_putc(out, '{');
	for (const struct member *m = o->first; m != NULL; m = m->next) {
		if (m != o->first)
			buf_putc(out, ',');
		buf_putc(out, '"');
		buf_put(out, m->bytes, m->key_len);
		buf_put(out, "\":", 2);
		if (m->object != NULL)
			put_object(m->object, out);
		else
			buf_put(out, m->text, m->len);
	}
	buf_putc(out, '}');
}

int
fold_text(const struct fold *f, struct buf *out)
{
	buf_reserve(out, f->len);
	put_object(&f->root, out);
	return out->failed ? -ENOMEM : 0;
}

size_t
fold_len(const struct fold *f)
{
	return f->len;
}

size_t
fold_bytes(const struct fold *f)
{
	return f->bytes;
}

void
fold_free(struct fold *f)
{
	if (f == NULL)
		return;
	free_members(f, &f->root);
	free(f);
}
