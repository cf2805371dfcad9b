#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "event.h"
#include "fold.h"
#include "json.h"
#include "snapshot_state.h"
#include "state.h"

#define READ_BYTES (256 * 1024)

/* The line of a snapshot, taken apart. All spans are JSON text. */
struct parsed {
	uint64_t version;
	struct span actor_id, state, timestamp;
	unsigned seen; /* keys, as bits */
	const char *actor;
	const char *why;
};

static struct doc_name
doc_of(const struct actor *a, enum doc_kind kind)
{
	return (struct doc_name){ kind, a->ns, a->name };
}

static int
doc_put(struct actor *a, enum doc_kind kind, const uint64_t *behind, const struct buf *text)
{
	struct store *s = a->store;
	struct doc_name name = doc_of(a, kind);
	struct attempt at = attempt_begin(s);
	uint64_t seq;
	int err;

	do
		err = s->backend->ops->doc_put(s->backend, &name, behind, (struct span){ text->p, text->len }, at.deadline_ns, &seq);
	while (attempt_again(&at, &err));
	return err;
}

static int
doc_get(struct actor *a, enum doc_kind kind, struct buf *text, uint64_t *seq)
{
	struct store *s = a->store;
	struct doc_name name = doc_of(a, kind);
	struct attempt at = attempt_begin(s);
	int err;

	do {
		buf_clear(text);
		err = s->backend->ops->doc_get(s->backend, &name, 0, at.deadline_ns, text, seq);
	} while (attempt_again(&at, &err));
	return err;
}

/* What is kept: the snapshot's line, and the actor's head when it was made as another. FORMAT.md, section 7. */
static void
put_head(const struct head *h, struct buf *out)
{
	buf_printf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %016" PRIx64 " %" PRId64 " %" PRIu64 "\n", h->seq, h->version,
	    h->count, h->size, h->sum, h->time_us, h->life);
}

static bool
get_head(struct span doc, struct span *line, struct head *h)
{
	const char *end = doc.len > 0 ? memchr(doc.p, '\n', doc.len) : NULL;
	char text[160];

	if (end == NULL || doc.len - (size_t)(end + 1 - doc.p) >= sizeof(text))
		return false;
	size_t len = doc.len - (size_t)(end + 1 - doc.p);
	memcpy(text, end + 1, len);
	text[len] = '\0';
	*line = (struct span){ doc.p, (size_t)(end + 1 - doc.p) };
	*h = (struct head){ 0 };
	return sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNx64 " %" SCNd64 " %" SCNu64, &h->seq, &h->version,
		   &h->count, &h->size, &h->sum, &h->time_us, &h->life) == 7;
}

static bool
get_number(struct span text, uint64_t *number)
{
	*number = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9' || i > 18)
			return false;
		*number = *number * 10 + (uint64_t)(text.p[i] - '0');
	}
	return text.len > 0 && text.p[0] != '0' && *number <= EVENT_VERSION_MAX;
}

/* The text between the quotes, if it is a string. */
static bool
get_string(struct span value, struct span *inner)
{
	if (value.len < 2 || value.p[0] != '"')
		return false;
	*inner = (struct span){ value.p + 1, value.len - 2 };
	return true;
}

static const char *
take_actor_id(struct parsed *p, struct span value)
{
	struct span inner;
	char name[256];

	if (!get_string(value, &inner) || inner.len >= 6 * sizeof(name))
		return "actorId must be a string";
	char *text = malloc(inner.len + 1);
	ssize_t len = text != NULL ? json_unescape(inner, text) : -ENOMEM;
	bool same = len >= 0 && (size_t)len == strlen(p->actor) && memcmp(text, p->actor, (size_t)len) == 0;
	free(text);
	return same ? NULL : "actorId is another actor's";
}

static const char *
take_timestamp(struct parsed *p, struct span value)
{
	struct span inner;

	if (!get_string(value, &inner) || clock_parse_rfc3339(inner.p, inner.len, NULL) != 0)
		return "timestamp must be a time as RFC 3339 has it";
	p->timestamp = value;
	return NULL;
}

static const char *
take_version(struct parsed *p, struct span value)
{
	return get_number(value, &p->version) ? NULL : "version must be a whole number from 1 on";
}

static const char *
take_state(struct parsed *p, struct span value)
{
	p->state = value;
	return NULL;
}

static int
take_member(void *arg, const struct json_member *m)
{
	static const struct {
		const char *key;
		const char *(*take)(struct parsed *p, struct span value);
	} keys[] = { { "actorId", take_actor_id }, { "version", take_version }, { "state", take_state }, { "timestamp", take_timestamp } };
	struct parsed *p = arg;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!span_eq(m->key, span_of(keys[i].key)))
			continue;
		p->why = p->seen & 1U << i ? "a key is there twice" : keys[i].take(p, m->value);
		p->seen |= 1U << i;
		return p->why == NULL ? 0 : -EINVAL;
	}
	p->why = "it may have the keys actorId, version, state and timestamp, and no other";
	return -EINVAL;
}

