/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>
#include <time.h>
#include <unistd.h>

#include "exporters/agent/clock.h"
#include "exporters/agent/proc.h"
#include "exporters/crash/capture.h"
#include "exporters/crash/last_words.h"
#include "preload/wire.h"

enum { LIMIT_DEFAULT_NS = 1000000000, STOP_PART = 10, LET_GO_POLL_NS = 1000000, LET_GO_POLLS = 5000 };

/* From the order of ucontext_t to that of DWARF. */
static void saved_registers(const struct wire_crash *crash, uint64_t registers[REGISTERS])
{
    static const uint8_t order[REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                             REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                             REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

    for (int i = 0; i < REGISTERS; i++)
        registers[i] = crash->registers[order[i]];
}

/* What the dying process left in the mapping. */
static int use_copy(struct capture *capture, const struct reader_options *options)
{
    const struct wire_crash *crash = options->crash;
    size_t maps_at = ((size_t)crash->copy_length + 7) & ~(size_t)7;
    int err;

    if (crash->stack_length <= WIRE_CRASH_STACK)
        memory_add(&capture->memory, crash->stack_at, crash->stack, crash->stack_length);
    if (crash->copy_length > WIRE_CRASH_COPY_SIZE)
        return 0;
    memory_add(&capture->memory, crash->copy_at, options->copy, crash->copy_length);
    if (maps_at > WIRE_CRASH_COPY_SIZE || crash->maps_length > WIRE_CRASH_COPY_SIZE - maps_at)
        return 0;
    err = maps_parse(&capture->maps, (const char *)options->copy + maps_at, crash->maps_length);
    maps_open_files(&capture->maps);
    capture->memory.files = &capture->maps;
    return err;
}

/* 0, or why there is nothing to read from. */
static int find_memory(struct capture *capture, const struct reader_options *options)
{
    int err;

    if (options->copy)
        return use_copy(capture, options);
    err = memory_probe(options->pid, options->crash->registers[REG_RSP]);
    if (!err)
        err = maps_read(&capture->maps, capture->number);
    capture->live = !err;
    capture->memory.pid = err ? 0 : options->pid;
    if (err == -ENOENT)
        return -ESRCH;
    return err && err != -ESRCH && err != -ENOMEM ? -EPERM : err;
}

/* The crashed thread comes first, and has the registers of the fault, whatever /proc says of it. */
static int list_threads(struct capture *capture)
{
    struct threads *threads = &capture->threads;
    int err = threads_list(threads, capture->number, (pid_t)capture->crash->tid);
    struct thread *first = threads->list;

    if (err == -ENOMEM)
        return err;
    if (!threads->count || !first->crashed) {
        size_t kept = threads->count < THREADS_MAX ? threads->count : THREADS_MAX - 1;

        memmove(first + 1, first, kept * sizeof(*first));
        *first = (struct thread){.own_tid = (pid_t)capture->crash->tid, .crashed = true};
        threads->count = kept + 1;
    }
    first->missing = NULL;
    saved_registers(capture->crash, first->registers);
    return 0;
}

static int unwind_others(struct capture *capture, struct unwinder *unwinder)
{
    int err = 0;

    for (size_t i = 1; i < capture->threads.count && !err; i++) {
        struct thread *thread = &capture->threads.list[i];

        if (!thread->missing)
            err = unwind(unwinder, thread->registers, &thread->stack);
    }
    return err;
}

/* The end of the part of what is left in which threads may stop. */
static uint64_t part_until(uint64_t deadline_ns)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);

    return now_ns < deadline_ns ? now_ns + (deadline_ns - now_ns) / STOP_PART : now_ns;
}

static int read_stacks(struct capture *capture, uint64_t deadline_ns)
{
    struct unwinder *unwinder = unwinder_new(&capture->memory, &capture->maps, &capture->modules, deadline_ns);
    struct thread *first = capture->threads.list;
    int err;

    if (!unwinder)
        return -ENOMEM;
    err = unwind(unwinder, first->registers, &first->stack);
    if (!err && capture->live) {
        threads_stop(&capture->threads, capture->number, (pid_t)capture->crash->tid, part_until(deadline_ns));
        err = unwind_others(capture, unwinder);
        (void)threads_release(&capture->threads);
    }
    unwinder_free(unwinder);
    return err;
}

