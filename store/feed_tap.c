/* Tapping namespaces: where a reader begins. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "feed_state.h"

/* Threads that tap namespaces at the same time for one who opens all of them: each waits for an answer most of the time. */
#define TAPPERS 16

/* A namespace that has ended may be made anew without anybody's telling; it is looked for at once, and some time later. */
#define LOOK_AGAIN_NS (NS_PER_SEC / 2)
#define LOOKS 5

/* One that cannot be asked for now. */
#define RETRY_NS (NS_PER_SEC / 2)

static int
ask(struct feeds *fs, const char *ns, struct ns_info *info)
{
	return fs->o.ops->info(fs->o.source, ns, info);
}

/* Begin to follow from the record behind the last one. The hub is STARTING, with a tap that skips nothing; freed if this fails. */
static int
start(struct hub *hub)
{
	struct feeds *fs = hub->feeds;
	struct ns_info info;
	int err = ask(fs, hub->name, &info);

	if (err == 0)
		return hub_start(hub, info.last_seq, info.epoch);
	lock_take(&fs->lock);
	while (hub->taps != NULL)
		tap_free_locked(hub->taps);
	hub_end_locked(hub);
	lock_give(&fs->lock);
	return err;
}

/* The records that came while it was not known where the reader begins. */
static void
decide_locked(struct tap *t, uint64_t last_seq)
{
	t->undecided = false;
	t->skip_seq = last_seq;
	for (size_t at = 0; at < t->pending.len; at += sizeof(struct pending)) {
		struct pending p;
		memcpy(&p, t->pending.p + at, sizeof(p));
		if (p.seq > last_seq)
			feed_queue_add(&t->reader->queue, &p.piece);
		feed_piece_put(&p.piece);
	}
	buf_free(&t->pending);
}

/*
 * Learn where the reader of an undecided tap begins. 0; -EAGAIN, and the tap is freed, if what it was hung on is not the namespace
 * that is there now; or -errno, and the tap is freed.
 */
static int
join(struct feeds *fs, struct tap *t, const char *ns)
{
	struct ns_info info;
	bool wake = false;
	int err = ask(fs, ns, &info);

	lock_take(&fs->lock);
	if (err == 0 && (t->hub == NULL || t->lost))
		err = -EAGAIN;
	if (err == 0 && t->hub->epoch != info.epoch) {
		/* It has not learnt yet that its namespace is gone. */
		hub_unlink_locked(t->hub);
		err = -EAGAIN;
	}
	if (err == 0) {
		decide_locked(t, info.last_seq);
		wake = feed_queue_readable(&t->reader->queue) && reader_wake_locked(t->reader);
	} else {
		tap_free_locked(t);
	}
	lock_give(&fs->lock);
	if (wake)
		fs->o.wake(fs->o.arg);
	return err;
}

/*
 * Hang the reader on the hub of that namespace: *joined is an undecided tap on one that follows already, or *made a new one. 0 or -ENOMEM.
 * Blocks while another thread starts one.
 */
static int
hang(struct feed_reader *r, const char *ns, struct tap **joined, struct hub **made)
{
	struct feeds *fs = r->feeds;
	struct hub *fresh = hub_new(fs, ns), *hub;
	struct tap *t = NULL;

	if (fresh == NULL)
		return -ENOMEM;
	lock_take(&fs->lock);
	while ((hub = hub_find_locked(fs, ns)) != NULL && hub->state == HUB_STARTING)
		lock_wait(&fs->lock, &fs->started);
	if (hub != NULL || hub_link_locked(fresh) == 0)
		t = tap_new_locked(hub != NULL ? hub : fresh, r);
	if (t == NULL && fresh->linked)
		hub_unlink_locked(fresh);
	if (t != NULL && hub != NULL)
		t->undecided = true;
	lock_give(&fs->lock);
	*joined = hub != NULL ? t : NULL;
	*made = hub == NULL && t != NULL ? fresh : NULL;
	if (*made == NULL)
		free(fresh);
	return t != NULL ? 0 : -ENOMEM;
}

int
feed_tap(struct feed_reader *r, const char *ns)
{
	struct feeds *fs = r->feeds;
	int64_t deadline_ns = clock_mono(fs->o.clock) + fs->o.timeout_ns;
	int err;

	do {
		struct tap *joined;
		struct hub *made;
		err = hang(r, ns, &joined, &made);
		if (err == 0)
			err = joined != NULL ? join(fs, joined, ns) : start(made);
	} while (err == -EAGAIN && clock_mono(fs->o.clock) < deadline_ns);
	return err == -EAGAIN ? -ETIMEDOUT : err;
}

/* All namespaces */

struct tapping {
	struct feed_reader *reader;
	struct buf names; /* char *, each to be freed */
	_Atomic size_t next;
	_Atomic int err;
};

static int
take_name(void *arg, const char *name)
{
	struct buf *names = arg;
	char *copy = strdup(name);

	if (copy == NULL)
		return -ENOMEM;
	buf_put(names, &copy, sizeof(copy));
	if (!names->failed)
		return 0;
	free(copy);
	return -ENOMEM;
}

static size_t
name_count(const struct buf *names)
{
	return names->len / sizeof(char *);
}

static char *
name_at(const struct buf *names, size_t i)
{
	char *name;

	memcpy(&name, names->p + i * sizeof(name), sizeof(name));
	return name;
}

static void
free_names(struct buf *names)
{
	for (size_t i = 0; i < name_count(names); i++)
		free(name_at(names, i));
	buf_free(names);
}

