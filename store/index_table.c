#include "index_table.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define FIRST_CHUNK 16
#define FIRST_SLOTS 32
#define NAMES_MIN 1024
#define NAMES_MAX (256 * 1024)

/* The hash stands beside the number, so that a probe seldom looks at a name, and growing at none. */
struct index_slot {
	uint32_t hash;
	uint32_t number; /* + 1; 0: empty */
};

struct index_names {
	struct index_names *older;
	size_t size;
	size_t used;
	char text[];
};

static uint32_t
hash_of(const char *name, size_t len)
{
	return (uint32_t)XXH3_64bits(name, len);
}

/* Chunk i begins with item 16 * (2^i - 1). */
struct index_item *
index_table_at(const struct index_table *t, uint32_t number)
{
	uint64_t n = (uint64_t)number + FIRST_CHUNK;
	unsigned chunk = 63 - (unsigned)__builtin_clzll(n) - 4;

	return &t->chunks[chunk][n - ((uint64_t)FIRST_CHUNK << chunk)];
}

static struct index_slot *
probe(const struct index_table *t, uint32_t hash, const char *name)
{
	for (uint32_t i = hash & t->mask;; i = (i + 1) & t->mask) {
		struct index_slot *slot = &t->slots[i];
		if (slot->number == 0)
			return slot;
		if (slot->hash == hash && strcmp(index_table_at(t, slot->number - 1)->name, name) == 0)
			return slot;
	}
}

struct index_item *
index_table_find(const struct index_table *t, const char *name)
{
	if (t->slots == NULL)
		return NULL;
	const struct index_slot *slot = probe(t, hash_of(name, strlen(name)), name);
	return slot->number == 0 ? NULL : index_table_at(t, slot->number - 1);
}

/* At most four fifths of the slots are taken. */
static bool
make_slot(struct index_table *t)
{
	uint64_t slots = t->slots == NULL ? FIRST_SLOTS : ((uint64_t)t->mask + 1) * 2;

	if (t->slots != NULL && ((uint64_t)t->count + 1) * 5 <= ((uint64_t)t->mask + 1) * 4)
		return true;
	struct index_slot *fresh = slots > UINT32_MAX ? NULL : calloc(slots, sizeof(*fresh));
	if (fresh == NULL)
		return t->slots != NULL && t->count < t->mask;
	for (uint64_t i = 0; t->slots != NULL && i <= t->mask; i++) {
		if (t->slots[i].number == 0)
			continue;
		uint64_t at = t->slots[i].hash & (slots - 1);
		while (fresh[at].number != 0)
			at = (at + 1) & (slots - 1);
		fresh[at] = t->slots[i];
	}
	free(t->slots);
	t->slots = fresh;
	t->mask = (uint32_t)(slots - 1);
	return true;
}

static struct index_item *
make_item(struct index_table *t)
{
	uint64_t n = (uint64_t)t->count + FIRST_CHUNK;
	unsigned chunk = 63 - (unsigned)__builtin_clzll(n) - 4;

	if (chunk >= INDEX_TABLE_CHUNKS)
		return NULL;
	/* What is not used of a large chunk is address space, no memory. */
	if (t->chunks[chunk] == NULL)
		t->chunks[chunk] = malloc(((size_t)FIRST_CHUNK << chunk) * sizeof(*t->chunks[chunk]));
	return t->chunks[chunk] != NULL ? index_table_at(t, t->count) : NULL;
}

static const char *
keep_name(struct index_table *t, const char *name, size_t size)
{
	struct index_names *names = t->names;

	if (names == NULL || names->size - names->used < size) {
		size_t chunk = names == NULL ? NAMES_MIN : names->size * 2;
		chunk = chunk > NAMES_MAX ? NAMES_MAX : chunk;
		names = malloc(sizeof(*names) + chunk);
		if (names == NULL)
			return NULL;
		*names = (struct index_names){ .older = t->names, .size = chunk };
		t->names = names;
	}
	char *kept = memcpy(names->text + names->used, name, size);
	names->used += size;
	return kept;
}

struct index_item *
index_table_put(struct index_table *t, const char *name)
{
	size_t len = strlen(name);
	uint32_t hash = hash_of(name, len);
	struct index_item *item = index_table_find(t, name);

	if (item != NULL)
		return item;
	if (len >= NAMES_MIN || !make_slot(t) || (item = make_item(t)) == NULL)
		return NULL;
	*item = (struct index_item){ .name = keep_name(t, name, len + 1) };
	if (item->name == NULL)
		return NULL;
	*probe(t, hash, name) = (struct index_slot){ hash, ++t->count };
	return item;
}

void
index_table_free(struct index_table *t)
{
	for (size_t i = 0; i < INDEX_TABLE_CHUNKS; i++)
		free(t->chunks[i]);
	while (t->names != NULL) {
		struct index_names *older = t->names->older;
		free(t->names);
		t->names = older;
	}
	free(t->slots);
	*t = (struct index_table){ 0 };
}
