/* Reading an actor's bytes: from the cache, and what is missing from the backend, its chain verified record by record. */
#include <errno.h>

#include "state.h"

/* A hole up to this size is read through rather than jumped over by a search. */
#define NEAR_BYTES (64 * 1024)
/* So many records are fetched one by one before a scan is opened, which costs more to begin with. */
#define SINGLE_GETS 16
#define READ_AHEAD_MIN (256 * 1024)
#define READ_AHEAD_MAX (16 * 1024 * 1024)

struct fetch {
	struct actor *actor;
	struct head at;        /* the end of what has been verified */
	uint64_t until_seq;    /* the chain's last record that the caller knows of */
	uint64_t stop_at;      /* enough once the chain has reached this byte */
	uint64_t offset;       /* the caller's buffer, filled from here */
	size_t size;
	size_t got;
	char *out;
	bool broken;
};

static void
copy_out(struct fetch *f, const struct record *r)
{
	uint64_t want = f->offset + f->got, end = r->offset + r->payload.len;

	if (f->got == f->size || want < r->offset || want >= end)
		return;
	size_t skip = (size_t)(want - r->offset), n = (size_t)(end - want);
	n = n < f->size - f->got ? n : f->size - f->got;
	memcpy(f->out + f->got, r->payload.p + skip, n);
	f->got += n;
}

static bool
enough(const struct fetch *f)
{
	return f->broken || f->at.size >= f->stop_at || f->at.seq >= f->until_seq;
}

static void
report_broken(struct fetch *f, uint64_t seq, const char *why)
{
	struct actor *a = f->actor;

	f->broken = true;
	log_error(a->store->lg, "%s/%s: the chain does not hold at sequence %llu, after version %llu (byte %llu): %s", a->ns, a->name,
	    (unsigned long long)seq, (unsigned long long)f->at.version, (unsigned long long)f->at.size, why);
}

static int
take(void *arg, const struct record *r)
{
	struct fetch *f = arg;
	const char *why;

	if (!record_follows(&f->at, r, &why)) {
		report_broken(f, r->seq, why);
		return 1;
	}
	cache_put(f->actor->store->cache, &f->actor->file, &f->at, r);
	copy_out(f, r);
	f->at = record_head(r);
	return enough(f) ? 1 : 0;
}

/* The next few records, one by one. -ENOENT: there is none though the chain goes on. */
static int
fetch_singly(struct fetch *f)
{
	struct store *s = f->actor->store;
	struct owned_record next = { 0 };
	int err = 0;

	for (unsigned i = 0; i < SINGLE_GETS && err == 0 && !enough(f); i++) {
		struct backend_get g = { .kind = GET_NEXT, .seq = f->at.seq + 1 };
		err = wait_get_sure(s->backend, s->clock, actor_full_name(f->actor), g, store_deadline(s), &next);
		if (err == 0)
			take(f, &next.record);
	}
	owned_record_free(&next);
	return err;
}

static int
fetch_by_scan(struct fetch *f)
{
	struct store *s = f->actor->store;
	int64_t deadline = store_deadline(s);
	unsigned tries = 0;
	int err;

	do
		err = s->backend->ops->scan(s->backend, actor_full_name(f->actor), f->at.seq + 1, f->until_seq,
		    s->options.timeout_ns, take, f);
	while (err == -ENOTCONN && (err = wait_retry(s->backend, s->clock, deadline, &tries)) == 0);
	return err;
}

/* Follow the chain from f->at until enough(f). A record that is missing on the way is a broken chain. */
static int
run_fetch(struct fetch *f)
{
	int err = fetch_singly(f);

	/* A scan ends early where the replica that serves it is behind; single gets tell that from a missing record. */
	while (err == 0 && !enough(f)) {
		err = fetch_by_scan(f);
		if (err == 0)
			err = fetch_singly(f);
	}
	if (err == -ENOENT)
		report_broken(f, f->at.seq + 1, "a record is missing");
	return err == -ENOENT ? 0 : err;
}

/* What a record says of its place, for the search. */
static bool
is_before(const struct record *r, enum replay_key key, uint64_t value)
{
	return key == REPLAY_OFFSET ? r->offset + r->payload.len <= value : r->last < value;
}

static bool
is_behind(const struct record *r, enum replay_key key, uint64_t value)
{
	return key == REPLAY_OFFSET ? r->offset > value : r->first > value;
}

int
replay_locate(struct actor *a, const struct head *until, enum replay_key key, uint64_t value, struct head *base,
    struct owned_record *found)
{
	struct store *s = a->store;
	uint64_t lo = 1, hi = until->seq;
	const char *why;

