#include "contract_node.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP (64 * 1024)
#define CACHE_BYTES (8 * 1024 * 1024)

static struct logger *
test_log(void)
{
	/* Refusals are what many tests are about; their log lines would drown the rest. */
	return NULL;
}

/* Nodes */

bool
node_on(struct node *n, struct backend *backend, const struct node *first, int64_t timeout_ns)
{
	static atomic_uint made;
	struct store_options options = { .timeout_ns = timeout_ns, .cache_bytes = CACHE_BYTES };
	struct ns_attr attr = { .mode = 0755, .uid = 7, .gid = 8 };

	*n = (struct node){ .backend = backend };
	int err = store_new(&n->store, backend, clock_system(), test_log(), &options);
	if (err == 0 && first != NULL) {
		memcpy(n->ns, first->ns, sizeof(n->ns));
	} else if (err == 0) {
		snprintf(n->ns, sizeof(n->ns), "n%u-%u", (unsigned)getpid(), atomic_fetch_add(&made, 1));
		err = store_ns_create(n->store, n->ns, &attr);
	}
	if (err == 0)
		err = actor_get(n->store, n->ns, "a", &n->a);
	CHECK_EQ_INT(err, 0);
	return err == 0;
}

static bool
open_node(struct node *n, const struct node *first)
{
	struct backend *backend;

	*n = (struct node){ .store = NULL };
	int err = contract_subject()->open(&backend);
	CHECK_EQ_INT(err, 0);
	return err == 0 && node_on(n, backend, first, contract_subject()->timeout_ns);
}

bool
node_open(struct node *n)
{
	return open_node(n, NULL);
}

bool
node_join(struct node *n, const struct node *first)
{
	return open_node(n, first);
}

void
node_close(struct node *n)
{
	if (n->a != NULL)
		actor_put(n->a);
	store_free(n->store);
	*n = (struct node){ .store = NULL };
}

/* Appending */

struct pending {
	struct append append;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool answered;
	bool ended;
	unsigned rank;
	int err;
	char *data;
};

static atomic_uint ended_so_far;

static void
on_done(struct append *ap, int err)
{
	struct pending *p = ap->user;

	pthread_mutex_lock(&p->lock);
	CHECK(!p->ended);
	p->ended = true;
	p->rank = atomic_fetch_add(&ended_so_far, 1) + 1;
	p->err = err;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

static void
on_accepted(struct append *ap)
{
	struct pending *p = ap->user;

	pthread_mutex_lock(&p->lock);
	CHECK(!p->ended && !p->answered);
	CHECK(ap->consumed > 0);
	p->answered = true;
	pthread_mutex_unlock(&p->lock);
}

struct pending *
append_start_async(struct actor *a, const char *data, size_t size, struct append_chain *chain)
{
	struct pending *p = calloc(1, sizeof(*p));

	p->data = malloc(size + 1);
	memcpy(p->data, data, size);
	p->append = (struct append){ .data = p->data, .size = size, .done = on_done, .user = p };
	p->append.accepted = on_accepted;
	p->append.chain = chain;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	actor_append(a, &p->append);
	return p;
}

bool
append_answered(struct pending *p)
{
	pthread_mutex_lock(&p->lock);
	bool answered = p->answered;
	pthread_mutex_unlock(&p->lock);
	return answered;
}

struct pending *
append_start_forwarded(struct actor *a, const char *lines, uint64_t since_seq, uint64_t life)
{
	struct pending *p = calloc(1, sizeof(*p));

	p->data = strdup(lines);
	p->append = (struct append){ .data = p->data, .size = strlen(lines), .done = on_done, .user = p };
	p->append.forwarded = true;
	p->append.since_seq = since_seq;
	p->append.since_life = life;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	actor_append(a, &p->append);
	return p;
}

static struct pending *
start(struct actor *a, const char *data, size_t size, bool cancelled)
{
	struct pending *p = calloc(1, sizeof(*p));

	p->data = malloc(size + 1);
	memcpy(p->data, data, size);
	p->append = (struct append){ .data = p->data, .size = size, .done = on_done, .user = p };
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	if (cancelled)
		actor_append_cancel(a, &p->append);
	actor_append(a, &p->append);
	return p;
}

int
append_refused(struct actor *a, const char *lines)
{
	int err;

	do
		err = append(a, lines).err;
	while (err == -ETIMEDOUT && contract_subject()->flaky);
	return err;
}

struct pending *
append_start(struct actor *a, const char *lines)
{
	return start(a, lines, strlen(lines), false);
}

struct pending *
append_start_cancelled(struct actor *a, const char *lines)
{
	return start(a, lines, strlen(lines), true);
}

struct append *
append_handle(struct pending *p)
{
	return &p->append;
}

bool
append_ended(struct pending *p)
{
	pthread_mutex_lock(&p->lock);
	bool ended = p->ended;
	pthread_mutex_unlock(&p->lock);
	return ended;
}

unsigned
append_rank(const struct pending *p)
{
	return p->rank;
}

struct outcome
append_wait(struct pending *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->ended)
		pthread_cond_wait(&p->wake, &p->lock);
	pthread_mutex_unlock(&p->lock);
	struct outcome o = { p->err, p->append.consumed, p->append.version, p->append.conflict };
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p->data);
	free(p);
	return o;
}

struct outcome
append_bytes(struct actor *a, const char *data, size_t size)
{
	return append_wait(start(a, data, size, false));
}

struct outcome
append(struct actor *a, const char *lines)
{
	return append_bytes(a, lines, strlen(lines));
}

