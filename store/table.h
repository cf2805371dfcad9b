/*
 * An intrusive hash table: the entry's struct embeds a link, the caller compares. Grows by doubling, never shrinks.
 *
 * Owns its slot array only. Not locked.
 */
#ifndef AETHER_STORE_TABLE_H
#define AETHER_STORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_link {
	struct table_link *next;
	uint64_t hash;
};

/* All zeros is an empty table. */
struct table {
	struct table_link **slots;
	size_t mask;
	size_t count;
};

typedef bool (*table_match_fn)(const struct table_link *link, const void *key);

/* The entry with that hash for which match says yes, or NULL. */
struct table_link *table_find(const struct table *t, uint64_t hash, table_match_fn match, const void *key);

/* Add an entry (its hash is set here). The caller has made sure that it is not there. 0 or -ENOMEM. */
int table_add(struct table *t, uint64_t hash, struct table_link *link);

/* Take out an entry that is there. */
void table_remove(struct table *t, struct table_link *link);

/* Walk: table_next(t, NULL) is the first entry, NULL is the end. The table must not change meanwhile. */
struct table_link *table_next(const struct table *t, const struct table_link *link);

/* Take out and return any entry, NULL when empty: for tearing down. */
struct table_link *table_pop(struct table *t);

/* Release the slots; entries are the caller's. */
void table_free(struct table *t);

#define container_of(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
