/* Documents, snapshots and the state. */
#include <errno.h>
#include <stdlib.h>

#include "../../store/fold.h"
#include "../../store/snapshot.h"
#include "contract_node.h"

static int64_t
soon(void)
{
	return clock_mono(clock_system()) + 5 * NS_PER_SEC;
}

static int
put(struct node *n, const char *actor, enum doc_kind kind, const uint64_t *behind, const char *text, uint64_t *seq)
{
	struct doc_name name = { kind, n->ns, actor };

	return n->backend->ops->doc_put(n->backend, &name, behind, span_of(text), soon(), seq);
}

/* The text from that sequence on must be this; NULL: there is none. */
static uint64_t
check_doc(struct node *n, const char *actor, enum doc_kind kind, uint64_t from, const char *text)
{
	struct doc_name name = { kind, n->ns, actor };
	struct buf got = { 0 };
	uint64_t seq = 0;
	int err = n->backend->ops->doc_get(n->backend, &name, from, soon(), &got, &seq);

	CHECK_EQ_INT(err, text != NULL ? 0 : -ENOENT);
	if (text != NULL && err == 0)
		CHECK_EQ_MEM(got.p, got.len, text, strlen(text));
	buf_free(&got);
	return seq;
}

TEST(documents_are_kept)
{
	struct node n, other;
	uint64_t seqs[5], seq;

	REQUIRE(node_open(&n) && node_join(&other, &n));
	check_doc(&n, "a", DOC_STATE, 0, NULL);
	CHECK_EQ_INT(put(&n, "a", DOC_STATE, &(uint64_t){ 1 }, "x", &seq), -ESTALE);
	CHECK_EQ_INT(put(&n, "a", DOC_STATE, &(uint64_t){ 0 }, "one", &seqs[0]), 0);
	CHECK_EQ_INT(put(&other, "a", DOC_STATE, &(uint64_t){ 0 }, "x", &seq), -ESTALE);
	CHECK_EQ_INT(put(&other, "a.b", DOC_STATE, NULL, "another actor's", &seq), 0);
	CHECK_EQ_INT(put(&other, "a", DOC_SNAPSHOT, NULL, "another kind", &seq), 0);
	CHECK_EQ_INT(put(&other, "a", DOC_STATE, &seqs[0], "two", &seqs[1]), 0);
	CHECK_EQ_UINT(check_doc(&n, "a", DOC_STATE, 0, "two"), seqs[1]);
	CHECK_EQ_UINT(check_doc(&n, "a", DOC_STATE, 1, "one"), seqs[0]);
	CHECK_EQ_UINT(check_doc(&n, "a", DOC_STATE, seqs[0] + 1, "two"), seqs[1]);
	check_doc(&n, "a", DOC_STATE, seqs[1] + 1, NULL);
	CHECK_EQ_INT(put(&n, "a", DOC_STATE, NULL, "three", &seqs[2]), 0);
	CHECK_EQ_INT(put(&n, "a", DOC_STATE, NULL, "", &seqs[3]), 0);
	CHECK(seqs[0] < seqs[1] && seqs[1] < seqs[2] && seqs[2] < seqs[3]);
	/* The first is one too many. */
	CHECK_EQ_UINT(check_doc(&other, "a", DOC_STATE, 1, "two"), seqs[1]);
	check_doc(&other, "a", DOC_STATE, 0, "");
	check_doc(&other, "a", DOC_SNAPSHOT, 0, "another kind");
	CHECK_EQ_INT(n.backend->ops->doc_drop(n.backend, n.ns, "a", soon()), 0);
	check_doc(&other, "a", DOC_STATE, 0, NULL);
	check_doc(&other, "a", DOC_SNAPSHOT, 0, NULL);
	check_doc(&other, "a.b", DOC_STATE, 0, "another actor's");
	CHECK_EQ_INT(n.backend->ops->doc_drop(n.backend, n.ns, NULL, soon()), 0);
	check_doc(&other, "a.b", DOC_STATE, 0, NULL);
	node_close(&other);
	node_close(&n);
}

static void
check_state(struct node *n, const char *want)
{
	struct buf got = { 0 };

	CHECK_EQ_INT(snapshot_state(n->a, &got), 0);
	CHECK_EQ_MEM(got.p, got.len, want, strlen(want));
	buf_free(&got);
}

/* Waits until the node has taken so many. */
static void
await_taken(struct node *n, uint64_t count)
{
	for (int64_t end = soon(); snapshots_taken(n->store) < count && clock_mono(clock_system()) < end;)
		CHECK_EQ_INT(actor_head(n->a, 0, false, &(struct head){ 0 }), 0);
	CHECK_EQ_UINT(snapshots_taken(n->store), count);
}

TEST(the_state_with_and_without_snapshots)
{
	struct node n, without;
	struct snapshots *sn;
	char line[64], want[128];

	REQUIRE(node_open(&n) && node_join(&without, &n));
	REQUIRE(snapshots_new(&sn, n.store, 10, NULL, NULL) == 0);
	CHECK_EQ_INT(append(n.a, "{\"first\":1.10,\"gone\":true}\n").err, 0);
	for (int i = 2; i <= 35; i++) {
		snprintf(line, sizeof(line), "{\"n\":%d,\"gone\":null}\n", i);
		CHECK_EQ_INT(append(n.a, line).err, 0);
		snprintf(want, sizeof(want), "{\"first\":1.10,\"n\":%d}\n", i);
		check_state(&n, want);
		check_state(&without, want);
		await_taken(&n, (uint64_t)i / 10);
	}
	/* The last one is there, and what it says is believed: nothing before it is looked at. */
	struct buf got = { 0 };
	CHECK_EQ_INT(snapshot_load(without.a, &got), 0);
	CHECK_EQ_UINT(count_text(&got, "\"version\":30,\"state\":{\"first\":1.10,\"n\":30}"), 1);
	buf_free(&got);
	snapshots_stop(sn);
	node_close(&without);
	node_close(&n);
	snapshots_free(sn);
}

TEST(a_snapshot_is_of_one_life)
{
	struct node n;
	struct buf got = { 0 };

	REQUIRE(node_open(&n));
	CHECK_EQ_INT(snapshot_save(n.a, span_of("{\"version\":1,\"state\":1}")), -ENOENT);
	CHECK_EQ_INT(append(n.a, "x").err, 0);
	CHECK_EQ_INT(snapshot_save(n.a, span_of("{\"version\":1,\"state\":1}")), 0);
	CHECK_EQ_INT(snapshot_load(n.a, &got), 0);
	CHECK_EQ_INT(actor_erase(n.a), 0);
	CHECK_EQ_INT(snapshot_load(n.a, &got), -ENOENT);
	CHECK_EQ_INT(append(n.a, "y").err, 0);
	CHECK_EQ_INT(snapshot_load(n.a, &got), -ENOENT);
	check_state(&n, "{\"text\":\"y\"}\n");
	buf_free(&got);
	node_close(&n);
}

const struct check_test contract_snapshot_tests[] = { T(documents_are_kept), T(the_state_with_and_without_snapshots),
	T(a_snapshot_is_of_one_life) };
const size_t contract_snapshot_count = MANY(contract_snapshot_tests);
