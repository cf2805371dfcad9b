/*
 * What the benchmark programs share: connections of their own for the baselines, a clock, percentiles, and the samples
 * that tests/bench/run collects. What goes wrong here ends the program with a message: a benchmark has nothing to
 * recover.
 */
#ifndef AETHER_TESTS_BENCH_MEASURE_H
#define AETHER_TESTS_BENCH_MEASURE_H

#include <nats/nats.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The line that every bench of small appends writes, newline included. */
extern const char *const measure_line;

void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Ends the program unless s is NATS_OK. */
void check(natsStatus s, const char *what);

int64_t now_ns(void);

/* A decimal number of at least `least`; ends the program on anything else. */
size_t number_arg(const char *text, size_t least);

/* Room for numbers, to be freed. */
double *new_values(size_t count);

/* Bytes to publish where only their number matters, to be freed. */
char *new_payload(size_t size);

/* Sorts values; p from 0 to 1, 0.5 is the median. */
double percentile(double *values, size_t count, double p);

/*
 * Print one sample: `side` is whose it is (ours, baseline), x what it was measured at (writers, events, actors; 0 if
 * there is no such thing). The unit is the key's (tests/bench/rows.tsv).
 */
void sample(const char *key, const char *side, double x, double value);

/* Files in the mount */

/* Open for appending, creating it if need be. */
int open_actor(const char *directory, const char *actor);

/* write(2) of measure_line, whole. */
void append_line(int fd);

/* Append measure_line once, and return how many bytes were stored for it. */
size_t stored_size(int fd);

/* The number of events that the mount says the actor has. */
size_t events_of(const char *directory, const char *actor);

/* Baselines */

struct baseline {
	natsConnection *nc;
	jsCtx *js;
	const char *stream; /* of its own, NULL if it has none */
	char subject[64];
	uint64_t stream_messages; /* when it was last asked for */
};

/*
 * Connect. send_asap: see natsOptions_SetSendAsap. Each asynchronous publish that fails is counted: baseline_complete
 * looks at that. Requests wait for as long as servers need for a million subjects.
 */
void baseline_connect(struct baseline *b, const char *url, bool send_asap);

/*
 * Make the stream `name` (kept, not copied) with the configuration of the existing stream `like`, listening on
 * b->subject and on b->subject.*
 */
void baseline_make_stream(struct baseline *b, const char *like, const char *name);

/* Publish `count` messages asynchronously, and wait for all acknowledgements. */
void baseline_publish(struct baseline *b, const char *payload, size_t size, size_t count);

/* Wait for the acknowledgements of everything published asynchronously; ends the program if one was an error. */
void baseline_complete(struct baseline *b);

/* The messages that the stream holds more than at the last call. */
uint64_t baseline_stored(struct baseline *b);

/* Erases the stream, if it has one of its own and `keep` is false. */
void baseline_close(struct baseline *b, bool keep);

#endif
