/*
 * What all sub-commands share: their table, exit codes, messages, and reading an argument vector. Any thread.
 */
#ifndef AETHER_MOUNT_CLI_H
#define AETHER_MOUNT_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "../store/buf.h"

enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_CONFLICT = 3 };

struct cli_command {
	const char *name;
	const char *summary; /* one line; NULL hides the command from the overview */
	const char *usage;   /* the whole help, newline at the end */
	/* argv[0] is the command's name. Returns an exit code. May overwrite the text of argv. */
	int (*run)(int argc, char **argv);
};

extern const struct cli_command command_mount, command_umount, command_append, command_replay, command_status,
    command_supervise, command_poke, command_watch, command_cluster, command_node, command_snapshot, command_import,
    command_export;

/* "aether: <text>" and a newline, on standard error. Returns CLI_FAILED. */
int cli_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for a wrong command line, with a pointer to the command's --help. Returns CLI_USAGE. */
int cli_usage(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One option: `--name`, or `-c` if letter is not 0; name may be NULL. A value follows as the next argument, as
 * `--name=value` or `-cvalue`. */
struct cli_option {
	const char *name;
	char letter;
	bool has_value;
	int id; /* >= 0 */
};

enum { CLI_END = -1, CLI_ARGUMENT = -2, CLI_BAD = -3 };

struct cli {
	int argc;
	char *const *argv;
	int next;                         /* set to 1 to begin */
	const struct cli_option *options; /* ended by one without name and letter */
	bool only_arguments;              /* "--" was there */
};

/*
 * The next option's id with its value, or CLI_ARGUMENT with the argument as the value ("-" is one), or CLI_END, or
 * CLI_BAD with what is wrong in why. Values are borrowed from argv.
 */
int cli_next(struct cli *c, const char **value, struct buf *why);

/* Read a version, from least to EVENT_VERSION_MAX, in decimal digits. False if text is anything else. */
bool cli_version(const char *text, uint64_t least, uint64_t *version);

#endif
