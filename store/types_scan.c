#include <errno.h>

#include "event.h"
#include "types_state.h"

/* A namespace may be made anew while it is read, but not for ever. */
#define ANEW_MAX 8

/* Lines */

/* What is stored has all of these; without them a line would be taken for an event of type Text or Event. */
static bool
is_stored(const struct event *ev)
{
	return ev->version != 0 && ev->id.p != NULL && ev->actor_id.p != NULL && ev->timestamp.p != NULL;
}

bool
type_lines_next(struct type_lines *l, struct span *line, struct span *type)
{
	const char *end, *why;
	struct event ev;

	while (l->rest.len > 0) {
		if (l->arena.used > 0)
			arena_free(&l->arena);
		end = memchr(l->rest.p, '\n', l->rest.len);
		size_t len = end != NULL ? (size_t)(end - l->rest.p) : l->rest.len;
		*line = (struct span){ l->rest.p, len + (end != NULL) };
		l->rest = (struct span){ l->rest.p + line->len, l->rest.len - line->len };
		if (end != NULL && event_parse((struct span){ line->p, len }, &l->arena, &ev, &why) == 0 && is_stored(&ev)) {
			*type = ev.type;
			return true;
		}
		l->odd = true;
	}
	return false;
}

/* Taking records in */

struct intake {
	struct types *t;
	struct buf name; /* of the actor */
	int64_t deadline_ns;
};

static void
report(struct types *t, uint64_t seq)
{
	if (!t->logged)
		log_warn(t->all->store->lg, "namespace %s, sequence %llu: holds what is no event, and is not shown by type; more of the kind will not be reported",
		    t->ns, (unsigned long long)seq);
	t->logged = true;
}

static void
take_lines(struct types *t, const struct record *r, struct span actor)
{
	struct type_lines lines = { .rest = r->payload };
	struct type *type = NULL;
	struct span line, name;

	while (type_lines_next(&lines, &line, &name)) {
		lock_take(&t->lock);
		if (type == NULL || !span_eq((struct span){ type->name, type->name_len }, name))
			type = type_table_put(&t->table, name);
		if (type != NULL)
			type_table_count(&t->table, type, line.len);
		lock_give(&t->lock);
	}
	arena_free(&lines.arena);
	if (lines.odd)
		report(t, r->seq);
	lock_take(&t->lock);
	type_table_add(&t->table, r->seq, actor, r->time_us);
	lock_give(&t->lock);
}

static int
take(void *arg, const struct scanned *m)
{
	struct intake *in = arg;
	struct types *t = in->t;
	struct record r;

	if (m == NULL || m->seq <= t->scanned)
		return 0;
	in->deadline_ns = store_deadline(t->all->store);
	m->decode(m, &r);
	buf_clear(&in->name);
	/* A creation marker holds nothing. */
	bool odd = r.foreign || (r.last == 0 && r.payload.len > 0);
	int err = odd ? -EINVAL : m->actor(m, &in->name);
	struct span actor = { in->name.p, in->name.len };
	if (err != 0) {
		report(t, m->seq);
	} else if (r.erased) {
		lock_take(&t->lock);
		type_table_erase(&t->table, actor, m->seq);
		lock_give(&t->lock);
	} else {
		take_lines(t, &r, actor);
	}
	t->scanned = m->seq;
	return t->table.failed ? -ENOMEM : 0;
}

/* Has a scan that has ended brought all? It may have ended early, and what is left may have been taken away. */
static int
look_behind(struct intake *in, uint64_t to_seq)
{
	struct types *t = in->t;
	struct store *s = t->all->store;
	struct backend_get g = { .kind = GET_NEXT, .seq = t->scanned + 1, .fresh = true };
	struct owned_record next = { 0 };

	int err = wait_get(s->backend, s->clock, (struct actor_name){ .ns = t->ns }, g, in->deadline_ns, &next);
	if (err == -ENOENT || (err == 0 && next.record.seq > to_seq)) {
		t->scanned = to_seq;
		err = 0;
	}
	owned_record_free(&next);
	return err;
}

static int
scan_once(struct intake *in, uint64_t to_seq)
{
	struct types *t = in->t;
	struct store *s = t->all->store;
	uint64_t count = to_seq - t->scanned;
	struct backend_range range = { t->scanned + 1, to_seq, count <= BACKEND_FEW ? count : 0, 0 };
	int64_t idle_ns = wait_attempt_deadline(s->clock, in->deadline_ns) - clock_mono(s->clock);

	int err = s->backend->ops->scan(s->backend, (struct actor_name){ .ns = t->ns }, range, idle_ns > 0 ? idle_ns : 0, take, in);
	return err == 0 && t->scanned < to_seq ? look_behind(in, to_seq) : err;
}

