/* SPDX-License-Identifier: Apache-2.0 */
/* For each hook a function that makes its system call, or fails with ENOSYS: stubs of 16 bytes in the order of hooks.def,
 * so that a hook's number is its place. A table of pointers would need relocations that may not have been made yet. */
#include "preload/assembly.h"

#include <sys/syscall.h>

        .set NONE, -1 /* as real.c has them */
        .set NONE_NULL, -2

        .p2align 4
        .globl real_stubs
        .hidden real_stubs
        .type real_stubs, @function
real_stubs:
        .cfi_startproc
/* clang-format off */
#define HOOK_ROW(symbol, library, raw, safe) .p2align 4; endbr64; movl $(raw), %eax; jmp call;
#include "hooks/hooks.def"
#undef HOOK_ROW
/* clang-format on */
        .cfi_endproc
        .size real_stubs, . - real_stubs

        .p2align 4
        .type call, @function
call:
        .cfi_startproc
        testl %eax, %eax
        js .Lnone
        movq %rcx, %r10
        syscall
        cmpq $-4095, %rax
        jae .Lfailed
        ret
.Lfailed:
        movq %rax, %rdi
        jmp real_stub_failed
.Lnone:
        movslq %eax, %rdi
        jmp real_stub_missing
        .cfi_endproc
        .size call, . - call
