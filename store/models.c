#include "models.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "event.h"
#include "model.h"
#include "state.h"

/*
 * Who says that a model changes may be ahead of the store: a server passes a message on before it has stored it, by milliseconds, and while
 * it has no majority by seconds. So it is looked at once, and again in four times as long each time, from 10 ms to 10 s: past what a put waits
 * for one answer. A look that fails is the first of as many again.
 */
#define LOOKS 6
#define LOOK_NS (10 * NS_PER_MS)
/*
 * What was said while nobody heard it is found in the list of all: when this node begins to listen, in pauses that grow likewise, up to
 * one that is for what is lost between servers. They are read again only if something was stored since the list before.
 */
#define LIST_NS (1 * NS_PER_SEC)
#define LIST_GROWS 15
#define LIST_MAX_NS (60 * NS_PER_SEC)
/* An attempt to read one in the background, which an end of all would have to wait for. */
#define READ_NS (2 * NS_PER_SEC)

/* One model, which does not change. */
struct held {
	struct model *model;
	atomic_uint refs;
};

/* What is known of a namespace that has, or had, a model. Lives as long as the models. */
struct known {
	struct table_link link;
	struct models *models;
	uint64_t seq;      /* of the text that held is from */
	struct held *held; /* NULL: none now */
	int64_t due_ns;    /* it is to be read anew then; 0: it is not */
	unsigned looks;    /* how often it was read since somebody said that it changes */
	unsigned tries;
	char ns[];
};

struct models {
	struct store *store;
	struct timer *thread; /* that reads those that have changed */
	atomic_bool ending;
	atomic_bool refused; /* NATS does not let this mount read them */
	atomic_uint enforcing; /* how many do */
	uint64_t first_seq;    /* what was stored last when all were read at first */

	/* The thread's. */
	bool read_all;        /* the next list is the first since somebody may not have been heard */
	int64_t list_ns;      /* when it is due; 0: never */
	int64_t list_pause_ns;
	uint64_t list_seq;    /* what the last one said was stored last, */
	uint64_t listed_seq;  /* and the one before */

	struct lock lock;
	struct table all; /* struct known; guarded by lock, as is what is in them */
};

static bool
known_match(const struct table_link *link, const void *key)
{
	return strcmp(container_of(link, struct known, link)->ns, key) == 0;
}

static struct known *
find_locked(struct models *m, const char *ns)
{
	struct table_link *link = table_find(&m->all, XXH3_64bits(ns, strlen(ns)), known_match, ns);

	return link != NULL ? container_of(link, struct known, link) : NULL;
}

static struct known *
known_locked(struct models *m, const char *ns)
{
	struct known *k = find_locked(m, ns);
	size_t size = strlen(ns) + 1;

	if (k != NULL)
		return k;
	k = calloc(1, sizeof(*k) + size);
	if (k == NULL)
		return NULL;
	k->models = m;
	k->looks = LOOKS;
	memcpy(k->ns, ns, size);
	if (table_add(&m->all, XXH3_64bits(ns, size - 1), &k->link) == 0)
		return k;
	free(k);
	return NULL;
}