/* Read the stream up to that sequence. */
static int
catch_up(struct types *t, uint64_t to_seq)
{
	struct store *s = t->all->store;
	struct intake in = { .t = t, .deadline_ns = store_deadline(s) };
	unsigned tries = 0;
	int err = 0;

	while (err == 0 && t->scanned < to_seq) {
		uint64_t before = t->scanned;
		err = scan_once(&in, to_seq);
		if (t->scanned != before)
			tries = 0;
		/* It was lost on the way, or a replica is behind. */
		if (err == -ENOTCONN || err == -ETIMEDOUT || (err == 0 && t->scanned == before))
			err = wait_retry(s->backend, s->clock, in.deadline_ns, &tries);
	}
	buf_free(&in.name);
	return err;
}

/* Rounds */

static void
forget(struct types *t, uint64_t epoch)
{
	lock_take(&t->lock);
	type_table_clear(&t->table);
	t->epoch = epoch;
	t->scanned = 0;
	t->shown_seq = 0;
	t->complete = false;
	lock_give(&t->lock);
}

static int
settle(struct types *t, uint64_t erased)
{
	lock_take(&t->lock);
	int err = type_table_settle(&t->table);
	t->complete = err == 0;
	t->shown_seq = t->scanned;
	if (t->erased_seen < erased)
		t->erased_seen = erased;
	uint64_t bytes = type_table_bytes(&t->table);
	lock_give(&t->lock);
	types_account(t, bytes);
	return err;
}

/* info: what was said of the namespace last. The turn is the caller's. */
static int
run(struct types *t, struct ns_info info, uint64_t erased)
{
	struct store *s = t->all->store;
	int err = 0;

	/* What is known of it elsewhere may be older than what is known here. */
	if (t->epoch != info.epoch)
		err = store_ns_info(s, t->ns, 0, false, &info);
	for (int i = 0; err == 0 && i < ANEW_MAX; i++) {
		uint64_t end = info.last_seq;
		if (t->epoch != info.epoch)
			forget(t, info.epoch);
		if (t->scanned < end)
			err = catch_up(t, end);
		/* Is it the namespace's that was asked about? */
		if (err == 0 || err == -ENOENT)
			err = store_ns_info(s, t->ns, 0, false, &info);
		if (err == 0 && t->epoch == info.epoch && t->scanned >= end)
			return settle(t, erased);
	}
	return err == 0 ? -EIO : err;
}

static bool
away(struct store *s)
{
	struct backend_status status;

	s->backend->ops->status(s->backend, &status);
	return !status.connected;
}

/* Wait until it shows what info tells of, or it is our turn to see to that, or another has failed in it. */
static int
take_turn(struct types *t, const struct ns_info *info, uint64_t erased, bool *mine)
{
	int err = 0;
	bool done;

	lock_take(&t->lock);
	uint64_t rounds = t->rounds;
	for (;;) {
		done = t->complete && t->epoch == info->epoch && t->shown_seq >= info->last_seq;
		if (!done && t->rounds != rounds)
			err = t->round_err;
		if (done || err != 0 || !t->busy)
			break;
		lock_wait(&t->lock, &t->changed);
	}
	*mine = !done && err == 0;
	if (*mine)
		t->busy = true;
	else if (done && t->erased_seen < erased)
		t->erased_seen = erased;
	lock_give(&t->lock);
	return err;
}

static void
end_turn(struct types *t, int err)
{
	lock_take(&t->lock);
	t->busy = false;
	t->rounds++;
	t->round_err = err;
	pthread_cond_broadcast(&t->changed);
	lock_give(&t->lock);
}

int
types_update(struct types *t, int64_t max_age_ns, bool stale_ok)
{
	struct store *s = t->all->store;
	uint64_t erased = atomic_load(&t->erased);
	struct ns_info info = { 0 };
	bool mine;

	int err = store_ns_info(s, t->ns, max_age_ns, stale_ok, &info);
	if (err != 0 && err != -ENOENT)
		return err;
	int gone = err;
	err = take_turn(t, &info, erased, &mine);
	if (!mine)
		return err;
	lock_take(&t->lock);
	bool complete = t->complete;
	lock_give(&t->lock);
	if (gone != 0) {
		forget(t, 0);
		err = gone;
	} else if (!(stale_ok && complete && away(s))) {
		err = run(t, info, erased);
	}
	if (err == -ENOENT || err == -ENOMEM)
		forget(t, 0);
	end_turn(t, err);
	return err;
}
