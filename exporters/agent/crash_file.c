/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_file.h"

#include "exporters/agent/crash_store.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/log.h"
#include "exporters/agent/process.h"
#include "exporters/agent/source.h"
#include "exporters/crash/stack_text.h"
#include "exporters/encode/hex.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

enum { STACK_TEXT_MAX = 16 << 10 };

void crash_file_make_uuid(const struct process *process, uint64_t number, char uuid[CRASH_UUID_SIZE])
{
    char digits[33];
    uint8_t id[16];

    if (process)
        process_derive_id(process, number, id);
    else
        (void)!getrandom(id, sizeof(id), 0);
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    hex_write(id, sizeof(id), digits);
    (void)snprintf(uuid, CRASH_UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12, digits + 16,
                   digits + 20);
}

static const char *text_of(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : otherwise;
}

static json_t *pack_exit(int status)
{
    if (WIFSIGNALED(status))
        return json_pack("{s:i, s:b}", "signal", WTERMSIG(status), "core_dumped", WCOREDUMP(status) != 0);
    return json_pack("{s:i, s:b}", "status", WEXITSTATUS(status), "core_dumped", 0);
}

static void add_exit(json_t *report, int status)
{
    json_t *signal = json_object_get(report, "signal");

    (void)json_object_set_new(report, "exit", pack_exit(status));
    if (signal && WIFSIGNALED(status))
        (void)json_object_set_new(signal, "core_dumped", json_boolean(WCOREDUMP(status)));
}

void crash_file_report(json_t *report, struct source *source, const int *status)
{
    const json_t *process = json_object_get(report, "process");

    if (status)
        add_exit(report, *status);
    crash_store_keep(report);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        if (source->outlets[i].destinations)
            destinations_report(source->outlets[i].destinations, report);
    log_line(LOG_LEVEL_WARN, "process %d (%s) died: %s: spanshim crashes %s",
             (int)json_integer_value(json_object_get(process, "pid")), source->executable,
             text_of(report, "title", "?"), text_of(report, "uuid", "?"));
}

static const json_t *crashed_thread(const json_t *report)
{
    const json_t *threads = json_object_get(report, "threads"), *thread;
    size_t i;

    json_array_foreach(threads, i, thread) if (json_is_true(json_object_get(thread, "crashed"))) return thread;
    return json_array_get(threads, 0);
}

static void read_id(const char *digits, uint8_t id[8])
{
    for (int i = 0; i < 8 && strlen(digits) == 16; i++) {
        const char pair[3] = {digits[2 * i], digits[2 * i + 1]};

        id[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
}

/* One call as struct process_exception has it. */
static json_t *pack_frame(const json_t *frame)
{
    json_t *packed = json_object(), *line = json_object_get(frame, "line");

    (void)json_object_set_new(packed, "path", json_string(text_of(frame, "file", text_of(frame, "module", "?"))));
    if (line)
        (void)json_object_set(packed, "line", line);
    (void)json_object_set_new(packed, "label", json_string(text_of(frame, "function", text_of(frame, "address", "?"))));
    return packed;
}

static void add_frames(const json_t *thread, struct process_exception *exception)
{
    const json_t *frames = json_object_get(thread, "frames"), *frame;
    size_t count = json_array_size(frames), i;

    exception->frames = json_array();
    json_array_foreach(frames, i, frame)
    {
        if (i == PROCESS_FRAMES_MAX)
            break;
        (void)json_array_append_new(exception->frames, pack_frame(frame));
    }
    exception->frames_left_out = (uint64_t)json_integer_value(json_object_get(thread, "frames_left_out")) + count - i;
}

/* `stack` as people read it. */
static void add_exception(const json_t *report, struct process *process, const char *signal, const uint8_t span_id[8],
                          char *stack)
{
    const json_t *exception = json_object_get(report, "exception");
    char *type = strdup(text_of(exception, "class", signal ? signal : "Error")),
         *message = strdup(text_of(exception, "message", text_of(report, "title", ""))),
         *folder = strdup(text_of(json_object_get(report, "process"), "cwd", ""));
    struct process_exception noted = {.is_crash = signal != NULL,
                                      .unix_ns = (uint64_t)json_integer_value(json_object_get(report, "time_unix_ns")),
                                      .type = type,
                                      .message = message,
                                      .stacktrace = stack,
                                      .working_directory = folder && folder[0] != '\0' ? folder : NULL};

    add_frames(crashed_thread(report), &noted);
    memcpy(noted.span_id, span_id, sizeof(noted.span_id));
    if (type && message && stack)
        process_add_exception(process, &noted);
    free(type);
    free(message);
    free(folder);
    json_decref(noted.frames);
}

void crash_file_note_fate(const json_t *report, struct source *source, uint32_t lane)
{
    struct source_lane *state = &source->lanes[lane];
    const char *signal = text_of(json_object_get(report, "signal"), "name", "crash");

    (void)snprintf(state->fate, sizeof(state->fate), "%s", signal);
    if (state->process) {
        char *stack = stack_text_new(crashed_thread(report), "", STACK_TEXT_MAX);
        uint8_t span_id[8] = {0};

        read_id(text_of(json_object_get(report, "request"), "span_id", ""), span_id);
        add_exception(report, state->process, signal, span_id, stack);
        free(stack);
    }
}

void crash_file_note_error(const json_t *report, struct process *process, const uint8_t span_id[8], char *text)
{
    add_exception(report, process, NULL, span_id, text);
}
