/* SPDX-License-Identifier: Apache-2.0 */
/* The worker as the keeper sees it: forked, given everything that is held, heard, and forked again when it dies. There
 * is one at a time. Used by keeper.c only. */
#ifndef SPANSHIM_WORKER_PROCESS_H
#define SPANSHIM_WORKER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct held_list;
struct loop;

struct worker_process_options {
    struct loop *loop;
    struct held_list *held; /* what a worker is given; what it is done with is taken out */
    const char *log_path;   /* NULL: standard error */
    bool stays;             /* for its status: the agent doesn't end when idle */
    /* The worker has nothing to do. had_count: how many sources and commands it had had when it said so. */
    void (*on_idle)(uint32_t had_count);
    /* No worker runs, and none will: it was told to end, or had nothing left to do. */
    void (*on_end)(bool has_failed);
};

/* Start the first worker; the options are copied, what they point to is borrowed. Context: start. */
void worker_process_start(const struct worker_process_options *options);

/* Something new is held: send it, as fast as the worker takes it. Context: loop. */
void worker_process_feed(void);

/* Has this worker been given all that is held, and had it all when it said that it had had so many? Context: loop. */
bool worker_process_had_all(uint32_t had_count);

/* No worker is started any more. One that runs is told to end, and killed when it doesn't soon. on_end follows, at once
 * when none runs. Context: loop. */
void worker_process_stop(void);

/* End it at once. Context: loop. */
void worker_process_kill(void);

/* SIGCHLD has come. Context: loop. */
void worker_process_reap(void);

#endif
