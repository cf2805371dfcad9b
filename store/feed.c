#include "feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "feed_state.h"

/* Hubs */

static bool
hub_match(const struct table_link *link, const void *ns)
{
	return strcmp(container_of(link, struct hub, link)->name, ns) == 0;
}

struct hub *
hub_find_locked(const struct feeds *fs, const char *ns)
{
	struct table_link *link = table_find(&fs->hubs, XXH3_64bits(ns, strlen(ns)), hub_match, ns);

	return link != NULL ? container_of(link, struct hub, link) : NULL;
}

struct hub *
hub_new(struct feeds *fs, const char *ns)
{
	size_t size = strlen(ns) + 1;
	struct hub *hub = calloc(1, sizeof(*hub) + size);

	if (hub == NULL)
		return NULL;
	hub->feeds = fs;
	hub->state = HUB_STARTING;
	memcpy(hub->name, ns, size);
	return hub;
}

int
hub_link_locked(struct hub *hub)
{
	int err = table_add(&hub->feeds->hubs, XXH3_64bits(hub->name, strlen(hub->name)), &hub->link);

	hub->linked = err == 0;
	return err;
}

void
hub_unlink_locked(struct hub *hub)
{
	if (hub->linked)
		table_remove(&hub->feeds->hubs, &hub->link);
	hub->linked = false;
	pthread_cond_broadcast(&hub->feeds->started);
}

static void
hub_free(struct hub *hub)
{
	if (hub->follow != NULL)
		hub->feeds->o.ops->unfollow(hub->follow);
	feed_writer_free(&hub->writer);
	feed_writer_free(&hub->named);
	free(hub);
}

/* On the worker's thread: a follow cannot be freed by whom it calls. */
static void
free_ended(void *arg)
{
	struct feeds *fs = arg;

	lock_take(&fs->lock);
	struct hub *hub = fs->ended;
	fs->ended = NULL;
	lock_give(&fs->lock);
	while (hub != NULL) {
		struct hub *next = hub->next_ended;
		hub_free(hub);
		hub = next;
	}
}

void
hub_end_locked(struct hub *hub)
{
	struct feeds *fs = hub->feeds;

	hub_unlink_locked(hub);
	hub->state = HUB_ENDED;
	hub->next_ended = fs->ended;
	fs->ended = hub;
	/* If there is no memory for that it is freed with the next one. */
	(void)timer_at(fs->worker, 0, free_ended, fs);
}

/* Taps */

struct tap *
tap_new_locked(struct hub *hub, struct feed_reader *r)
{
	struct tap *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->hub = hub;
	t->reader = r;
	t->next_of_hub = hub->taps;
	t->link_of_hub = &hub->taps;
	if (t->next_of_hub != NULL)
		t->next_of_hub->link_of_hub = &t->next_of_hub;
	hub->taps = t;
	t->next_of_reader = r->taps;
	t->link_of_reader = &r->taps;
	if (t->next_of_reader != NULL)
		t->next_of_reader->link_of_reader = &t->next_of_reader;
	r->taps = t;
	return t;
}

static void
tap_leave_locked(struct tap *t)
{
	*t->link_of_hub = t->next_of_hub;
	if (t->next_of_hub != NULL)
		t->next_of_hub->link_of_hub = t->link_of_hub;
	t->hub = NULL;
}

void
tap_free_locked(struct tap *t)
{
	struct hub *hub = t->hub;

	if (hub != NULL) {
		tap_leave_locked(t);
		if (hub->taps == NULL && hub->state == HUB_FOLLOWING)
			hub_end_locked(hub);
	}
	*t->link_of_reader = t->next_of_reader;
	if (t->next_of_reader != NULL)
		t->next_of_reader->link_of_reader = t->link_of_reader;
	for (size_t at = 0; at < t->pending.len; at += sizeof(struct pending)) {
		struct pending p;
		memcpy(&p, t->pending.p + at, sizeof(p));
		feed_piece_put(&p.piece);
	}
	buf_free(&t->pending);
	free(t);
}

