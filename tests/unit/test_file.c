/* Open actors without FUSE, on the memory store: flags, lines, owners, imports, versions, closing. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "fs/env.h"
#include "fs/file.h"
#include "store/memory.h"
#include "tests/faults/faulty.h"

static struct fs_env env;
static struct node *ns, *actor;

static void
make_actor(void)
{
	struct ns_attr attr = { .mode = 0755 };

	REQUIRE(node_table_new(&env.nodes, env.store) == 0);
	REQUIRE(store_ns_create(env.store, "orders", &attr) == 0);
	REQUIRE(node_get(env.nodes, node_root(env.nodes), NODE_NAMESPACE, NULL, "orders", &ns) == 0);
	REQUIRE(node_get(env.nodes, ns, NODE_ACTOR, NULL, "a", &actor) == 0);
}

static void
begin_on(struct backend *backend)
{
	struct store_options options = { .timeout_ns = NS_PER_SEC, .cache_bytes = 1 << 20 };

	env = (struct fs_env){ .clock = clock_system() };
	REQUIRE(store_new(&env.store, backend, env.clock, NULL, &options) == 0);
	REQUIRE(files_new(&env.files) == 0);
	make_actor();
}

static void
begin(void)
{
	struct backend *backend;

	REQUIRE(memory_new(&backend, clock_system()) == 0);
	begin_on(backend);
}

/* commit=async, on a store whose publish goes wrong as the rule says. */
static void
begin_async(const struct fault_rule *rule)
{
	struct faulty_options options = { .rules = rule, .rule_count = rule != NULL };
	struct backend *memory, *backend;

	REQUIRE(memory_new(&memory, clock_system()) == 0);
	REQUIRE(faulty_new(&backend, memory, true, clock_system(), &options) == 0);
	begin_on(backend);
	env.options.commit_async = true;
}

static void
end(void)
{
	files_drain(env.files);
	files_free(env.files);
	node_table_free(env.nodes);
	store_free(env.store);
}

/* What an operation ended with; the memory store ends it before file_submit returns. */
struct outcome {
	bool done;
	int err;
	size_t written;
};

static bool append_mode = true;

static void
ended(struct file_op *op, int err, size_t written)
{
	*(struct outcome *)op->user = (struct outcome){ true, err, written };
}

static struct outcome
run(struct file *f, enum file_op_kind kind, const char *text, uint64_t offset, uint64_t owner)
{
	struct outcome out = { 0 };
	struct file_op op = { .file = f, .kind = kind, .data = text, .offset = offset, .owner = owner };

	op.appending = append_mode;
	op.size = text != NULL ? strlen(text) : 0;
	op.done = ended;
	op.user = &out;
	file_submit(&op);
	CHECK(out.done);
	return out;
}

static int
put(struct file *f, const char *text)
{
	struct outcome out = run(f, FILE_WRITE, text, 0, 1);

	return out.err != 0 ? out.err : (int)out.written;
}

static int
flush(struct file *f, uint64_t owner)
{
	return run(f, FILE_FLUSH, NULL, 0, owner).err;
}

static void
appended(struct append *ap, int err)
{
	(void)ap;
	CHECK_EQ_INT(err, 0);
}

static void
closed(struct file_op *op, int err, size_t written)
{
	(void)written;
	*(int *)op->user = err;
	file_free(op->file);
}

static struct file *
opened(int flags, bool created)
{
	struct file *f = NULL;

	CHECK_EQ_INT(file_open(&env, actor, flags, created, &f), 0);
	return f;
}

static uint64_t
events(void)
{
	struct head head;

	return actor_head(actor->actor, 0, false, &head) == 0 ? head.count : 0;
}

