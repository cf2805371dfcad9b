/*
 * The control trees: the hidden directories `.aether` of the root and of every namespace, like /proc.
 *
 * Owns the tables of what is in them; a file's text is made when it is opened. Any thread may call.
 */
#ifndef AETHER_FS_CONTROL_H
#define AETHER_FS_CONTROL_H

#include <stdbool.h>
#include <sys/stat.h>

#include "env.h"
#include "node.h"

#define CONTROL_NAME ".aether"

struct control_entry;

/* Most have a text that is made when they are opened, or fixed or few names; the others are in entries.h, CONTROL_FEED and CONTROL_LINES (feeds of events,
 * and of what happens in the cluster) in feed_file.h, CONTROL_TYPE in type_file.h, CONTROL_OWNED (a directory of links to actors) and CONTROL_LINK in cluster_files.h. */
enum control_kind { CONTROL_PLAIN, CONTROL_EVENTS, CONTROL_EVENT, CONTROL_FROM, CONTROL_AT, CONTROL_TIME, CONTROL_AT_TIME, CONTROL_FEED, CONTROL_LINES, CONTROL_OWNED, CONTROL_LINK, CONTROL_TYPE };
enum control_kind control_kind(const struct control_entry *e);

/* File type and permission bits. */
mode_t control_mode(const struct control_entry *e);

/* Is it one whose place entries.h finds? */
bool control_is_entry(const struct control_entry *e);

/* Is it a directory that has one entry for each actor of its namespace, or for some? */
bool control_lists_actors(const struct control_entry *e);

/* What the entries are of a directory that has one kind of them; NULL: it is no such directory. */
const struct control_entry *control_member(const struct control_entry *e);

/* Is it one that may be gone the next moment: a node, or a link to an actor that is owned? */
bool control_comes_and_goes(const struct control_entry *e);

/* Does its size change of itself? */
bool control_grows(const struct control_entry *e);

/* The `.aether` of a root or namespace node. */
const struct control_entry *control_tree(const struct node *n);

/*
 * What is called name in a control directory. May block. 0, -ENOENT, -ENAMETOOLONG, -EINVAL, or -errno of the store. Whether an
 * entry of entries.h exists is for entries_settle to say.
 */
int control_lookup(
    const struct fs_env *env, const struct node *dir, const char *name, const struct control_entry **out);

/* Called for each name; returns 0 to go on, else that ends the listing. */
typedef int (*control_name_fn)(void *arg, const char *name, mode_t mode);

/* The names in a control directory but CONTROL_EVENTS and one of actors. May block. 0, -errno of the store, or what fn returned. */
int control_list(const struct fs_env *env, const struct node *dir, control_name_fn fn, void *arg);

/* Does it take what is written to it, one document at a time (doc_file.h)? */
bool control_takes(const struct control_entry *e);

/* Is what it takes of many lines, as a rule? */
bool control_takes_lines(const struct control_entry *e);

/* Save a document, whole: a JSON object by its braces, not looked at further. May block. 0, -EINVAL (no such document, the reason is logged), or
 * -errno of the store. */
int control_save(struct fs_env *env, const struct node *file, struct span text);

/* The text that a control file has now, if it has one that is made when it is opened, into out (empty). May block. 0, -EISDIR, -ENOMEM, or -errno of the store. */
int control_text(struct fs_env *env, const struct node *file, struct buf *out);

#endif
