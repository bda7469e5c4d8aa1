/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel says of a descriptor. Each of these is a system call that the program did not make: only for what
 * can't be told otherwise, seldom, and never in a sandbox (socket_may_ask). */
#ifndef SPANSHIM_SOCKET_H
#define SPANSHIM_SOCKET_H

#include "preload/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr_in6;

static inline bool socket_may_ask(void)
{
    return !atomic_load_explicit(&process_sandboxed, memory_order_relaxed);
}

/* A stream socket, whatever it is connected to? Context: hook; signal-safe. */
bool socket_is_stream(int fd);

/* A socket of the internet's families? Context: hook; signal-safe. */
bool socket_is_internet(int fd);

/* Who is at the other end, cut to what an IPv6 address takes; returns its length, 0: nobody. Context: hook;
 * signal-safe. */
size_t socket_peer(int fd, struct sockaddr_in6 *ret_peer);

/* Are two descriptors the same file? Context: hook; signal-safe. */
bool socket_is_same(int fd, int other);

/* How many bytes were written to it, by whatever way and process. False where that isn't known: unix sockets, Linux
 * before 4.19. Context: hook; signal-safe. */
bool socket_written(int fd, uint64_t *ret_bytes);

#endif