TEST(flags_are_those_of_an_append_only_file)
{
	struct file *f;

	begin();
	CHECK_EQ_INT(file_open(&env, actor, O_RDONLY, false, &f), -ENOENT);
	file_free(opened(O_WRONLY, true));
	f = opened(O_WRONLY | O_APPEND, false);
	CHECK_EQ_INT(put(f, "x\n"), 2);
	file_free(f);
	CHECK_EQ_INT(file_open(&env, actor, O_WRONLY, false, &f), -EPERM);
	CHECK_EQ_INT(file_open(&env, actor, O_RDWR, false, &f), -EPERM);
	CHECK_EQ_INT(file_open(&env, actor, O_WRONLY | O_APPEND | O_TRUNC, false, &f), -EPERM);
	CHECK_EQ_INT(file_open(&env, actor, O_RDONLY | O_TRUNC, false, &f), -EPERM);
	env.options.read_only = true;
	CHECK_EQ_INT(file_open(&env, actor, O_WRONLY | O_APPEND, false, &f), -EROFS);
	file_free(opened(O_RDONLY, false));
	end();
}

TEST(lines_are_committed_when_their_newline_comes)
{
	struct file *f;

	begin();
	f = opened(O_WRONLY | O_APPEND, true);
	CHECK_EQ_INT(put(f, "par"), 3);
	CHECK_EQ_UINT(events(), 0);
	CHECK_EQ_INT(put(f, "t\nsecond\nth"), 11);
	CHECK_EQ_UINT(events(), 2);
	CHECK_EQ_UINT(file_version(f), 2);
	CHECK_EQ_INT(run(f, FILE_SYNC, NULL, 0, 1).err, 0);
	CHECK_EQ_UINT(events(), 3);
	CHECK_EQ_INT(put(f, "{\"a\":"), 5);
	CHECK_EQ_INT(put(f, "}\n"), -EINVAL);
	CHECK_EQ_INT(put(f, "}\n"), -EINVAL);
	CHECK_EQ_INT(put(f, "fine\n"), 5);
	CHECK_EQ_UINT(events(), 4);
	end();
}

/* The start of a line whose rest was refused is no line. */
TEST(a_start_whose_rest_was_refused_is_not_committed)
{
	struct file *f;

	begin();
	f = opened(O_WRONLY | O_APPEND, true);
	put(f, "start ");
	CHECK_EQ_INT(put(f, "\xff\n"), -EILSEQ);
	CHECK_EQ_INT(run(f, FILE_SYNC, NULL, 0, 1).err, -EILSEQ);
	CHECK_EQ_INT(flush(f, 1), -EILSEQ);
	CHECK_EQ_INT(flush(f, 1), 0);
	CHECK_EQ_UINT(events(), 0);
	end();
}

TEST(a_flush_commits_for_the_last_writer_only)
{
	struct file *f;

	begin();
	f = opened(O_WRONLY | O_APPEND, true);
	put(f, "half");
	CHECK_EQ_INT(flush(f, 2), 0);
	CHECK_EQ_UINT(events(), 0);
	CHECK_EQ_INT(flush(f, 1), 0);
	CHECK_EQ_UINT(events(), 1);
	put(f, "{half");
	CHECK_EQ_INT(flush(f, 1), -EINVAL);
	CHECK_EQ_INT(flush(f, 1), 0);
	CHECK_EQ_UINT(events(), 1);
	/* A writer that is not known: anybody's close will do. */
	run(f, FILE_WRITE, "x", 0, 0);
	CHECK_EQ_INT(flush(f, 2), 0);
	CHECK_EQ_UINT(events(), 2);
	end();
}

TEST(an_import_has_no_gaps)
{
	struct file *f;

	begin();
	f = opened(O_WRONLY, true);
	append_mode = false;
	CHECK_EQ_INT(run(f, FILE_WRITE, "a\nb", 0, 1).err, 0);
	CHECK_EQ_INT(run(f, FILE_WRITE, "a\n", 0, 1).err, -EPERM);
	CHECK_EQ_INT(run(f, FILE_WRITE, "a\n", 4, 1).err, -EPERM);
	CHECK_EQ_INT(run(f, FILE_WRITE, "c\n", 3, 1).err, 0);
	CHECK_EQ_UINT(events(), 2);
	append_mode = true;
	CHECK_EQ_INT(run(f, FILE_WRITE, "d\n", 99, 1).err, 0);
	end();
}

