#include <errno.h>
#include <stdlib.h>

#include "types_state.h"

#define AHEAD_FIRST (256U << 10)
/* Records that are asked for at a time, at most. */
#define WANTED_MAX 32768
/*
 * A scan brings all records, a get one, at about the cost of GET_COST records of a scan; and a scan costs as much as SCAN_MIN gets to
 * begin with.
 */
#define GET_COST 16
#define SCAN_MIN 64

struct type_reader {
	struct types *types; /* counted */
	struct type *type;
	uint64_t generation; /* of the type */

	struct lock lock;
	pthread_cond_t changed;
	bool busy; /* guarded by lock: it is some thread's turn, who has what follows */

	struct buf window; /* fetched bytes */
	uint64_t window_at; /* the byte of the text where it begins */
	size_t ahead;      /* how much is fetched next */
};

/* Records whose bytes are to be fetched, in order. */
struct wanted {
	struct type_entry *entries;
	size_t count;
	size_t got;
	struct type_reader *reader;
	int64_t deadline_ns;
};

static struct store *
store_of(const struct type_reader *r)
{
	return r->types->all->store;
}

/* Taking what comes */

/* The next one of those that are wanted: its lines go into the window. */
static int
accept(struct wanted *w, struct span payload)
{
	struct type_reader *r = w->reader;
	struct type_lines lines = { .rest = payload };
	size_t before = r->window.len;
	struct span line, name;

	while (type_lines_next(&lines, &line, &name))
		if (span_eq(name, types_name(r->type)))
			buf_put_span(&r->window, line);
	arena_free(&lines.arena);
	if (r->window.failed)
		return -ENOMEM;
	if (r->window.len - before != w->entries[w->got].bytes) {
		r->window.len = before;
		return -EIO;
	}
	w->got++;
	w->deadline_ns = store_deadline(store_of(r));
	return 0;
}

/* A scan's record. */
static int
take(void *arg, const struct scanned *m)
{
	struct wanted *w = arg;

	if (m == NULL || m->seq < w->entries[w->got].seq)
		return 0;
	/* Beyond: it was lost on the way, or it is gone; a get will tell. */
	if (m->seq > w->entries[w->got].seq)
		return 1;
	int err = accept(w, m->payload);
	return err != 0 ? err : w->got == w->count;
}

/* Fetching */

static int
get_surely(struct wanted *w, struct backend_get g)
{
	struct type_reader *r = w->reader;
	struct store *s = store_of(r);
	struct owned_record one = { 0 };
	struct actor_name name = { .ns = r->types->ns };

	int err = wait_get_sure(s->backend, s->clock, name, g, w->deadline_ns, &one);
	if (err == 0)
		err = accept(w, one.record.payload);
	owned_record_free(&one);
	return err;
}

/* A few, all at once. */
static int
fetch_few(struct wanted *w)
{
	struct type_reader *r = w->reader;
	struct store *s = store_of(r);
	struct backend_get gets[WAIT_MANY];
	struct owned_record found[WAIT_MANY] = { 0 };
	int errs[WAIT_MANY], err = 0;
	size_t n = 0, used = 0;

	for (; n < WAIT_MANY && w->got + n < w->count; n++)
		gets[n] = (struct backend_get){ .kind = GET_SEQ, .seq = w->entries[w->got + n].seq };
	wait_get_many(s->backend, (struct actor_name){ .ns = r->types->ns }, gets, n,
	    wait_attempt_deadline(s->clock, w->deadline_ns), found, errs);
	while (err == 0 && used < n && errs[used] == 0)
		err = accept(w, found[used++].record.payload);
	if (err == 0 && used < n)
		err = get_surely(w, gets[used]);
	for (size_t i = 0; i < n; i++)
		owned_record_free(&found[i]);
	return err;
}

/* How many of those that are wanted next stand so close to each other that a scan is cheaper; 0: it is not. */
static size_t
dense(const struct wanted *w)
{
	const struct type_entry *e = w->entries + w->got;
	size_t left = w->count - w->got, n = 0;

	while (n + GET_COST <= left && e[n + GET_COST - 1].seq - e[n].seq < GET_COST * GET_COST &&
	       (n == 0 || e[n].seq - e[n - 1].seq < GET_COST * GET_COST))
		n += GET_COST;
	return n >= SCAN_MIN ? n : 0;
}

static int
fetch_by_scan(struct wanted *w, size_t count)
{
	struct type_reader *r = w->reader;
	struct store *s = store_of(r);
	struct wanted part = { w->entries, w->got + count, w->got, r, w->deadline_ns };
	struct backend_range range = { .from_seq = w->entries[w->got].seq, .to_seq = w->entries[w->got + count - 1].seq };
	int64_t idle_ns = wait_attempt_deadline(s->clock, w->deadline_ns) - clock_mono(s->clock);

	int err = s->backend->ops->scan(s->backend, (struct actor_name){ .ns = r->types->ns }, range, idle_ns > 0 ? idle_ns : 0, take, &part);
	bool none = part.got == w->got;
	w->got = part.got;
	w->deadline_ns = part.deadline_ns;
	/* What a scan does not bring a get does, or waits for it. */
	if ((err == 0 || err == -ENOTCONN || err == -ETIMEDOUT) && none)
		return fetch_few(w);
	return err == -ENOTCONN || err == -ETIMEDOUT ? 0 : err;
}

static int
fetch(struct wanted *w)
{
	int err = 0;

	while (err == 0 && w->got < w->count) {
		size_t n = dense(w);
		err = n > 0 ? fetch_by_scan(w, n) : fetch_few(w);
	}
	return err;
}

