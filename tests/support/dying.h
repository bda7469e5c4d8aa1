/* SPDX-License-Identifier: Apache-2.0 */
/* A process that crashes and waits to be read, without the shim: its handler fills a struct wire_crash as the shim's
 * does. Either a function in a fork of the test, or a program with this file preloaded. */
#ifndef SPANSHIM_TEST_DYING_H
#define SPANSHIM_TEST_DYING_H

#include <sys/types.h>

#include "preload/wire.h"

struct dying_area {
    _Alignas(WIRE_PAGE) struct wire_crash crash;
    _Alignas(WIRE_PAGE) uint8_t copy[WIRE_CRASH_COPY_SIZE];
    bool shut; /* its memory is not to be read by others */
};

struct dying {
    pid_t pid;
    int pidfd;
    struct dying_area *area;
};

/* A fork that runs `body`, which crashes. Returns when it waits to be read. */
struct dying dying_function(void (*body)(void), bool shut);

/* A program that crashes, likewise; its path and arguments. */
struct dying dying_program(char *const arguments[], bool shut);

/* It may die now. */
void dying_release(struct dying *dying);

/* Let it die, if that was not done before; its wait status. */
int dying_end(struct dying *dying);

/* In the child: crash into this area. */
void dying_watch(struct dying_area *area);

#endif
