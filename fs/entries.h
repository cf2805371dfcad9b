/*
 * Parts of an actor's file as files of their own: `events/<N>`, the event with version N; `from/<N>`, the file from the first event
 * with version N or more on; `at/<time>`, the file as it was at an RFC 3339 time, in the actor's control directory, and for
 * all actors of a namespace below `at/<time>/` in its own.
 *
 * Owns what is known of an entry's place in the actor's file, kept by the entry's node. Any thread may call.
 *
 * Which exist: events/<N> for each version of the actor, and no other. from/<N> for each N up to the latest version +
 * 1; where N is in a gap it begins with the next event, and at latest + 1 it is empty until there is one. What exists
 * never goes away or changes, but that a from/<N> grows as the actor does, and that all are gone when the actor is erased.
 *
 * Times are JetStream's (store_seq_at): what was stored up to a time is what every node finds there, for ever. A time that has not come
 * does not exist, nor does an actor at a time before its first event. What has been erased since is gone from the past as well.
 */
#ifndef AETHER_FS_ENTRIES_H
#define AETHER_FS_ENTRIES_H

#include <stdint.h>

#include "env.h"
#include "node.h"

/* Is that the name of an entry? Decimal digits without leading zeros, at most EVENT_VERSION_MAX. 0 or -EINVAL. */
int entries_check_name(const char *name);

/* Is that the name of a time? 0 or -EINVAL. */
int entries_check_time(const char *name);

/* Find an entry's place, unless its node has it already, in the actor's present life. Blocks. 0, -ENOENT, or -errno of the store. */
int entries_settle(const struct fs_env *env, struct node *n);

/* Size in bytes and time of the last change (Unix microseconds) of an entry that was settled. May block. 0, -ENOENT (not in the actor's
 * present life, as far as is known: settle it anew), or -errno of the store. */
int entries_stat(const struct node *n, uint64_t *size, int64_t *time_us);

/* The content of an events/<N>. Blocks. 0 or -errno of the store. */
int entries_text(struct fs_env *env, const struct node *n, struct buf *out);

/* Which part of an actor's file an entry is that was settled: all but an events/<N>, and a time's directory. */
struct entry_part {
	struct actor *actor; /* as long as the entry's node is counted */
	uint64_t base;       /* the byte in the actor's file where it begins */
	uint64_t life;       /* of the actor */
	bool past;           /* it ends where end says, and never grows */
	struct head end;
};
void entries_part(const struct node *n, struct entry_part *part);

/* Was the actor there at the time of that directory, which was settled? Blocks. 1, 0, or -errno of the store. */
int entries_was_there(const struct fs_env *env, const struct node *time, const char *actor, const struct head *known);

/* The actor of an `actors/<actor>` directory, as long as that is counted: what is read of it stays in the cache. 0 or -ENOMEM. */
int entries_actor(const struct fs_env *env, struct node *dir, struct actor **out);

/* NULL is fine. */
void entry_free(struct entry *e);

/*
 * The listing of an `events`: the versions that exist, as they were when it was opened or rewound. It is read from the
 * actor piece by piece, in bounded memory. One thread at a time.
 */
struct event_list;

/* dir must be counted as long as the list is there. Blocks. 0, -ENOMEM, or -errno of the store. */
int event_list_new(const struct fs_env *env, const struct node *dir, struct event_list **out);

/* Take the actor's end anew. Blocks. 0 or -errno of the store. */
int event_list_rewind(struct event_list *l);

/*
 * The name of the event at a position, from 0; borrowed until the next call. Going up one by one, or asking for the
 * same again, is cheap; another position is searched for. Blocks. 1, 0 behind the end, or -errno of the store.
 */
int event_list_at(struct event_list *l, uint64_t position, const char **name);

/* NULL is fine. */
void event_list_free(struct event_list *l);

#endif
