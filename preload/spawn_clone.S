/* SPDX-License-Identifier: Apache-2.0 */
/* long spawn_clone(void (*fn)(void *), void *arg, char *stack_end): clone(2) with CLONE_VM|CLONE_VFORK and no exit signal.
 * The caller sleeps until the child has executed a program or is gone; fn must not return. Signals are to be blocked. */
#include "preload/assembly.h"

        .globl spawn_clone
        .hidden spawn_clone
        .type spawn_clone, @function
spawn_clone:
        .cfi_startproc
        endbr64
        andq $-16, %rdx
        movq %rdi, -8(%rdx)
        movq %rsi, -16(%rdx)
        leaq -16(%rdx), %rsi
        movl $0x4100, %edi              /* CLONE_VM | CLONE_VFORK */
        xorl %edx, %edx
        xorl %r10d, %r10d
        xorl %r8d, %r8d
        movl $__NR_clone, %eax
        syscall
        testq %rax, %rax
        jz .Lchild
        ret
        .cfi_endproc
.Lchild:
        .cfi_startproc
        .cfi_undefined %rip
        xorl %ebp, %ebp
        popq %rdi
        popq %rax
        notrack call *%rax
        hlt
        .cfi_endproc
        .size spawn_clone, . - spawn_clone
