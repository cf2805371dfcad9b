#include "fetch.h"

#include <errno.h>

/* So many records at the end of the chain are fetched from there back. */
#define SINGLE_GETS 16
/* So many that follow are asked for one by one, before a scan is opened, which costs more to begin with. */
#define FEW_GETS 48
/* A small event by itself. */
#define SMALL_RECORD_BYTES 150
/* Larger records are not asked for on a guess. */
#define GUESS_BYTES 4096
/* A run ends once it has so many bytes; larger records are verified by themselves. */
#define RUN_BYTES (64 * 1024)

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
	return f->broken || f->stopped || f->at.size >= f->stop_at || f->at.seq >= f->until_seq;
}

/* Returns 0, or -ESTALE if there is a reason for it that is no fault. */
static int
report_broken(struct fetch *f, uint64_t seq, const char *why)
{
	struct actor *a = f->actor;

	if (!f->any_life && actor_was_erased(a, f->at.life))
		return -ESTALE;
	f->broken = true;
	log_error(a->store->lg, "%s/%s: the chain does not hold at sequence %llu, after version %llu (byte %llu): %s", a->ns, a->name,
	    (unsigned long long)seq, (unsigned long long)f->at.version, (unsigned long long)f->at.size, why);
	return 0;
}

static void
look_around(struct fetch *f)
{
	if (f->pause != NULL && f->pause(f))
		f->stopped = true;
}

/* r, one record or a run in the shape of one, has been verified. */
static void
accept(struct fetch *f, const struct record *r)
{
	cache_put_since(f->actor->store->cache, &f->actor->file, f->generation, &f->at, r);
	copy_out(f, r);
	f->at = record_head(r);
	f->deadline_ns = store_deadline(f->actor->store);
	look_around(f);
}

static void
drop_run(struct fetch *f)
{
	f->run = (struct record_run){ 0 };
	buf_clear(&f->run_bytes);
}

/* The run up to this sequence is not what it should be: the scan ends, and what comes next is done with more care. */
static int
distrust(struct fetch *f, uint64_t seq)
{
	drop_run(f);
	f->careful_to = seq;
	return 1;
}

static int
take_one(struct fetch *f, const struct scanned *m)
{
	struct record r;
	const char *why;

	m->decode(m, &r);
	/* Perhaps it is the scan that has lost one: the single gets that follow will tell. */
	if (!record_follows(&f->at, &r, &why))
		return 1;
	accept(f, &r);
	return enough(f) ? 1 : 0;
}

static bool
run_is_whole(const struct fetch *f, const struct scanned *m)
{
	return f->run.bytes >= RUN_BYTES || m->last || m->seq >= f->until_seq || f->at.size + f->run.bytes >= f->stop_at;
}

static int
take(void *arg, const struct scanned *m)
{
	struct fetch *f = arg;
	struct record r;

	if (m == NULL) {
		look_around(f);
		return f->stopped ? 1 : 0;
	}
	/* A run of one saves nothing. */
	bool alone = m->last || m->seq <= f->careful_to || m->payload.len == 0 || m->payload.len >= RUN_BYTES;
	if (f->run.records == 0 && alone)
		return take_one(f, m);
	record_run_add(&f->run, &f->at, m->seq, m->payload);
	buf_put_span(&f->run_bytes, m->payload);
	if (f->run_bytes.failed)
		return -ENOMEM;
	if (f->run.odd)
		return distrust(f, m->seq);
	if (!run_is_whole(f, m))
		return 0;
	m->decode(m, &r);
	if (!record_run_follows(&f->at, &f->run, &r))
		return distrust(f, m->seq);
	r.offset = f->at.size;
	r.payload = (struct span){ f->run_bytes.p, f->run_bytes.len };
	accept(f, &r);
	drop_run(f);
	return enough(f) ? 1 : 0;
}

/* How many records of that size, 0 if it is not known, are wanted at most. */
static uint64_t
wanted_records(const struct fetch *f, size_t size)
{
	uint64_t bytes = f->stop_at - f->at.size, records = f->until_seq - f->at.seq;

	if (size > 0 && bytes / size < records)
		records = bytes / size + 1;
	if (f->until_count > f->at.count && f->until_count - f->at.count < records)
		records = f->until_count - f->at.count;
	return records;
}

