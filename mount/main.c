/* The program: finds the sub-command and runs it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fs/libfuse.h"
#include "../fs/poker.h"
#include "cli.h"
#include "supervise.h"
#include "version.h"

static int version_main(int argc, char **argv);

static const struct cli_command command_version = {
	.name = "version",
	.summary = "show the versions of Aether and its libraries",
	.usage = "Usage: aether version\n",
	.run = version_main,
};

static int
version_main(int argc, char **argv)
{
	if (argc > 1)
		return cli_usage(&command_version, "unexpected argument '%s'", argv[1]);
	printf("aether %s\nlibfuse %s\n", AETHER_VERSION, fuse_pkgversion());
	return CLI_DONE;
}

static int
supervise_main(int argc, char **argv)
{
	if (argc != 2 || argv[1][0] != '/')
		return cli_usage(&command_supervise, "one absolute path of a state directory is needed");
	return supervise(argv[1]);
}

const struct cli_command command_supervise = {
	.name = "supervise",
	.summary = NULL,
	.usage =
	    "Usage: aether supervise DIR\n"
	    "\n"
	    "Keeps the private nats-server of the state directory DIR running while mounts use it. Mounts start it.\n",
	.run = supervise_main,
};

static int
poke_main(int argc, char **argv)
{
	if (argc != 2 || argv[1][0] != '/')
		return cli_usage(&command_poke, "one absolute path of a mount point is needed");
	return poker_main(argv[1]);
}

const struct cli_command command_poke = {
	.name = "poke",
	.summary = NULL,
	.usage = "Usage: aether poke MOUNTPOINT\n"
		 "\n"
		 "Repeats on a mount what other nodes have changed, so that inotify shows it. The mount starts it.\n",
	.run = poke_main,
};

static const struct cli_command *const commands[] = { &command_mount, &command_umount, &command_append, &command_replay,
	&command_watch, &command_snapshot, &command_import, &command_export, &command_status, &command_cluster,
	&command_node, &command_version, &command_supervise, &command_poke };

static void
print_help(FILE *to)
{
	fputs("Usage: aether COMMAND [ARGUMENT…]\n"
	      "\n"
	      "Actors whose events are lines of append-only files, kept in NATS JetStream.\n"
	      "\n",
	    to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i]->summary != NULL)
			fprintf(to, "  aether %-9s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n`aether COMMAND --help` tells more. Exit codes: 0 done, 1 failed, 2 usage, 3 version conflict.\n", to);
}

static int
print_usage(const char *text)
{
	return fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? CLI_DONE : CLI_FAILED;
}

static bool
is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return CLI_DONE;
	}
	if (strcmp(argv[1], "--version") == 0)
		return version_main(1, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i]->name) != 0)
			continue;
		/* Behind "--" there are arguments only. */
		for (int j = 2; j < argc && strcmp(argv[j], "--") != 0; j++)
			if (is_help(argv[j]))
				return print_usage(commands[i]->usage);
		return commands[i]->run(argc - 1, argv + 1);
	}
	fprintf(stderr, "aether: unknown command '%s'\nTry `aether --help`.\n", argv[1]);
	return CLI_USAGE;
}
