/*
 * What the benchmark programs share: a connection of their own for the baseline, a clock, medians, and the row that
 * tests/bench/run reads. What goes wrong here ends the program with a message: a benchmark has nothing to recover.
 */
#ifndef AETHER_TESTS_BENCH_MEASURE_H
#define AETHER_TESTS_BENCH_MEASURE_H

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct baseline {
	natsConnection *nc;
	jsCtx *js;
	const char *stream;
	char subject[64];
	uint64_t stream_messages; /* when it was last asked for */
};

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

int64_t now_ns(void);

/* Room for numbers, to be freed. */
double *new_values(size_t count);

/* Sorts values; p from 0 to 1, 0.5 is the median. */
double percentile(double *values, size_t count, double p);

/*
 * Connect and make the stream `name` (kept) with the configuration of the existing stream `like`, listening on the one
 * subject b->subject. send_asap: see natsOptions_SetSendAsap. errors: may be NULL; is called for each asynchronous
 * publish that failed.
 */
void baseline_open(
    struct baseline *b, const char *url, const char *like, const char *name, bool send_asap, jsPubAckErrHandler errors);
void baseline_close(struct baseline *b);

/* The messages that the stream holds more than at the last call. */
uint64_t baseline_stored(struct baseline *b);

/*
 * Print a row. relation: "<=" or ">=", how ours / baseline should compare with target; "" if there is no target.
 * Numbers are in the unit that `what` names.
 */
void print_row(const char *what, double ours, double theirs, const char *relation, double target);

#endif
