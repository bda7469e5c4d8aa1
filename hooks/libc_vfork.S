/* SPDX-License-Identifier: Apache-2.0 */
/* vfork: the child returns first, on the parent's stack and thread-local storage. It may not go through a C function's
 * frame, so the return address is kept in a register over the system call.
 *
 * process_in_vfork is raised before the call, so the child's hooks only forward and leave the parent's state alone; the
 * parent lowers it when it runs again. errno is libc's, through __errno_location. */
#include "preload/assembly.h"

        .globl vfork
        .type vfork, @function
vfork:
        .cfi_startproc
        endbr64
        movq process_in_vfork@gottpoff(%rip), %rdx
        incl %fs:(%rdx)
        popq %rdi
        .cfi_adjust_cfa_offset -8
        .cfi_register %rip, %rdi
        movl $__NR_vfork, %eax
        syscall
        pushq %rdi
        .cfi_adjust_cfa_offset 8
        .cfi_rel_offset %rip, 0
        testl %eax, %eax
        jz .Lchild
        movq process_in_vfork@gottpoff(%rip), %rdx
        decl %fs:(%rdx)
        cmpl $-4095, %eax
        jae .Lfailed
        movq child_env_lent@gottpoff(%rip), %rdx
        cmpq $0, %fs:(%rdx)
        jne .Lreclaim
        ret
.Lreclaim:
        pushq %rax
        .cfi_adjust_cfa_offset 8
        call child_env_reclaim
        popq %rax
        .cfi_adjust_cfa_offset -8
        ret
.Lchild:
        /* With a shadow stack the child's return would take the parent's entry away: take it off here and jump. */
        xorl %esi, %esi
        rdsspq %rsi
        testq %rsi, %rsi
        jnz .Lshadow
        ret
.Lshadow:
        popq %rdi
        .cfi_adjust_cfa_offset -8
        movl $1, %esi
        incsspq %rsi
        notrack jmp *%rdi
        .cfi_adjust_cfa_offset 8
.Lfailed:
        negl %eax
        pushq %rax
        .cfi_adjust_cfa_offset 8
        call __errno_location@PLT
        popq %rcx
        .cfi_adjust_cfa_offset -8
        movl %ecx, (%rax)
        movl $-1, %eax
        ret
        .cfi_endproc
        .size vfork, . - vfork
