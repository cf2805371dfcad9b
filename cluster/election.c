#include "election.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* asked_revision: nothing was asked yet. */
#define NEVER UINT64_MAX

static void
move(struct election *e, enum election_state to)
{
	static const unsigned allowed[] = {
		[ELECTION_FOLLOWING] = 1U << ELECTION_TAKING,
		[ELECTION_TAKING] = 1U << ELECTION_LEADING | 1U << ELECTION_FOLLOWING | 1U << ELECTION_RESIGNING,
		[ELECTION_LEADING] = 1U << ELECTION_FOLLOWING | 1U << ELECTION_RESIGNING,
		[ELECTION_RESIGNING] = 1U << ELECTION_FOLLOWING,
	};

	assert((allowed[e->state] & 1U << to) != 0);
	e->state = to;
	if (to == ELECTION_FOLLOWING) {
		e->asked = 0;
		e->free = false;
	}
}

/* A pause of 1 ns to ELECTION_JITTER_NS, another one each time. The generator is splitmix64 (Steele, Lea, Flood 2014).
 */
static int64_t
pause_ns(struct election *e)
{
	uint64_t z = e->random += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	z ^= z >> 31;
	return 1 + (int64_t)(z % ELECTION_JITTER_NS);
}

/* Is the lease seen last one of this life of this node? It need not lead for that: it may have stepped down since. */
static bool
is_own(const struct election *e)
{
	return e->lease.boot == e->boot && strcmp(e->lease.node, e->node) == 0;
}

static void
note(struct election *e, const struct lease *lease, uint64_t revision, int64_t now_ns)
{
	e->lease = lease != NULL ? *lease : (struct lease){ .node = "" };
	if (lease != NULL && lease->term == 0)
		e->lease.term = revision;
	e->revision = revision;
	e->had = true;
	e->seen_ns = now_ns;
	e->free = false;
}

static void
hold(struct election *e, int64_t sent_ns)
{
	if (sent_ns > e->held_ns)
		e->held_ns = sent_ns;
	e->renew_ns = e->held_ns + ELECTION_RENEW_NS;
}

static void
lead(struct election *e, int64_t sent_ns)
{
	move(e, ELECTION_LEADING);
	e->term = e->lease.term;
	e->held_ns = sent_ns;
	hold(e, sent_ns);
}

/*
 * What the time alone decides. Everything that is told the time comes here first: a process that was stopped must not
 * go by an answer or by a lease that waited for it before it knows that its own time is over.
 */
static void
pass(struct election *e, int64_t now_ns)
{
	if (e->asked != 0 && now_ns - e->asked_ns >= ELECTION_ANSWER_NS)
		e->asked = 0;
	if (e->state == ELECTION_LEADING && now_ns - e->held_ns >= ELECTION_HOLD_NS)
		move(e, ELECTION_FOLLOWING);
	/* The lease is ours, but too old by the only time that is sure, and no answer came that knows better. */
	if (e->state == ELECTION_TAKING && e->asked == 0 && e->revision != e->asked_revision)
		move(e, ELECTION_FOLLOWING);
}

/*
 * A lease of ours that was seen replaces asked_revision: one that replaces an older one would itself be older, and one
 * that replaces a newer one was not asked for yet. But it may be the first of several attempts to replace it, so it
 * holds from when the first was sent; only the answer, by its id, tells that it was a later one.
 */
static void
seen_own(struct election *e, int64_t now_ns)
{
	if (e->first_ns == e->asked_ns)
		e->asked = 0;
	if (e->state == ELECTION_LEADING)
		hold(e, e->first_ns);
	else if (now_ns - e->first_ns < ELECTION_HOLD_NS)
		lead(e, e->first_ns);
}

void
election_init(struct election *e, const char *node, uint64_t boot)
{
	size_t len = strlen(node);

	assert(len > 0 && len <= ELECTION_NODE_MAX && boot != 0);
	*e = (struct election){ .boot = boot, .asked_revision = NEVER, .random = boot };
	memcpy(e->node, node, len + 1);
}

void
election_seen(struct election *e, const struct lease *lease, uint64_t revision, int64_t now_ns)
{
	pass(e, now_ns);
	if (revision < e->revision)
		return;
	if (revision == e->revision) {
		if (revision == 0 && !e->known)
			e->seen_ns = now_ns;
		e->known = true;
		return;
	}
	note(e, lease, revision, now_ns);
	e->known = true;
	switch (e->state) {
	case ELECTION_FOLLOWING:
		break;
	case ELECTION_TAKING:
		/* A late renewal of a term of ours that is over is not what was asked for. */
		if (is_own(e) && e->lease.term == revision)
			seen_own(e, now_ns);
		else
			move(e, ELECTION_FOLLOWING);
		break;
	case ELECTION_LEADING:
		if (is_own(e) && e->lease.term == e->term)
			seen_own(e, now_ns);
		else
			move(e, ELECTION_FOLLOWING);
		break;
	case ELECTION_RESIGNING:
		if (!is_own(e))
			move(e, ELECTION_FOLLOWING);
		break;
	}
	pass(e, now_ns);
}

void
election_lost(struct election *e)
{
	e->known = false;
	e->free = false;
}

void
election_reset(struct election *e)
{
	if (e->state != ELECTION_FOLLOWING)
		move(e, ELECTION_FOLLOWING);
	election_lost(e);
	e->revision = 0;
	e->lease = (struct lease){ .node = "" };
	e->asked_revision = NEVER;
	/* Whoever leads without knowing yet goes on for a while. */
	e->had = true;
}

