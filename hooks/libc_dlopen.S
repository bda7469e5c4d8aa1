/* SPDX-License-Identifier: Apache-2.0 */
/* dlopen(): libc takes the object that calls from the return address, to find libraries by that object's RUNPATH and in
 * its namespace. So nothing may stand between: arguments are adjusted, and libc's function is jumped to. */
#include "hooks/hook_numbers.h"
#include "preload/assembly.h"

        .set RTLD_DEEPBIND, 8

        .globl dlopen
        .type dlopen, @function
dlopen:
        .cfi_startproc
        endbr64
        testl $RTLD_DEEPBIND, %esi
        jnz .Ldeep
.Lforward:
        movq real_table + 8 * HOOK_dlopen(%rip), %rax
        testq %rax, %rax
        jz .Lunknown
        notrack jmp *%rax
.Ldeep:
        pushq %rdi
        .cfi_adjust_cfa_offset 8
        movl %esi, %edi
        movq 8(%rsp), %rsi
        call deepbind_flags
        movl %eax, %esi
        popq %rdi
        .cfi_adjust_cfa_offset -8
        jmp .Lforward
.Lunknown:
        pushq %rdi
        pushq %rsi
        subq $8, %rsp
        .cfi_adjust_cfa_offset 24
        movl $HOOK_dlopen, %edi
        call real_early
        addq $8, %rsp
        popq %rsi
        popq %rdi
        .cfi_adjust_cfa_offset -24
        notrack jmp *%rax
        .cfi_endproc
        .size dlopen, . - dlopen