static void
keep_locked(struct tap *t, uint64_t seq, const struct feed_piece *piece)
{
	struct pending p = { .seq = seq };

	if (piece == NULL || t->pending_bytes > t->reader->queue.limit_bytes) {
		t->lost = true;
		return;
	}
	p.piece = *piece;
	buf_put(&t->pending, &p, sizeof(p));
	if (t->pending.failed) {
		t->lost = true;
		return;
	}
	feed_piece_ref(piece);
	t->pending_bytes += sizeof(p) + (piece->to - piece->from);
}

/* What a follow tells */

/* What is put into a queue: the text, with the namespace in it, made when somebody wants it; NULL if there is no memory for it. */
struct told {
	struct hub *hub;
	struct span text;
	bool is_made[2];
	bool is_kept[2];
	struct feed_piece pieces[2]; /* with and without the namespace's name */
};

static bool
write_named(struct hub *hub, struct span text, struct feed_piece *out)
{
	struct buf named = { 0 };
	bool kept;

	for (size_t at = 0, end; at < text.len; at = end) {
		end = (size_t)((const char *)memchr(text.p + at, '\n', text.len - at) + 1 - text.p);
		buf_puts(&named, hub->name);
		buf_putc(&named, '\t');
		buf_put(&named, text.p + at, end - at);
	}
	kept = !named.failed && feed_write(&hub->named, (struct span){ named.p, named.len }, out);
	buf_free(&named);
	return kept;
}

static const struct feed_piece *
told_piece(struct told *t, bool named)
{
	if (!t->is_made[named]) {
		t->is_made[named] = true;
		t->is_kept[named] = named ? write_named(t->hub, t->text, &t->pieces[named])
					  : feed_write(&t->hub->writer, t->text, &t->pieces[named]);
	}
	return t->is_kept[named] ? &t->pieces[named] : NULL;
}

static void
on_record(void *arg, const char *actor, const struct record *r)
{
	struct hub *hub = arg;
	struct feeds *fs = hub->feeds;
	struct told told = { .hub = hub, .text = r->payload };
	bool wake = false;

	(void)actor;
	/* What does not end a line is none of ours, whatever its headers say. */
	if (r->foreign || r->payload.len == 0 || r->payload.p[r->payload.len - 1] != '\n')
		return;
	/* Most often it is wanted so, and copying need not hold up others. */
	(void)told_piece(&told, false);
	lock_take(&fs->lock);
	for (struct tap *t = hub->over ? NULL : hub->taps; t != NULL; t = t->next_of_hub) {
		if (t->undecided) {
			keep_locked(t, r->seq, told_piece(&told, t->reader->named));
		} else if (r->seq > t->skip_seq) {
			feed_queue_add(&t->reader->queue, told_piece(&told, t->reader->named));
			wake |= reader_wake_locked(t->reader);
		}
	}
	lock_give(&fs->lock);
	for (int i = 0; i < 2; i++)
		if (told.is_kept[i])
			feed_piece_put(&told.pieces[i]);
	if (wake)
		fs->o.wake(fs->o.arg);
}

/* Nothing more comes: readers of the namespace are at the end, readers of all look whether there is another of that name. */
static bool
release_taps_locked(struct hub *hub, bool *appeared)
{
	bool wake = false;
	struct tap *t;

	while ((t = hub->taps) != NULL) {
		tap_leave_locked(t);
		/* One that is undecided is looked at by who opens. */
		if (t->undecided)
			continue;
		if (t->reader->all) {
			*appeared = true;
		} else {
			t->reader->ended = true;
			wake |= reader_wake_locked(t->reader);
		}
		tap_free_locked(t);
	}
	return wake;
}