static void *
tap_some(void *arg)
{
	struct tapping *tp = arg;
	size_t i;

	while (atomic_load(&tp->err) == 0 && (i = atomic_fetch_add(&tp->next, 1)) < name_count(&tp->names)) {
		int err = feed_tap(tp->reader, name_at(&tp->names, i));
		/* What is gone by now need not be read. */
		if (err != 0 && err != -ENOENT)
			atomic_store(&tp->err, err);
	}
	return NULL;
}

static int
tap_each(struct tapping *tp)
{
	pthread_t threads[TAPPERS - 1];
	size_t count = 0;

	while (count < TAPPERS - 1 && count + 1 < name_count(&tp->names) &&
	       pthread_create(&threads[count], NULL, tap_some, tp) == 0)
		count++;
	tap_some(tp);
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return atomic_load(&tp->err);
}

static void
on_name(void *arg, const char *ns, bool is_there, bool own)
{
	struct feeds *fs = arg;

	(void)own;
	if (!is_there)
		return; /* the follow tells of that */
	lock_take(&fs->lock);
	if (fs->alls != NULL)
		feed_appeared_locked(fs, ns, 0);
	lock_give(&fs->lock);
}

/* Be told of names from now on, as long as there are feeds. */
static int
listen_names(struct feeds *fs)
{
	struct names_listener *listener;
	int err;

	lock_take(&fs->lock);
	while (fs->listening && fs->names == NULL)
		lock_wait(&fs->lock, &fs->started);
	bool listens = fs->listening;
	fs->listening = true;
	lock_give(&fs->lock);
	if (listens)
		return 0;
	err = fs->o.ops->listen(fs->o.source, on_name, fs, &listener);
	lock_take(&fs->lock);
	if (err == 0)
		fs->names = listener;
	else
		fs->listening = false;
	pthread_cond_broadcast(&fs->started);
	lock_give(&fs->lock);
	return err;
}

int
feed_tap_all(struct feed_reader *r)
{
	struct feeds *fs = r->feeds;
	struct tapping tp = { .reader = r };
	/* First of all, so that nothing appears between the list and the listening. */
	int err = listen_names(fs);

	if (err == 0)
		err = fs->o.ops->list(fs->o.source, take_name, &tp.names);
	if (err == 0)
		err = tap_each(&tp);
	free_names(&tp.names);
	lock_take(&fs->lock);
	r->opening = false;
	for (size_t at = 0; err == 0 && at < r->appeared.len; at += strlen(r->appeared.p + at) + 1)
		feed_appeared_locked(fs, r->appeared.p + at, 0);
	if (err == 0 && r->appeared.failed)
		err = -ENOMEM;
	lock_give(&fs->lock);
	buf_free(&r->appeared);
	return err;
}

/* Namespaces that appear */

struct appearance {
	struct feeds *feeds;
	uint64_t ended_epoch;
	unsigned looks;
	char name[];
};

static bool
has_tapped(const struct feed_reader *r, const char *ns)
{
	for (const struct tap *t = r->taps; t != NULL; t = t->next_of_reader)
		if (t->hub != NULL && strcmp(t->hub->name, ns) == 0)
			return true;
	return false;
}

/* Hang those on the hub who have not tapped it; who is only opening looks at the name later, for it may be among those it was told. */
static void
hang_all_locked(struct hub *hub)
{
	for (struct feed_reader *r = hub->feeds->alls; r != NULL; r = r->next_of_kind) {
		if (r->opening)
			buf_put(&r->appeared, hub->name, strlen(hub->name) + 1);
		else if (!has_tapped(r, hub->name) && tap_new_locked(hub, r) == NULL)
			feed_queue_add(&r->queue, NULL);
	}
}

/* Have it read if it is there. 0 or -errno. */
static int
look(struct feeds *fs, const char *ns, uint64_t ended_epoch)
{
	struct ns_info info;
	int err = ask(fs, ns, &info);

	if (err != 0)
		return err;
	struct hub *hub = hub_new(fs, ns);
	if (hub == NULL)
		return -ENOMEM;
	lock_take(&fs->lock);
	/* One of that name that others have joined may have begun too late. */
	if (hub_find_locked(fs, ns) == NULL)
		(void)hub_link_locked(hub);
	hang_all_locked(hub);
	bool wanted = hub->taps != NULL;
	if (!wanted)
		hub_unlink_locked(hub);
	lock_give(&fs->lock);
	if (!wanted) {
		free(hub);
		return 0;
	}
	/* Of the same one it would be what was read before. */
	return hub_start(hub, info.epoch == ended_epoch ? info.last_seq : 0, info.epoch);
}

static void
appear(void *arg)
{
	struct appearance *a = arg;
	struct feeds *fs = a->feeds;
	int64_t delay_ns = RETRY_NS;

	lock_take(&fs->lock);
	bool idle = fs->stopping || fs->alls == NULL;
	lock_give(&fs->lock);
	int err = idle ? 0 : look(fs, a->name, a->ended_epoch);
	if (err == -ENOENT) {
		delay_ns = LOOK_AGAIN_NS;
		/* It may be made again before names sees that it was gone, and then nobody tells of it once more. */
		err = ++a->looks < LOOKS ? err : 0;
	}
	if (err == 0 || timer_at(fs->worker, clock_mono(fs->o.clock) + delay_ns, appear, a) != 0)
		free(a);
}

void
feed_appeared_locked(struct feeds *fs, const char *ns, uint64_t ended_epoch)
{
	size_t size = strlen(ns) + 1;
	struct appearance *a = calloc(1, sizeof(*a) + size);

	if (a != NULL) {
		a->feeds = fs;
		a->ended_epoch = ended_epoch;
		memcpy(a->name, ns, size);
		if (timer_at(fs->worker, 0, appear, a) == 0)
			return;
	}
	free(a);
	for (struct feed_reader *r = fs->alls; r != NULL; r = r->next_of_kind)
		feed_queue_add(&r->queue, NULL);
}
