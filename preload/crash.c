/* SPDX-License-Identifier: Apache-2.0 */
/* All of this runs on the stack of a crash, which may be small, and touches only memory that is there: what may not be
 * is read by process_vm_readv, which fails instead of faulting. */
#include "preload/crash.h"

#include "preload/clock.h"
#include "preload/config.h"
#include "preload/crash_actions.h"
#include "preload/crash_stack.h"
#include "preload/current.h"
#include "preload/link.h"
#include "preload/process.h"
#include "preload/real.h"
#include "preload/ring.h"
#include "preload/sys.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>

#ifndef PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif

enum {
    RED_ZONE = 128,
    HANDLER_DEPTH = 8 << 20,  /* of a handler's stack, at most: beyond it we are somewhere else */
    SKIPPED_PAGES = 256,      /* how far above a stack pointer that has run out of its stack memory begins */
    ABORT_DEPTH = 512,        /* of the stack that raise() takes within abort(), at most */
    COPIED_STACK = 192 << 10, /* the rest of a copy area is for the maps */
    GRACE_MS = 1000, /* threads wait this much longer for another thread's crash than that one waits for the agent */
    LOOK_NS = 20000000,
    EXIT_SIGNAL = 128, /* a shell's status of a death by signal is this more */
};

/* The kernel's frame: what a handler returns to, a ucontext and a siginfo. */
struct frame {
    void (*restorer)(void);
    struct {
        uint64_t flags;
        void *link;
        stack_t stack;
        uint64_t registers[WIRE_CRASH_REGISTERS];
        uint64_t rest[9];
        uint64_t mask;
    } context;
    siginfo_t info;
};
static_assert(offsetof(struct frame, context.registers) == 8 + offsetof(ucontext_t, uc_mcontext.gregs), "registers");
static_assert(offsetof(struct frame, info) == 312, "as the kernel has it");
static_assert(sizeof(siginfo_t) == WIRE_CRASH_SIGINFO, "siginfo");

/* crash_entry.S */
void crash_restorer(void) __attribute__((visibility("hidden")));
void crash_by_default(int signal, siginfo_t *info, ucontext_t *context) __attribute__((visibility("hidden")));
void *crash_before_handler(int signal, const struct frame *frame, uint32_t number)
    __attribute__((visibility("hidden")));
void crash_after_abort_handler(struct frame *frame) __attribute__((visibility("hidden")));

_Thread_local struct crash_note crash_note;
_Thread_local struct crash_return crash_return;

/* Process << 32 | thread that crashes. Written by the first one (compare-and-swap); a fork's child starts anew. */
static _Atomic uint64_t dying;
/* What that one dies of. Written by it, and read by it alone. */
static struct {
    struct frame *frame;
    int signal;
} first;

static uint32_t thread_id(void)
{
    return (uint32_t)sys_call0(SYS_gettid);
}

static uint32_t real_pid(void)
{
    return (uint32_t)sys_call0(SYS_getpid);
}

/* Copy what can be read; returns the number of bytes. Page by page, because process_vm_readv need not copy a part of
 * a piece. */
static size_t read_memory(void *to, uintptr_t from, size_t length)
{
    size_t done = 0;

    while (done < length) {
        size_t piece = WIRE_PAGE - (from + done) % WIRE_PAGE;
        struct iovec local = {(char *)to + done, piece < length - done ? piece : length - done};
        struct iovec remote = {(void *)(from + done), local.iov_len}; // NOLINT(performance-no-int-to-ptr)

        if (sys_call6(SYS_process_vm_readv, real_pid(), (long)&local, 1, (long)&remote, 1, 0) != (long)local.iov_len)
            break;
        done += local.iov_len;
    }
    return done;
}

/* Is this stack pointer within the noted handler, and its frame still there? */
static bool note_holds(uintptr_t stack_pointer)
{
    const uintptr_t at = crash_note.frame;
    struct {
        uintptr_t restorer, stack_pointer;
    } found;

    if (at == 0 || stack_pointer >= at || at - stack_pointer > HANDLER_DEPTH)
        return false;
    return read_memory(&found.restorer, at + offsetof(struct frame, restorer), sizeof(found.restorer)) &&
           read_memory(&found.stack_pointer, at + offsetof(struct frame, context.registers[REG_RSP]),
                       sizeof(found.stack_pointer)) &&
           found.restorer == (uintptr_t)crash_restorer && (uint32_t)found.stack_pointer == crash_note.check;
}

static const struct frame *noted_frame(void)
{
    return (const struct frame *)crash_note.frame; // NOLINT(performance-no-int-to-ptr)
}

/* A handler of the program's is entered while another one is noted, or it is set for one time only (SA_RESETHAND).
 * The outer note stays as long as the outer handler runs: a crash in the inner one is reported as the outer one's
 * fault. */