/* *next becomes the record that follows, accepted. -ENOENT: there is none though the chain goes on. */
static int
fetch_one(struct fetch *f, struct owned_record *next)
{
	struct store *s = f->actor->store;
	struct backend_get g = { .kind = GET_NEXT, .seq = f->at.seq + 1 };
	const char *why;

	int err = wait_get_sure(s->backend, s->clock, actor_full_name(f->actor), g, f->deadline_ns, next);
	if (err != 0)
		return err;
	if (record_follows(&f->at, &next->record, &why) || (f->any_life && next->record.erased))
		accept(f, &next->record);
	else
		err = report_broken(f, next->record.seq, why);
	return err;
}

/* Up to count records that follow, all at once, if each lies step behind the one before it. Returns how many did. */
static size_t
guess_next(struct fetch *f, uint64_t step, uint64_t count)
{
	struct store *s = f->actor->store;
	struct backend_get gets[WAIT_MANY] = { 0 };
	struct owned_record found[WAIT_MANY] = { 0 };
	int errs[WAIT_MANY];
	size_t n = 0, used = 0;
	const char *why;

	for (uint64_t seq = f->at.seq + step; n < WAIT_MANY && n < count && seq <= f->until_seq; seq += step)
		gets[n++] = (struct backend_get){ .kind = GET_SEQ, .seq = seq };
	wait_get_many(s->backend, actor_full_name(f->actor), gets, n, f->deadline_ns, found, errs);
	while (used < n && errs[used] == 0 && !enough(f) && record_follows(&f->at, &found[used].record, &why))
		accept(f, &found[used++].record);
	for (size_t i = 0; i < n; i++)
		owned_record_free(&found[i]);
	return used;
}

/* The next few records, as far as a scan would not be cheaper. *left becomes a guess at how many are wanted after them. */
static int
fetch_few(struct fetch *f, uint64_t *left)
{
	struct owned_record next = { 0 };
	int err = 0;

	*left = 0;
	for (size_t asked = 0; err == 0 && !enough(f) && asked < FEW_GETS; asked++) {
		uint64_t before = f->at.seq;
		err = fetch_one(f, &next);
		if (err != 0 || enough(f))
			break;
		*left = wanted_records(f, next.record.payload.len);
		if (*left > FEW_GETS || atomic_load(&f->actor->store->backend->few_at_once))
			break;
		size_t got = 1;
		/* The first one says nothing of a step. */
		while (before != 0 && got > 0 && !enough(f) && next.record.payload.len <= GUESS_BYTES && asked < FEW_GETS) {
			got = guess_next(f, next.record.seq - before, *left);
			asked += WAIT_MANY;
			*left -= got < *left ? got : *left;
		}
	}
	owned_record_free(&next);
	return err;
}

/* Records from the end of the chain back, newest first. */
struct backwards {
	struct fetch *fetch;
	struct owned_record records[SINGLE_GETS];
	size_t count;
	uint64_t seq; /* of the next one */
};

static size_t
left_at_most(const struct backwards *b)
{
	uint64_t events = b->fetch->until_count - b->fetch->at.count;

	return events > b->count ? (size_t)events - b->count : 0;
}

/*
 * The next ones all at once, from guesses at their sequences: actors often take turns in a stream, or are written at one
 * go, so that the step from one record to the next stays the same. What does not fit is thrown away. Returns whether the
 * guess was any good.
 */
static bool
guess_more(struct backwards *b, uint64_t step)
{
	struct fetch *f = b->fetch;
	struct store *s = f->actor->store;
	struct backend_get gets[SINGLE_GETS];
	struct owned_record found[SINGLE_GETS] = { 0 };
	int errs[SINGLE_GETS];
	size_t n = 0, most = left_at_most(b), used = 0;

	most = most < SINGLE_GETS - b->count ? most : SINGLE_GETS - b->count;
	for (uint64_t seq = b->seq; n < most && seq > f->at.seq; seq = seq > step ? seq - step : 0)
		gets[n++] = (struct backend_get){ .kind = GET_SEQ, .seq = seq };
	wait_get_many(s->backend, actor_full_name(f->actor), gets, n, f->deadline_ns, found, errs);
	for (size_t i = 0; i < n; i++) {
		if (used == i && errs[i] == 0 && found[i].record.seq == b->seq) {
			b->seq = found[i].record.prev_seq;
			b->records[b->count++] = found[i];
			used++;
		} else {
			owned_record_free(&found[i]);
		}
	}
	return used > 1;
}

