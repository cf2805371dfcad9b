/*
 * The node's log: one line an entry, "TIME LEVEL text", to a file or to standard error.
 *
 * Any thread may call. A line is one write(2) with O_APPEND, so lines never mix. Control characters in
 * the text (a user's input may be quoted in it) are shown as \xNN, so that one entry is always one line.
 */
#ifndef AETHER_STORE_LOGGER_H
#define AETHER_STORE_LOGGER_H

struct logger;

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/*
 * Log to the file at path (created with mode 0600, appended to), or to standard error if path is NULL.
 * Entries below least are dropped. Returns 0 and a logger in *out that logger_free releases, or -errno.
 */
int logger_new(struct logger **out, const char *path, enum log_level least);

/* NULL is fine. */
void logger_free(struct logger *lg);

/* Write one entry. lg may be NULL (nothing is written). Of any length. Never fails visibly; may block on the disk. */
void log_at(struct logger *lg, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_info(lg, ...) log_at((lg), LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(lg, ...) log_at((lg), LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(lg, ...) log_at((lg), LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
