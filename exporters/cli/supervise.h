/* SPDX-License-Identifier: Apache-2.0 */
/* Running the program as a child, where the launcher cannot become it: with the console, and as init. From outside both
 * look like one process: signals reach the program, its stops, its exit status and its death are the launcher's. */
#ifndef SPANSHIM_SUPERVISE_H
#define SPANSHIM_SUPERVISE_H

#include <stdbool.h>

/* What to execute. Returns only when that failed. */
typedef void supervise_exec(void *arg);

/* Start a child that calls exec(arg) with the signal dispositions and mask that the launcher was started with, and
 * serve it until it has ended. As init every other orphan is reaped too, and stops are not copied. 0 and the wait
 * status; or -errno of what failed: the fork, or the exec. Context: main thread. */
int supervise_run(supervise_exec *exec, void *arg, bool as_init, int *ret_wait_status);

/* A descriptor that becomes readable when somebody wants the launcher to end, or -1. Valid after supervise_run().
 * Context: main thread. */
int supervise_interrupt_fd(void);

/* End as the program did: with its exit status, or by the same signal and without a core dump of our own (process 1 of
 * a container, which signals don't end, exits with 128 + the signal). Context: main thread. */
_Noreturn void supervise_mirror(int wait_status);

#endif