TEST(without_append_mode_nothing_is_written)
{
	struct file *f;

	begin();
	f = opened(O_WRONLY | O_APPEND, true);
	append_mode = false;
	CHECK_EQ_INT(put(f, "x\n"), -EPERM);
	append_mode = true;
	CHECK_EQ_INT(put(f, "x\n"), 2);
	end();
}

TEST(reading_sees_what_was_appended_meanwhile)
{
	struct file *r, *w;
	struct actor_bytes out = { 0 };
	struct head head;

	begin();
	w = opened(O_WRONLY | O_APPEND, true);
	put(w, "one\n");
	r = opened(O_RDONLY, false);
	REQUIRE(actor_head(actor->actor, 0, false, &head) == 0);
	CHECK_EQ_INT(file_read(r, head.size, 100, &out), 0);
	CHECK_EQ_UINT(out.len, 0);
	put(w, "two\n");
	CHECK_EQ_INT(file_read(r, head.size, 4096, &out), 0);
	CHECK(out.len > 0 && out.count == 1 && ((const char *)out.pieces[0].iov_base)[out.len - 1] == '\n');
	actor_bytes_free(&out);
	CHECK_EQ_INT(file_read(r, 3, 5, &out), 0);
	CHECK_EQ_UINT(out.len, 5);
	actor_bytes_free(&out);
	CHECK_EQ_INT(file_read(r, UINT64_MAX / 2, 5, &out), 0);
	CHECK_EQ_UINT(out.len, 0);
	actor_bytes_free(&out);
	end();
}

/*
 * It is the open that sees it. Reading at the end asks again, a few milliseconds after the last time, which would hide an open that
 * did not ask; so from the open's own question on nothing is answered any more.
 */
TEST(an_open_sees_what_another_node_has_appended)
{
	static struct fault_rule silent = { .op = FAULT_GET, .kind = FAULT_REFUSE, .err = -ETIMEDOUT, .nth = UINT64_MAX };
	static const struct faulty_options faults = { .rules = &silent, .rule_count = 1 };
	struct store_options options = { .timeout_ns = NS_PER_SEC / 10, .cache_bytes = 1 << 20 };
	struct append ap = { .data = "theirs\n", .size = 7, .done = appended };
	struct backend *server, *mine, *wrapped;
	struct store *other;
	struct actor *theirs;
	struct actor_bytes out = { 0 };
	bool seen = false;
	struct file *f;

	begin();
	node_table_free(env.nodes);
	store_free(env.store);
	REQUIRE(memory_new(&server, env.clock) == 0);
	REQUIRE(faulty_new(&mine, server, false, env.clock, &faults) == 0);
	REQUIRE(store_new(&env.store, mine, env.clock, NULL, &options) == 0);
	make_actor();
	put(opened(O_WRONLY | O_APPEND, true), "ours\n");
	file_free(opened(O_RDONLY, false));
	REQUIRE(faulty_new(&wrapped, server, false, env.clock, &(struct faulty_options){ 0 }) == 0);
	REQUIRE(store_new(&other, wrapped, env.clock, NULL, &options) == 0);
	REQUIRE(actor_get(other, "orders", "a", &theirs) == 0);
	actor_append(theirs, &ap);
	silent.nth = faulty_calls(mine, FAULT_GET) + 2;
	f = opened(O_RDONLY, false);
	CHECK_EQ_INT(file_read(f, 0, 4096, &out), 0);
	for (size_t i = 0; i < out.count; i++)
		seen |= memmem(out.pieces[i].iov_base, out.pieces[i].iov_len, "theirs", 6) != NULL;
	CHECK(seen);
	actor_bytes_free(&out);
	actor_put(theirs);
	store_free(other);
	end();
	server->ops->free(server);
}

/* Any signal interrupts a write, however early; that is no reason for it to fail while NATS answers. */
TEST(what_is_cancelled_but_need_not_wait_is_stored)
{
	struct outcome out = { 0 };
	struct file_op op;
	struct file *f;

	begin();
	f = opened(O_WRONLY | O_APPEND, true);
	op = (struct file_op){
		.file = f, .kind = FILE_WRITE, .data = "x\n", .size = 2, .appending = true, .done = ended, .user = &out
	};
	file_cancel(&op);
	file_submit(&op);
	CHECK(out.done);
	CHECK_EQ_INT(out.err, 0);
	CHECK_EQ_UINT(events(), 1);
	end();
}