	/* Sequences of other actors lie between ours: a probe gives our first record at or behind it. */
	while (lo <= hi) {
		struct backend_get g = { .kind = GET_NEXT, .seq = lo + (hi - lo) / 2 };
		int err = wait_get_sure(s->backend, s->clock, actor_full_name(a), g, store_deadline(s), found);
		if (err != 0 && err != -ENOENT)
			return err;
		if (err == -ENOENT || found->record.seq > hi || is_behind(&found->record, key, value)) {
			hi = g.seq - 1;
		} else if (found->record.foreign) {
			return -EIO;
		} else if (is_before(&found->record, key, value)) {
			lo = found->record.seq + 1;
		} else if (found->record.prev_seq == 0) {
			*base = (struct head){ 0 };
			return record_follows(base, &found->record, &why) ? 0 : -EIO;
		} else {
			struct owned_record prev = { 0 };
			g = (struct backend_get){ .kind = GET_SEQ, .seq = found->record.prev_seq };
			err = wait_get_sure(s->backend, s->clock, actor_full_name(a), g, store_deadline(s), &prev);
			if (err == 0)
				*base = record_head(&prev.record);
			owned_record_free(&prev);
			if (err == 0 && record_follows(base, &found->record, &why))
				return 0;
			return err == 0 || err == -ENOENT ? -EIO : err;
		}
	}
	return -ENOENT;
}

/* Where to begin so that offset is reached: behind a cached block, or by a search. */
static int
find_start(struct actor *a, const struct head *until, uint64_t offset, struct head *base)
{
	struct owned_record found = { 0 };
	struct head hi = *until;
	uint64_t before_seq;

	cache_nearest(&a->file, offset, base, &before_seq);
	if (offset - base->size <= NEAR_BYTES)
		return 0;
	hi.seq = before_seq < hi.seq ? before_seq : hi.seq;
	int err = replay_locate(a, &hi, REPLAY_OFFSET, offset, base, &found);
	owned_record_free(&found);
	if (err == -ENOENT)
		return -EIO;
	return err;
}

/* A reader that goes on where the last one ended gets ever more at once, one that jumps about does not. */
static size_t
choose_read_ahead(struct actor *a, uint64_t offset)
{
	size_t most = (size_t)(cache_max_bytes(a->store->cache) / 8);

	pthread_mutex_lock(&a->lock);
	if (offset == a->read_to && offset > 0)
		a->read_ahead = a->read_ahead * 2;
	else
		a->read_ahead = READ_AHEAD_MIN;
	most = most < READ_AHEAD_MAX ? most : READ_AHEAD_MAX;
	if (a->read_ahead > most)
		a->read_ahead = most;
	size_t ahead = a->read_ahead;
	pthread_mutex_unlock(&a->lock);
	return ahead;
}

/* Fetch the bytes from offset on, and ahead of them. Returns how many of them were copied out, or -errno. */
static ssize_t
fill(struct actor *a, const struct head *until, uint64_t offset, size_t size, char *out)
{
	struct fetch f = { .actor = a, .until_seq = until->seq, .offset = offset, .size = size, .out = out };

	int err = find_start(a, until, offset, &f.at);
	if (err != 0)
		return err;
	f.stop_at = offset + size + choose_read_ahead(a, offset);
	f.stop_at = f.stop_at < until->size ? f.stop_at : until->size;
	err = run_fetch(&f);
	pthread_mutex_lock(&a->lock);
	a->read_to = f.at.size;
	pthread_mutex_unlock(&a->lock);
	if (f.got > 0)
		return (ssize_t)f.got;
	if (err != 0)
		return err;
	return -EIO;
}

ssize_t
actor_read(struct actor *a, const struct head *head, uint64_t offset, size_t size, char *out)
{
	size_t got = 0;

	if (offset >= head->size) {
		pthread_mutex_lock(&a->lock);
		bool at_break = a->broken && offset >= a->head.size;
		pthread_mutex_unlock(&a->lock);
		return at_break ? -EIO : 0;
	}
	if (size > head->size - offset)
		size = (size_t)(head->size - offset);
	while (got < size) {
		ssize_t n = (ssize_t)cache_read(a->store->cache, &a->file, offset + got, size - got, out + got);
		if (n == 0)
			n = fill(a, head, offset + got, size - got, out + got);
		if (n < 0)
			return got > 0 ? (ssize_t)got : n;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int
actor_find_end(struct actor *a, uint64_t foreign_seq)
{
	struct fetch f = { .actor = a, .until_seq = foreign_seq, .stop_at = UINT64_MAX };
	int64_t asked_ns = clock_mono(a->store->clock);

	int err = run_fetch(&f);
	if (err != 0)
		return err;
	pthread_mutex_lock(&a->lock);
	a->known = a->broken = true;
	a->broken_seq = foreign_seq;
	a->head = f.at;
	a->head_at_ns = asked_ns;
	pthread_mutex_unlock(&a->lock);
	return 0;
}