static void
on_end(void *arg)
{
	struct hub *hub = arg;
	struct feeds *fs = hub->feeds;
	bool wake = false, appeared = false;

	lock_take(&fs->lock);
	if (hub->state == HUB_STARTING) {
		hub->over = true;
	} else if (hub->state == HUB_FOLLOWING) {
		wake = release_taps_locked(hub, &appeared);
		if (appeared)
			feed_appeared_locked(fs, hub->name, hub->epoch);
		hub_end_locked(hub);
	}
	lock_give(&fs->lock);
	if (wake)
		fs->o.wake(fs->o.arg);
}

int
hub_start(struct hub *hub, uint64_t after_seq, uint64_t epoch)
{
	static const struct follow_fns fns = { .record = on_record, .anew = on_end, .gone = on_end };
	struct feeds *fs = hub->feeds;
	struct follow *follow = NULL;
	bool wake = false, appeared = false;

	hub->epoch = epoch;
	int err = fs->o.ops->follow(fs->o.source, hub->name, after_seq, epoch, &fns, hub, &follow);
	lock_take(&fs->lock);
	hub->follow = follow;
	if (err == 0 && hub->over) {
		wake = release_taps_locked(hub, &appeared);
		if (appeared)
			feed_appeared_locked(fs, hub->name, hub->epoch);
	}
	while (err != 0 && hub->taps != NULL)
		tap_free_locked(hub->taps);
	/* Whoever was to have it may have closed meanwhile. */
	if (err != 0 || hub->over || hub->taps == NULL)
		hub_end_locked(hub);
	else
		hub->state = HUB_FOLLOWING;
	pthread_cond_broadcast(&fs->started);
	lock_give(&fs->lock);
	if (wake)
		fs->o.wake(fs->o.arg);
	return err;
}

/* Readers */

bool
reader_wake_locked(struct feed_reader *r)
{
	struct feeds *fs = r->feeds;

	if (!r->armed)
		return false;
	r->armed = false;
	r->is_ready = true;
	r->next_ready = NULL;
	*fs->ready_tail = r;
	fs->ready_tail = &r->next_ready;
	return true;
}

static void
not_ready_locked(struct feed_reader *r)
{
	struct feed_reader **link = &r->feeds->ready;

	r->armed = false;
	if (!r->is_ready)
		return;
	while (*link != r)
		link = &(*link)->next_ready;
	*link = r->next_ready;
	if (*link == NULL)
		r->feeds->ready_tail = link;
	r->is_ready = false;
}

/* It was asked in vain: it is told of next time, also if it is about to be told of because of something that was read since. */
static void
arm_locked(struct feed_reader *r)
{
	r->armed = !r->is_ready;
}

void *
feeds_next(struct feeds *fs)
{
	void *user = NULL;

	lock_take(&fs->lock);
	struct feed_reader *r = fs->ready;
	if (r != NULL) {
		not_ready_locked(r);
		/* Who is told and does not look would not be told again. */
		r->armed = !feed_queue_readable(&r->queue) && !r->ended;
		user = r->user;
	}
	lock_give(&fs->lock);
	return user;
}

int
feed_read(struct feed_reader *r, size_t size, struct feed_bytes *out)
{
	lock_take(&r->feeds->lock);
	int err = feed_queue_take(&r->queue, size, out);
	if (err == -EAGAIN && r->ended)
		err = 0;
	else if (err == -EAGAIN)
		arm_locked(r);
	lock_give(&r->feeds->lock);
	return err;
}

int
feed_name(struct feed_reader *r)
{
	if (!r->all)
		return -EINVAL;
	lock_take(&r->feeds->lock);
	r->named = true;
	feed_queue_free(&r->queue);
	lock_give(&r->feeds->lock);
	return 0;
}

enum feed_state
feed_poll(struct feed_reader *r)
{
	enum feed_state state = FEED_NOTHING;

	lock_take(&r->feeds->lock);
	if (feed_queue_readable(&r->queue))
		state = FEED_READABLE;
	else if (r->ended)
		state = FEED_ENDED;
	else
		arm_locked(r);
	lock_give(&r->feeds->lock);
	return state;
}

