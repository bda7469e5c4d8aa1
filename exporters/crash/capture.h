/* SPDX-License-Identifier: Apache-2.0 */
/* What was read of a process while it was held: raw, without names. */
#ifndef SPANSHIM_CRASH_CAPTURE_H
#define SPANSHIM_CRASH_CAPTURE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "exporters/crash/exception.h"
#include "exporters/crash/maps.h"
#include "exporters/crash/memory.h"
#include "exporters/crash/modules.h"
#include "exporters/crash/panic.h"
#include "exporters/crash/process_facts.h"
#include "exporters/crash/threads.h"

struct wire_crash;

enum { CAPTURE_VDSO_MAX = 64 << 10, CAPTURE_TEXT_MAX = 1024 };

struct capture {
    const struct wire_crash *crash;
    siginfo_t siginfo;
    pid_t number; /* in our /proc */
    bool live;    /* read from the process itself, not from its copy */
    struct memory memory;
    struct maps maps;
    struct modules modules;
    struct threads threads; /* list[0] is the crashed one, always */
    char abort_text[CAPTURE_TEXT_MAX];
    struct panic_text panic;
    struct exception exception;
    uint8_t code[16];               /* the instruction at the fault; zero: can't be read */
    uint64_t top;                   /* the word at the stack pointer */
    uint8_t vdso[CAPTURE_VDSO_MAX]; /* the kernel's object, which is no file */
    size_t vdso_length;
    bool debuginfod;
    struct process_facts facts;
};

#endif
