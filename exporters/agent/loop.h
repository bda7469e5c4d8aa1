/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's event loop: descriptors, timers, and nothing else. One thread; callbacks must not block. */
#ifndef SPANSHIM_LOOP_H
#define SPANSHIM_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* `events` are EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. */
typedef void loop_fd_fn(void *arg, int fd, uint32_t events);
typedef void loop_timer_fn(void *arg);

/* A timer in its owner's storage. All zero is valid: a timer that isn't set. It must be cleared before its storage
 * goes. */
struct loop_timer {
    uint64_t deadline_ns;
    loop_timer_fn *fn;
    void *arg;
    size_t index; /* place in the heap plus one; 0: not set */
};

/* 0 or -errno. Context: loop. */
int loop_new(struct loop **ret_loop);
void loop_free(struct loop *loop);

/* Watch a descriptor, or change what is watched. The descriptor stays the caller's; remove it before it is closed. 0 or
 * -errno. An event that was already reported when a descriptor is removed is not delivered. Context: loop. */
int loop_fd_set(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg);
void loop_fd_remove(struct loop *loop, int fd);

/* Call timer->fn once, `delay_ns` from now; setting it again moves it. 0 or -errno (no memory). Context: loop. */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);
static inline bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->index != 0;
}

/* CLOCK_MONOTONIC when the current round of callbacks began. Context: loop. */
uint64_t loop_now_ns(const struct loop *loop);

/* When a round last began long after a timer was due: the process stood still before it, or a callback took long. What
 * others did meanwhile is only read from then on. 0: never. Context: loop. */
uint64_t loop_late_ns(const struct loop *loop);

/* Serve until loop_stop, which may be called from a callback. 0 or -errno. Context: loop. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
