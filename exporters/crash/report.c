/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/crash/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "exporters/crash/capture.h"
#include "exporters/crash/reader.h"
#include "preload/wire.h"

static json_t *hexadecimal(uint64_t value)
{
    return json_sprintf("0x%" PRIx64, value);
}

static json_t *build_id(const struct module *module)
{
    char text[2 * MODULE_BUILD_ID_MAX + 1] = "";

    for (size_t i = 0; i < module->build_id_length; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", module->build_id[i]);
    return text[0] ? json_string(text) : NULL;
}

static json_t *frame_of(const struct capture *capture, const struct frame *frame)
{
    static const char *const found[] = {"context", "cfi", "frame_pointer", "scan"};
    const struct module *module = modules_find(&capture->modules, frame->address);
    json_t *out = json_object();

    (void)json_object_set_new(out, "address", hexadecimal(frame->address));
    (void)json_object_set_new(out, "found_by", json_string(found[frame->found]));
    if (!module)
        return out;
    (void)json_object_set_new(out, "module", json_string(module->path));
    (void)json_object_set_new(out, "offset", hexadecimal(frame->address - module->bias));
    (void)json_object_set_new(out, "build_id", build_id(module));
    return out;
}

static json_t *thread_of(const struct capture *capture, const struct thread *thread)
{
    json_t *out = json_object(), *frames = json_array();

    (void)json_object_set_new(out, "id", json_integer(thread->own_tid));
    (void)json_object_set_new(out, "name", json_string(thread->name));
    (void)json_object_set_new(out, "crashed", json_boolean(thread->crashed));
    for (size_t i = 0; i < thread->stack.count; i++)
        (void)json_array_append_new(frames, frame_of(capture, &thread->stack.frames[i]));
    (void)json_object_set_new(out, "frames", frames);
    (void)json_object_set_new(out, "frames_left_out", json_integer((json_int_t)thread->stack.left_out));
    return out;
}

json_t *reader_report(struct capture *capture)
{
    json_t *report = json_object(), *threads = json_array();

    (void)json_object_set_new(report, "version", json_integer(REPORT_VERSION));
    (void)json_object_set_new(report, "kind", json_string("crash"));
    for (size_t i = 0; i < capture->threads.count; i++)
        (void)json_array_append_new(threads, thread_of(capture, &capture->threads.list[i]));
    (void)json_object_set_new(report, "threads", threads);
    return report;
}