static int
parse(struct span text, struct arena *arena, struct parsed *p)
{
	const char *why = NULL;
	struct span whole;

	if (!event_is_text(text)) {
		p->why = "it is not UTF-8";
		return -EILSEQ;
	}
	int err = json_object(text, arena, take_member, p, &whole, &why);
	if (err != 0 && p->why == NULL)
		p->why = why;
	if (err == 0 && (p->state.p == NULL || p->version == 0)) {
		p->why = p->state.p == NULL ? "state is missing" : "version is missing";
		err = -EINVAL;
	}
	return err;
}

/* The line, and the head at which it was made. state and timestamp are JSON text. */
static int
compose(struct actor *a, const struct parsed *p, const struct head *head, struct buf *out)
{
	struct backend_status status;
	char now[CLOCK_RFC3339_LEN + 1];

	clock_rfc3339(clock_wall(a->store->clock), now);
	buf_puts(out, "{\"actorId\":");
	json_put_string(out, span_of(a->name));
	buf_printf(out, ",\"version\":%" PRIu64 ",\"state\":", p->version);
	buf_put_span(out, p->state);
	buf_puts(out, ",\"timestamp\":");
	if (p->timestamp.p != NULL)
		buf_put_span(out, p->timestamp);
	else
		json_put_string(out, span_of(now));
	buf_puts(out, "}\n");
	put_head(head, out);
	if (out->failed)
		return -ENOMEM;
	store_status(a->store, &status);
	return out->len > status.payload_max ? -EMSGSIZE : 0;
}

int
snapshot_save(struct actor *a, struct span text)
{
	struct parsed p = { .actor = a->name };
	struct arena arena = { 0 };
	struct buf doc = { 0 };
	struct head head;
	int err = parse(text, &arena, &p);

	if (err == 0)
		err = actor_head(a, 0, false, &head);
	if (err == 0 && p.version > head.version) {
		p.why = "its version is ahead of the actor's";
		err = -EINVAL;
	}
	if (err == 0)
		err = compose(a, &p, &head, &doc);
	if (err == 0)
		err = doc_put(a, DOC_SNAPSHOT, NULL, &doc);
	if (err != 0)
		log_warn(a->store->lg, "%s/%s: a snapshot was not saved: %s", a->ns, a->name, p.why != NULL ? p.why : strerror(-err));
	buf_free(&doc);
	arena_free(&arena);
	return err;
}

int
snapshot_load(struct actor *a, struct buf *out)
{
	static const enum doc_kind kinds[] = { DOC_SNAPSHOT, DOC_STATE };
	struct buf doc = { 0 };
	struct head head, then;
	struct span line;
	uint64_t seq;
	int err = actor_head(a, 0, false, &head);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && err == 0; i++) {
		err = doc_get(a, kinds[i], &doc, &seq);
		if (err == 0 && get_head((struct span){ doc.p, doc.len }, &line, &then) && then.life == head.life) {
			buf_put_span(out, line);
			buf_free(&doc);
			return out->failed ? -ENOMEM : 0;
		}
		if (err == -ENOENT)
			err = 0;
	}
	buf_free(&doc);
	return err == 0 ? -ENOENT : err;
}

static bool
same_head(const struct head *a, const struct head *b)
{
	return a->seq == b->seq && a->version == b->version && a->count == b->count && a->size == b->size && a->sum == b->sum &&
	    a->life == b->life;
}

/* Does the record stand there at which a snapshot was taken (2)? 1, 0, or -errno. */
static int
is_there(struct actor *a, const struct head *head, const struct head *then)
{
	if (then->seq == head->seq)
		return same_head(then, head);

	struct store *s = a->store;
	struct backend_get g = { .kind = GET_SEQ, .seq = then->seq };
	struct owned_record found = { 0 };
	int err = wait_get_sure(s->backend, s->clock, actor_full_name(a), g, store_deadline(s), &found);
	struct head now = err == 0 ? record_head(&found.record) : (struct head){ 0 };
	bool same = err == 0 && !found.record.foreign && same_head(&now, then);

	owned_record_free(&found);
	return err == -ENOENT ? 0 : err != 0 ? err : same;
}

/* f becomes the state of the latest snapshot that a node has taken of this chain, *base the head then; zeros if there is none. *seq is the
 * snapshot's, or that of one that does not count. */
