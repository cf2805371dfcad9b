/* What a reader of a feed has still to read: whole lines, pieces of long ones, and what happens to who does not read. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "store/feed_queue.h"

static struct feed_writer writer;
static struct feed_queue queue;

static void
begin(size_t limit)
{
	writer = (struct feed_writer){ 0 };
	queue = (struct feed_queue){ .limit_bytes = limit };
}

static void
end(void)
{
	feed_queue_free(&queue);
	feed_writer_free(&writer);
}

static void
add(struct span text)
{
	struct feed_piece p;

	REQUIRE(feed_write(&writer, text, &p));
	feed_queue_add(&queue, &p);
	feed_piece_put(&p);
}

static void
add_text(const char *text)
{
	add(span_of(text));
}

/* What a take of size bytes gives, as one text; the name of its errno if it gives none. */
static const char *
take(size_t size)
{
	static char text[1024];
	struct feed_bytes bytes;
	size_t len = 0;
	int err = feed_queue_take(&queue, size, &bytes);

	if (err != 0)
		return err == -EAGAIN ? "EAGAIN" : err == -EOVERFLOW ? "EOVERFLOW" : "another error";
	for (int i = 0; i < bytes.count; i++) {
		memcpy(text + len, bytes.pieces[i].iov_base, bytes.pieces[i].iov_len);
		len += bytes.pieces[i].iov_len;
	}
	CHECK_EQ_UINT(len, bytes.len);
	text[len] = '\0';
	feed_bytes_free(&bytes);
	return text;
}

TEST(whole_lines_as_many_as_fit)
{
	begin(1 << 20);
	CHECK_EQ_STR(take(100), "EAGAIN");
	add_text("one\ntwo\n");
	add_text("three\n");
	CHECK_EQ_STR(take(100), "one\ntwo\nthree\n");
	CHECK_EQ_STR(take(100), "EAGAIN");
	add_text("one\ntwo\n");
	add_text("three\n");
	CHECK_EQ_STR(take(7), "one\n");
	CHECK_EQ_STR(take(10), "two\nthree\n");
	CHECK(!feed_queue_readable(&queue));
	end();
}

TEST(a_line_that_does_not_fit_comes_in_pieces)
{
	begin(1 << 20);
	add_text("abcdefg\n");
	add_text("hi\n");
	CHECK_EQ_STR(take(3), "abc");
	CHECK_EQ_STR(take(3), "def");
	CHECK_EQ_STR(take(3), "g\n");
	CHECK_EQ_STR(take(3), "hi\n");
	add_text("abcdefg\n");
	add_text("hi\n");
	CHECK_EQ_STR(take(3), "abc");
	CHECK_EQ_STR(take(100), "defg\nhi\n");
	end();
}

TEST(who_does_not_read_is_told_once_and_goes_on)
{
	static const char line[] = "0123456789012345678\n";
	const char *text;
	int left = 0;

	begin(200);
	for (int i = 0; i < 100; i++)
		add_text(line);
	CHECK(feed_queue_readable(&queue));
	CHECK_EQ_STR(take(20), "EOVERFLOW");
	add_text("later\n");
	while (strcmp(text = take(20), line) == 0)
		left++;
	CHECK(left < 10);
	CHECK_EQ_STR(text, "later\n");
	CHECK_EQ_STR(take(20), "EAGAIN");
	end();
}

TEST(a_half_read_line_is_completed_first)
{
	char line[600];

	begin(200);
	add_text("half and half\nnever\n");
	CHECK_EQ_STR(take(5), "half ");
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	add((struct span){ line, sizeof(line) });
	/* Again: what is kept of the line stays. */
	add_text("new\n");
	CHECK_EQ_STR(take(3), "and");
	CHECK_EQ_STR(take(100), " half\n");
	CHECK_EQ_STR(take(100), "EOVERFLOW");
	CHECK_EQ_STR(take(100), "new\n");
	CHECK_EQ_STR(take(100), "EAGAIN");
	end();
}

TEST(one_text_is_kept_however_large)
{
	char line[600];

	begin(200);
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	add((struct span){ line, sizeof(line) });
	CHECK_EQ_UINT(strlen(take(1000)), 600);
	add_text("small\n");
	add((struct span){ line, sizeof(line) });
	CHECK_EQ_STR(take(1000), "EOVERFLOW");
	CHECK_EQ_UINT(strlen(take(1000)), 600);
	end();
}

TEST(what_cannot_be_kept_is_an_overflow)
{
	begin(1 << 20);
	add_text("one\n");
	feed_queue_add(&queue, NULL);
	CHECK_EQ_STR(take(100), "EOVERFLOW");
	CHECK_EQ_STR(take(100), "EAGAIN");
	end();
}

TEST(many_pieces_are_taken_some_at_a_time)
{
	struct feed_writer other = { 0 };
	struct feed_piece p;
	size_t seen = 0;

	begin(1 << 20);
	for (int i = 0; i < 1000; i++) {
		add_text("a\n");
		REQUIRE(feed_write(&other, SPAN("b\n"), &p));
		feed_queue_add(&queue, &p);
		feed_piece_put(&p);
	}
	for (const char *text; strcmp(text = take(1000), "EAGAIN") != 0; seen += strlen(text))
		CHECK(strlen(text) <= 2 * FEED_PIECES);
	CHECK_EQ_UINT(seen, 4000);
	CHECK_EQ_UINT(queue.bytes, 0);
	feed_writer_free(&other);
	end();
}

/* Any texts, any sizes: what is taken is what was added, and but for long lines it ends where a line does. */
TEST(anything_comes_out_as_it_went_in)
{
	struct buf in = { 0 }, out = { 0 };

	begin(1 << 30);
	srandom(1);
	for (int round = 0; round < 20000; round++) {
		if (random() % 2 == 0) {
			char text[200];
			size_t len = 1 + (size_t)random() % (random() % 50 == 0 ? 199 : 20);
			for (size_t i = 0; i < len; i++)
				text[i] = random() % 5 == 0 ? '\n' : (char)('a' + random() % 26);
			text[len - 1] = '\n';
			buf_put(&in, text, len);
			add((struct span){ text, len });
		} else {
			size_t size = 1 + (size_t)random() % 60, before = out.len;
			const char *text = take(size);
			if (strcmp(text, "EAGAIN") != 0)
				buf_puts(&out, text);
			CHECK(out.len - before <= size);
			if (out.len > before && out.p[out.len - 1] != '\n')
				CHECK(out.len - before == size && memchr(out.p + before, '\n', size) == NULL);
		}
	}
	for (const char *text; strcmp(text = take(1000), "EAGAIN") != 0;)
		buf_puts(&out, text);
	CHECK_EQ_MEM(in.p, in.len, out.p, out.len);
	CHECK_EQ_UINT(queue.bytes, 0);
	buf_free(&in);
	buf_free(&out);
	end();
}

TESTS(T(whole_lines_as_many_as_fit), T(a_line_that_does_not_fit_comes_in_pieces), T(who_does_not_read_is_told_once_and_goes_on),
    T(a_half_read_line_is_completed_first), T(one_text_is_kept_however_large), T(what_cannot_be_kept_is_an_overflow),
    T(many_pieces_are_taken_some_at_a_time), T(anything_comes_out_as_it_went_in))