static void read_words(struct capture *capture)
{
    const struct wire_crash *crash = capture->crash;
    size_t length = crash->text_length < WIRE_CRASH_TEXT ? crash->text_length : WIRE_CRASH_TEXT;

    memcpy(capture->abort_text, crash->text, length);
    if (capture->siginfo.si_signo != SIGABRT)
        return;
    if (!length)
        last_words_read(&capture->modules, &capture->memory, capture->abort_text, sizeof(capture->abort_text));
    panic_read(&capture->memory, crash->registers[REG_RSP], &capture->panic);
    exception_read(&capture->exception, &capture->modules, &capture->memory, &capture->threads.list[0].stack,
                   crash->thread_pointer);
}

static void read_vdso(struct capture *capture, const struct module *module)
{
    size_t length = module->at->end - module->at->start;

    if (length <= sizeof(capture->vdso) && !memory_read(&capture->memory, module->base, capture->vdso, length))
        capture->vdso_length = length;
}

/* What tells of an access without an address: the instruction, and where it would have returned to. */
static void read_instruction(struct capture *capture)
{
    const uint64_t *registers = capture->threads.list[0].registers;

    if (memory_read(&capture->memory, registers[REGISTER_IP], capture->code, sizeof(capture->code)))
        memset(capture->code, 0, sizeof(capture->code));
    capture->top = memory_word(&capture->memory, registers[REGISTER_SP]);
}

/* Only where frames are: a process may have a thousand libraries. */
static void open_modules(struct capture *capture)
{
    for (size_t t = 0; t < capture->threads.count; t++) {
        const struct stack *stack = &capture->threads.list[t].stack;

        for (size_t i = 0; i < stack->count; i++) {
            const struct module *found = modules_find(&capture->modules, stack->frames[i].address);
            struct module *module = found ? &capture->modules.list[found - capture->modules.list] : NULL;

            if (!module || module->wanted)
                continue;
            module->wanted = true;
            module->fd = maps_open(module->at, capture->live ? capture->number : 0);
            if (module_is_vdso(module))
                read_vdso(capture, module);
        }
    }
}

static int read_all(struct capture *capture, const struct reader_options *options, uint64_t deadline_ns)
{
    int err = find_memory(capture, options);

    if (!err)
        err = modules_read(&capture->modules, &capture->maps, &capture->memory);
    if (!err)
        err = list_threads(capture);
    if (!err)
        err = read_stacks(capture, deadline_ns);
    if (err)
        return err;
    read_instruction(capture);
    read_words(capture);
    open_modules(capture);
    process_facts_read(&capture->facts, capture->number);
    /* All of this was of the process that we mean only if it is still there. */
    if (capture->live && options->pidfd >= 0 && syscall(SYS_pidfd_send_signal, options->pidfd, 0, NULL, 0) &&
        errno == ESRCH)
        return -ESRCH;
    return 0;
}

int reader_capture(const struct reader_options *options, struct capture **ret_capture)
{
    uint64_t began_ns = clock_now_ns(CLOCK_MONOTONIC);
    struct capture *capture = calloc(1, sizeof(*capture));
    int err;

    if (!capture)
        return -ENOMEM;
    capture->crash = options->crash;
    capture->debuginfod = options->debuginfod;
    /* Without a pidfd the number may be another process's by now. */
    capture->number = options->pidfd < 0 && options->copy ? -1 : proc_number(options->pid, options->pidfd);
    memcpy(&capture->siginfo, options->crash->siginfo, sizeof(capture->siginfo));
    err = read_all(capture, options, began_ns + (options->limit_ns ? options->limit_ns : LIMIT_DEFAULT_NS));
    if (err) {
        reader_free(capture);
        return err;
    }
    memory_deinit(&capture->memory);
    *ret_capture = capture;
    return 0;
}

void reader_let_go(struct capture *capture)
{
    const struct timespec pause = {.tv_nsec = LET_GO_POLL_NS};

    for (int i = 0; !threads_release(&capture->threads) && i < LET_GO_POLLS; i++)
        (void)nanosleep(&pause, NULL);
}

void reader_free(struct capture *capture)
{
    if (!capture)
        return;
    reader_let_go(capture);
    process_facts_deinit(&capture->facts);
    threads_deinit(&capture->threads);
    modules_deinit(&capture->modules);
    maps_deinit(&capture->maps);
    memory_deinit(&capture->memory);
    free(capture);
}