void *crash_before_handler(int signal, const struct frame *frame, uint32_t number)
{
    if (!note_holds((uintptr_t)frame)) {
        crash_note.action = number;
        crash_note.check = (uint32_t)frame->context.registers[REG_RSP];
        crash_note.frame = (uintptr_t)frame;
    }
    if (crash_actions[number].flags & (uint32_t)SA_RESETHAND)
        crash_reset_action(signal, number + 1);
    return (void *)crash_actions[number].handler;
}

/* The top of the stack, or where memory begins again above it. */
static void save_stack(struct wire_crash *crash)
{
    uintptr_t from = crash->registers[REG_RSP] - RED_ZONE;

    crash->stack_at = 0;
    crash->stack_length = 0;
    for (int skipped = 0; skipped < SKIPPED_PAGES; skipped++) {
        crash->stack_length = (uint32_t)read_memory(crash->stack, from, sizeof(crash->stack));
        if (crash->stack_length > 0) {
            crash->stack_at = from;
            return;
        }
        from = from / WIRE_PAGE * WIRE_PAGE + WIRE_PAGE;
    }
}

/* libc's message when it aborts: __abort_msg points to { unsigned size; char text[]; }, where size counts both. */
static void save_text(struct wire_crash *crash)
{
    uintptr_t at = 0;

    crash->text_length = 0;
    if (!real_abort_message || !read_memory(&at, (uintptr_t)real_abort_message, sizeof(at)) || at == 0)
        return;
    size_t length = read_memory(crash->text, at + sizeof(unsigned), sizeof(crash->text));
    crash->text_length = (uint32_t)strnlen(crash->text, length);
}

static void save_request(struct wire_crash *crash)
{
    struct request_ref ref = current_get();

    memset(crash->trace_id, 0, sizeof(crash->trace_id));
    memset(crash->span_id, 0, sizeof(crash->span_id));
    if (!ref.slot)
        return;
    memcpy(crash->trace_id, wire_slot_request(ref.slot)->trace_id, sizeof(crash->trace_id));
    memcpy(crash->span_id, wire_slot_request(ref.slot)->span_id, sizeof(crash->span_id));
}

/* A handler of the program's has raised its own signal anew and has returned: so this one struck where the fault
 * was. */
static bool is_raised_anew(const struct frame *frame)
{
    return frame->info.si_code <= 0 && crash_return.code > 0 && crash_return.signal == frame->info.si_signo &&
           crash_return.stack_pointer == (uint64_t)frame->context.registers[REG_RSP] &&
           crash_return.instruction == (uint64_t)frame->context.registers[REG_RIP];
}

/* What the signal was about: the fault, if it is about that one. */
static void save_info(struct wire_crash *crash, const struct frame *frame)
{
    memcpy(crash->siginfo, &frame->info, sizeof(crash->siginfo));
    if (!is_raised_anew(frame))
        return;

    siginfo_t *info = (siginfo_t *)(void *)crash->siginfo;
    memset(info, 0, sizeof(*info));
    info->si_signo = crash_return.signal;
    info->si_code = crash_return.code;
    memcpy(&info->si_addr, &crash_return.address, sizeof(info->si_addr));
}

/* Write down what happened: at `frame`, or where the program's handler was called if one ran in between. */
static void fill(struct wire_crash *crash, const struct frame *frame, int death_signal, uint32_t flags)
{
    crash->pid = real_pid();
    crash->tid = thread_id();
    crash->death_signal = death_signal;
    crash->mono_ns = clock_mono_ns();
    crash->handler = flags & WIRE_CRASH_HANDLED ? (uintptr_t)crash_actions[crash_note.action].handler : 0;
    crash->flags = flags | (crash->pid == process_pid() ? 0 : WIRE_CRASH_VFORK_CHILD);
    (void)sys_call2(SYS_arch_prctl, ARCH_GET_FS, (long)&crash->thread_pointer);
    save_info(crash, frame);
    memcpy(crash->registers, frame->context.registers, sizeof(crash->registers));
    crash->copy_at = 0;
    crash->copy_length = 0;
    crash->maps_length = 0;
    crash->copy_number = 0;
    save_stack(crash);
    save_text(crash);
    save_request(crash);
}