static void
list_add_locked(struct feed_reader **list, struct feed_reader *r)
{
	r->next_of_kind = *list;
	r->link_of_kind = list;
	if (r->next_of_kind != NULL)
		r->next_of_kind->link_of_kind = &r->next_of_kind;
	*list = r;
}

static void
list_remove_locked(struct feed_reader *r)
{
	*r->link_of_kind = r->next_of_kind;
	if (r->next_of_kind != NULL)
		r->next_of_kind->link_of_kind = r->link_of_kind;
}

static struct feed_reader *
reader_new(struct feeds *fs, void *user)
{
	struct feed_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->feeds = fs;
	r->user = user;
	r->queue.limit_bytes = fs->o.queue_bytes;
	return r;
}

int
feed_open(struct feeds *fs, const char *ns, void *user, struct feed_reader **out)
{
	struct feed_reader *r = reader_new(fs, user);

	if (r == NULL)
		return -ENOMEM;
	r->all = ns == NULL;
	if (r->all) {
		r->opening = true;
		lock_take(&fs->lock);
		list_add_locked(&fs->alls, r);
		lock_give(&fs->lock);
	}
	int err = r->all ? feed_tap_all(r) : feed_tap(r, ns);
	if (err != 0)
		feed_close(r);
	else
		*out = r;
	return err;
}

int
feed_open_lines(struct feeds *fs, void *user, struct feed_reader **out)
{
	struct feed_reader *r = reader_new(fs, user);

	if (r == NULL)
		return -ENOMEM;
	r->lines = true;
	lock_take(&fs->lock);
	list_add_locked(&fs->liners, r);
	lock_give(&fs->lock);
	*out = r;
	return 0;
}

void
feeds_tell(struct feeds *fs, struct span line)
{
	struct feed_piece piece;
	bool wake = false;

	lock_take(&fs->lock);
	bool written = fs->liners != NULL && feed_write(&fs->lines, line, &piece);
	for (struct feed_reader *r = fs->liners; r != NULL; r = r->next_of_kind) {
		feed_queue_add(&r->queue, written ? &piece : NULL);
		wake |= reader_wake_locked(r);
	}
	if (written)
		feed_piece_put(&piece);
	lock_give(&fs->lock);
	if (wake)
		fs->o.wake(fs->o.arg);
}

void
feed_close(struct feed_reader *r)
{
	if (r == NULL)
		return;
	struct feeds *fs = r->feeds;
	lock_take(&fs->lock);
	not_ready_locked(r);
	if (r->all || r->lines)
		list_remove_locked(r);
	while (r->taps != NULL)
		tap_free_locked(r->taps);
	lock_give(&fs->lock);
	feed_queue_free(&r->queue);
	buf_free(&r->appeared);
	free(r);
}

/* All of them */

int
feeds_new(struct feeds **out, const struct feed_options *options)
{
	struct feeds *fs = calloc(1, sizeof(*fs));

	if (fs == NULL)
		return -ENOMEM;
	fs->o = *options;
	fs->ready_tail = &fs->ready;
	int err = timer_new(&fs->worker, options->clock);
	if (err != 0) {
		free(fs);
		return err;
	}
	lock_init(&fs->lock, LOCK_FEEDS);
	lock_cond_init(&fs->started);
	*out = fs;
	return 0;
}

void
feeds_free(struct feeds *fs)
{
	if (fs == NULL)
		return;
	lock_take(&fs->lock);
	fs->stopping = true;
	lock_give(&fs->lock);
	if (fs->names != NULL)
		fs->o.ops->ignore(fs->o.source, fs->names);
	timer_free(fs->worker);
	free_ended(fs);
	feed_writer_free(&fs->lines);
	table_free(&fs->hubs);
	pthread_cond_destroy(&fs->started);
	lock_destroy(&fs->lock);
	free(fs);
}
