/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a process that crashed and waits to die, from outside, in two steps: what only it has, quickly, while it is
 * held; then, when it may be gone, the names for that and the report. What is read is hostile, and so are the files:
 * the caller runs this in a single-threaded process of its own, with limits of time and memory, which may crash
 * itself. */
#ifndef SPANSHIM_CRASH_READER_H
#define SPANSHIM_CRASH_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct capture;
struct wire_crash;

struct reader_options {
    pid_t pid;                      /* of the process, in our namespace */
    int pidfd;                      /* of the same; -1: none */
    const struct wire_crash *crash; /* a copy of ours, not the one in the mapping; until reader_free() */
    const uint8_t *copy;            /* WIRE_CRASH_COPY_SIZE bytes of the copy area, until reader_free(); NULL: read the
                                     * process itself. With a copy its memory is left alone, and it may be gone */
    uint64_t limit_ns;              /* for reader_capture(), a tenth of it for threads to stop; 0: a second */
    bool debuginfod;                /* reader_report() may ask the servers of DEBUGINFOD_URLS */
};

/* Registers, frames, modules, last words of the process, while it waits. 0; -EPERM: its memory may not be read, and
 * there is no copy (call again with one); -ESRCH: it is gone; -ENOMEM. Context: helper. */
int reader_capture(const struct reader_options *options, struct capture **ret_capture);

/* When the process may go on or die: lets go the threads that had not stopped in time. Waits for them, some seconds at
 * most: until then it is not dead for its parent. Context: helper. */
void reader_let_go(struct capture *capture);

/* The report as report.h has it, but for what only the agent knows (service, requests, host). Slow: reads debug
 * information. NULL: no memory. Context: helper. */
json_t *reader_report(struct capture *capture);

/* Context: helper. */
void reader_free(struct capture *capture);

#endif