TEST(the_last_close_and_the_drain_commit)
{
	struct file *f;
	int err = 1;

	begin();
	f = opened(O_WRONLY | O_APPEND, true);
	put(f, "left over");
	file_close(f, closed, &err);
	CHECK_EQ_INT(err, 0);
	CHECK_EQ_UINT(events(), 1);
	put(opened(O_WRONLY | O_APPEND, false), "left open");
	files_drain(env.files);
	CHECK_EQ_UINT(events(), 2);
	end();
}

/* An operation that may end later; waited for by the test. */
struct late {
	struct file_op op;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done, dropped;
	int err;
	size_t written;
};

static void
late_done(struct file_op *op, int err, size_t written)
{
	struct late *l = op->user;

	pthread_mutex_lock(&l->lock);
	CHECK(!l->done && !l->dropped);
	l->done = true;
	l->err = err;
	l->written = written;
	pthread_cond_broadcast(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

static void
late_drop(struct file_op *op)
{
	struct late *l = op->user;

	pthread_mutex_lock(&l->lock);
	CHECK(l->done && !l->dropped);
	l->dropped = true;
	pthread_cond_broadcast(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

static struct late *
submit(struct file *f, enum file_op_kind kind, const char *text, uint64_t owner)
{
	struct late *l = calloc(1, sizeof(*l));

	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->wake, NULL);
	l->op = (struct file_op){ .file = f, .kind = kind, .data = text, .owner = owner, .appending = true };
	l->op.size = text != NULL ? strlen(text) : 0;
	l->op.done = late_done;
	l->op.drop = late_drop;
	l->op.user = l;
	file_submit(&l->op);
	return l;
}

static int
answer_of(struct late *l)
{
	pthread_mutex_lock(&l->lock);
	while (!l->done)
		pthread_cond_wait(&l->wake, &l->lock);
	int err = l->err;
	pthread_mutex_unlock(&l->lock);
	return err;
}

/* Wait until it is over, and what it said. */
static int
over(struct late *l)
{
	pthread_mutex_lock(&l->lock);
	while (!l->dropped)
		pthread_cond_wait(&l->wake, &l->lock);
	int err = l->err;
	pthread_mutex_unlock(&l->lock);
	free(l);
	return err;
}

/* Late enough for all that is written behind it. */
static const struct fault_rule second_is_refused = { FAULT_PUBLISH, FAULT_DROP, 2, 1, -ENOSPC, 200 * NS_PER_MS };

TEST(async_writes_end_before_they_are_stored)
{
	struct file *f;
	struct late *w[50];

	begin_async(NULL);
	f = opened(O_WRONLY | O_APPEND, true);
	for (int i = 0; i < 50; i++) {
		w[i] = submit(f, FILE_WRITE, "line\n", 1);
		CHECK_EQ_INT(answer_of(w[i]), 0);
		CHECK_EQ_UINT(w[i]->written, 5);
	}
	CHECK_EQ_INT(over(submit(f, FILE_WRITE, "unfinished", 1)), 0);
	CHECK_EQ_INT(over(submit(f, FILE_SYNC, NULL, 0)), 0);
	CHECK_EQ_UINT(file_version(f), 51);
	for (int i = 0; i < 50; i++)
		CHECK_EQ_INT(over(w[i]), 0);
	CHECK_EQ_UINT(events(), 51);
	/* Malformed lines fail in their own write. */
	CHECK_EQ_INT(over(submit(f, FILE_WRITE, "{\n", 1)), -EINVAL);
	CHECK_EQ_INT(over(submit(f, FILE_SYNC, NULL, 0)), 0);
	end();
}

/* One event is stored; then one is refused while others are written behind it. */
static struct file *
with_a_failure(struct late *late[3])
{
	struct file *f;

	begin_async(&second_is_refused);
	f = opened(O_WRONLY | O_APPEND, true);
	late[0] = submit(f, FILE_WRITE, "stored\n", 1);
	CHECK_EQ_INT(over(submit(f, FILE_SYNC, NULL, 0)), 0);
	CHECK_EQ_INT(over(late[0]), 0);
	/* A version of its own makes it go alone, so that what is behind it is not tried with it. */
	late[0] = submit(f, FILE_WRITE, "{\"eventType\":\"T\",\"version\":2}\n", 1);
	late[1] = submit(f, FILE_WRITE, "behind it\n", 1);
	late[2] = submit(f, FILE_WRITE, "behind it\n", 1);
	return f;
}

TEST(an_async_error_is_told_once_by_sync)
{
	struct late *late[3];
	struct file *f = with_a_failure(late);

	CHECK_EQ_INT(over(submit(f, FILE_SYNC, NULL, 0)), -ENOSPC);
	CHECK_EQ_INT(over(submit(f, FILE_SYNC, NULL, 0)), 0);
	for (int i = 0; i < 3; i++)
		over(late[i]);
	CHECK_EQ_UINT(events(), 1);
	struct late *w = submit(f, FILE_WRITE, "goes on\n", 1);
	CHECK_EQ_INT(over(submit(f, FILE_FLUSH, NULL, 1)), 0);
	CHECK_EQ_INT(over(w), 0);
	CHECK_EQ_UINT(events(), 2);
	end();
}

TEST(an_async_error_is_told_once_by_a_write)
{
	struct late *late[3];
	struct file *f = with_a_failure(late);

	for (int i = 0; i < 3; i++)
		CHECK_EQ_INT(over(late[i]), 0);
	CHECK_EQ_INT(over(submit(f, FILE_WRITE, "not stored\n", 1)), -ENOSPC);
	CHECK_EQ_INT(over(submit(f, FILE_SYNC, NULL, 0)), 0);
	CHECK_EQ_UINT(events(), 1);
	end();
}

TEST(an_async_error_is_told_to_the_last_writer_only)
{
	struct late *late[3];
	struct file *f = with_a_failure(late);

	CHECK_EQ_INT(over(submit(f, FILE_WRITE, "a start behind it", 1)), 0);
	CHECK_EQ_INT(over(submit(f, FILE_FLUSH, NULL, 2)), 0);
	CHECK_EQ_INT(over(submit(f, FILE_FLUSH, NULL, 1)), -ENOSPC);
	CHECK_EQ_INT(over(submit(f, FILE_FLUSH, NULL, 1)), 0);
	for (int i = 0; i < 3; i++)
		over(late[i]);
	CHECK_EQ_UINT(events(), 1);
	end();
}

TEST(closing_waits_for_what_was_answered)
{
	static const struct fault_rule slow = { FAULT_PUBLISH, FAULT_DELAY, 1, 0, 0, 30 * NS_PER_MS };
	struct late *w[3];
	struct file *f;

	begin_async(&slow);
	f = opened(O_WRONLY | O_APPEND, true);
	for (int i = 0; i < 3; i++)
		w[i] = submit(f, FILE_WRITE, "line\n", 1);
	CHECK_EQ_INT(over(submit(f, FILE_WRITE, "and a rest", 1)), 0);
	files_drain(env.files);
	for (int i = 0; i < 3; i++)
		CHECK_EQ_INT(over(w[i]), 0);
	CHECK_EQ_UINT(events(), 4);
	end();
}

TESTS(T(flags_are_those_of_an_append_only_file), T(lines_are_committed_when_their_newline_comes),
    T(a_start_whose_rest_was_refused_is_not_committed), T(a_flush_commits_for_the_last_writer_only),
    T(an_import_has_no_gaps), T(without_append_mode_nothing_is_written), T(reading_sees_what_was_appended_meanwhile),
    T(an_open_sees_what_another_node_has_appended),
    T(what_is_cancelled_but_need_not_wait_is_stored), T(the_last_close_and_the_drain_commit),
    T(async_writes_end_before_they_are_stored), T(an_async_error_is_told_once_by_sync),
    T(an_async_error_is_told_once_by_a_write), T(an_async_error_is_told_to_the_last_writer_only),
    T(closing_waits_for_what_was_answered))
