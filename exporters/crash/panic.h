/* SPDX-License-Identifier: Apache-2.0 */
/* What a Rust program said as it panicked. The standard library keeps it nowhere: it writes it to standard error out of
 * a buffer on the stack, which nobody has overwritten yet when the process aborts right after. */
#ifndef SPANSHIM_CRASH_PANIC_H
#define SPANSHIM_CRASH_PANIC_H

#include <stddef.h>
#include <stdint.h>

struct memory;

/* The message of a panic out of the unused part of the stack; "" for none: it was longer than the buffer, or a
 * backtrace was printed after it. sp: the stack pointer at the abort. Context: helper. */
void panic_read(struct memory *memory, uint64_t sp, char *out, size_t size);

#endif
