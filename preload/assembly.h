/* SPDX-License-Identifier: Apache-2.0 */
/* What every assembly file says of itself, for one that doesn't speaks for the whole process: no executable stack, and
 * indirect branch tracking and shadow stacks are kept. Included by .S files, before their code.
 * Source: the x86-64 psABI's program property notes. */
#ifndef SPANSHIM_ASSEMBLY_H
#define SPANSHIM_ASSEMBLY_H

#include <asm/unistd.h>

/* clang-format off */
        .section .note.GNU-stack, "", @progbits

        .section .note.gnu.property, "a"
        .p2align 3
        .long 4, 16, 5
        .asciz "GNU"
        .long 0xc0000002, 4, 3, 0

        .text
/* clang-format on */

#endif
