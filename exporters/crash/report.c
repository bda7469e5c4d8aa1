/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "exporters/agent/clock.h"
#include "exporters/crash/capture.h"
#include "exporters/crash/cause.h"
#include "exporters/crash/reader.h"
#include "exporters/crash/symbols.h"
#include "exporters/crash/title.h"
#include "exporters/encode/utf8.h"
#include "preload/wire.h"

enum { TEXT_MAX = 8192, ARGUMENTS_MAX = 256, FRAMES_MAX = 6000 };
static const uint64_t naming_ns = 20000000000; /* then the frames that are left go without names */

/* A report on its way. */
struct writing {
    const struct capture *capture;
    struct symbols *symbols; /* NULL: there is no time, or no memory, for names */
    json_t *names;           /* by address: what was found */
    uint64_t end_ns;
    size_t frames_left; /* of all threads together, so that the report can be sent */
    bool names_cut, frames_cut;
};

/* Unknown things are left out: jansson takes no NULL, and setting nothing is what is wanted then. */
static void set(json_t *object, const char *key, json_t *value)
{
    (void)json_object_set_new(object, key, value);
}

static json_t *text(const char *bytes)
{
    char repaired[TEXT_MAX];

    utf8_copy(bytes, repaired, sizeof(repaired));
    return json_string(repaired);
}

static void set_text(json_t *object, const char *key, const char *bytes)
{
    if (bytes[0])
        set(object, key, text(bytes));
}

static void set_number(json_t *object, const char *key, uint64_t number)
{
    if (number)
        set(object, key, json_integer((json_int_t)number));
}

static json_t *hexadecimal(uint64_t value)
{
    return json_sprintf("0x%" PRIx64, value);
}

static void set_build_id(json_t *object, const struct module *module)
{
    char digits[2 * MODULE_BUILD_ID_MAX + 1] = "";

    for (size_t i = 0; i < module->build_id_length; i++)
        (void)snprintf(digits + 2 * i, 3, "%02x", module->build_id[i]);
    set_text(object, "build_id", digits);
}

static json_t *place_of(const struct capture *capture, const struct frame *frame)
{
    static const char *const found[] = {"context", "cfi", "frame_pointer", "scan"};
    const struct module *module = modules_find(&capture->modules, frame->address);
    json_t *out = json_object();

    set(out, "address", hexadecimal(frame->address));
    set(out, "found_by", json_string(found[frame->found]));
    if (!module)
        return out;
    set_text(out, "module", module->path);
    set_build_id(out, module);
    set(out, "offset", hexadecimal(frame->address - module->bias));
    return out;
}

static void set_symbol(json_t *out, const struct symbol *symbol)
{
    set_text(out, "function", symbol->function);
    if (symbol->function[0] && !symbol->inlined)
        set(out, "function_offset", hexadecimal(symbol->offset));
    set_text(out, "file", symbol->file);
    set_number(out, "line", (uint64_t)(symbol->line > 0 ? symbol->line : 0));
    set_number(out, "column", (uint64_t)(symbol->column > 0 ? symbol->column : 0));
    if (symbol->inlined)
        set(out, "inlined", json_true());
}

/* What is at an address, the innermost inlined call first: often asked for, as threads wait in the same places. */
static const json_t *names_at(struct writing *writing, uint64_t address)
{
    struct symbol found[SYMBOLS_INLINED_MAX];
    char key[32];
    json_t *names;
    size_t count;

    (void)snprintf(key, sizeof(key), "%" PRIx64, address);
    names = json_object_get(writing->names, key);
    writing->names_cut = writing->names_cut || clock_now_ns(CLOCK_MONOTONIC) > writing->end_ns;
    if (names || !writing->symbols || writing->names_cut)
        return names;
    names = json_array();
    count = symbols_find(writing->symbols, address, found);
    for (size_t i = 0; i < count; i++) {
        json_t *name = json_object();

        set_symbol(name, &found[i]);
        (void)json_array_append_new(names, name);
    }
    return json_object_set_new(writing->names, key, names) ? NULL : names;
}

