#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bridge_state.h"

/* A process that ends is started again, after ever longer pauses while that goes on. */
#define PAUSE_MIN_NS (10 * NS_PER_MS)
#define PAUSE_MAX_NS (10 * NS_PER_SEC)

/* So many names must have been told of a namespace that nobody uses before it is tried whether that is so. In vain: again
 * so long after, and twice as long each time. */
#define TRIAL_TOLD 64
#define TRIAL_AGAIN_NS (3 * NS_PER_SEC)
#define TRIAL_DOUBLINGS 4
/* How long the kernel may take to forget. */
#define TRIAL_PAUSE_NS (5 * NS_PER_MS)

/* Hold all follows, or let them go on. None may be freed meanwhile; those that are begun meanwhile look at held. */
static void
hold_all(struct bridge *b, bool hold)
{
	struct buf follows = { 0 };
	struct table_link *link = NULL;

	lock_take(&b->lock);
	b->held = hold;
	b->holding = true;
	while ((link = table_next(&b->known, link)) != NULL) {
		struct follow *f = container_of(link, struct known, link)->follow;
		if (f != NULL)
			buf_put(&follows, &f, sizeof(f));
	}
	lock_give(&b->lock);
	for (size_t at = 0; at < follows.len; at += sizeof(struct follow *)) {
		struct follow *f;
		memcpy(&f, follows.p + at, sizeof(f));
		follow_hold(f, hold);
	}
	lock_take(&b->lock);
	b->holding = false;
	/* Without memory for all of them it is tried again. */
	if (follows.failed)
		b->held = !hold;
	pthread_cond_broadcast(&b->held_over);
	lock_give(&b->lock);
	buf_free(&follows);
}

/* Too many names wait, or few enough again. */
static void
balance(struct bridge *b)
{
	lock_take(&b->lock);
	bool enough = pokes_waiting(&b->pokes) <= BRIDGE_NAMES_MAX / 2;
	bool hold = b->full && !enough, change = hold != b->held;
	b->full = hold;
	lock_give(&b->lock);
	if (change)
		hold_all(b, hold);
}

static bool
any_order(const struct bridge *b)
{
	for (int i = 0; i < ORDERS_MAX; i++)
		if (b->orders[i].id != 0)
			return true;
	return false;
}

/* Is anybody there who sees what is told? */

/* A name of the namespace was told. */
static void
count_told_locked(struct bridge *b, const char *ns)
{
	struct known *k = bridge_find_locked(b, ns);

	if (k == NULL || ++k->told < TRIAL_TOLD || b->trial.state != TRIAL_NONE || bridge_now(b) < k->unused_ns)
		return;
	b->trial.state = TRIAL_DUE;
	b->trial.id = 0;
	strcpy(b->trial.ns, ns);
}

/* Is nothing to be told for the moment? */
static bool
holds_back(const struct bridge *b)
{
	return b->trial.state == TRIAL_DUE || b->trial.state == TRIAL_HIDE;
}

/* Give the order that the trial is due for. */
static void
look(struct bridge *b)
{
	struct trial *t = &b->trial;
	struct poker_order o = { .what = POKER_LOOK, .dev = b->dev };

	lock_take(&b->lock);
	if (t->state == TRIAL_PAUSE && bridge_now(b) >= t->at_ns) {
		struct known *k = bridge_find_locked(b, t->ns);
		t->state = k != NULL ? TRIAL_SHOW : TRIAL_NONE;
		t->id = 0;
		if (k != NULL) {
			k->told = 0;
			/* Perhaps the kernel took longer to forget it. */
			k->unused_ns = bridge_now(b) + (TRIAL_AGAIN_NS << k->vain);
			k->vain += k->vain < TRIAL_DOUBLINGS;
		}
	}
	if (t->state == TRIAL_DUE && !any_order(b))
		t->state = TRIAL_HIDE;
	bool due = (t->state == TRIAL_SHOW || t->state == TRIAL_HIDE) && t->id == 0 && helper_ready(&b->helper);
	if (due) {
		o.id = t->id = ++b->next_id;
		strcpy(o.names, t->ns);
	}
	lock_give(&b->lock);
	if (due && helper_order(&b->helper, &o) != 0)
		t->id = 0;
}