static int
load_base(struct actor *a, const struct head *head, struct fold *f, struct head *base, uint64_t *seq)
{
	struct parsed p = { .actor = a->name };
	struct arena arena = { 0 };
	struct buf doc = { 0 };
	struct span line;
	struct head then;

	*base = head_of_life(head->life);
	*seq = 0;
	int err = doc_get(a, DOC_STATE, &doc, seq);
	/* Whoever may not read snapshots reads the events. */
	if (err == -ENOENT || err == -EACCES) {
		buf_free(&doc);
		return 0;
	}
	if (err == 0 && get_head((struct span){ doc.p, doc.len }, &line, &then) && then.life == head->life && then.seq <= head->seq &&
	    (err = is_there(a, head, &then)) == 1) {
		err = parse(line, &arena, &p);
		if (err == 0)
			err = fold_load(f, p.state);
		if (err == 0)
			*base = then;
		if (err != 0 && err != -ENOMEM) {
			log_warn(a->store->lg, "%s/%s: a snapshot of the state cannot be read: %s", a->ns, a->name, p.why != NULL ? p.why : "state");
			err = 0;
		}
	}
	arena_free(&arena);
	buf_free(&doc);
	return err;
}

/* Merge the whole lines of the piece; what is left of it is the beginning of the next. */
static int
merge_lines(struct actor *a, struct buf *piece, struct fold *f)
{
	const char *from = piece->p, *end = piece->p + piece->len, *newline;
	struct arena arena = { 0 };
	struct event ev;
	const char *why;
	int err = 0;

	while (err == 0 && from < end && (newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
		err = event_parse((struct span){ from, (size_t)(newline - from) }, &arena, &ev, &why);
		if (err == 0)
			err = fold_merge(f, ev.data);
		arena_free(&arena);
		from = newline + 1;
	}
	if (err != 0 && err != -ENOMEM) {
		log_error(a->store->lg, "%s/%s: a stored line is no event", a->ns, a->name);
		err = -EIO;
	}
	memmove(piece->p, from, (size_t)(end - from));
	piece->len = (size_t)(end - from);
	return err;
}

static int
merge_events(struct actor *a, const struct head *base, const struct head *head, struct fold *f)
{
	struct buf piece = { 0 };
	uint64_t offset = base->size;
	int err = 0;

	while (err == 0 && offset < head->size) {
		char *to = buf_reserve(&piece, READ_BYTES);
		ssize_t n = to != NULL ? actor_read(a, head, offset, READ_BYTES, to) : -ENOMEM;
		if (n <= 0) {
			err = n < 0 ? (int)n : -EIO;
			break;
		}
		piece.len += (size_t)n;
		offset += (uint64_t)n;
		err = merge_lines(a, &piece, f);
	}
	buf_free(&piece);
	return err;
}

int
snapshot_fold(struct actor *a, uint64_t least, struct folded *out)
{
	bool eventual = a->store->options.eventual;
	int err = fold_new(&out->fold);

	if (err == 0)
		err = actor_head(a, eventual ? INT64_MAX : 0, eventual, &out->head);
	if (err == 0)
		err = load_base(a, &out->head, out->fold, &out->base, &out->base_seq);
	if (err == 0 && out->head.count - out->base.count < least)
		err = -EALREADY;
	return err == 0 ? merge_events(a, &out->base, &out->head, out->fold) : err;
}

int
snapshot_keep(struct actor *a, const struct folded *folded)
{
	struct parsed p = { .version = folded->head.version };
	struct buf state = { 0 }, doc = { 0 };
	int err = fold_text(folded->fold, &state);

	p.state = (struct span){ state.p, state.len };
	if (err == 0)
		err = compose(a, &p, &folded->head, &doc);
	if (err == 0)
		err = doc_put(a, DOC_STATE, &folded->base_seq, &doc);
	buf_free(&state);
	buf_free(&doc);
	return err;
}

int
snapshot_state(struct actor *a, struct buf *out)
{
	struct folded folded = { 0 };
	int err = snapshot_fold(a, 0, &folded);

	if (err == 0)
		err = fold_text(folded.fold, out);
	if (err == 0) {
		buf_putc(out, '\n');
		snapshot_note(a, folded.base.count, folded.head.count);
	}
	fold_free(folded.fold);
	return err;
}

void
snapshot_drop(struct store *s, const char *ns, const char *actor)
{
	struct attempt at = attempt_begin(s);
	int err;

	do
		err = s->backend->ops->doc_drop(s->backend, ns, actor, at.deadline_ns);
	while (attempt_again(&at, &err));
	if (err != 0)
		log_warn(s->lg, "%s%s%s: is gone, but its snapshots are still in NATS, and count for nothing: %s", ns, actor != NULL ? "/" : "",
		    actor != NULL ? actor : "", strerror(-err));
}
