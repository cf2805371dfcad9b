#include "fs.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge.h"
#include "env.h"
#include "feed_file.h"
#include "file.h"
#include "node.h"
#include "notify.h"
#include "ops.h"
#include "space.h"

/* Opening and reading may wait for NATS, each on a thread of its own; writing, and waiting for an event, does not hold one. */
#define THREADS_MAX 256
#define THREADS_IDLE_MAX 16

struct fs {
	struct fs_env env;
	struct fuse_session *session;
};

static int
copy_text(const char **text)
{
	if (*text == NULL)
		return 0;
	*text = strdup(*text);
	return *text != NULL ? 0 : -ENOMEM;
}

static int
copy_options(struct fs_options *copy, const struct fs_options *options)
{
	const char **texts[] = { &copy->node_id, &copy->version, &copy->mountpoint, &copy->source, &copy->state_dir,
		&copy->fuse_opts };
	int err = 0;

	*copy = *options;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (err == 0)
			err = copy_text(texts[i]);
		else
			*texts[i] = NULL;
	}
	return err;
}

static void
free_options(struct fs_options *copy)
{
	const char *texts[] = { copy->node_id, copy->version, copy->mountpoint, copy->source, copy->state_dir,
		copy->fuse_opts };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free((char *)(uintptr_t)texts[i]);
}

/* libfuse's options for this mount as one text, in *out, to be freed. */
static int
session_options(const struct fs_options *options, char **out)
{
	struct buf source = { 0 };
	char *text = NULL;
	int failed;

	buf_printf(&source, "fsname=%s", options->source);
	failed = buf_text(&source) == NULL;
	/* The source may be a list of URLs, whose commas do not separate options. */
	failed |= !failed && fuse_opt_add_opt_escaped(&text, source.p) != 0;
	failed |= !failed && fuse_opt_add_opt(&text, "subtype=aether,default_permissions") != 0;
	if (options->read_only)
		failed |= !failed && fuse_opt_add_opt(&text, "ro") != 0;
	if (options->fuse_opts != NULL && options->fuse_opts[0] != '\0')
		failed |= !failed && fuse_opt_add_opt(&text, options->fuse_opts) != 0;
	buf_free(&source);
	if (failed) {
		free(text);
		return -ENOMEM;
	}
	*out = text;
	return 0;
}

static int
open_session(struct fs *fs)
{
	char *text;
	int err = session_options(&fs->env.options, &text);

	if (err != 0)
		return err;
	char *argv[] = { "aether", "-o", text, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);
	fs->session = fuse_session_new(&args, &ops_table, sizeof(ops_table), &fs->env);
	fuse_opt_free_args(&args);
	if (fs->session == NULL) {
		log_error(fs->env.lg, "FUSE refuses the options %s", text);
		err = -EINVAL;
	}
	free(text);
	if (err != 0)
		return err;
	errno = 0;
	if (fuse_session_mount(fs->session, fs->env.options.mountpoint) == 0)
		return 0;
	err = errno != 0 ? -errno : -EIO;
	log_error(fs->env.lg, "cannot mount at %s: %s", fs->env.options.mountpoint, strerror(-err));
	return err;
}

static int
forget(void *arg, uint64_t nodeid, bool listing)
{
	const struct fs *fs = arg;

	return fuse_lowlevel_notify_inval_inode(fs->session, nodeid, listing ? 0 : -1, 0);
}

/* What the file system consists of, besides the session. */
static int
make_parts(struct fs *fs)
{
	struct notify_kernel kernel = { .forget = forget, .arg = fs };
	struct fs_env *env = &fs->env;
	int err = node_table_new(&env->nodes, env->store);

	if (err == 0)
		err = notify_new(&env->notify, env->store, env->nodes, env->clock, &kernel);
	if (err == 0)
		err = bridge_new(&env->bridge, env);
	if (err == 0)
		err = files_new(&env->files);
	if (err == 0)
		err = feed_files_new(&env->feed_files, env);
	if (err == 0)
		err = space_new(&env->space, env->store);
	return err;
}

int
fs_new(struct fs **out, struct store *store, const struct clock *clock, struct logger *lg,
    const struct fs_options *options)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int err;

	if (fs == NULL)
		return -ENOMEM;
	fs->env.store = store;
	fs->env.clock = clock;
	fs->env.lg = lg;
	fs->env.uid = geteuid();
	fs->env.gid = getegid();
	fs->env.start_us = clock_wall(clock);
	fs->env.start_mono_ns = clock_mono(clock);
	atomic_init(&fs->env.root_changed_us, fs->env.start_us);
	handles_init(&fs->env.handles);
	err = copy_options(&fs->env.options, options);
	if (err == 0)
		err = make_parts(fs);
	if (err != 0)
		log_error(lg, "cannot start the file system: %s", strerror(-err));
	else
		err = open_session(fs);
	if (err == 0) {
		store_listen(store, notify_changed, fs->env.notify);
		err = notify_start(fs->env.notify);
	}
	if (err == 0)
		err = bridge_start(fs->env.bridge);
	if (err != 0) {
		fs_free(fs);
		return err;
	}
	*out = fs;
	return 0;
}

static int
loop(struct fuse_session *session)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int ret;

	if (config == NULL)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
	fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE_MAX);
	ret = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	/* The number of the signal that ended it is no failure. */
	return ret < 0 ? ret : 0;
}

int
fs_serve(struct fs *fs)
{
	sigset_t ending, before;
	int err;

	if (fuse_set_signal_handlers(fs->session) != 0)
		return -EIO;
	/* libfuse waits in this thread for a signal to interrupt it; its other threads block them. */
	sigemptyset(&ending);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGHUP);
	pthread_sigmask(SIG_UNBLOCK, &ending, &before);
	err = loop(fs->session);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	fuse_remove_signal_handlers(fs->session);
	return err;
}

void
fs_detached(struct fs *fs)
{
	feed_files_end(fs->env.feed_files);
}

void
fs_cluster_event(struct fs *fs, struct span line)
{
	feed_files_tell(fs->env.feed_files, line);
}

void
fs_cluster_changed(struct fs *fs)
{
	bridge_owned_changed(fs->env.bridge);
}

void
fs_free(struct fs *fs)
{
	if (fs == NULL)
		return;
	/* Writers that wait for an append get their answer before the connection to the kernel is closed. */
	if (fs->env.files != NULL)
		files_drain(fs->env.files);
	bridge_stop(fs->env.bridge);
	feed_files_stop(fs->env.feed_files);
	store_listen(fs->env.store, NULL, NULL);
	notify_stop(fs->env.notify);
	if (fs->session != NULL) {
		fuse_session_unmount(fs->session);
		fuse_session_destroy(fs->session);
	}
	bridge_free(fs->env.bridge);
	handles_destroy(&fs->env.handles);
	feed_files_free(fs->env.feed_files);
	files_free(fs->env.files);
	space_free(fs->env.space);
	notify_free(fs->env.notify);
	node_table_free(fs->env.nodes);
	free_options(&fs->env.options);
	free(fs);
}