static int
collect_backwards(struct backwards *b)
{
	struct fetch *f = b->fetch;
	struct store *s = f->actor->store;
	bool guessing = true;

	while (b->count < SINGLE_GETS && b->seq > f->at.seq) {
		struct backend_get g = { .kind = GET_SEQ, .seq = b->seq };
		struct owned_record *next = &b->records[b->count];
		int err = wait_get_sure(s->backend, s->clock, actor_full_name(f->actor), g, f->deadline_ns, next);
		if (err != 0)
			return err;
		b->count++;
		b->seq = next->record.prev_seq;
		if (guessing && b->seq < g.seq && left_at_most(b) > 1 && next->record.payload.len <= GUESS_BYTES)
			guessing = guess_more(b, g.seq - b->seq);
	}
	return 0;
}

/*
 * Few records up to the end: from there back along their own pointers, for a get by sequence costs the server nothing,
 * and the first of an actor among many may cost a search. What does not come out right is left to fetch_singly.
 */
static int
fetch_backwards(struct fetch *f)
{
	struct backwards b = { .fetch = f, .seq = f->until_seq };
	const char *why;

	int err = collect_backwards(&b);
	bool whole = err == 0 && b.seq == f->at.seq;
	for (size_t i = b.count; whole && i-- > 0 && !enough(f);) {
		whole = record_follows(&f->at, &b.records[i].record, &why);
		if (whole)
			accept(f, &b.records[i].record);
	}
	for (size_t i = 0; i < SINGLE_GETS; i++)
		owned_record_free(&b.records[i]);
	return err == -ENOENT ? 0 : err;
}

static int
scan_once(struct fetch *f, uint64_t records, int64_t idle_ns)
{
	struct backend *b = f->actor->store->backend;
	struct backend_range range = { .from_seq = f->at.seq + 1, .to_seq = f->until_seq, .records = records };

	if (records > 0 && f->stop_at < UINT64_MAX)
		range.bytes = f->stop_at - f->at.size;
	int err = b->ops->scan(b, actor_full_name(f->actor), range, idle_ns, take, f);
	drop_run(f);
	return err;
}

/* records: how many are wanted, by a guess; 0: very many. */
static int
fetch_by_scan(struct fetch *f, uint64_t records)
{
	struct store *s = f->actor->store;
	unsigned tries = 0;

	for (;;) {
		uint64_t before = f->at.seq;
		int64_t idle_ns = wait_attempt_deadline(s->clock, f->deadline_ns) - clock_mono(s->clock);
		int err = scan_once(f, records, idle_ns > 0 ? idle_ns : 0);
		if ((err != -ENOTCONN && err != -ETIMEDOUT) || f->pause != NULL)
			return err;
		if (f->at.seq != before)
			tries = 0;
		/* Also one that was silent may have lost its consumer with a server. */
		err = wait_retry(s->backend, s->clock, f->deadline_ns, &tries);
		if (err != 0)
			return err;
	}
}

/* What seems best at first. It need not be enough. */
static int
fetch_first(struct fetch *f)
{
	uint64_t wanted = wanted_records(f, SMALL_RECORD_BYTES);

	/* Who goes on and on wants a scan anyway. */
	if (f->pause != NULL)
		return fetch_by_scan(f, 0);
	if (wanted <= BACKEND_FEW && atomic_load(&f->actor->store->backend->few_at_once))
		return fetch_by_scan(f, wanted);
	if (f->until_count > f->at.count && f->until_count - f->at.count <= SINGLE_GETS)
		return fetch_backwards(f);
	return 0;
}

int
fetch_follow(struct fetch *f)
{
	uint64_t left = 0;

	if (f->deadline_ns == 0)
		f->deadline_ns = store_deadline(f->actor->store);
	int err = enough(f) ? 0 : fetch_first(f);

	/* A scan may end early, and it may lose a record; single gets tell that from a break. */
	while (err == 0 && !enough(f)) {
		err = fetch_few(f, &left);
		if (err == 0 && !enough(f))
			err = fetch_by_scan(f, f->pause == NULL ? left : 0);
	}
	buf_free(&f->run_bytes);
	return err == -ENOENT ? report_broken(f, f->at.seq + 1, "a record is missing") : err;
}
