/* The verbs of the contract's tests: nodes, namespaces, appending and reading, each as one blocking call. */
#ifndef AETHER_TESTS_CONTRACT_NODE_H
#define AETHER_TESTS_CONTRACT_NODE_H

#include "../../store/actor.h"
#include "../../store/store.h"
#include "../../store/wait.h"
#include "contract.h"

/* The suite's subject, set by contract_run. */
const struct contract *contract_subject(void);

struct node {
	struct store *store;
	struct backend *backend; /* the store's */
	char ns[64];             /* a namespace of the test's own, made by node_open */
	struct actor *a;         /* the actor "a" in it */
};

/* A node with an empty namespace. False if that failed, after a failed check. node_close is due either way. */
bool node_open(struct node *n);
/* A node more, in the namespace of first. */
bool node_join(struct node *n, const struct node *first);
/* The same on a given backend, which is taken. first NULL: in a namespace of its own. */
bool node_on(struct node *n, struct backend *backend, const struct node *first, int64_t timeout_ns);
void node_close(struct node *n);

struct outcome {
	int err;
	size_t consumed;
	uint64_t version;
	struct conflict conflict;
};

/* Append and wait for the end. */
struct outcome append_bytes(struct actor *a, const char *data, size_t size);
struct outcome append(struct actor *a, const char *lines);

/* The error of one that cannot succeed. Where answers get lost it may stay unknown what became of it, and it is tried again. */
int append_refused(struct actor *a, const char *lines);

/* An append that is waited for later. */
struct pending;
struct pending *append_start(struct actor *a, const char *lines); /* lines are copied */
struct pending *append_start_cancelled(struct actor *a, const char *lines); /* given up before it begins */
/* One that may be answered before it is stored. chain may be NULL. */
struct pending *append_start_async(struct actor *a, const char *data, size_t size, struct append_chain *chain);
/* One that another node has handed over: how it is stored is seen by the end alone. */
struct pending *append_start_forwarded(struct actor *a, const char *lines, uint64_t since_seq, uint64_t life);
bool append_answered(struct pending *p);
struct append *append_handle(struct pending *p);
bool append_ended(struct pending *p);
/* When it ended among all that were started by append_start, from 1. Only once it has ended. */
unsigned append_rank(const struct pending *p);
struct outcome append_wait(struct pending *p); /* frees p */

/* The head as of now. */
struct head head_of(struct actor *a);
/* The whole file as of now, through reads of step bytes (0: 64 KiB). 0, or the error that ended it; what was read
 * before it is in out. */
int read_all(struct actor *a, size_t step, struct buf *out);

/*
 * What is stored of an actor's last life, record by record from the backend, the chain verified from the start: payloads in
 * *content (may be NULL), the end in *end. Fails a check where it does not hold.
 */
void check_chain(struct backend *b, const char *ns, const char *actor, struct buf *content, struct head *end);

/* Store r as it is, whatever it says. 0 or -errno. */
int publish_raw(struct backend *b, const char *ns, const char *actor, const struct record *r);

/* The version that the line at `at` says. */
uint64_t line_version(const char *at, const char *end);

/* The lines of content as JSON: the values of "version" in order must be these. */
void check_versions(const struct buf *content, const uint64_t *versions, size_t count);

/* How often text occurs. */
size_t count_text(const struct buf *content, const char *text);

/* size bytes of numbered lines of text, each of line_len bytes with its newline. The caller frees. */
char *many_lines(size_t size, size_t line_len);

#define MANY(tests) (sizeof(tests) / sizeof((tests)[0]))

/* The parts of the suite. */
extern const struct check_test contract_append_tests[];
extern const size_t contract_append_count;
extern const struct check_test contract_async_tests[];
extern const size_t contract_async_count;
extern const struct check_test contract_ids_tests[];
extern const size_t contract_ids_count;
extern const struct check_test contract_forward_tests[];
extern const size_t contract_forward_count;
extern const struct check_test contract_read_tests[];
extern const size_t contract_read_count;
extern const struct check_test contract_past_tests[];
extern const size_t contract_past_count;
extern const struct check_test contract_types_tests[];
extern const size_t contract_types_count;
extern const struct check_test contract_snapshot_tests[];
extern const size_t contract_snapshot_count;
extern const struct check_test contract_broken_tests[];
extern const size_t contract_broken_count;
extern const struct check_test contract_ns_tests[];
extern const size_t contract_ns_count;
extern const struct check_test contract_index_tests[];
extern const size_t contract_index_count;
extern const struct check_test contract_erase_tests[];
extern const size_t contract_erase_count;
extern const struct check_test contract_follow_tests[];
extern const size_t contract_follow_count;
extern const struct check_test contract_names_tests[];
extern const size_t contract_names_count;
extern const struct check_test contract_threads_tests[];
extern const size_t contract_threads_count;

#endif
