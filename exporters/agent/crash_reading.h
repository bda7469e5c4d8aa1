/* SPDX-License-Identifier: Apache-2.0 */
/* One crash read, in a process of its own: the agent's part of the turns that wire.h describes, the limits, and the
 * rights. Called by crash_helper.c. */
#ifndef SPANSHIM_CRASH_READING_H
#define SPANSHIM_CRASH_READING_H

#include <sys/types.h>

struct crash_request;

/* Read the process (pidfd -1: it is gone), release it, write the report to `out`. Takes the whole process that calls
 * it: limits and rights are never given back. `turns` is a file shared by all readings, of which only a few look for
 * names at once, and may be -1. Context: a process with one thread. */
void crash_reading_run(const struct crash_request *request, pid_t pid, int pidfd, int ring, int out, int turns);

#endif
