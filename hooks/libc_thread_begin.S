/* SPDX-License-Identifier: Apache-2.0 */
/* Where a new thread begins: what is ours is done, then the program's routine is jumped to with its argument. The
 * thread's stack is as without us, however the compiler treats last calls. */
#include "preload/assembly.h"

        .globl thread_begin
        .hidden thread_begin
        .type thread_begin, @function
thread_begin:
        .cfi_startproc
        endbr64
        subq $8, %rsp
        .cfi_adjust_cfa_offset 8
        call thread_prepare             /* gives the routine and its argument */
        addq $8, %rsp
        .cfi_adjust_cfa_offset -8
        movq %rdx, %rdi
        notrack jmp *%rax
        .cfi_endproc
        .size thread_begin, . - thread_begin
