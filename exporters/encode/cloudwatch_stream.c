/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/encode/cloudwatch_stream.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/encode/utf8.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DATE "strftime:"

enum { VALUE_SIZE = 256 };

static void write_machine(const struct process *process, char out[VALUE_SIZE])
{
    const char *name = process->resource != NULL ? resource_find(process->resource, "host.name") : NULL;

    if (name != NULL)
        (void)snprintf(out, VALUE_SIZE, "%s", name);
    else if (gethostname(out, VALUE_SIZE - 1) < 0)
        (void)snprintf(out, VALUE_SIZE, "localhost");
}

static void write_service(const struct process *process, char out[VALUE_SIZE])
{
    const char *name = process->resource != NULL ? process->resource->service_name : NULL;

    (void)snprintf(out, VALUE_SIZE, "%s", name != NULL ? name : "unknown");
}

static void write_program(const struct process *process, char out[VALUE_SIZE])
{
    const char *name = process->resource != NULL ? resource_find(process->resource, "process.executable.name") : NULL;

    if (name != NULL)
        (void)snprintf(out, VALUE_SIZE, "%s", name);
    else
        write_service(process, out); /* SPANSHIM_RESOURCE_DETECTORS leaves it out */
}

/* The format is the user's: strftime() reads nothing but its own arguments by it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void write_date(const char *format, size_t length, uint64_t unix_ns, char out[VALUE_SIZE])
{
    time_t seconds = (time_t)(unix_ns / NS_PER_S);
    char text[VALUE_SIZE];
    struct tm date;

    (void)snprintf(text, sizeof(text), "%.*s", (int)length, format);
    out[0] = '\0';
    if (gmtime_r(&seconds, &date) != NULL && strftime(out, VALUE_SIZE, text, &date) == 0)
        out[0] = '\0';
}

#pragma GCC diagnostic pop

static bool is_name(const char *name, size_t length, const char *one, const char *other)
{
    return (length == strlen(one) && memcmp(name, one, length) == 0) ||
           (length == strlen(other) && memcmp(name, other, length) == 0);
}

/* What stands for {name}. False: it is not known. */
static bool write_value(const char *name, size_t length, const struct log_event *event, char out[VALUE_SIZE])
{
    if (is_name(name, length, "machine", "machine_name"))
        write_machine(event->process, out);
    else if (is_name(name, length, "program", "program_name"))
        write_program(event->process, out);
    else if (is_name(name, length, "service", "service_name"))
        write_service(event->process, out);
    else if (is_name(name, length, "pid", "process_id"))
        (void)snprintf(out, VALUE_SIZE, "%d", (int)event->process->pid);
    else if (length > strlen(DATE) && memcmp(name, DATE, strlen(DATE)) == 0)
        write_date(name + strlen(DATE), length - strlen(DATE), event->unix_ns, out);
    else
        return false;
    return true;
}

void cloudwatch_stream_write(const char *template, const struct log_event *event, char out[CLOUDWATCH_STREAM_SIZE])
{
    char text[CLOUDWATCH_STREAM_SIZE], value[VALUE_SIZE] = "";
    size_t length = 0;

    while (*template != '\0' && length + 1 < sizeof(text)) {
        const char *end = *template == '{' ? strchr(template, '}') : NULL;

        if (end != NULL && write_value(template + 1, (size_t)(end - template - 1), event, value)) {
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s", value);
            template = end + 1;
        } else {
            text[length++] = *template ++;
        }
    }
    text[length < sizeof(text) ? length : sizeof(text) - 1] = '\0';
    utf8_copy(text[0] != '\0' ? text : "-", out, CLOUDWATCH_STREAM_SIZE);
    for (char *p = out; *p != '\0'; p++)
        if (*p == ':' || *p == '*' || (unsigned char)*p < ' ')
            *p = '-';
}

bool cloudwatch_stream_is_dated(const char *template)
{
    return strstr(template, "{" DATE) != NULL;
}
