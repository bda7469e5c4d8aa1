/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/loop.h"

#include "exporters/agent/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define LATE_NS UINT64_C(50000000)

enum { EVENTS_PER_ROUND = 64 };

struct watch {
    loop_fd_fn *fn; /* NULL: not watched */
    void *arg;
    uint32_t generation; /* raised when it is removed: tells an event that is already on its way from a new watch */
};

struct loop {
    int epoll;
    bool stopping;
    uint64_t now_ns, late_ns;
    struct watch *watches; /* by descriptor */
    size_t watch_count;
    struct loop_timer **heap; /* the earliest first */
    size_t timer_count;
    size_t timer_room;
};

int loop_new(struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return -ENOMEM;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        int error = -errno;

        free(loop);
        return error;
    }
    loop->now_ns = clock_now_ns(CLOCK_MONOTONIC);
    *ret_loop = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    close(loop->epoll);
    free(loop->watches);
    free(loop->heap);
    free(loop);
}

uint64_t loop_now_ns(const struct loop *loop)
{
    return loop->now_ns;
}

uint64_t loop_late_ns(const struct loop *loop)
{
    return loop->late_ns;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

/* descriptors */

static int watches_reach(struct loop *loop, int fd)
{
    size_t count = loop->watch_count ? loop->watch_count : 64;
    struct watch *watches;

    if ((size_t)fd < loop->watch_count)
        return 0;
    while (count <= (size_t)fd)
        count *= 2;
    watches = realloc(loop->watches, count * sizeof(*watches));
    if (!watches)
        return -ENOMEM;
    for (size_t i = loop->watch_count; i < count; i++)
        watches[i] = (struct watch){0};
    loop->watches = watches;
    loop->watch_count = count;
    return 0;
}

int loop_fd_set(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg)
{
    struct epoll_event event = {.events = events};
    struct watch *watch;
    int error;

    if (fd < 0)
        return -EBADF;
    error = watches_reach(loop, fd);
    if (error)
        return error;
    watch = &loop->watches[fd];
    event.data.u64 = (uint64_t)watch->generation << 32 | (uint32_t)fd;
    if (epoll_ctl(loop->epoll, watch->fn ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event))
        return -errno;
    watch->fn = fn;
    watch->arg = arg;
    return 0;
}

void loop_fd_remove(struct loop *loop, int fd)
{
    if (fd < 0 || (size_t)fd >= loop->watch_count || !loop->watches[fd].fn)
        return;
    (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    loop->watches[fd].fn = NULL;
    loop->watches[fd].generation++;
}

static void deliver_event(struct loop *loop, const struct epoll_event *event)
{
    uint32_t fd = (uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    struct watch watch;

    if (fd >= loop->watch_count)
        return;
    watch = loop->watches[fd]; /* a copy: the callback may grow the table */
    if (watch.fn && watch.generation == generation)
        watch.fn(watch.arg, (int)fd, event->events);
}

/* timers: a binary heap, each timer knows its place */

static bool timer_before(const struct loop *loop, size_t a, size_t b)
{
    return loop->heap[a]->deadline_ns < loop->heap[b]->deadline_ns;
}

static void timer_place(struct loop *loop, size_t at, struct loop_timer *timer)
{
    loop->heap[at] = timer;
    timer->index = at + 1;
}

static void timer_swap(struct loop *loop, size_t a, size_t b)
{
    struct loop_timer *timer = loop->heap[a];

    timer_place(loop, a, loop->heap[b]);
    timer_place(loop, b, timer);
}

static void timer_sift(struct loop *loop, size_t at)
{
    while (at > 0 && timer_before(loop, at, (at - 1) / 2)) {
        timer_swap(loop, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t least = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < loop->timer_count; child++)
            if (timer_before(loop, child, least))
                least = child;
        if (least == at)
            return;
        timer_swap(loop, at, least);
        at = least;
    }
}

static int heap_reach(struct loop *loop, size_t count)
{
    size_t room = loop->timer_room ? loop->timer_room * 2 : 32;
    struct loop_timer **heap;

    if (count <= loop->timer_room)
        return 0;
    heap = realloc(loop->heap, room * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    loop->heap = heap;
    loop->timer_room = room;
    return 0;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns)
{
    if (!loop_timer_is_set(timer)) {
        int error = heap_reach(loop, loop->timer_count + 1);

        if (error)
            return error;
        timer_place(loop, loop->timer_count++, timer);
    }
    timer->deadline_ns = clock_now_ns(CLOCK_MONOTONIC) + delay_ns;
    timer_sift(loop, timer->index - 1);
    return 0;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
    size_t at;

    if (!loop_timer_is_set(timer))
        return;
    at = timer->index - 1;
    timer->index = 0;
    if (at == --loop->timer_count)
        return;
    timer_place(loop, at, loop->heap[loop->timer_count]);
    timer_sift(loop, at);
}

/* Timers that are due now; one set again by its own callback waits for the next round. */
static void deliver_timers(struct loop *loop)
{
    uint64_t now_ns = loop->now_ns;

    while (loop->timer_count > 0 && loop->heap[0]->deadline_ns <= now_ns && !loop->stopping) {
        struct loop_timer *timer = loop->heap[0];

        loop_timer_clear(loop, timer);
        timer->fn(timer->arg);
    }
}

/* Milliseconds until the next timer, rounded up so that it is due when the wait ends; -1: none. */
static int wait_ms(const struct loop *loop)
{
    uint64_t now_ns, ms;

    if (loop->timer_count == 0)
        return -1;
    now_ns = clock_now_ns(CLOCK_MONOTONIC);
    if (loop->heap[0]->deadline_ns <= now_ns)
        return 0;
    ms = (loop->heap[0]->deadline_ns - now_ns + 999999) / 1000000;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static void begin_round(struct loop *loop)
{
    loop->now_ns = clock_now_ns(CLOCK_MONOTONIC);
    if (loop->timer_count > 0 && loop->heap[0]->deadline_ns + LATE_NS <= loop->now_ns)
        loop->late_ns = loop->now_ns;
}

int loop_run(struct loop *loop)
{
    struct epoll_event events[EVENTS_PER_ROUND];

    loop->stopping = false;
    while (!loop->stopping) {
        int count = epoll_wait(loop->epoll, events, EVENTS_PER_ROUND, wait_ms(loop));

        if (count < 0 && errno != EINTR)
            return -errno;
        begin_round(loop);
        for (int i = 0; i < count && !loop->stopping; i++)
            deliver_event(loop, &events[i]);
        deliver_timers(loop);
    }
    return 0;
}
