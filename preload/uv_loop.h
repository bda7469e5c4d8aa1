/* SPDX-License-Identifier: Apache-2.0 */
/* libuv's loop (Node): between what it has read and its next wait it runs timers, which any request or the program
 * itself may have set. No system call shows that, but the stack does: uv_run() calls one function that waits and reads,
 * and others for the rest, and where each goes back to stands in one place. Only for the loop of the main thread, whose
 * stack never goes away. */
#ifndef SPANSHIM_UV_LOOP_H
#define SPANSHIM_UV_LOOP_H

#include <stdbool.h>

struct epoll_event;

/* `envp`: as the kernel put it on the stack. Context: start. */
void uv_loop_init(char *const *envp);

/* This thread waits by epoll: room for so many events, called from `caller`. Context: hook; signal-safe. */
void uv_loop_waits(const struct epoll_event *events, int count, const void *caller);

/* Is this thread's loop at something else than at what it was woken for? Not in threads without such a loop. Context:
 * hook; signal-safe. */
bool uv_loop_is_elsewhere(void);

#endif
