/* SPDX-License-Identifier: Apache-2.0 */
/* Jumps out of a function, and so perhaps out of a signal handler: the note of its frame (preload/crash.h) is void, and
 * a call that has exchanged `environ` (preload/child_env.h) may never return. The stack and all registers but one are
 * the caller's; nothing may stand between. */
#include "hooks/hook_numbers.h"
#include "preload/assembly.h"

        .macro jump name
        .globl \name
        .type \name, @function
\name:
        .cfi_startproc
        endbr64
        movq crash_note@gottpoff(%rip), %rax
        movq $0, %fs:(%rax)
        cmpq $0, child_env_exchanged(%rip)
        jne .Lexchanged_\name
.Lrestored_\name:
        movq real_table + 8 * HOOK_\name(%rip), %rax
        testq %rax, %rax
        jz .Lunknown_\name
        notrack jmp *%rax
.Lunknown_\name:
        pushq %rdi
        pushq %rsi
        subq $8, %rsp
        .cfi_adjust_cfa_offset 24
        movl $HOOK_\name, %edi
        call real_early
        addq $8, %rsp
        popq %rsi
        popq %rdi
        .cfi_adjust_cfa_offset -24
        notrack jmp *%rax
.Lexchanged_\name:
        pushq %rdi
        pushq %rsi
        subq $8, %rsp
        .cfi_adjust_cfa_offset 24
        call child_env_after_jump
        addq $8, %rsp
        popq %rsi
        popq %rdi
        .cfi_adjust_cfa_offset -24
        jmp .Lrestored_\name
        .cfi_endproc
        .size \name, . - \name
        .endm

        jump longjmp
        jump _longjmp
        jump siglongjmp
        jump __longjmp_chk
        jump setcontext
        jump swapcontext