static void
accepted(struct election *e, uint64_t revision, int64_t now_ns)
{
	if (revision > e->revision) {
		struct lease lease = e->asked_lease;
		note(e, &lease, revision, now_ns);
	}
	switch (e->state) {
	case ELECTION_FOLLOWING:
		break;
	case ELECTION_TAKING:
		if (revision == e->revision)
			lead(e, e->asked_ns);
		else
			move(e, ELECTION_FOLLOWING);
		break;
	case ELECTION_LEADING:
		hold(e, e->asked_ns);
		break;
	case ELECTION_RESIGNING:
		if (!is_own(e))
			move(e, ELECTION_FOLLOWING);
		break;
	}
}

/*
 * If what was seen meanwhile is ours, then it was an earlier attempt of the same that came before, and nothing is new.
 * Otherwise the lease is one that is not known here yet: the watch will tell.
 */
static void
refused(struct election *e)
{
	bool explained = e->revision != e->asked_revision;

	if (!explained)
		e->known = false;
	if (e->state == ELECTION_TAKING || !explained)
		move(e, ELECTION_FOLLOWING);
}

void
election_answer(struct election *e, uint64_t id, int err, uint64_t revision, int64_t now_ns)
{
	pass(e, now_ns);
	if (id == 0 || id != e->asked)
		return;
	e->asked = 0;
	if (err == 0)
		accepted(e, revision, now_ns);
	else if (err == -ESTALE)
		refused(e);
	else
		/* Not at once again, for the answer may have come at once: there is no connection. */
		e->try_ns = e->renew_ns = now_ns + pause_ns(e);
	pass(e, now_ns);
}

static bool
ask(struct election *e, const struct lease *lease, int64_t now_ns, struct election_write *out)
{
	if (e->asked_revision != e->revision)
		e->first_ns = now_ns;
	e->asked = ++e->ids;
	e->asked_revision = e->revision;
	e->asked_ns = now_ns;
	e->asked_lease = *lease;
	*out = (struct election_write){ .id = e->asked, .revision = e->revision, .lease = *lease };
	return true;
}

static bool
ask_to_hold(struct election *e, uint64_t term, int64_t now_ns, struct election_write *out)
{
	struct lease lease = { .boot = e->boot, .term = term };

	memcpy(lease.node, e->node, sizeof(lease.node));
	return ask(e, &lease, now_ns, out);
}

/* Vacant leases keep the term, so that it never falls. */
static bool
ask_to_vacate(struct election *e, int64_t now_ns, struct election_write *out)
{
	struct lease lease = { .term = e->lease.term };
	bool tried = e->asked_lease.node[0] == '\0' && e->asked_revision == e->revision;

	if (is_own(e) && !tried)
		return ask(e, &lease, now_ns, out);
	move(e, ELECTION_FOLLOWING);
	return false;
}

/* From when on the lease is free if nothing changes; only when it is known. */
static int64_t
free_ns(const struct election *e)
{
	bool vacant = e->lease.node[0] == '\0' && (e->lease.term != 0 || !e->had);

	return vacant ? e->seen_ns : e->seen_ns + ELECTION_LEASE_NS;
}

static bool
follow(struct election *e, int64_t now_ns, struct election_write *out)
{
	if (!e->known || e->quits || now_ns < free_ns(e))
		return false;
	if (!e->free) {
		e->free = true;
		e->try_ns = now_ns + pause_ns(e);
	}
	if (now_ns < e->try_ns)
		return false;
	move(e, ELECTION_TAKING);
	return ask_to_hold(e, 0, now_ns, out);
}

bool
election_step(struct election *e, int64_t now_ns, struct election_write *out)
{
	pass(e, now_ns);
	if (e->asked != 0)
		return false;
	switch (e->state) {
	case ELECTION_FOLLOWING:
		return follow(e, now_ns, out);
	case ELECTION_TAKING:
		return e->known && now_ns >= e->try_ns && ask_to_hold(e, 0, now_ns, out);
	case ELECTION_LEADING:
		return now_ns >= e->renew_ns && ask_to_hold(e, e->term, now_ns, out);
	case ELECTION_RESIGNING:
		return ask_to_vacate(e, now_ns, out);
	}
	return false;
}

static int64_t
due_ns(const struct election *e, int64_t now_ns)
{
	int64_t answer_ns = e->asked_ns + ELECTION_ANSWER_NS;

	switch (e->state) {
	case ELECTION_FOLLOWING:
		if (!e->known || e->quits)
			return INT64_MAX;
		return e->free ? e->try_ns : free_ns(e);
	case ELECTION_TAKING:
		if (e->asked != 0)
			return answer_ns;
		return e->known ? e->try_ns : INT64_MAX;
	case ELECTION_LEADING: {
		int64_t end_ns = e->held_ns + ELECTION_HOLD_NS;
		int64_t next_ns = e->asked != 0 ? answer_ns : e->renew_ns;
		return next_ns < end_ns ? next_ns : end_ns;
	}
	case ELECTION_RESIGNING:
		return e->asked != 0 ? answer_ns : now_ns;
	}
	return INT64_MAX;
}

int64_t
election_due(const struct election *e, int64_t now_ns)
{
	int64_t at_ns = due_ns(e, now_ns);

	return at_ns > now_ns ? at_ns : now_ns;
}

bool
election_leads(struct election *e, int64_t now_ns, uint64_t *term)
{
	pass(e, now_ns);
	if (e->state != ELECTION_LEADING)
		return false;
	*term = e->term;
	return true;
}

void
election_resign(struct election *e, int64_t now_ns)
{
	pass(e, now_ns);
	e->quits = true;
	if (e->state == ELECTION_LEADING || e->state == ELECTION_TAKING)
		move(e, ELECTION_RESIGNING);
}

void
election_stand(struct election *e)
{
	e->quits = false;
}

uint64_t
election_term(const struct election *e)
{
	return e->lease.term;
}

const char *
election_leader(const struct election *e)
{
	return e->lease.node;
}