static void
put_held(struct held *h)
{
	if (h == NULL || atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	model_free(h->model);
	free(h);
}

static bool
enforces(const struct held *h)
{
	return h != NULL && model_enforces(h->model);
}

/* An empty text is no model. */
static int
hold(struct span text, struct held **out, struct buf *fault)
{
	struct held *h = text.len > 0 ? calloc(1, sizeof(*h)) : NULL;

	*out = NULL;
	if (text.len == 0)
		return 0;
	int err = h != NULL ? model_parse(text, &h->model, fault) : -ENOMEM;
	if (err != 0) {
		free(h);
		return err;
	}
	atomic_init(&h->refs, 1);
	*out = h;
	return 0;
}

/* The text with that sequence is h, which is taken. An older one than what is known is dropped. */
static int
learn(struct models *m, const char *ns, uint64_t seq, struct held *h)
{
	lock_take(&m->lock);
	struct known *k = known_locked(m, ns);
	struct held *old = h;
	if (k != NULL && seq > k->seq) {
		old = k->held;
		k->held = h;
		k->seq = seq;
		atomic_fetch_add(&m->enforcing, (unsigned)enforces(h) - (unsigned)enforces(old));
	}
	lock_give(&m->lock);
	put_held(old);
	return k != NULL ? 0 : -ENOMEM;
}

static struct held *
get_held(struct models *m, const char *ns)
{
	lock_take(&m->lock);
	struct known *k = find_locked(m, ns);
	struct held *h = k != NULL ? k->held : NULL;
	if (h != NULL)
		atomic_fetch_add(&h->refs, 1);
	lock_give(&m->lock);
	return h;
}

static int
get_once(struct store *s, const char *ns, uint64_t from_seq, int64_t deadline_ns, struct buf *text, uint64_t *seq)
{
	struct doc_name name = { DOC_MODEL, ns, NULL };

	buf_clear(text);
	return s->backend->ops->doc_get(s->backend, &name, from_seq, deadline_ns, text, seq);
}

static int
get_text(struct store *s, const char *ns, uint64_t from_seq, struct buf *text, uint64_t *seq)
{
	struct attempt at = attempt_begin(s);
	int err;

	do
		err = get_once(s, ns, from_seq, at.deadline_ns, text, seq);
	while (attempt_again(&at, &err));
	return err;
}

static int
put_text(struct store *s, const char *ns, const uint64_t *behind, struct span text, uint64_t *seq)
{
	struct doc_name name = { DOC_MODEL, ns, NULL };
	struct attempt at = attempt_begin(s);
	int err;

	do
		err = s->backend->ops->doc_put(s->backend, &name, behind, text, at.deadline_ns, seq);
	while (attempt_again(&at, &err));
	return err;
}

/* Is that text, or a newer one, known? */
static bool
knows(struct models *m, const char *ns, uint64_t seq)
{
	lock_take(&m->lock);
	struct known *k = find_locked(m, ns);
	bool known = k != NULL && k->seq >= seq;
	lock_give(&m->lock);
	return known;
}

/* Read the namespace's model; once: in one short attempt. */
static int
load(struct models *m, const char *ns, bool once)
{
	struct store *s = m->store;
	struct buf text = { 0 }, fault = { 0 };
	struct held *h = NULL;
	uint64_t seq = 0;
	int err = once ? get_once(s, ns, 0, clock_mono(s->clock) + READ_NS, &text, &seq) : get_text(s, ns, 0, &text, &seq);
	bool fresh = err == 0 && !knows(m, ns, seq);

	if (fresh)
		err = hold((struct span){ text.p, text.len }, &h, &fault);
	if (err == -EINVAL) {
		/* Somebody else has put it there, or a newer version has. */
		log_error(s->lg, "%s: the model that is stored is none, and is not enforced: %s", ns, buf_text(&fault));
		err = 0;
	}
	if (fresh && err == 0)
		err = learn(m, ns, seq, h);
	buf_free(&text);
	buf_free(&fault);
	return err == -ENOENT ? 0 : err;
}

/* Changes */

static void read_due(void *arg);

/* At that time of the monotonic clock, unless it will be earlier. */
static void
read_again_locked(struct known *k, int64_t at_ns)
{
	if ((k->due_ns != 0 && k->due_ns <= at_ns) || atomic_load(&k->models->ending))
		return;
	if (timer_at(k->models->thread, at_ns, read_due, k) == 0)
		k->due_ns = at_ns;
}

/* It has been read; err is why it could not be. */
static void
after_read_locked(struct known *k, int err, int64_t now)
{
	k->tries = err != 0 ? k->tries + 1 : 0;
	if (err == -EACCES)
		return;
	if (err != 0) {
		k->looks = 0;
		read_again_locked(k, now + wait_backoff_ns(k->tries));
	} else if (k->looks < LOOKS) {
		read_again_locked(k, now + (LOOK_NS << 2 * k->looks++));
	}
}

/* On the thread. */
static void
read_due(void *arg)
{
	struct known *k = arg;
	struct models *m = k->models;

	lock_take(&m->lock);
	bool due = k->due_ns != 0 && k->due_ns <= clock_mono(m->store->clock) && !atomic_load(&m->ending);
	if (due)
		k->due_ns = 0; /* what changes from here on is told anew */
	lock_give(&m->lock);
	if (!due)
		return;
	int err = load(m, k->ns, true);
	if (err != 0 && k->tries == 0)
		log_warn(m->store->lg, "%s: the model could not be read, and may be another by now: %s", k->ns, strerror(-err));
	lock_take(&m->lock);
	after_read_locked(k, err, clock_mono(m->store->clock));
	lock_give(&m->lock);
}

/* looks: LOOKS if what there is to be read has been stored. */
static int
note_changed(struct models *m, const char *ns, unsigned looks)
{
	lock_take(&m->lock);
	struct known *k = known_locked(m, ns);
	if (k != NULL) {
		k->looks = looks < k->looks ? looks : k->looks;
		read_again_locked(k, clock_mono(m->store->clock));
	}
	lock_give(&m->lock);
	return 0;
}

/* It need not be read again where nothing was stored since the list before. */
static int
note_listed(void *arg, const char *ns)
{
	struct models *m = arg;

	return !m->read_all && m->list_seq == m->listed_seq ? 0 : note_changed(m, ns, LOOKS);
}

static void list_due(void *arg);

static void
list_at(struct models *m, int64_t at_ns)
{
	if (timer_at(m->thread, at_ns, list_due, m) == 0)
		m->list_ns = at_ns;
}

/* On the thread: there may be others than those that are known. */
static void
list_due(void *arg)
{
	struct models *m = arg;
	struct store *s = m->store;
	int64_t now = clock_mono(s->clock);

	if (m->list_ns == 0 || m->list_ns > now || atomic_load(&m->ending))
		return;
	m->list_ns = 0;
	int err = s->backend->ops->doc_list(s->backend, DOC_MODEL, now + READ_NS, &m->list_seq, note_listed, m);
	if (err == 0) {
		m->listed_seq = m->list_seq;
		m->read_all = false;
	}
	list_at(m, clock_mono(s->clock) + m->list_pause_ns);
	if (err == 0 && m->list_pause_ns < LIST_MAX_NS)
		m->list_pause_ns = m->list_pause_ns * LIST_GROWS < LIST_MAX_NS ? m->list_pause_ns * LIST_GROWS : LIST_MAX_NS;
}

/* On the thread: what was said up to now may not have been heard. */
static void
list_anew(void *arg)
{
	struct models *m = arg;

	m->read_all = true;
	m->list_pause_ns = LIST_NS;
	list_at(m, clock_mono(m->store->clock));
}

/* On the thread: all have just been read. */
static void
list_more(void *arg)
{
	struct models *m = arg;

	if (m->list_ns != 0)
		return; /* a connection was lost meanwhile */
	m->listed_seq = m->first_seq;
	m->list_pause_ns = LIST_NS;
	list_at(m, clock_mono(m->store->clock) + LIST_NS);
}

static void
on_changed(void *arg, const char *ns)
{
	struct models *m = arg;

	if (atomic_load(&m->refused))
		return;
	if (ns != NULL)
		(void)note_changed(m, ns, 0);
	else if (!atomic_load(&m->ending))
		(void)timer_at(m->thread, 0, list_anew, m);
}

static int
load_named(void *arg, const char *ns)
{
	return load(arg, ns, false);
}

static int
load_all(struct models *m)
{
	struct store *s = m->store;
	struct attempt at = attempt_begin(s);
	int err;

	do
		err = s->backend->ops->doc_list(s->backend, DOC_MODEL, at.deadline_ns, &m->first_seq, load_named, m);
	while (attempt_again(&at, &err));
	if (err == -EACCES) {
		atomic_store(&m->refused, true);
		log_warn(s->lg, "NATS does not let this mount read the models of namespaces: none is enforced here");
		err = 0;
	} else {
		(void)timer_at(m->thread, 0, list_more, m);
	}
	return err;
}

int
models_new(struct models **out, struct store *s)
{
	struct models *m = calloc(1, sizeof(*m));
	int err = m == NULL ? -ENOMEM : timer_new(&m->thread, s->clock);

	if (err != 0) {
		free(m);
		return err;
	}
	m->store = s;
	atomic_init(&m->ending, false);
	atomic_init(&m->refused, false);
	atomic_init(&m->enforcing, 0);
	lock_init(&m->lock, LOCK_MODELS);
	s->models = m;
	*out = m;
	/* First, so that nothing falls between. */
	s->backend->ops->models_listen(s->backend, on_changed, m);
	return load_all(m);
}

void
models_stop(struct models *m)
{
	if (m == NULL)
		return;
	m->store->backend->ops->models_listen(m->store->backend, NULL, NULL);
	lock_take(&m->lock);
	atomic_store(&m->ending, true);
	lock_give(&m->lock);
	timer_free(m->thread);
	m->thread = NULL;
}

void
models_free(struct models *m)
{
	struct table_link *link;

	if (m == NULL)
		return;
	while ((link = table_pop(&m->all)) != NULL) {
		struct known *k = container_of(link, struct known, link);
		put_held(k->held);
		free(k);
	}
	table_free(&m->all);
	lock_destroy(&m->lock);
	free(m);
}

/* What users do */

int
models_check(struct store *s, const char *ns, const char *actor, struct batch *b)
{
	struct models *m = s->models;
	struct buf why = { 0 };
	int err = 0;

	if (m == NULL || atomic_load(&m->enforcing) == 0)
		return 0;
	struct held *h = get_held(m, ns);
	for (size_t i = 0; enforces(h) && i < b->count && err == 0; i++) {
		err = model_check(h->model, span_of(actor), &b->lines[i].event, &why);
		if (err != 0)
			b->failed_line = b->lines[i].number;
	}
	put_held(h);
	if (err == -EINVAL && buf_text(&why) != NULL) {
		char *text = arena_alloc(&b->arena, why.len + 1);
		if (text != NULL)
			b->why = memcpy(text, why.p, why.len + 1);
		store_add_refusal(s, ns, actor, why.p);
	}
	buf_free(&why);
	return err;
}

/* What is known of the namespace's model. False: that it has none. */
static bool
get_seq(struct models *m, const char *ns, uint64_t *seq)
{
	lock_take(&m->lock);
	const struct known *k = find_locked(m, ns);
	bool has = k != NULL && k->held != NULL;
	*seq = k != NULL ? k->seq : 0;
	lock_give(&m->lock);
	return has;
}

void
models_removed(struct store *s, const char *ns)
{
	struct models *m = s->models;
	struct ns_info info;
	uint64_t behind, seq = 0;
	int err = 0;

	while (m != NULL && err == 0 && get_seq(m, ns, &behind)) {
		/* Behind the one that is known: another may be one of the namespace made anew. */
		err = put_text(s, ns, &behind, (struct span){ "", 0 }, &seq);
		if (err == 0)
			err = learn(m, ns, seq, NULL);
		else if (err == -ESTALE)
			err = store_ns_info(s, ns, 0, false, &info) == -ENOENT ? load(m, ns, false) : -EEXIST;
	}
	if (err != 0 && err != -EEXIST)
		log_error(s->lg, "%s: is removed, but its model is still there for one that is made anew: %s", ns, strerror(-err));
}

int
store_model_set(struct store *s, const char *ns, struct span text)
{
	struct buf fault = { 0 }, lines = { 0 };
	struct ns_info info;
	struct held *h = NULL;
	uint64_t seq = 0;
	int err = event_is_text(text) ? hold(text, &h, &fault) : -EILSEQ;

	if (err == -EINVAL && buf_text(&fault) != NULL)
		store_add_refusal(s, ns, NULL, fault.p);
	if (err == 0)
		err = store_ns_info(s, ns, 0, false, &info);
	buf_put_span(&lines, text);
	buf_putc(&lines, '\n');
	if (err == 0)
		err = lines.failed ? -ENOMEM : put_text(s, ns, NULL, (struct span){ lines.p, lines.len }, &seq);
	buf_free(&lines);
	if (err != 0) {
		log_warn(s->lg, "%s: model.json was not taken: %s", ns, fault.len > 0 ? fault.p : strerror(-err));
		put_held(h);
	} else if (s->models != NULL) {
		err = learn(s->models, ns, seq, h);
	} else {
		put_held(h);
	}
	buf_free(&fault);
	return err;
}

int
store_model_text(struct store *s, const char *ns, uint64_t number, struct buf *out)
{
	uint64_t seq = 0;
	int err = get_text(s, ns, number, out, &seq);

	if (err == 0 && number != 0 && seq != number) {
		buf_clear(out);
		err = -ENOENT;
	}
	return err == -ENOENT && number == 0 ? 0 : err;
}

int
store_model_dot(struct store *s, const char *ns, struct buf *out)
{
	struct buf text = { 0 }, fault = { 0 };
	struct model *model = NULL;
	uint64_t seq;
	int err = get_text(s, ns, 0, &text, &seq);

	if (err == -ENOENT)
		err = 0;
	if (err == 0 && text.len > 0)
		err = model_parse((struct span){ text.p, text.len }, &model, &fault);
	if (err == -EINVAL) {
		log_error(s->lg, "%s: the model that is stored is none: %s", ns, buf_text(&fault));
		err = -EIO;
	}
	if (err == 0)
		err = model_dot(model, ns, out);
	model_free(model);
	buf_free(&text);
	buf_free(&fault);
	return err;
}

int
store_model_list(struct store *s, const char *ns, int (*fn)(void *arg, uint64_t number), void *arg)
{
	struct buf text = { 0 };
	uint64_t seq = 0;
	int err = 0;

	while (err == 0 && (err = get_text(s, ns, seq + 1, &text, &seq)) == 0)
		if (text.len > 0)
			err = fn(arg, seq);
	buf_free(&text);
	return err == -ENOENT ? 0 : err;
}
