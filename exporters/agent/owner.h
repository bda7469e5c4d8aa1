/* SPDX-License-Identifier: Apache-2.0 */
/* Which process is this? Told by the kernel: a pidfd, and the time it started. A number alone may have been given to
 * somebody else since. */
#ifndef SPANSHIM_OWNER_H
#define SPANSHIM_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct source;

enum owner_state {
    OWNER_ALIVE,   /* pidfd is open */
    OWNER_DEAD,    /* gone, or its number is another's now */
    OWNER_UNCLEAR, /* it hasn't written yet when it claimed: ask again */
    OWNER_UNKNOWN, /* can't be told; it is taken to live as long as others of its image */
};

struct owner {
    pid_t pid; /* in our namespace; 0: unknown */
    int pidfd; /* the caller's, when OWNER_ALIVE */
    uint64_t start_ticks;
};

/* Who claimed a lane of this source: its number in the source's own pid namespace, and CLOCK_BOOTTIME at the claim.
 * Opens a pidfd. Context: loop. */
enum owner_state owner_identify(const struct source *source, uint32_t pid, uint64_t claimed_boot_ns,
                                struct owner *ret_owner);

/* When the process started, in clock ticks since boot; 0: can't be told. Context: loop. */
uint64_t owner_start_ticks(pid_t pid, int pidfd);

/* The same on the wall clock; 0 ticks: now. Context: loop. */
uint64_t owner_start_unix_ns(uint64_t start_ticks);

/* Where its stack begins: the same for a fork's child, another after exec; 0: not to be seen. Context: loop. */
uint64_t owner_stack_start(pid_t pid, int pidfd);

/* Is the process that this pidfd means gone? Context: loop. */
bool owner_is_dead(int pidfd);

/* Fill same_pids and same_clock of a source whose pid and pidfd are known. Context: loop. */
void owner_compare_namespaces(struct source *source);

#endif
