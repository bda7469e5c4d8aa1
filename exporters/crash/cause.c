/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/cause.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ucontext.h>

#include "exporters/crash/capture.h"
#include "preload/wire.h"

enum { TRAP_STACK = 12, TRAP_PROTECTION = 13, TRAP_PAGE = 14 }; /* the processor's numbers, in REG_TRAPNO */
enum { PAGE_FAULT_WRITE = 2, PAGE_FAULT_FETCH = 16 };           /* the processor's bits, in REG_ERR */

enum {
    NULL_REACH = 64 << 10, /* below vm.mmap_min_addr: offsets from a null pointer */
    STACK_REACH = 64 << 10,
    STACK_FRAME_MAX = 16 << 20, /* one call with arrays this large may step over the guard */
};

struct code_name {
    int signal, code;
    const char *name;
};

#define CODE(signal, name)                                                                                             \
    {                                                                                                                  \
        signal, name, #name                                                                                            \
    }
static const struct code_name code_names[] = {
    CODE(SIGSEGV, SEGV_MAPERR),  CODE(SIGSEGV, SEGV_ACCERR), CODE(SIGSEGV, SEGV_BNDERR), CODE(SIGSEGV, SEGV_PKUERR),
    CODE(SIGBUS, BUS_ADRALN),    CODE(SIGBUS, BUS_ADRERR),   CODE(SIGBUS, BUS_OBJERR),   CODE(SIGBUS, BUS_MCEERR_AR),
    CODE(SIGBUS, BUS_MCEERR_AO), CODE(SIGFPE, FPE_INTDIV),   CODE(SIGFPE, FPE_INTOVF),   CODE(SIGFPE, FPE_FLTDIV),
    CODE(SIGFPE, FPE_FLTOVF),    CODE(SIGFPE, FPE_FLTUND),   CODE(SIGFPE, FPE_FLTRES),   CODE(SIGFPE, FPE_FLTINV),
    CODE(SIGFPE, FPE_FLTSUB),    CODE(SIGILL, ILL_ILLOPC),   CODE(SIGILL, ILL_ILLOPN),   CODE(SIGILL, ILL_ILLADR),
    CODE(SIGILL, ILL_ILLTRP),    CODE(SIGILL, ILL_PRVOPC),   CODE(SIGILL, ILL_PRVREG),   CODE(SIGILL, ILL_COPROC),
    CODE(SIGILL, ILL_BADSTK),    CODE(SIGTRAP, TRAP_BRKPT),  CODE(SIGTRAP, TRAP_TRACE),  CODE(SIGTRAP, TRAP_BRANCH),
    CODE(SIGTRAP, TRAP_HWBKPT),  {SIGSYS, 1, "SYS_SECCOMP"}, CODE(0, SI_USER),           CODE(0, SI_KERNEL),
    CODE(0, SI_QUEUE),           CODE(0, SI_TKILL),          CODE(0, SI_TIMER),          CODE(0, SI_MESGQ),
    CODE(0, SI_ASYNCIO),
};
#undef CODE

void cause_signal_name(int number, char *out, size_t size)
{
    const char *name = sigabbrev_np(number);

    if (name)
        (void)snprintf(out, size, "SIG%s", name);
    else
        (void)snprintf(out, size, "signal %d", number);
}

const char *cause_code_name(int number, int code)
{
    for (size_t i = 0; i < sizeof(code_names) / sizeof(code_names[0]); i++) {
        if (code_names[i].code == code && (!code_names[i].signal || code_names[i].signal == number))
            return code_names[i].name;
    }
    return "";
}

static uint64_t saved(const struct capture *capture, int number)
{
    return capture->crash->registers[number];
}

/* On x86-64 with 48-bit addresses; with 57 bits the few that are canonical there aren't taken for bad pointers, as the
 * fault is what tells that one is. */
static bool is_canonical(uint64_t address)
{
    return address >> 47 == 0 || address >> 47 == 0x1ffff;
}

static const char *access_of(const struct capture *capture)
{
    uint64_t error = saved(capture, REG_ERR);

    if (saved(capture, REG_TRAPNO) != TRAP_PAGE)
        return "access";
    return error & PAGE_FAULT_FETCH ? "jump" : error & PAGE_FAULT_WRITE ? "write" : "read";
}

/* Just below a stack, with the stack pointer about there. */
static bool is_stack_overflow(const struct capture *capture, uint64_t address)
{
    uint64_t sp = saved(capture, REG_RSP);
    const struct mapping *stack = NULL;

    for (size_t i = 0; i < capture->maps.count && !stack; i++) {
        const struct mapping *mapping = &capture->maps.list[i];

        if (mapping->end > address && mapping->writable)
            stack = mapping;
    }
    return stack && address < stack->start && address + STACK_REACH >= sp && sp < stack->start + STACK_REACH &&
           stack->start - address < STACK_FRAME_MAX;
}

static void describe_jump(const struct mapping *mapping, uint64_t address, struct cause *cause)
{
    if (address < NULL_REACH)
        (void)snprintf(cause->text, sizeof(cause->text), "call to 0x%" PRIx64 " (null pointer)", address);
    else
        (void)snprintf(cause->text, sizeof(cause->text), "jump to %s memory", mapping ? "non-executable" : "unmapped");
}

