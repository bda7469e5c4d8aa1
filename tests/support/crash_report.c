/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/crash_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "exporters/crash/reader.h"
#include "tests/support/dying.h"

/* Root may read everything; without this capability, only what lets itself be read. */
static void allow_tracing(bool allowed)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    assert_int_equal(syscall(SYS_capget, &header, sets), 0);
    if (!(sets[0].permitted & 1u << CAP_SYS_PTRACE))
        return;
    sets[0].effective &= ~(1u << CAP_SYS_PTRACE);
    sets[0].effective |= (uint32_t)allowed << CAP_SYS_PTRACE;
    assert_int_equal(syscall(SYS_capset, &header, sets), 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t crash_limit_ns = 20000000000;
uint64_t crash_held_ns;

json_t *crash_report(struct dying *dying)
{
    struct capture *capture = NULL;
    struct wire_crash crash = dying->area->crash;
    struct reader_options options = {
        .pid = dying->pid, .pidfd = dying->pidfd, .crash = &crash, .limit_ns = crash_limit_ns};
    uint8_t *copy = NULL;
    json_t *report;

    if (dying->area->shut) {
        allow_tracing(false);
        assert_int_equal(reader_capture(&options, &capture), -EPERM);
        copy = malloc(WIRE_CRASH_COPY_SIZE);
        memcpy(copy, dying->area->copy, WIRE_CRASH_COPY_SIZE);
        options.copy = copy;
    }
    crash_held_ns = now_ns();
    assert_int_equal(reader_capture(&options, &capture), 0);
    crash_held_ns = now_ns() - crash_held_ns;
    allow_tracing(true);
    dying_release(dying);
    reader_let_go(capture);
    (void)dying_end(dying);
    report = reader_report(capture);
    reader_free(capture);
    free(copy);
    return report;
}

const char *crash_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

json_t *crash_frames(const json_t *report)
{
    json_t *thread = json_array_get(json_object_get(report, "threads"), 0);

    assert_true(json_is_true(json_object_get(thread, "crashed")));
    return json_object_get(thread, "frames");
}

void crash_fail(const json_t *report, const char *what)
{
    char *text = json_dumps(json_object_get(report, "incomplete"), JSON_INDENT(1) | JSON_ENCODE_ANY);
    const json_t *frame;
    size_t i;

    print_error("%s\n%s\n%s\n", what, crash_text(report, "title"), text ? text : "");
    json_array_foreach(crash_frames(report), i, frame)
    {
        print_error("  %s %s +%s %s\n", crash_text(frame, "found_by"), crash_text(frame, "module"),
                    crash_text(frame, "offset"), crash_text(frame, "function"));
    }
    free(text);
    fail();
}

void crash_expect(const json_t *report, const char *functions)
{
    const json_t *frame;
    size_t i;

    json_array_foreach(crash_frames(report), i, frame)
    {
        size_t length = strcspn(functions, " ");

        if (length && strlen(crash_text(frame, "function")) == length &&
            !strncmp(crash_text(frame, "function"), functions, length))
            functions += length + 1;
    }
    if (*functions)
        crash_fail(report, functions);
}
