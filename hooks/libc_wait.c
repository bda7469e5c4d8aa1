/* SPDX-License-Identifier: Apache-2.0 */
/* A thread waits: for whatever comes next, if new work may come; then its current request is over. */
#include "hooks/hook.h"

#include "preload/current.h"
#include "preload/fdtab.h"
#include "preload/uv_loop.h"

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static void wait_for_events(const struct epoll_event *events, int count, const void *caller)
{
    current_turn();
    uv_loop_waits(events, count, caller);
}

HOOK
int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
    if (hook_active())
        wait_for_events(events, count, __builtin_return_address(0));
    return REAL(epoll_wait)(epoll, events, count, timeout_ms);
}

HOOK
int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout_ms, const sigset_t *mask)
{
    if (hook_active())
        wait_for_events(events, count, __builtin_return_address(0));
    return REAL(epoll_pwait)(epoll, events, count, timeout_ms, mask);
}

/* Since glibc 2.35. */
int epoll_pwait2(int epoll, struct epoll_event *events, int count, const struct timespec *timeout,
                 const sigset_t *mask);

HOOK
int epoll_pwait2(int epoll, struct epoll_event *events, int count, const struct timespec *timeout, const sigset_t *mask)
{
    if (hook_active())
        wait_for_events(events, count, __builtin_return_address(0));
    return REAL(epoll_pwait2)(epoll, events, count, timeout, mask);
}

/* What a thread waits for. */
struct awaited {
    unsigned count;
    int last;
    bool connections, requests;
};

/* A quick look before the calls that ask for it: most descriptors that programs wait for are not followed. Those of
 * libcurl working for the program are not, either. */
static inline bool is_known(int fd)
{
    return fd >= 0 && fdtab_value(fdtab_get(fd)) >= FDTAB_CONN;
}

static inline void await(struct awaited *awaited, int fd)
{
    enum conn_work work = is_known(fd) ? conn_brings(fd) : CONN_BRINGS_NONE;

    awaited->count++;
    awaited->last = fd;
    awaited->connections |= work == CONN_BRINGS_CONNECTIONS;
    awaited->requests |= work == CONN_BRINGS_REQUESTS;
}

/* A thread that waits for several descriptors, requests among them, works on them in turns. One that waits for the
 * next request of one connection, or for the next connection, does not. */
static void turn(const struct awaited *awaited)
{
    if (awaited->requests && awaited->count > 1)
        current_turn();
    else if (awaited->requests || awaited->connections)
        current_clear();
}

/* Nothing came before the time was up. */
static void in_vain(const struct pollfd *list, nfds_t count)
{
    for (nfds_t i = 0; i < count; i++)
        if (is_known(list[i].fd))
            conn_waited_in_vain(list[i].fd);
}

static bool is_any_known(const struct pollfd *list, nfds_t count)
{
    for (nfds_t i = 0; i < count; i++)
        if (is_known(list[i].fd))
            return true;
    return false;
}

/* poll() leaves its list of descriptors as it was, so the list can be read after the call: by then the kernel has
 * read it without a fault. */
static int polled(const struct pollfd *list, nfds_t count, int result)
{
    struct awaited awaited = {0};

    if (result < 0 || !hook_active() || !is_any_known(list, count))
        return result;
    if (result == 0)
        in_vain(list, count);
    if (!current_would_turn())
        return result;
    for (nfds_t i = 0; i < count && !(awaited.requests && awaited.count > 1); i++)
        await(&awaited, list[i].fd);
    turn(&awaited);
    return result;
}

HOOK
int poll(struct pollfd *list, nfds_t count, int timeout_ms)
{
    return polled(list, count, REAL(poll)(list, count, timeout_ms));
}

HOOK
int ppoll(struct pollfd *list, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    return polled(list, count, REAL(ppoll)(list, count, timeout, mask));
}

/* The same where the compiler knew the list's size; the original aborts on an overflow. */
int __poll_chk(struct pollfd *list, nfds_t count, int timeout_ms, size_t size);
int __ppoll_chk(struct pollfd *list, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size);

HOOK
int __poll_chk(struct pollfd *list, nfds_t count, int timeout_ms, size_t size)
{
    return polled(list, count, REAL(__poll_chk)(list, count, timeout_ms, size));
}

HOOK
int __ppoll_chk(struct pollfd *list, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t size)
{
    return polled(list, count, REAL(__ppoll_chk)(list, count, timeout, mask, size));
}

enum { SET_BITS = 8 * sizeof(unsigned long), SET_LOWEST = 4096 };
static_assert(FDTAB_LEAF == FD_SETSIZE, "await_set");

/* The descriptors of one leaf of the table. */
static void await_leaf(struct awaited *awaited, int first, int end, const unsigned long *words)
{
    for (; first < end; first += SET_BITS)
        for (unsigned long word = words[first / SET_BITS]; word != 0; word &= word - 1)
            if (first + __builtin_ctzl(word) < end)
                await(awaited, first + __builtin_ctzl(word));
}

/* select() writes over its sets, so they are read before the call. A set that can't be one is the kernel's to refuse. A
 * pointer that looks good and is not would end the program here instead of with EFAULT.
 *
 * The kernel reads a set only as far as the process has descriptors, and programs rely on it: they pass getdtablesize()
 * with an fd_set. So what is behind an fd_set is read only where a descriptor was noted. */
static void await_set(struct awaited *awaited, int count, const fd_set *set)
{
    const unsigned long *words = (const unsigned long *)(const void *)set;

    if ((uintptr_t)set < SET_LOWEST || (uintptr_t)set >> 47 != 0 || (uintptr_t)set % sizeof(*words) != 0)
        return;
    for (int first = 0; first < count && first < FDTAB_LIMIT; first += FDTAB_LEAF)
        if (first == 0 || atomic_load_explicit(&fdtab_leaves[first / FDTAB_LEAF], memory_order_acquire))
            await_leaf(awaited, first, count - first < FDTAB_LEAF ? count : first + FDTAB_LEAF, words);
}

/* Returns the descriptor, if it is but one. */
static int before_select(int count, const fd_set *readable, const fd_set *writable)
{
    struct awaited awaited = {.last = -1};

    if (!hook_active())
        return -1;
    await_set(&awaited, count, readable);
    await_set(&awaited, count, writable);
    if (current_would_turn())
        turn(&awaited);
    return awaited.count == 1 ? awaited.last : -1;
}

static int selected(int only, int result)
{
    if (result == 0 && only >= 0)
        conn_waited_in_vain(only);
    return result;
}

HOOK
int select(int count, fd_set *readable, fd_set *writable, fd_set *failed, struct timeval *timeout)
{
    int only = before_select(count, readable, writable);

    return selected(only, REAL(select)(count, readable, writable, failed, timeout));
}

HOOK
int pselect(int count, fd_set *readable, fd_set *writable, fd_set *failed, const struct timespec *timeout,
            const sigset_t *mask)
{
    int only = before_select(count, readable, writable);

    return selected(only, REAL(pselect)(count, readable, writable, failed, timeout, mask));
}