/* The process has looked. */
static bool
looked(struct bridge *b, uint64_t id)
{
	struct trial *t = &b->trial;

	if (t->id != id)
		return false;
	lock_take(&b->lock);
	t->state = t->state == TRIAL_HIDE ? TRIAL_PAUSE : TRIAL_NONE;
	t->at_ns = bridge_now(b) + TRIAL_PAUSE_NS;
	lock_give(&b->lock);
	t->id = 0;
	return true;
}

static struct order *
free_order(struct bridge *b)
{
	for (int i = 0; i < ORDERS_MAX; i++)
		if (b->orders[i].id == 0)
			return &b->orders[i];
	return NULL;
}

/* The step that the name is at, as an order. Called with the lock; false: it is none that has to be given. */
static bool
make_order_locked(struct bridge *b, const struct poke *k, struct poker_order *o)
{
	size_t ns_size = strlen(k->ns) + 1, actor_size = k->actor != NULL ? strlen(k->actor) + 1 : 1;

	if (k->step == POKE_NONE || (k->actor == NULL && k->step == POKE_CHANGED) || ns_size + actor_size > sizeof(o->names))
		return false;
	memset(o, 0, sizeof(*o));
	o->id = ++b->next_id;
	o->dev = b->dev;
	o->what = k->step == POKE_GONE ? POKER_GONE : k->step == POKE_MADE ? POKER_MADE : POKER_CHANGED;
	/* In what is no namespace. */
	if (k->step == POKE_MADE && strchr(k->ns, '/') != NULL)
		o->what = POKER_LINKED;
	o->with_change = k->with_change;
	memcpy(o->names, k->ns, ns_size);
	memcpy(o->names + ns_size, k->actor != NULL ? k->actor : "", actor_size);
	return true;
}

/* Give the order for the name's step, or for the next one that needs one. False: the process takes none. */
static bool
give_order(struct bridge *b, struct poke *k)
{
	struct order *slot = free_order(b);
	struct poker_order o;

	lock_take(&b->lock);
	bool due = true;
	while (due && !make_order_locked(b, k, &o))
		due = pokes_next_step(&b->pokes, k, bridge_now(b));
	lock_give(&b->lock);
	if (!due)
		return true;
	int err = helper_order(&b->helper, &o);
	if (err == 0) {
		*slot = (struct order){ o.id, k };
		return true;
	}
	lock_take(&b->lock);
	pokes_put_back(&b->pokes, k, bridge_now(b));
	lock_give(&b->lock);
	return false;
}

static void
give_orders(struct bridge *b)
{
	while (helper_ready(&b->helper) && free_order(b) != NULL && !holds_back(b)) {
		lock_take(&b->lock);
		struct poke *k = pokes_take(&b->pokes, bridge_now(b));
		lock_give(&b->lock);
		if (k == NULL || !give_order(b, k))
			return;
	}
}

/* An order was carried out, or could not be: then the name is not there any more, or is already, and nothing is left to be said of that. */
static void
reported(struct bridge *b, const struct poker_report *report)
{
	struct order *order = NULL;

	if (looked(b, report->id))
		return;
	for (int i = 0; i < ORDERS_MAX; i++)
		if (b->orders[i].id == report->id)
			order = &b->orders[i];
	if (order == NULL)
		return;
	struct poke *k = order->poke;
	*order = (struct order){ 0 };
	lock_take(&b->lock);
	/* What exists already cannot be made, but was changed all the same; what may not be made can be opened. */
	bool forbidden = report->err == -EACCES || report->err == -EPERM || report->err == -EROFS;
	if ((report->err == -EEXIST && k->with_change) || (forbidden && k->step == POKE_MADE && k->actor != NULL))
		k->left.changed = true;
	b->told++;
	if (k->actor != NULL)
		count_told_locked(b, k->ns);
	bool more = pokes_next_step(&b->pokes, k, bridge_now(b));
	lock_give(&b->lock);
	if (more)
		(void)give_order(b, k);
}

