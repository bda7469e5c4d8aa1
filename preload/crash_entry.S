/* SPDX-License-Identifier: Apache-2.0 */
/* Where the kernel enters for a signal of ours, and where handlers return to.
 *
 * A stub per numbered action (crash_actions.h). A handler of the program's is jumped to with the arguments and the stack
 * as the kernel made them: no frame of ours remains. Before that the kernel's frame is noted (crash.h). */
#include "preload/assembly.h"

        .set ACTIONS_MAX, 64            /* as crash_actions.h has it */
        .set SA_RESETHAND, 0x80000000
        .set CONTEXT_RSP, 160           /* of the interrupted stack pointer in the kernel's ucontext */
        .set CONTEXT_RIP, 168
        .set SIGABRT, 6
        .set INFO, 304                  /* of the siginfo, which follows it */

        .p2align 4
        .globl crash_stubs
        .hidden crash_stubs
        .type crash_stubs, @function
crash_stubs:
        .cfi_startproc
        .set number, 0
        .rept ACTIONS_MAX
        .p2align 4
        endbr64
        movl $number, %eax
        jmp enter
        .set number, number + 1
        .endr
        .cfi_endproc
        .size crash_stubs, . - crash_stubs

        .p2align 4
        .type enter, @function
enter:
        .cfi_startproc
        movl %eax, %r8d
        shll $5, %r8d                   /* sizeof(struct crash_action) */
        leaq crash_actions(%rip), %rcx
        addq %rcx, %r8
        movq (%r8), %r11
        testq %r11, %r11
        jz crash_by_default
        movq crash_note@gottpoff(%rip), %rcx
        cmpq $0, %fs:(%rcx)
        jne .Lnested
        testl $SA_RESETHAND, 8(%r8)
        jnz .Lnested
        movl CONTEXT_RSP(%rdx), %r9d
        movq %rsp, %fs:(%rcx)
        movl %eax, %fs:8(%rcx)
        movl %r9d, %fs:12(%rcx)
        xorl %eax, %eax
        notrack jmp *%r11
.Lnested:
        pushq %rdi
        pushq %rsi
        pushq %rdx
        .cfi_adjust_cfa_offset 24
        leaq 24(%rsp), %rsi
        movl %eax, %edx
        call crash_before_handler
        popq %rdx
        popq %rsi
        popq %rdi
        .cfi_adjust_cfa_offset -24
        movq %rax, %r11
        xorl %eax, %eax
        notrack jmp *%r11
        .cfi_endproc
        .size enter, . - enter

/* What handlers return to: the note is taken back, and the kernel restores what was interrupted. Unwinders look for the
 * byte before a return address, hence the nop; where the registers are is said as libc says it of its own. */
#define SAVED(register, offset)                                                                                        \
        .cfi_escape 0x10, register, 3, 0x77, 0x80 | (offset & 0x7f), offset >> 7

        .p2align 4
        .cfi_startproc
        .cfi_signal_frame
        .cfi_escape 0x0f, 4, 0x77, 0xa0, 1, 0x06        /* CFA: the saved stack pointer */
        SAVED(8, 40)
        SAVED(9, 48)
        SAVED(10, 56)
        SAVED(11, 64)
        SAVED(12, 72)
        SAVED(13, 80)
        SAVED(14, 88)
        SAVED(15, 96)
        SAVED(5, 104)                   /* rdi */
        SAVED(4, 112)                   /* rsi */
        SAVED(6, 120)                   /* rbp */
        SAVED(3, 128)                   /* rbx */
        SAVED(1, 136)                   /* rdx */
        SAVED(0, 144)                   /* rax */
        SAVED(2, 152)                   /* rcx */
        SAVED(7, 160)                   /* rsp */
        SAVED(16, 168)                  /* rip */
        nop
        .globl crash_restorer
        .hidden crash_restorer
        .type crash_restorer, @function
crash_restorer:
        cmpl $SIGABRT, INFO(%rsp)
        jne .Lforget
        leaq -8(%rsp), %rdi
        call crash_after_abort_handler
.Lforget:
        movq crash_note@gottpoff(%rip), %rcx
        leaq -8(%rsp), %rax
        cmpq %rax, %fs:(%rcx)
        jne .Lreturn
        movq $0, %fs:(%rcx)
        movq crash_return@gottpoff(%rip), %rcx
        movdqu CONTEXT_RSP(%rsp), %xmm0
        movups %xmm0, %fs:(%rcx)
        movl INFO(%rsp), %eax
        movl %eax, %fs:16(%rcx)
        movl INFO + 8(%rsp), %eax
        movl %eax, %fs:20(%rcx)
        movq INFO + 16(%rsp), %rax
        movq %rax, %fs:24(%rcx)
.Lreturn:
        movq $__NR_rt_sigreturn, %rax
        syscall
        .cfi_endproc
        .size crash_restorer, . - crash_restorer