/* One for the address, and one for each call that was inlined there. */
static void append_frames(json_t *frames, struct writing *writing, const struct frame *frame)
{
    const json_t *names = names_at(writing, frame->address - frame->is_return);
    json_t *name;
    size_t i;

    json_array_foreach(names, i, name)
    {
        json_t *out = place_of(writing->capture, frame);

        (void)json_object_update(out, name);
        (void)json_array_append_new(frames, out);
    }
    if (json_array_size(names) == 0)
        (void)json_array_append_new(frames, place_of(writing->capture, frame));
}

static json_t *registers_of(const struct thread *thread)
{
    static const char *const names[REGISTERS] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
                                                 "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};
    json_t *out = json_object();

    for (int i = 0; i < REGISTERS; i++)
        set(out, names[i], hexadecimal(thread->registers[i]));
    return out;
}

static const char *state_name(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'S':
        return "sleeping";
    case 'D':
        return "uninterruptible";
    case 'T':
        return "stopped";
    case 't':
        return "traced";
    case 'Z':
    case 'X':
        return "ended";
    default:
        return "";
    }
}

static json_t *thread_of(struct writing *writing, const struct thread *thread)
{
    json_t *out = json_object(), *frames = json_array();

    set(out, "id", json_integer(thread->own_tid));
    set_text(out, "name", thread->name);
    set(out, "crashed", json_boolean(thread->crashed));
    set_text(out, "state", thread->crashed ? "" : state_name(thread->state));
    if (!thread->missing)
        set(out, "registers", registers_of(thread));
    for (size_t i = 0; i < thread->stack.count && writing->frames_left; i++, writing->frames_left--)
        append_frames(frames, writing, &thread->stack.frames[i]);
    writing->frames_cut |= !writing->frames_left;
    set(out, "frames", frames);
    set_number(out, "frames_left_out", thread->stack.left_out);
    return out;
}

static json_t *threads_of(struct writing *writing)
{
    const struct threads *threads = &writing->capture->threads;
    json_t *out = json_array();

    for (size_t i = 0; i < threads->count; i++)
        (void)json_array_append_new(out, thread_of(writing, &threads->list[i]));
    return out;
}

static json_t *modules_of(const struct capture *capture)
{
    json_t *out = json_array();

    for (size_t i = 0; i < capture->modules.count; i++) {
        const struct module *module = &capture->modules.list[i];
        json_t *one = json_object();

        set_text(one, "path", module->path);
        set_build_id(one, module);
        set(one, "base", hexadecimal(module->base));
        set_number(one, "size", module->end - module->base);
        (void)json_array_append_new(out, one);
    }
    return out;
}

static json_t *signal_of(const struct capture *capture)
{
    const siginfo_t *info = &capture->siginfo;
    struct cause cause;
    char name[32];
    json_t *out = json_object();

    cause_find(capture, &cause);
    cause_signal_name(info->si_signo, name, sizeof(name));
    set(out, "number", json_integer(info->si_signo));
    set_text(out, "name", name);
    set_text(out, "code", cause_code_name(info->si_signo, info->si_code));
    if (cause.has_address)
        set(out, "address", hexadecimal(cause.address));
    set_text(out, "cause", cause.text);
    if (cause.was_sent) {
        set(out, "sender_pid", json_integer(info->si_pid));
        set(out, "sender_uid", json_integer(info->si_uid));
    }
    return out;
}

/* The program's own handler that ran before the end. */
static json_t *handler_of(const struct capture *capture, struct symbols *symbols)
{
    struct symbol found[SYMBOLS_INLINED_MAX];
    uint64_t address = capture->crash->handler;
    const struct module *module = modules_find(&capture->modules, address);
    size_t count = symbols && address ? symbols_find(symbols, address, found) : 0;
    json_t *out;

    if (!address)
        return NULL;
    out = json_object();
    set(out, "address", hexadecimal(address));
    if (count)
        set_text(out, "function", found[count - 1].function);
    if (module)
        set_text(out, "module", module->path);
    return out;
}

static json_t *arguments_of(const struct process_facts *facts)
{
    json_t *out = json_array();
    size_t at = 0;

    while (at < facts->arguments_length && json_array_size(out) < ARGUMENTS_MAX) {
        (void)json_array_append_new(out, text(facts->arguments + at));
        at += strlen(facts->arguments + at) + 1;
    }
    return out;
}

