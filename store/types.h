/*
 * The events of a namespace by their type: all of one type, in stream order, as one text that only grows at its end.
 *
 * Owns, for each namespace that is asked for, an index of which records hold events of which type (type_table.h), which is made from the
 * stream when it is first needed, and brought up to date when somebody looks; in between nothing follows, and nothing polls. What is read
 * is fetched from the backend again. Knows nothing of FUSE. Any thread may call.
 *
 * A type's text changes other than by growing only when an actor is erased, or the namespace made anew: then those who have it open are
 * told -ESTALE. The chain across records is not verified here: what is not one of Aether's records, or no event's line, is passed over, and
 * logged once.
 */
#ifndef AETHER_STORE_TYPES_H
#define AETHER_STORE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

/* Memory for the indexes of all namespaces. Beyond it those are dropped that nobody has used for longest; the last one stays, however large. */
#define TYPES_BYTES_MAX (64ULL << 20)
/* What nobody has used for that long is dropped. */
#define TYPES_IDLE_NS (600 * NS_PER_SEC)
/* What one who reads on and on has in memory, at most, or one record if that is larger. */
#define TYPES_AHEAD_MAX (4ULL << 20)

struct types;
struct type;
struct type_reader;
struct all_types;

/* The store's one index of that namespace, counted; give it back with types_put. Does not ask for anything. 0 or -ENOMEM. */
int types_get(struct store *s, const char *ns, struct types **out);
/* NULL is fine. */
void types_put(struct types *t);

/*
 * Bring it up to date: max_age_ns and stale_ok as in store_ns_info say how far. With 0 and false it has every event whose append had
 * returned, on any node, before the call. Blocks: the first time as long as it takes to read the whole stream, and otherwise, or when nothing
 * comes, at most store_options.timeout_ns. 0, -ENOENT (no such namespace), -ETIMEDOUT, -ENOMEM, or as backend.h says.
 */
int types_update(struct types *t, int64_t max_age_ns, bool stale_ok);

/* The type, if there are events of it as far as is known; else NULL. It stays as long as t is counted. */
struct type *types_find(struct types *t, struct span name);
/* The first one (after NULL), or the next one behind it, in the order in which they came up; NULL: no more. */
struct type *types_next(struct types *t, struct type *after);
struct span types_name(const struct type *type);
/* Bytes of its text, and when the newest record of it was made (Unix microseconds). */
void types_stat(struct types *t, const struct type *type, uint64_t *size, int64_t *time_us);

/* An actor has been erased, as somebody else found out: what is open is looked at again before more of it is read. Does not block. */
void types_erased(struct store *s, const char *ns);

/* Reads one type's text, as it is now and as it grows. Counts t. 0 or -ENOMEM. */
int type_reader_new(struct types *t, struct type *type, struct type_reader **out);
/*
 * Append what there is at the offset, at most size bytes: less only at the end. Reading on is made cheap by fetching ahead. Blocks; threads take
 * turns. 0; -ESTALE: an actor of which there were events was erased, or the namespace made anew; -EIO: a record is missing; -ETIMEDOUT; -ENOMEM.
 */
int type_read(struct type_reader *r, uint64_t offset, size_t size, struct buf *out);
/* NULL is fine. */
void type_reader_free(struct type_reader *r);

/* For store.c: make, end (before the backend is freed), free. */
int all_types_new(struct all_types **out, struct store *s);
void all_types_stop(struct all_types *all);
void all_types_free(struct all_types *all);

#endif
