/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of a process while it is there. */
#ifndef SPANSHIM_CRASH_PROCESS_FACTS_H
#define SPANSHIM_CRASH_PROCESS_FACTS_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { FACTS_ARGUMENTS_MAX = 16 << 10 };

struct process_facts {
    char executable[PATH_MAX]; /* "" where it isn't known, as the others */
    char cwd[PATH_MAX];
    char command[32];
    char *arguments; /* each ended by a NUL */
    size_t arguments_length;
    uid_t uid;
    uint64_t started_unix_ns; /* 0: unknown */
};

/* Of the process with this number in /proc. What can't be read stays empty. Context: helper. */
void process_facts_read(struct process_facts *facts, pid_t number);

/* Context: helper. */
void process_facts_deinit(struct process_facts *facts);

#endif