static json_t *process_of(const struct capture *capture)
{
    const struct process_facts *facts = &capture->facts;
    json_t *out = json_object();

    set(out, "pid", json_integer(capture->crash->pid));
    set_text(out, "executable", facts->executable);
    for (size_t i = 0; i < capture->modules.count; i++) {
        if (!strcmp(capture->modules.list[i].path, facts->executable))
            set_build_id(out, &capture->modules.list[i]);
    }
    set_text(out, "command", facts->command);
    set(out, "argv", arguments_of(facts));
    set_text(out, "cwd", facts->cwd);
    if (facts->uid != (uid_t)-1)
        set(out, "uid", json_integer(facts->uid));
    set_number(out, "started_unix_ns", facts->started_unix_ns);
    return out;
}

static void note(json_t *notes, bool when, const char *words)
{
    if (when)
        (void)json_array_append_new(notes, json_string(words));
}

static json_t *incomplete_of(const struct writing *writing)
{
    const struct capture *capture = writing->capture;
    const struct stack *stack = &capture->threads.list[0].stack;
    json_t *out = json_array();
    size_t without = 0;

    for (size_t i = 1; i < capture->threads.count; i++)
        without += capture->threads.list[i].missing != NULL;
    note(out, !capture->live,
         "the process's memory may not be read: taken from the copy it left, other threads have no frames");
    note(out, !capture->live && !capture->maps.count, "no list of mappings: frames have no modules");
    note(out, stack->lost,
         "the stack of the crashed thread could not be followed to its end: it is damaged, or code has no unwind "
         "tables");
    note(out, stack->cut, "the stack of the crashed thread is too deep, or a circle: it was not followed to its end");
    note(out, writing->names_cut, "finding names took too long: the frames that were left have none");
    note(out, writing->frames_cut, "more frames than are listed");
    note(out, capture->threads.cut, "more threads than are listed");
    note(out, capture->modules.cut || capture->maps.cut, "more modules than are listed");
    if (capture->live && without)
        (void)json_array_append_new(out,
                                    json_sprintf("%zu threads could not be stopped: they have no frames", without));
    return out;
}

static json_t *new_uuid(void)
{
    uint8_t b[16];

    if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
        return NULL;
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    return json_sprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
                        b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* The process's word: a time in the future isn't believed. */
static uint64_t time_of(const struct capture *capture)
{
    uint64_t now = clock_now_ns(CLOCK_MONOTONIC), fault = capture->crash->mono_ns;

    return clock_now_ns(CLOCK_REALTIME) - (fault && fault < now ? now - fault : 0);
}

static void cut_newlines(char *words)
{
    size_t length = strlen(words);

    while (length && words[length - 1] == '\n')
        words[--length] = '\0';
}

static json_t *write_report(struct writing *writing)
{
    const struct capture *capture = writing->capture;
    json_t *report = json_object(), *incomplete;

    set(report, "version", json_integer(REPORT_VERSION));
    set(report, "kind", json_string("crash"));
    set(report, "uuid", new_uuid());
    set(report, "time_unix_ns", json_integer((json_int_t)time_of(capture)));
    set(report, "level", json_string("critical"));
    set(report, "signal", signal_of(capture));
    set_text(report, "abort_message", capture->abort_text);
    set(report, "handler", handler_of(capture, writing->symbols));
    set(report, "process", process_of(capture));
    set(report, "threads", threads_of(writing));
    set(report, "modules", modules_of(capture));
    title_set(report, capture);
    incomplete = incomplete_of(writing);
    if (json_array_size(incomplete))
        (void)json_object_set(report, "incomplete", incomplete);
    json_decref(incomplete);
    return report;
}

json_t *reader_report(struct capture *capture)
{
    struct writing writing = {.capture = capture,
                              .names = json_object(),
                              .end_ns = clock_now_ns(CLOCK_MONOTONIC) + naming_ns,
                              .frames_left = FRAMES_MAX};
    json_t *report;

    cut_newlines(capture->abort_text);
    writing.symbols = symbols_new(&capture->modules, capture->vdso, capture->vdso_length, capture->debuginfod);
    report = write_report(&writing);
    symbols_free(writing.symbols);
    json_decref(writing.names);
    return report;
}
