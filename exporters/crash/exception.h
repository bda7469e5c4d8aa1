/* SPDX-License-Identifier: Apache-2.0 */
/* The C++ exception that nobody caught, out of a process's memory: its type, and what() where that is data. libstdc++
 * and libc++abi keep it for each thread. */
#ifndef SPANSHIM_CRASH_EXCEPTION_H
#define SPANSHIM_CRASH_EXCEPTION_H

#include <stdbool.h>
#include <stdint.h>

struct memory;
struct modules;
struct stack;

enum { EXCEPTION_TYPE_MAX = 512, EXCEPTION_WHAT_MAX = 1024 };

struct exception {
    char type[EXCEPTION_TYPE_MAX]; /* as std::type_info names it; "" for none, as the other */
    char what[EXCEPTION_WHAT_MAX];
};

/* If the stack says that std::terminate was called. thread_pointer: the base of the thread's thread-local storage.
 * Context: helper. */
void exception_read(struct exception *exception, const struct modules *modules, struct memory *memory,
                    const struct stack *stack, uint64_t thread_pointer);

#endif
