/*
 * Names and heads of many actors in little memory: about 100 bytes each with a name of 20.
 *
 * Owns the names (in chunks, one behind the other), the entries (in chunks that never move) and a hash table of entry numbers. An entry
 * is numbered by its arrival and keeps its number; it is never taken out, but may stop to live and live again. Not locked.
 */
#ifndef AETHER_STORE_INDEX_TABLE_H
#define AETHER_STORE_INDEX_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

struct index_item {
	struct head head; /* seq 0: there is no such actor (any more) */
	const char *name; /* lives as long as the table */
};

#define INDEX_TABLE_CHUNKS 28

struct index_names;

/* All zeros is an empty table. */
struct index_table {
	struct index_item *chunks[INDEX_TABLE_CHUNKS]; /* chunk i holds 16 << i items */
	uint32_t count;
	uint32_t mask;             /* slots - 1 */
	struct index_slot *slots;  /* NULL: none yet */
	struct index_names *names; /* the newest chunk of them */
};

/* NULL if the name was never put in. */
struct index_item *index_table_find(const struct index_table *t, const char *name);

/* The item with that name, made with a head of zeros if it is not there. NULL: out of memory. */
struct index_item *index_table_put(struct index_table *t, const char *name);

/* number < count */
struct index_item *index_table_at(const struct index_table *t, uint32_t number);

void index_table_free(struct index_table *t);

#endif