/* Reading */

struct head
head_of(struct actor *a)
{
	struct head head = { 0 };
	int err = actor_head(a, 0, false, &head);

	CHECK(err == 0 || err == -ENOENT);
	return head;
}

int
read_all(struct actor *a, size_t step, struct buf *out)
{
	struct head head = { 0 };
	int err = actor_head(a, 0, false, &head);

	step = step == 0 ? STEP : step;
	buf_clear(out);
	while (err == 0) {
		char *to = buf_reserve(out, step);
		ssize_t n = actor_read(a, &head, out->len, step, to);
		if (n == 0)
			return 0;
		if (n < 0)
			err = (int)n;
		else
			out->len += (size_t)n;
	}
	return err;
}

void
check_chain(struct backend *b, const char *ns, const char *actor, struct buf *content, struct head *end)
{
	struct actor_name name = { ns, actor };
	struct owned_record r = { 0 };
	const char *why = "";
	int err;

	*end = (struct head){ 0 };
	for (;;) {
		struct backend_get g = { .kind = GET_NEXT, .seq = end->seq + 1, .fresh = true };
		err = wait_get(b, clock_system(), name, g, clock_mono(clock_system()) + 10 * NS_PER_SEC, &r);
		if (err != 0)
			break;
		if (r.record.erased) {
			*end = record_head(&r.record);
			if (content != NULL)
				buf_clear(content);
			continue;
		}
		bool follows = record_follows(end, &r.record, &why);
		CHECK(follows);
		if (!follows) {
			printf("# sequence %ju: %s\n", (uintmax_t)r.record.seq, why);
			break;
		}
		*end = record_head(&r.record);
		if (content != NULL)
			buf_put_span(content, r.record.payload);
	}
	CHECK(err == -ENOENT || err == 0);
	owned_record_free(&r);
}

struct raw {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	int err;
};

static void
on_raw(void *arg, int err, uint64_t seq, bool duplicate)
{
	struct raw *raw = arg;

	(void)seq, (void)duplicate;
	pthread_mutex_lock(&raw->lock);
	raw->done = true;
	raw->err = err;
	pthread_cond_signal(&raw->wake);
	pthread_mutex_unlock(&raw->lock);
}

static int
publish_once(struct backend *b, struct actor_name name, const struct record *r, const char *id)
{
	struct raw raw = { .err = 0 };

	pthread_mutex_init(&raw.lock, NULL);
	pthread_cond_init(&raw.wake, NULL);
	b->ops->publish(b, name, r, id, clock_mono(clock_system()) + 5 * NS_PER_SEC, on_raw, &raw);
	pthread_mutex_lock(&raw.lock);
	while (!raw.done)
		pthread_cond_wait(&raw.wake, &raw.lock);
	pthread_mutex_unlock(&raw.lock);
	pthread_cond_destroy(&raw.wake);
	pthread_mutex_destroy(&raw.lock);
	return raw.err;
}

/* Under one message id, so that trying again after an unknown outcome stores it once. */
int
publish_raw(struct backend *b, const char *ns, const char *actor, const struct record *r)
{
	int64_t deadline_ns = clock_mono(clock_system()) + 5 * NS_PER_SEC;
	char id[UUID_LEN + 1];
	unsigned tries = 0;
	int err;

	clock_uuid7(clock_system(), id);
	do
		err = publish_once(b, (struct actor_name){ ns, actor }, r, id);
	while (
	    (err == -ENOTCONN || err == -ETIMEDOUT) && (err = wait_retry(b, clock_system(), deadline_ns, &tries)) == 0);
	return err;
}

/* Content */

uint64_t
line_version(const char *at, const char *end)
{
	char begin[48];
	uint64_t version = 0;
	size_t len = (size_t)(end - at) < sizeof(begin) - 1 ? (size_t)(end - at) : sizeof(begin) - 1;

	memcpy(begin, at, len);
	begin[len] = '\0';
	CHECK(sscanf(begin, "{\"version\":%" SCNu64 ",", &version) == 1);
	return version;
}

void
check_versions(const struct buf *content, const uint64_t *versions, size_t count)
{
	const char *at = content->p, *end = content->p + content->len;
	size_t lines = 0;

	for (; at != NULL && at < end; lines++) {
		uint64_t version = line_version(at, end);
		if (lines < count)
			CHECK_EQ_UINT(version, versions[lines]);
		at = memchr(at, '\n', (size_t)(end - at));
		CHECK(at != NULL);
		at = at == NULL ? NULL : at + 1;
	}
	CHECK_EQ_UINT(lines, count);
}

size_t
count_text(const struct buf *content, const char *text)
{
	size_t count = 0, len = strlen(text);
	const char *at = content->p, *end = content->p + content->len;

	/* By lines: ThreadSanitizer looks at the whole haystack of every search. */
	while (at != NULL && at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		line_end = line_end != NULL ? line_end + 1 : end;
		for (; (at = memmem(at, (size_t)(line_end - at), text, len)) != NULL; at += len)
			count++;
		at = line_end;
	}
	return count;
}

char *
many_lines(size_t size, size_t line_len)
{
	char *lines = malloc(size + 1), number[24];

	memset(lines, 'x', size);
	for (size_t at = 0, i = 0; at + line_len <= size; at += line_len, i++) {
		int n = snprintf(number, sizeof(number), "%08zu ", i);
		memcpy(lines + at, number, (size_t)n);
		lines[at + line_len - 1] = '\n';
	}
	lines[size] = '\0';
	return lines;
}
