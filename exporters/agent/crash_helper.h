/* SPDX-License-Identifier: Apache-2.0 */
/* A process that reads crashed processes for the worker, so that what goes wrong with hostile memory and hostile files
 * ends nothing but the reading of one crash. It has one thread and forks for each crash, so several are read at once;
 * it is forked before the worker knows any setting, so it holds no secret. Asked by crash_desk.c. */
#ifndef SPANSHIM_CRASH_HELPER_H
#define SPANSHIM_CRASH_HELPER_H

#include "preload/wire.h"

#include <stdint.h>
#include <sys/types.h>

enum {
    CRASH_REPORT_MAX = 4 << 20,  /* bytes of a report; what is longer is refused by who reads it */
    CRASH_NAMING_TIMEOUT_S = 30, /* from the release of the process to the report */
    CRASH_READINGS_MAX = 64,     /* processes forked at once */
};

/* One crash to be read: the packet's bytes. Its pid is the process's number in our namespace, its descriptors are the
 * ring's memfd, the pipe for the report, and the process's pidfd; without that the process is gone, or unknown, and
 * only what it wrote can be read. */
struct crash_request {
    uint64_t crash_at;  /* of the lane's struct wire_crash, in the memfd */
    uint64_t copies_at; /* of the first copy area, likewise */
    uint32_t copy_count;
    uint32_t lane;
    uint32_t uid;        /* whose process it was when it handed its ring over */
    uint32_t same_clock; /* 1: its CLOCK_MONOTONIC is ours */
    uint32_t debuginfod; /* 1: names may be asked for on the network */
    uint32_t pad;
    uint64_t limit_ns; /* for what must be read while the process is held */
    struct wire_crash crash;
};

/* Fork it, once, before there are threads; it ends when the socket is closed. The socket takes link packets (link.h)
 * and does not block. On the pipe come: a line feed when the process is released, then the report as JSON, then the
 * end. Nothing but the end: it could not be read. 0 or -errno. Context: start. */
int crash_helper_start(int *ret_socket);

#endif
