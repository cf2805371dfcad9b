#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "options.h"
#include "paths.h"
#include "service.h"
#include "version.h"

/* How long a node that is told to end waits for others to take its shards. */
#define DRAIN_NS (10 * NS_PER_SEC)

static void
block_signals(sigset_t *ending)
{
	sigemptyset(ending);
	sigaddset(ending, SIGINT);
	sigaddset(ending, SIGTERM);
	sigaddset(ending, SIGHUP);
	/* In all threads, which are still to come: they are waited for below. */
	pthread_sigmask(SIG_BLOCK, ending, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int
serve(struct service *s, const char *log)
{
	struct buf why = { 0 };
	sigset_t ending;
	int got = 0;

	block_signals(&ending);
	int err = logger_new(&s->lg, log, LOG_LEVEL_INFO);
	if (err != 0)
		return cli_fail("cannot open the log %s: %s", log != NULL ? log : "", strerror(-err));
	log_info(s->lg, "aether %s, node %s", AETHER_VERSION, buf_text(&s->node_id));
	err = service_open(s, &why);
	if (err == 0)
		err = service_join(s, &why);
	if (err != 0) {
		cli_fail("%s", buf_text(&why));
	} else {
		/* For who waits for it. */
		printf("%s\n", buf_text(&s->node_id));
		fflush(stdout);
		sigwait(&ending, &got);
		log_info(s->lg, "ending: %s", strsignal(got));
		if (cluster_drain(s->cluster, DRAIN_NS) != 0)
			log_warn(s->lg, "not all shards were taken by others in time");
	}
	service_close(s);
	log_info(s->lg, "node %s has ended", buf_text(&s->node_id));
	logger_free(s->lg);
	buf_free(&why);
	return err == 0 ? CLI_DONE : CLI_FAILED;
}

static int
node_main(int argc, char **argv)
{
	struct options o;
	struct service s = { .o = &o, .clock = clock_system() };
	struct buf why = { 0 }, log = { 0 };
	int err = options_parse_node(&o, argc, argv, getenv("AETHER_NATS"), &why);
	int code = CLI_FAILED;

	service_hide_secrets(argc, argv);
	if (err == -EINVAL)
		code = cli_usage(&command_node, "%s", buf_text(&why));
	else if (err != 0 || (o.log != NULL && paths_absolute(&log, o.log) != 0))
		code = cli_fail("%s", strerror(err != 0 ? -err : ENOMEM));
	else if (service_find(&s) == 0)
		code = serve(&s, log.len > 0 ? buf_text(&log) : NULL);
	service_free(&s);
	buf_free(&log);
	buf_free(&why);
	options_free(&o);
	return code;
}

const struct cli_command command_node = {
	.name = "node",
	.summary = "be a node of the cluster without a mount",
	.usage = "Usage: aether node [OPTION…]\n"
		 "\n"
		 "Takes part in the cluster without showing a file system: owns shards, sequences contended appends, and\n"
		 "answers appends that come as NATS requests. Prints its id once it has joined, logs to standard error, and ends\n"
		 "on SIGTERM or SIGINT, when others have taken its shards.\n"
		 "\n"
		 "  --nats URL[,URL…], --replicas 1|3|5, --node-id ID, --state-dir DIR: as `aether mount`\n"
		 "  -o OPTION[,OPTION…]      of those of `aether mount`: timeout=, cache_size=, snapshot_every=, prefix=, creds=, nkey=, tlsca=,\n"
		 "                           tlscert=, tlskey=, log=\n",
	.run = node_main,
};
