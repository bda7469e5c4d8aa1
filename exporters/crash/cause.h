/* SPDX-License-Identifier: Apache-2.0 */
/* What a signal says, in words. */
#ifndef SPANSHIM_CRASH_CAUSE_H
#define SPANSHIM_CRASH_CAUSE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct capture;

enum { CAUSE_TEXT_MAX = 160 };

struct cause {
    char text[CAUSE_TEXT_MAX]; /* the same for the same fault in every process: no random addresses */
    bool has_address;          /* the fault's, of memory or of an instruction */
    uint64_t address;
    bool was_sent; /* by a process, maybe by itself: siginfo says by which */
};

/* "SIGSEGV"; "signal 40" for one without a name. Context: pure. */
void cause_signal_name(int number, char *out, size_t size);

/* "SEGV_MAPERR", "SI_USER"; "" for one without a name. Context: pure. */
const char *cause_code_name(int number, int code);

/* Context: helper. */
void cause_find(const struct capture *capture, struct cause *ret_cause);

#endif