/* The process has ended, or is of no use: what it was about to do is to be done by the next one. */
static void
lose_helper(struct bridge *b)
{
	helper_kill(&b->helper);
	helper_reap(&b->helper);
	b->start_ns = bridge_now(b) + b->pause_ns;
	b->pause_ns = 2 * b->pause_ns < PAUSE_MAX_NS ? 2 * b->pause_ns : PAUSE_MAX_NS;
	lock_take(&b->lock);
	for (int i = 0; i < ORDERS_MAX; i++)
		if (b->orders[i].id != 0)
			pokes_put_back(&b->pokes, b->orders[i].poke, bridge_now(b));
	lock_give(&b->lock);
	memset(b->orders, 0, sizeof(b->orders));
	b->trial.id = 0;
}

static void
start_helper(struct bridge *b)
{
	int err = helper_start(&b->helper, b->env->options.mountpoint);

	if (err == 0)
		return;
	log_warn(b->env->lg, "cannot start the process that raises inotify for changes of other nodes: %s", strerror(-err));
	lose_helper(b);
}

static void
take_reports(struct bridge *b)
{
	struct poker_report report;
	int got;

	while ((got = helper_report(&b->helper, &report)) == 1) {
		if (report.id != 0) {
			b->pause_ns = PAUSE_MIN_NS;
			reported(b, &report);
		} else if (report.err == 0 && b->dev == 0) {
			b->dev = report.dev;
		} else if (report.err != 0 && b->dev == 0) {
			log_warn(b->env->lg, "the process that raises inotify for changes of other nodes cannot open %s: %s",
			    b->env->options.mountpoint, strerror(-report.err));
			lose_helper(b);
			return;
		}
	}
	if (got == 0)
		return;
	log_warn(b->env->lg, "the process that raises inotify for changes of other nodes has ended; another is started");
	lose_helper(b);
}

/* Sleep until there is something to do. */
static void
await(struct bridge *b)
{
	struct pollfd fds[2] = { { .fd = b->wake_fd, .events = POLLIN }, { .fd = b->helper.fd, .events = POLLIN } };
	int64_t due_ns = INT64_MAX, from_ns = bridge_now(b);
	uint64_t ignored;

	lock_take(&b->lock);
	if (b->helper.fd < 0)
		due_ns = b->start_ns;
	else if (helper_ready(&b->helper) && free_order(b) != NULL && !holds_back(b))
		due_ns = pokes_due(&b->pokes, from_ns);
	if (b->trial.state == TRIAL_PAUSE && b->trial.at_ns < due_ns)
		due_ns = b->trial.at_ns;
	b->idle = true;
	if (b->stopping)
		due_ns = from_ns;
	lock_give(&b->lock);
	int64_t wait_ns = due_ns == INT64_MAX ? 0 : due_ns > from_ns ? due_ns - from_ns : 0;
	struct timespec timeout = { .tv_sec = wait_ns / NS_PER_SEC, .tv_nsec = wait_ns % NS_PER_SEC };
	if (ppoll(fds, 2, due_ns == INT64_MAX ? NULL : &timeout, NULL) > 0 && fds[0].revents != 0)
		(void)!read(b->wake_fd, &ignored, sizeof(ignored));
	lock_take(&b->lock);
	b->idle = false;
	lock_give(&b->lock);
}

void *
bridge_tell(void *arg)
{
	struct bridge *b = arg;
	bool stopping = false;

	b->pause_ns = PAUSE_MIN_NS;
	while (!stopping) {
		if (b->helper.fd < 0 && bridge_now(b) >= b->start_ns)
			start_helper(b);
		if (b->helper.fd >= 0)
			take_reports(b);
		look(b);
		give_orders(b);
		balance(b);
		await(b);
		lock_take(&b->lock);
		stopping = b->stopping;
		lock_give(&b->lock);
	}
	helper_kill(&b->helper);
	return NULL;
}
