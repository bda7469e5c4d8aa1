/* SPDX-License-Identifier: Apache-2.0 */
/* execl(), execle(), execlp(): how many arguments there are only libc counts, so they stay where they are, and libc's
 * function is jumped to. */
#include "hooks/hook_numbers.h"
#include "preload/assembly.h"

        .macro EXEC_OF_LIST symbol
        .globl \symbol
        .type \symbol, @function
\symbol:
        .cfi_startproc
        endbr64
        pushq %rdi
        pushq %rsi
        pushq %rdx
        pushq %rcx
        pushq %r8
        pushq %r9
        subq $8, %rsp
        .cfi_adjust_cfa_offset 56
        call before_exec
        movq real_table + 8 * HOOK_\symbol(%rip), %rax
        testq %rax, %rax
        jnz 1f
        movl $HOOK_\symbol, %edi
        call real_early
1:
        addq $8, %rsp
        popq %r9
        popq %r8
        popq %rcx
        popq %rdx
        popq %rsi
        popq %rdi
        .cfi_adjust_cfa_offset -56
        notrack jmp *%rax
        .cfi_endproc
        .size \symbol, . - \symbol
        .endm

        EXEC_OF_LIST execl
        EXEC_OF_LIST execle
        EXEC_OF_LIST execlp
