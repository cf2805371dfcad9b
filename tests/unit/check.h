/*
 * A test program in one header: checks, and a table of tests reported as TAP.
 *
 *	TEST(adds)
 *	{
 *		CHECK_EQ_INT(1 + 1, 2);
 *	}
 *
 *	TESTS(T(adds))
 *
 * A failed CHECK is reported with its place and the test goes on; a failed REQUIRE also returns
 * from the function it stands in, which must be void. Every argument is evaluated once. Checks may
 * run on any thread, as long as the threads are joined before their test returns. The program exits
 * with 1 if any test failed. Its arguments, if any, name the tests to run.
 */
#ifndef AETHER_TESTS_CHECK_H
#define AETHER_TESTS_CHECK_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct check_test {
	const char *name;
	void (*fn)(void);
};

#define TEST(name) static void name(void)
#define T(name) ((struct check_test){ #name, name })
#define TESTS(...)                                                                                                     \
	int main(int argc, char **argv)                                                                                \
	{                                                                                                              \
		const struct check_test check_tests[] = { __VA_ARGS__ };                                               \
		return check_run(check_tests, sizeof(check_tests) / sizeof(check_tests[0]), argc, argv);               \
	}

#define CHECK(cond) ((void)check_true((cond), #cond, __FILE__, __LINE__))
#define CHECK_EQ_INT(a, b) ((void)check_int((a), (b), #a " == " #b, __FILE__, __LINE__))
#define CHECK_EQ_UINT(a, b) ((void)check_uint((a), (b), #a " == " #b, __FILE__, __LINE__))
/* NULL equals NULL only. */
#define CHECK_EQ_STR(a, b) ((void)check_str((a), (b), #a " == " #b, __FILE__, __LINE__))
#define CHECK_EQ_MEM(a, a_len, b, b_len) ((void)check_mem((a), (a_len), (b), (b_len), #a " == " #b, __FILE__, __LINE__))

#define REQUIRE(cond)                                                                                                  \
	do {                                                                                                           \
		if (!check_true((cond), #cond, __FILE__, __LINE__))                                                    \
			return;                                                                                        \
	} while (0)

/* One for the whole program, whichever files its tests stand in. */
__attribute__((weak)) atomic_int check_failures;

#define CHECK_FAIL(what, file, line, format, ...)                                                                      \
	(atomic_fetch_add(&check_failures, 1), printf("# %s:%d: %s" format "\n", file, line, what, __VA_ARGS__), false)

static inline bool
check_true(bool ok, const char *what, const char *file, int line)
{
	return ok || CHECK_FAIL(what, file, line, "%s", "");
}

static inline bool
check_int(intmax_t a, intmax_t b, const char *what, const char *file, int line)
{
	return a == b || CHECK_FAIL(what, file, line, ": %jd, %jd", a, b);
}

static inline bool
check_uint(uintmax_t a, uintmax_t b, const char *what, const char *file, int line)
{
	return a == b || CHECK_FAIL(what, file, line, ": %ju, %ju (0x%jx, 0x%jx)", a, b, a, b);
}

static inline bool
check_str(const char *a, const char *b, const char *what, const char *file, int line)
{
	if (a == NULL || b == NULL ? a == b : strcmp(a, b) == 0)
		return true;
	return CHECK_FAIL(what, file, line, ":\n#   %s\n#   %s", a != NULL ? a : "(null)", b != NULL ? b : "(null)");
}

static inline bool
check_mem(const void *a, size_t a_len, const void *b, size_t b_len, const char *what, const char *file, int line)
{
	if (a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0))
		return true;
	return CHECK_FAIL(what, file, line, ":\n#   %zu bytes: %.*s\n#   %zu bytes: %.*s", a_len, (int)a_len,
	    a_len != 0 ? (const char *)a : "", b_len, (int)b_len, b_len != 0 ? (const char *)b : "");
}

static inline bool
check_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(name, argv[i]) == 0)
			return true;
	return argc <= 1;
}

static inline int
check_run(const struct check_test *tests, size_t n, int argc, char **argv)
{
	int failed = 0;
	size_t number = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < n; i++) {
		if (!check_wanted(tests[i].name, argc, argv))
			continue;
		atomic_store(&check_failures, 0);
		tests[i].fn();
		bool ok = atomic_load(&check_failures) == 0;
		failed += !ok;
		printf("%s %zu - %s\n", ok ? "ok" : "not ok", ++number, tests[i].name);
	}
	printf("1..%zu\n", number);
	return failed != 0;
}

#endif