/* A record that should be there is not, or is another. */
static int
explain(struct type_reader *r, uint64_t seq, int err)
{
	struct types *t = r->types;

	if (err != -ENOENT && err != -EIO)
		return err;
	int asked = types_update(t, 0, false);
	lock_take(&t->lock);
	bool other = r->type->generation != r->generation;
	lock_give(&t->lock);
	if (other)
		return -ESTALE;
	if (asked != 0)
		return asked;
	log_error(t->all->store->lg, "namespace %s: the record with sequence %llu is missing, or is not what it was", t->ns, (unsigned long long)seq);
	return -EIO;
}

/* Reading */

/* What is to be fetched for the bytes from offset on, so many of them at least, as far as there are. */
static int
choose(struct type_reader *r, uint64_t offset, size_t size, struct wanted *w)
{
	struct types *t = r->types;
	struct type_walk walk;
	struct type_entry e;
	uint64_t bytes = 0;

	w->entries = malloc(WANTED_MAX * sizeof(*w->entries));
	if (w->entries == NULL)
		return -ENOMEM;
	lock_take(&t->lock);
	type_walk_begin(&walk, r->type, offset);
	while (bytes < size && w->count < WANTED_MAX && type_walk_next(&walk, &e) && e.offset < r->type->shown_size) {
		bytes += e.offset + e.bytes - (e.offset < offset ? offset : e.offset);
		w->entries[w->count++] = e;
	}
	lock_give(&t->lock);
	return w->count > 0 ? 0 : -EIO;
}

static bool
in_window(const struct type_reader *r, uint64_t offset)
{
	return offset >= r->window_at && offset - r->window_at < r->window.len;
}

/* Have the window hold the byte at offset. */
static int
move_window(struct type_reader *r, uint64_t offset, size_t size)
{
	struct wanted w = { .reader = r, .deadline_ns = store_deadline(store_of(r)) };
	bool on = r->window.len > 0 && offset == r->window_at + r->window.len;

	r->ahead = !on ? 0 : r->ahead == 0 ? AHEAD_FIRST : r->ahead < TYPES_AHEAD_MAX ? 2 * r->ahead : r->ahead;
	buf_clear(&r->window);
	int err = choose(r, offset, size > r->ahead ? size : r->ahead, &w);
	if (err == 0) {
		r->window_at = w.entries[0].offset;
		err = fetch(&w);
		/* What there is of it is as good. */
		if (in_window(r, offset))
			err = 0;
		if (err != 0)
			err = explain(r, w.entries[w.got].seq, err);
	}
	free(w.entries);
	return err;
}

/* What shows, as far as is known; doubt: an actor has been erased since that was found out. -ESTALE: it is another text now. */
static int
glance(struct type_reader *r, uint64_t *shown, bool *doubt)
{
	struct types *t = r->types;
	uint64_t erased = atomic_load(&t->erased);

	lock_take(&t->lock);
	bool other = r->type->generation != r->generation;
	*shown = r->type->shown_size;
	*doubt = t->erased_seen < erased;
	lock_give(&t->lock);
	return other ? -ESTALE : 0;
}

/* The same, brought up to date if the bytes up to end are not known, or in doubt. */
static int
look(struct type_reader *r, uint64_t offset, uint64_t end, uint64_t *shown)
{
	bool doubt;
	int err = glance(r, shown, &doubt);

	if (err != 0 || (!doubt && end <= *shown))
		return err;
	int asked = types_update(r->types, 0, !doubt);
	err = glance(r, shown, &doubt);
	if (err != 0 || asked == 0)
		return err;
	/* Without an answer it ends where it did. */
	return !doubt && (offset < *shown || asked == -ETIMEDOUT) ? 0 : asked;
}

static int
read_now(struct type_reader *r, uint64_t offset, size_t size, struct buf *out)
{
	uint64_t shown, end = offset + size;
	int err = look(r, offset, end, &shown);

	end = end < shown ? end : shown;
	while (err == 0 && offset < end) {
		if (!in_window(r, offset) && (err = move_window(r, offset, (size_t)(end - offset))) != 0)
			break;
		size_t skip = (size_t)(offset - r->window_at), n = r->window.len - skip;
		n = n < end - offset ? n : (size_t)(end - offset);
		buf_put(out, r->window.p + skip, n);
		offset += n;
	}
	/* What has been found out meanwhile may have made it another text. */
	bool doubt;
	if (err == 0)
		err = glance(r, &shown, &doubt);
	return err == 0 && out->failed ? -ENOMEM : err;
}

int
type_read(struct type_reader *r, uint64_t offset, size_t size, struct buf *out)
{
	lock_take(&r->lock);
	while (r->busy)
		lock_wait(&r->lock, &r->changed);
	r->busy = true;
	lock_give(&r->lock);
	int err = read_now(r, offset, size, out);
	if (err != 0)
		buf_free(&r->window);
	lock_take(&r->lock);
	r->busy = false;
	pthread_cond_signal(&r->changed);
	lock_give(&r->lock);
	return err;
}

int
type_reader_new(struct types *t, struct type *type, struct type_reader **out)
{
	struct type_reader *r = calloc(1, sizeof(*r));
	struct all_types *all = t->all;

	if (r == NULL)
		return -ENOMEM;
	r->types = t;
	r->type = type;
	lock_init(&r->lock, LOCK_TYPE_READER);
	lock_cond_init(&r->changed);
	lock_take(&all->lock);
	t->holders++;
	lock_give(&all->lock);
	lock_take(&t->lock);
	r->generation = type->generation;
	lock_give(&t->lock);
	*out = r;
	return 0;
}

void
type_reader_free(struct type_reader *r)
{
	if (r == NULL)
		return;
	types_put(r->types);
	buf_free(&r->window);
	pthread_cond_destroy(&r->changed);
	lock_destroy(&r->lock);
	free(r);
}
