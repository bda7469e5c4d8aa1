/* SPDX-License-Identifier: Apache-2.0 */
/* syscall(): a hot path of its own (a JVM asks for gettid tens of thousands of times), so all but a few numbers go straight
 * to the original: seven registers untouched, no frame. The few are told to syscall_before() first.
 * vfork by number is left to the original: its child returns through libc's own frame. */
#include "hooks/hook_numbers.h"
#include "preload/assembly.h"

        .globl syscall
        .type syscall, @function
syscall:
        .cfi_startproc
        endbr64
        cmpq $512, %rdi
        jae .Lforward
        leaq syscall_watched(%rip), %rax
        cmpb $0, (%rax,%rdi)
        jne .Lours
.Lforward:
        movq real_table + 8 * HOOK_syscall(%rip), %rax
        testq %rax, %rax
        jz .Lraw
        notrack jmp *%rax
.Lours:
        pushq %rdi
        pushq %rsi
        pushq %rdx
        pushq %rcx
        pushq %r8
        pushq %r9
        pushq 56(%rsp) /* the seventh argument, and it aligns the stack */
        .cfi_adjust_cfa_offset 56
        call syscall_before
        addq $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq %r9
        popq %r8
        popq %rcx
        popq %rdx
        popq %rsi
        popq %rdi
        .cfi_adjust_cfa_offset -48
        jmp .Lforward
.Lraw:
        movq %rdi, %rax
        movq %rsi, %rdi
        movq %rdx, %rsi
        movq %rcx, %rdx
        movq %r8, %r10
        movq %r9, %r8
        movq 8(%rsp), %r9
        syscall
        cmpq $-4095, %rax
        jae .Lfailed
        ret
.Lfailed:
        negl %eax
        pushq %rax
        .cfi_adjust_cfa_offset 8
        call __errno_location@PLT
        popq %rcx
        .cfi_adjust_cfa_offset -8
        movl %ecx, (%rax)
        movq $-1, %rax
        ret
        .cfi_endproc
        .size syscall, . - syscall
