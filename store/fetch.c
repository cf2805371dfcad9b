#include "fetch.h"

#include <errno.h>

/* So many records are fetched one by one before a scan is opened, which costs more to begin with. */
#define SINGLE_GETS 16
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

static void
report_broken(struct fetch *f, uint64_t seq, const char *why)
{
	struct actor *a = f->actor;

	f->broken = true;
	log_error(a->store->lg, "%s/%s: the chain does not hold at sequence %llu, after version %llu (byte %llu): %s", a->ns, a->name,
	    (unsigned long long)seq, (unsigned long long)f->at.version, (unsigned long long)f->at.size, why);
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
	if (f->run.records == 0 && (m->seq <= f->careful_to || m->payload.len == 0 || m->payload.len >= RUN_BYTES))
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

/* The next few records, one by one. -ENOENT: there is none though the chain goes on. */
static int
fetch_singly(struct fetch *f)
{
	struct store *s = f->actor->store;
	struct owned_record next = { 0 };
	const char *why;
	int err = 0;

	for (unsigned i = 0; i < SINGLE_GETS && err == 0 && !enough(f); i++) {
		struct backend_get g = { .kind = GET_NEXT, .seq = f->at.seq + 1 };
		err = wait_get_sure(s->backend, s->clock, actor_full_name(f->actor), g, store_deadline(s), &next);
		if (err != 0)
			break;
		if (record_follows(&f->at, &next.record, &why))
			accept(f, &next.record);
		else
			report_broken(f, next.record.seq, why);
	}
	owned_record_free(&next);
	return err;
}

/*
 * Few records up to the end: from there back along their own pointers, for a get by sequence costs the server nothing,
 * and the first of an actor among many may cost a search. What does not come out right is left to fetch_singly.
 */
static int
fetch_backwards(struct fetch *f)
{
	struct store *s = f->actor->store;
	struct owned_record records[SINGLE_GETS] = { 0 };
	uint64_t seq = f->until_seq;
	const char *why;
	unsigned n = 0;
	int err = 0;

	while (err == 0 && n < SINGLE_GETS && seq > f->at.seq) {
		struct backend_get g = { .kind = GET_SEQ, .seq = seq };
		err = wait_get_sure(s->backend, s->clock, actor_full_name(f->actor), g, store_deadline(s), &records[n]);
		if (err == 0)
			seq = records[n++].record.prev_seq;
	}
	for (unsigned i = n; i-- > 0 && err == 0 && seq == f->at.seq && !enough(f);) {
		if (!record_follows(&f->at, &records[i].record, &why))
			break;
		accept(f, &records[i].record);
		seq = f->at.seq;
	}
	for (unsigned i = 0; i < n; i++)
		owned_record_free(&records[i]);
	return err == -ENOENT ? 0 : err;
}

static int
scan_once(struct fetch *f, int64_t idle_ns)
{
	struct backend *b = f->actor->store->backend;

	int err = b->ops->scan(b, actor_full_name(f->actor), f->at.seq + 1, f->until_seq, idle_ns, take, f);
	drop_run(f);
	return err;
}

static int
fetch_by_scan(struct fetch *f)
{
	struct store *s = f->actor->store;
	int64_t idle_ns = s->options.timeout_ns < WAIT_ATTEMPT_NS ? s->options.timeout_ns : WAIT_ATTEMPT_NS;
	int64_t deadline = store_deadline(s);
	unsigned tries = 0;

	for (;;) {
		uint64_t before = f->at.seq;
		int err = scan_once(f, idle_ns);
		if ((err != -ENOTCONN && err != -ETIMEDOUT) || f->pause != NULL)
			return err;
		if (f->at.seq != before) {
			deadline = store_deadline(s);
			tries = 0;
		}
		/* Also one that was silent may have lost its consumer with a server. */
		err = wait_retry(s->backend, s->clock, deadline, &tries);
		if (err != 0)
			return err;
	}
}

int
fetch_follow(struct fetch *f)
{
	int err = 0;

	if (f->until_count > f->at.count && f->until_count - f->at.count <= SINGLE_GETS)
		err = fetch_backwards(f);
	/* Who goes on and on wants a scan anyway. */
	if (err == 0 && f->pause == NULL)
		err = fetch_singly(f);

	/* A scan may end early, and it may lose a record; single gets tell that from a break. */
	while (err == 0 && !enough(f)) {
		err = fetch_by_scan(f);
		if (err == 0)
			err = fetch_singly(f);
	}
	buf_free(&f->run_bytes);
	if (err == -ENOENT)
		report_broken(f, f->at.seq + 1, "a record is missing");
	return err == -ENOENT ? 0 : err;
}
