/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/console_event.h"

#include "exporters/agent/log_event.h"
#include "exporters/agent/process.h"
#include "exporters/agent/resource.h"
#include "exporters/console_text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINES_MAX = 32, TEXT_KEPT = 16 * 1024, SERVICE_COLUMNS = 24, COLUMNS_MIN = 40 };

bool console_event_init(struct console_event *copy, const struct log_event *event)
{
    const struct resource *resource = event->process->resource;
    size_t length = event->text.length < TEXT_KEPT ? event->text.length : TEXT_KEPT;

    *copy = (struct console_event){.unix_ns = event->unix_ns,
                                   .severity = event->record->severity,
                                   .length = length,
                                   .text = malloc(length + 1),
                                   .service = strdup(resource != NULL ? resource->service_name : "")};
    if (copy->text == NULL || copy->service == NULL) {
        console_event_deinit(copy);
        return false;
    }
    memcpy(copy->text, event->text.bytes, length);
    return true;
}

void console_event_deinit(struct console_event *copy)
{
    free(copy->text);
    free(copy->service);
    *copy = (struct console_event){0};
}

static const char *severity_name(uint8_t severity)
{
    static const char *const names[] = {"", "EMERG", "ALERT", "CRIT", "ERROR", "WARN", "NOTICE", "INFO", "DEBUG"};

    return severity < sizeof(names) / sizeof(names[0]) ? names[severity] : "";
}

static const char *severity_colour(uint8_t severity)
{
    if (severity == 0 || severity > 5)
        return "";
    return severity == 5 ? "\033[33m" : "\033[31m";
}

static void put_clock(FILE *out, uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / 1000000000u);
    struct tm broken_down;
    char clock[16];

    if (localtime_r(&seconds, &broken_down) == NULL || strftime(clock, sizeof(clock), "%H:%M:%S", &broken_down) == 0)
        clock[0] = '\0';
    (void)fprintf(out, "%s.%03u", clock, (unsigned)(unix_ns / 1000000 % 1000));
}

/* What stands before the first line's text; the columns that it takes. */
static unsigned put_head(FILE *out, const struct console_event *event, unsigned indent,
                         const struct console_style *style)
{
    const char *name = severity_name(event->severity);
    char service[CONSOLE_TEXT_SIZE];
    int columns;

    (void)fprintf(out, "%*s%s", (int)indent, "", style->colours ? "\033[2m" : "");
    put_clock(out, event->unix_ns);
    (void)fputs(style->colours ? "\033[0m" : "", out);
    (void)fprintf(out, "  %s%-6s%s  ", style->colours ? severity_colour(event->severity) : "", name,
                  style->colours ? "\033[0m" : "");
    console_text(event->service, strlen(event->service), SERVICE_COLUMNS, service);
    columns = fprintf(out, "%s  ", service);
    return indent + 12 + 2 + 6 + 2 + (columns > 0 ? (unsigned)columns : 0);
}

void console_event_print(FILE *out, const struct console_event *event, unsigned indent,
                         const struct console_style *style)
{
    const char *at = event->text, *end = event->text + event->length;
    unsigned used = put_head(out, event, indent, style);
    unsigned room = style->width > used + COLUMNS_MIN ? style->width - used : COLUMNS_MIN;
    char shown[CONSOLE_TEXT_SIZE];

    for (unsigned line = 0; at <= end && line < LINES_MAX; line++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end != NULL ? line_end : end) - at);

        console_text(at, length, room, shown);
        (void)fprintf(out, "%*s%s\n", line > 0 ? (int)used : 0, "", shown);
        at += length + 1;
    }
    if (at <= end)
        (void)fprintf(out, "%*s…\n", (int)used, "");
}
