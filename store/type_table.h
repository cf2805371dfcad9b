/*
 * Which records of a namespace hold events of which type, kept small: of each record its sequence, the bytes of that type in it, and whose
 * it is, about five bytes; so the byte at any place of a type's file is found, and what an erased actor had is taken out.
 *
 * Owns the types, their entries, and numbers for the actors. What is added, or taken out, shows when it is settled. Types stay until the
 * table is freed, also those of which nothing is left. Knows nothing of where records come from. Not locked.
 */
#ifndef AETHER_STORE_TYPE_TABLE_H
#define AETHER_STORE_TYPE_TABLE_H

#include <stdint.h>

#include "buf.h"
#include "table.h"

/* So many entries are read, at most, to find one. */
#define TYPE_MARK_EVERY 128

/* The end of a type's entries. */
struct type_end {
	uint64_t size;  /* bytes in all entries */
	uint64_t count; /* entries */
	uint64_t seq;   /* of the last one; 0: none */
};

struct type {
	struct table_link link;
	struct type *next;     /* in the order in which they were seen first */
	uint64_t generation;   /* how often something that showed was taken out: offsets are others then */
	uint64_t shown_size;   /* bytes of the file; 0: there is none */
	int64_t shown_time_us; /* of the newest record that ever showed */

	/* Private. */
	struct buf entries; /* each: sequence behind that of the one before, bytes, actor, as variable-length numbers */
	struct buf marks;   /* struct mark, one for every TYPE_MARK_EVERY entries */
	struct type_end end;
	int64_t time_us;
	uint64_t open; /* bytes of the record that is being added */
	struct type *next_open;

	size_t name_len;
	char name[];
};

/* All zeros is empty. */
struct type_table {
	struct table by_name;
	struct type *first, *last;

	/* Private. */
	struct type *open;   /* those that the record which is being added has events of */
	struct buf actors;   /* a digest of each one's name, by number */
	uint32_t *slots;     /* hash table of numbers + 1 */
	size_t slots_mask;
	struct buf erasures; /* struct erasure, not settled yet */
	bool failed;         /* for want of memory */
};

/* NULL: not seen, or (put) no memory for it. */
struct type *type_table_find(const struct type_table *t, struct span name);
struct type *type_table_put(struct type_table *t, struct span name);

/* A record has so many bytes (more) of that type. */
void type_table_count(struct type_table *t, struct type *type, uint64_t bytes);
/* That was all of it. The sequence is higher than that of any record before. */
void type_table_add(struct type_table *t, uint64_t seq, struct span actor, int64_t time_us);

/* What was added of the actor is gone as far as it stands before that sequence. */
void type_table_erase(struct type_table *t, struct span actor, uint64_t before_seq);

/* Show what has been added, and no more what is gone. 0, or -ENOMEM: the table must be cleared. */
int type_table_settle(struct type_table *t);

/* Nothing is there any more but the types themselves. */
void type_table_clear(struct type_table *t);
/* The same, and the types are gone too. */
void type_table_free(struct type_table *t);

/* Memory in use, about. */
uint64_t type_table_bytes(const struct type_table *t);

/* An entry: a record and its part of the type's file. */
struct type_entry {
	uint64_t offset;
	uint64_t seq;
	uint64_t bytes;
	uint32_t actor;
};

/* Walk through a type's entries. The table must not change meanwhile. */
struct type_walk {
	const struct type *type;
	size_t at;
	uint64_t offset; /* behind the last entry */
	uint64_t seq;
};

/* Before the entry in which a byte of the file lies. */
void type_walk_begin(struct type_walk *w, const struct type *type, uint64_t offset);
bool type_walk_next(struct type_walk *w, struct type_entry *e);

#endif
