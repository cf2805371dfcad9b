/*
 * One thread that calls functions at given times, and at once when asked: the place for what must happen later, or
 * must not happen inside a caller's stack.
 *
 * Owns its thread and a heap of due calls. Any thread may call timer_at; the functions run on the timer's thread, one after
 * another: one that blocks delays the rest.
 */
#ifndef AETHER_STORE_TIMER_H
#define AETHER_STORE_TIMER_H

#include <stdint.h>

#include "clock.h"

struct timer;

/* clock's mono_ns must be CLOCK_MONOTONIC. 0 or -errno. */
int timer_new(struct timer **out, const struct clock *clock);

/* Call fn(arg) once at at_ns of the monotonic clock, or as soon as possible if that has passed. 0 or -ENOMEM (fn is not called then). */
int timer_at(struct timer *t, int64_t at_ns, void (*fn)(void *arg), void *arg);

/* Run what is left at once, whatever its time, and what those calls add; stop the thread; free. NULL is fine. */
void timer_free(struct timer *t);

#endif