/* What is mapped where, as the kernel tells it; the number of bytes. */
static size_t copy_maps(char *to, size_t size)
{
    long file = sys_call4(SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    size_t length = 0;
    long part = file < 0 ? 0 : 1;

    while (part > 0 && length < size) {
        part = sys_call3(SYS_read, file, (long)(to + length), (long)(size - length));
        length += part > 0 ? (size_t)part : 0;
    }
    if (file >= 0)
        (void)sys_call1(SYS_close, file);
    return length;
}

/* The agent may not read our memory: copy the stack and the mappings for it, if there is a free area. */
static void copy_memory(struct wire_crash *crash)
{
    uint32_t number = 0;
    char *area = crash->stack_at ? ring_copy_take(&number) : NULL;

    if (!area)
        return;
    crash->copy_at = crash->stack_at;
    crash->copy_length = (uint32_t)read_memory(area, crash->stack_at, COPIED_STACK);
    size_t maps_at = (crash->copy_length + (size_t)7) / 8 * 8;
    crash->maps_length = (uint32_t)copy_maps(area + maps_at, WIRE_CRASH_COPY_SIZE - maps_at);
    crash->copy_number = number;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_mono_ns();
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    struct timespec left = {(time_t)(left_ns / 1000000000u), (long)(left_ns % 1000000000u)};

    (void)sys_call4(SYS_futex, (long)word, FUTEX_WAIT, value, (long)&left);
}

static bool step(struct wire_crash *crash, uint32_t from, enum wire_crash_state to)
{
    return atomic_compare_exchange_strong_explicit(&crash->state, &from, to, memory_order_seq_cst,
                                                   memory_order_relaxed);
}

static uint64_t earlier(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

/* Wait for the agent, and look now and then whether it wants the crash at all. */
static void await_agent(struct wire_crash *crash)
{
    uint64_t deadline_ns = clock_mono_ns() + config.crash_timeout_ms * UINT64_C(1000000);

    for (;;) {
        uint32_t state = atomic_load_explicit(&crash->state, memory_order_acquire);

        if (state == WIRE_CRASH_REFUSED) {
            copy_memory(crash);
            if (step(crash, WIRE_CRASH_REFUSED, WIRE_CRASH_COPIED)) {
                (void)sys_call4(SYS_futex, (long)&crash->state, FUTEX_WAKE, 1, 0);
                ring_crash_bell();
            }
        } else if (state != WIRE_CRASH_READY && state != WIRE_CRASH_READING && state != WIRE_CRASH_COPIED) {
            return;
        } else if (clock_mono_ns() >= deadline_ns || !link_crash_is_wanted()) {
            if (step(crash, state, WIRE_CRASH_ALONE))
                return;
        } else {
            futex_wait(&crash->state, state, earlier(deadline_ns, clock_mono_ns() + LOOK_NS));
        }
    }
}

static void write_down(const struct frame *frame, int death_signal, uint32_t flags)
{
    struct wire_crash *crash =
        atomic_load_explicit(&process_active, memory_order_acquire) && ring_current() ? ring_crash() : NULL;

    if (!crash || !step(crash, WIRE_CRASH_NONE, WIRE_CRASH_FILLING))
        return;
    /* Let the agent read us where only descendants may be (Yama), for the time that is left to us. */
    (void)sys_call3(SYS_prctl, PR_SET_PTRACER, -1, 0);
    fill(crash, frame, death_signal, flags);
    atomic_store_explicit(&crash->state, WIRE_CRASH_READY, memory_order_seq_cst);
    ring_crash_bell();
    if (link_crash_is_wanted())
        await_agent(crash);
}

/* Another thread of this process crashes, and the process will die of that: wait for it, a little longer than that
 * thread waits for the agent. */
static void await_death(uint64_t other)
{
    static _Atomic uint32_t never;
    uint64_t deadline_ns = clock_mono_ns() + (config.crash_timeout_ms + GRACE_MS) * UINT64_C(1000000);

    while (clock_mono_ns() < deadline_ns && atomic_load_explicit(&dying, memory_order_relaxed) == other)
        futex_wait(&never, 0, deadline_ns);
}

/* The other thread of this process that crashes; 0: there is none. */
static uint64_t other_that_dies(uint64_t self)
{
    uint64_t other = atomic_load_explicit(&dying, memory_order_relaxed);

    return other >> 32 == self >> 32 && other != self ? other : 0;
}

/* The first thread's crash stands for the process. A vfork child's crash is its own: it runs on its parent's memory,
 * this word among it. */
static bool is_first(void)
{
    uint64_t self = (uint64_t)real_pid() << 32 | thread_id();
    uint64_t seen = atomic_load_explicit(&dying, memory_order_relaxed);

    if (self >> 32 != process_pid())
        return true;
    while (seen >> 32 != self >> 32)
        if (atomic_compare_exchange_weak_explicit(&dying, &seen, self, memory_order_relaxed, memory_order_relaxed))
            return true;
    if (seen != self)
        await_death(seen);
    return false;
}

static bool is_fault(int signal, const siginfo_t *info)
{
    return info->si_code > 0 && (signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL);
}

/* Set the instruction pointer back to the instruction that raised the signal, where it points behind it: int3, or a
 * system call that a filter has turned into SIGSYS. */
static bool go_back(struct frame *frame, int signal)
{
    static const uint8_t int3[] = {0xcc};
    static const uint8_t system_call[] = {0x0f, 0x05};
    const uint8_t *wanted = signal == SIGTRAP ? int3 : system_call;
    size_t length = signal == SIGTRAP ? sizeof(int3) : sizeof(system_call);
    uint8_t found[sizeof(system_call)];

    if (frame->info.si_code <= 0 || (signal != SIGTRAP && signal != SIGSYS) ||
        read_memory(found, frame->context.registers[REG_RIP] - length, length) != length ||
        memcmp(found, wanted, length) != 0)
        return false;
    frame->context.registers[REG_RIP] -= length;
    return true;
}

/* Die of the signal as if nobody had caught it. It is queued anew, and blocked until we return: so the kernel delivers
 * it where it struck, and that is what the core file shows. A fault would come back by itself, but not a trap or what
 * somebody has sent. A namespace's first process is not killed by what is queued: it meets its fault once more. */
static void die(int signal, struct frame *frame)
{
    uint32_t pid = real_pid();

    crash_set_default(signal);
    if (pid == 1 ? go_back(frame, signal)
                 : sys_call4(SYS_rt_tgsigqueueinfo, pid, thread_id(), signal, (long)&frame->info) == 0)
        return;
    if (!is_fault(signal, &frame->info))
        (void)sys_call1(SYS_exit_group, EXIT_SIGNAL + signal);
}

/* A fault while a crash is written down: the first signal, which is still blocked, is let through now. */
static void die_here(void)
{
    const uint64_t none = 0;

    die(first.signal, first.frame);
    (void)sys_call4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof(none));
    (void)sys_call1(SYS_exit_group, EXIT_SIGNAL + first.signal);
}

void crash_by_default(int signal, siginfo_t *info, ucontext_t *context)
{
    struct frame *frame = (struct frame *)((char *)context - offsetof(struct frame, context));

    if (info->si_code <= 0 && real_pid() == 1)
        return; /* nothing that is sent ends a namespace's first process */
    process_check_fork();
    if (atomic_load_explicit(&dying, memory_order_relaxed) == ((uint64_t)real_pid() << 32 | thread_id()))
        die_here();
    if (is_first()) {
        first.signal = signal;
        first.frame = frame;
        if (note_holds(frame->context.registers[REG_RSP]))
            write_down(noted_frame(), signal, WIRE_CRASH_HANDLED);
        else
            write_down(frame, signal, is_raised_anew(frame) ? WIRE_CRASH_HANDLED : 0);
    }
    die(signal, frame);
}

static bool is_address_in_abort(uint64_t address)
{
    return address - real_abort < real_abort_size;
}

/* Was abort() interrupted, or what it has called? */
static bool is_in_abort(const struct frame *frame)
{
    uintptr_t at = frame->context.registers[REG_RSP];
    uint64_t words[16];

    if (is_address_in_abort(frame->context.registers[REG_RIP]))
        return true;
    for (const uintptr_t end = at + ABORT_DEPTH; at < end; at += sizeof(words)) {
        size_t count = read_memory(words, at, sizeof(words)) / sizeof(words[0]);

        for (size_t i = 0; i < count; i++)
            if (is_address_in_abort(words[i]))
                return true;
    }
    return false;
}

/* The program's handler of SIGABRT returns. If it returns into abort(), that one sets the default action by itself,
 * past us, and raises the signal again: so this is the last moment to write the crash down. */
void crash_after_abort_handler(struct frame *frame)
{
    if (real_pid() == 1 || !is_in_abort(frame))
        return;
    process_check_fork();
    if (!is_first())
        return;
    first.signal = SIGABRT;
    first.frame = frame;
    write_down(note_holds((uintptr_t)frame) ? noted_frame() : frame, SIGABRT, WIRE_CRASH_HANDLED);
    uint64_t self = (uint64_t)real_pid() << 32 | thread_id();
    (void)atomic_compare_exchange_strong_explicit(&dying, &self, 0, memory_order_relaxed, memory_order_relaxed);
}

bool crash_is_pending(void)
{
    return atomic_load_explicit(&crash_signals, memory_order_relaxed) != 0 && process_in_vfork == 0 &&
           (crash_note.frame != 0 || atomic_load_explicit(&dying, memory_order_relaxed) != 0);
}

void crash_before_exit(void)
{
    process_check_fork();
    if (real_pid() != process_pid())
        return;

    uint64_t other = other_that_dies((uint64_t)real_pid() << 32 | thread_id());
    if (other)
        await_death(other);
    else if (note_holds((uintptr_t)__builtin_frame_address(0)))
        write_down(noted_frame(), 0, WIRE_CRASH_HANDLED | WIRE_CRASH_EXITED);
    crash_forget();
}

void crash_after_fork(void)
{
    crash_forget();
    atomic_store_explicit(&dying, 0, memory_order_relaxed);
    crash_stack_after_fork();
}
