/* The checks of the order of locks, which are there in this program in every build. */
#undef LOCK_CHECKS
#define LOCK_CHECKS 1

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../store/lock.h"
#include "check.h"

static struct lock store, index_lock, actor, other_actor, cache_file, timer;
static pthread_cond_t cond;

static void
init(void)
{
	lock_init(&store, LOCK_STORE);
	lock_init(&index_lock, LOCK_INDEX);
	lock_init(&actor, LOCK_ACTOR);
	lock_init(&other_actor, LOCK_ACTOR);
	lock_init(&cache_file, LOCK_CACHE_FILE);
	lock_init(&timer, LOCK_TIMER);
	lock_cond_init(&cond);
}

/* Does fn abort, saying so? In a process of its own. */
static void
check_stops(void (*fn)(void), const char *message)
{
	char said[512] = "";
	int fds[2], status = 0;

	REQUIRE(pipe(fds) == 0);
	fflush(stdout);
	pid_t pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		struct rlimit no_core = { 0, 0 };
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		init();
		fn();
		_exit(0);
	}
	close(fds[1]);
	size_t len = 0;
	for (ssize_t n; len < sizeof(said) - 1 && (n = read(fds[0], said + len, sizeof(said) - 1 - len)) > 0;)
		len += (size_t)n;
	close(fds[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	if (strstr(said, message) == NULL)
		CHECK_EQ_STR(said, message);
}

TEST(the_right_order_passes)
{
	init();
	for (int i = 0; i < 100; i++) {
		lock_take(&store);
		lock_take(&actor);
		lock_take(&timer);
		lock_give(&actor); /* in any order */
		lock_give(&store);
		lock_give(&timer);
		lock_take(&actor); /* also without those above it */
		lock_take(&cache_file);
		lock_give(&cache_file);
		lock_give(&actor);
		lock_take(&index_lock);
		lock_give(&index_lock);
	}
}

TEST(one_that_is_only_tried_may_have_any_rank)
{
	init();
	lock_take(&actor);
	CHECK(lock_try(&other_actor));
	CHECK(lock_try(&store));
	CHECK(!lock_try(&store));
	lock_give(&other_actor);
	lock_give(&store);
	lock_take(&timer);
	lock_give(&timer);
	lock_give(&actor);
}

TEST(a_wait_ends_at_its_time)
{
	const int64_t wait_ns = 5 * NS_PER_MS;

	init();
	lock_take(&index_lock);
	int64_t until_ns = clock_mono(clock_system()) + wait_ns;
	while (lock_wait_until(&index_lock, &cond, until_ns))
		;
	CHECK(clock_mono(clock_system()) >= until_ns);
	CHECK(!lock_wait_until(&index_lock, &cond, 0));
	lock_give(&index_lock);
}

static void *
wake(void *arg)
{
	bool *woken = arg;

	lock_take(&index_lock);
	*woken = true;
	pthread_cond_signal(&cond);
	lock_give(&index_lock);
	return NULL;
}

TEST(a_wait_for_ever_ends_when_it_is_woken)
{
	pthread_t thread;
	bool woken = false;

	init();
	lock_take(&index_lock);
	REQUIRE(pthread_create(&thread, NULL, wake, &woken) == 0);
	while (!woken)
		CHECK(lock_wait_until(&index_lock, &cond, INT64_MAX));
	lock_give(&index_lock);
	pthread_join(thread, NULL);
}

static void
backwards(void)
{
	lock_take(&cache_file);
	lock_take(&actor);
}

static void
two_of_a_rank(void)
{
	lock_take(&actor);
	lock_take(&other_actor);
}

static void
twice(void)
{
	lock_take(&store);
	lock_take(&store);
}

static void
outermost_within(void)
{
	lock_take(&actor);
	lock_take(&store);
}

/* Though it would be in order. */
static void
two_outermost(void)
{
	lock_take(&store);
	lock_take(&index_lock);
}

static void
behind_a_tried_one(void)
{
	lock_take(&store);
	(void)lock_try(&timer);
	lock_take(&actor);
}

static void
waits_with_another(void)
{
	lock_take(&store);
	lock_take(&actor);
	lock_wait(&actor, &cond);
}

static void
waits_without(void)
{
	lock_wait(&actor, &cond);
}

static void
gives_what_it_has_not(void)
{
	lock_give(&store);
}

TEST(the_wrong_order_aborts)
{
	check_stops(backwards, "taking LOCK_ACTOR while holding LOCK_CACHE_FILE");
	check_stops(two_of_a_rank, "taking LOCK_ACTOR while holding LOCK_ACTOR");
	check_stops(twice, "taking again LOCK_STORE");
	check_stops(outermost_within, "taking LOCK_STORE while holding LOCK_ACTOR");
	check_stops(two_outermost, "taking LOCK_INDEX while holding LOCK_STORE");
	check_stops(behind_a_tried_one, "taking LOCK_ACTOR while holding LOCK_TIMER");
}

TEST(a_wait_with_another_lock_aborts)
{
	check_stops(waits_with_another, "waiting with LOCK_ACTOR while holding LOCK_STORE");
	check_stops(waits_without, "waiting with a lock that this thread does not hold");
}

TEST(to_give_what_one_does_not_hold_aborts)
{
	check_stops(gives_what_it_has_not, "does not hold");
}

TESTS(T(the_right_order_passes), T(one_that_is_only_tried_may_have_any_rank), T(a_wait_ends_at_its_time),
    T(a_wait_for_ever_ends_when_it_is_woken), T(the_wrong_order_aborts), T(a_wait_with_another_lock_aborts),
    T(to_give_what_one_does_not_hold_aborts))
