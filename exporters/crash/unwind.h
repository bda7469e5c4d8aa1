/* SPDX-License-Identifier: Apache-2.0 */
/* From a thread's registers to its calls. libunwind reads the unwind tables out of the process's own memory; where they
 * say nothing, frame pointers and then the words on the stack do, and each frame says how it was found. */
#ifndef SPANSHIM_CRASH_UNWIND_H
#define SPANSHIM_CRASH_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exporters/crash/maps.h"
#include "exporters/crash/memory.h"
#include "exporters/crash/modules.h"

enum { REGISTERS = 17, REGISTER_BP = 6, REGISTER_SP = 7, REGISTER_IP = 16 }; /* as DWARF counts them */
enum { FRAMES_HEAD = 256, FRAMES_TAIL = 64 };                                /* that are kept of a deep stack */

enum frame_found { FOUND_CONTEXT, FOUND_CFI, FOUND_FRAME_POINTER, FOUND_SCAN };

struct frame {
    uint64_t address;
    enum frame_found found;
    bool is_return; /* address is that after a call, which may belong to the next line or function */
};

struct stack {
    struct frame *frames; /* the innermost call first */
    size_t count;
    uint64_t left_out; /* frames between the head and the tail */
    bool cut;          /* there was no time, or no end */
    bool lost;         /* it ended where no outermost call was */
};

struct unwinder; /* of one process; its tables are kept from thread to thread */

/* NULL: no memory. What it is given stays in use; the deadline is in ns of CLOCK_MONOTONIC. Context: helper. */
struct unwinder *unwinder_new(struct memory *memory, const struct maps *maps, const struct modules *modules,
                              uint64_t deadline_ns);

/* All calls of a thread with these registers. 0 or -ENOMEM. Context: helper. */
int unwind(struct unwinder *unwinder, const uint64_t registers[REGISTERS], struct stack *ret_stack);

/* Context: helper. */
void unwinder_free(struct unwinder *unwinder);

#endif
