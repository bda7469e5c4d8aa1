/* SPDX-License-Identifier: Apache-2.0 */
/* What a Rust program said as it panicked. Nothing keeps the text for us, but the stack has it in two places when the
 * process aborts right after. */
#ifndef SPANSHIM_CRASH_PANIC_H
#define SPANSHIM_CRASH_PANIC_H

#include <stddef.h>
#include <stdint.h>

struct memory;

enum { PANIC_TEXT_MAX = 1024 };

struct panic_text {
    /* As it was written to standard error, out of a buffer on the part of the stack that is not used any more; "" when
     * it was longer than the buffer, or a backtrace was printed over it, or before Rust 1.83. */
    char printed[PANIC_TEXT_MAX];
    /* Out of what describes the panic to its handlers; {} for values that are no text. To be believed only where the
     * stack has functions of core::panicking. */
    char described[PANIC_TEXT_MAX];
};

/* sp: the stack pointer at the abort. Context: helper. */
void panic_read(struct memory *memory, uint64_t sp, struct panic_text *ret_text);

#endif