/* A fault that the processor's page tables made: the address is known. */
static void describe_page_fault(const struct capture *capture, struct cause *cause)
{
    uint64_t address = cause->address;
    const struct mapping *mapping = maps_find(&capture->maps, address);
    const char *access = access_of(capture), *preposition = access[0] == 'r' ? "of" : "to";

    if (access[0] == 'j')
        describe_jump(mapping, address, cause);
    else if (is_stack_overflow(capture, address))
        (void)snprintf(cause->text, sizeof(cause->text), "stack overflow");
    else if (address < NULL_REACH)
        (void)snprintf(cause->text, sizeof(cause->text), "%s %s 0x%" PRIx64 " (null pointer)", access, preposition,
                       address);
    else if (!mapping)
        (void)snprintf(cause->text, sizeof(cause->text), "%s %s unmapped memory", access, preposition);
    else
        (void)snprintf(cause->text, sizeof(cause->text), "%s %s %s memory", access, preposition,
                       mapping->readable ? "read-only" : "inaccessible");
}

/* A fault whose address the processor does not tell: a pointer that no address space can have. */
static void describe_non_canonical(const struct capture *capture, struct cause *cause)
{
    const uint8_t *code = capture->code;

    cause->has_address = false;
    if (code[0] == 0xc3 || (code[0] == 0xf2 && code[1] == 0xc3)) {
        (void)snprintf(cause->text, sizeof(cause->text), "return to an impossible address (stack overwritten)");
        cause->has_address = true;
        cause->address = capture->top;
        return;
    }
    for (size_t i = 0; i < REG_RIP; i++) {
        if (is_canonical(saved(capture, (int)i)))
            continue;
        cause->has_address = true;
        cause->address = saved(capture, (int)i);
        break;
    }
    (void)snprintf(cause->text, sizeof(cause->text), "%s an impossible address (bad pointer)",
                   code[0] == 0xff || (code[0] == 0x41 && code[1] == 0xff) ? "jump to" : "access to");
}

static void describe_segv(const struct capture *capture, struct cause *cause)
{
    uint64_t trap = saved(capture, REG_TRAPNO);

    if (trap == TRAP_PROTECTION || trap == TRAP_STACK)
        describe_non_canonical(capture, cause);
    else
        describe_page_fault(capture, cause);
}

static void describe_bus(const struct capture *capture, struct cause *cause)
{
    const struct mapping *mapping = maps_find(&capture->maps, cause->address);
    const char *text = "misaligned access";

    if (capture->siginfo.si_code == BUS_MCEERR_AR || capture->siginfo.si_code == BUS_MCEERR_AO)
        text = "memory hardware error";
    else if (capture->siginfo.si_code == BUS_ADRERR && mapping && mapping->inode)
        text = "access beyond the end of a mapped file";
    else if (capture->siginfo.si_code != BUS_ADRALN)
        text = "access to memory that can't be had";
    (void)snprintf(cause->text, sizeof(cause->text), "%s", text);
}

static void describe_fpe(int code, struct cause *cause)
{
    static const char *const texts[] = {"",
                                        "integer division by zero or overflow",
                                        "integer overflow",
                                        "floating-point division by zero",
                                        "floating-point overflow",
                                        "floating-point underflow",
                                        "inexact floating-point result",
                                        "invalid floating-point operation",
                                        "subscript out of range"};

    if (code > 0 && code < (int)(sizeof(texts) / sizeof(texts[0])))
        (void)snprintf(cause->text, sizeof(cause->text), "%s", texts[code]);
}

static void describe_instruction(const struct capture *capture, struct cause *cause)
{
    bool trap = capture->code[0] == 0x0f && capture->code[1] == 0x0b;

    (void)snprintf(cause->text, sizeof(cause->text), "%s", trap ? "trap instruction (ud2)" : "illegal instruction");
}

static void describe_sent(const struct capture *capture, struct cause *cause)
{
    bool by_itself = (uint32_t)capture->siginfo.si_pid == capture->crash->pid;

    cause->was_sent = true;
    if (by_itself && capture->siginfo.si_signo == SIGABRT)
        (void)snprintf(cause->text, sizeof(cause->text), "abort");
    else
        (void)snprintf(cause->text, sizeof(cause->text), "sent by %s", by_itself ? "itself" : "another process");
}

static void describe_fault(const struct capture *capture, struct cause *cause)
{
    int number = capture->siginfo.si_signo;

    cause->has_address = number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL;
    cause->address = cause->has_address ? (uint64_t)(uintptr_t)capture->siginfo.si_addr : 0;
    if (number == SIGSEGV)
        describe_segv(capture, cause);
    else if (number == SIGBUS)
        describe_bus(capture, cause);
    else if (number == SIGFPE)
        describe_fpe(capture->siginfo.si_code, cause);
    else if (number == SIGILL)
        describe_instruction(capture, cause);
    else if (number == SIGTRAP)
        (void)snprintf(cause->text, sizeof(cause->text), "breakpoint");
    else if (number == SIGSYS)
        (void)snprintf(cause->text, sizeof(cause->text), "system call %d is not allowed (seccomp)",
                       capture->siginfo.si_syscall);
}

void cause_find(const struct capture *capture, struct cause *ret_cause)
{
    *ret_cause = (struct cause){0};
    if (capture->siginfo.si_code <= 0)
        describe_sent(capture, ret_cause);
    else
        describe_fault(capture, ret_cause);
}
