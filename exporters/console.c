/* SPDX-License-Identifier: Apache-2.0 */
/* Traces on a terminal. Spans of a trace arrive one by one, often from several processes and children first; a trace is
 * printed when nothing has been added to it for a short while, or at once when its session ends. One with a request
 * that was made for another, which goes on, waits longer: for that one. Events of logs wait for their trace in the same
 * way, and stand under it; those of none are printed at once. */
#include "exporters/console.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/log_event.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/span.h"
#include "exporters/console_event.h"
#include "exporters/console_output.h"
#include "exporters/console_span.h"
#include "exporters/console_tree.h"
#include "exporters/exporter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    QUIET_MS = 200,        /* a trace is complete when nothing came for this long, */
    PARENT_MS = 10000,     /* or for this long, when a parent is yet to come; */
    LATE_MAX_MS = 2000,    /* time in which the agent itself stood still doesn't count, up to so much */
    DELAY_MS = 50,         /* from the journal to here */
    TRACE_SPANS_MAX = 512, /* in one print; further spans make a further tree */
    HELD_MAX = 8192,       /* spans, events, KiB of their text; beyond, the oldest traces are printed early */
    TRACE_EVENTS_MAX = 64, /* under a trace; further ones are printed by themselves */
    EVENT_INDENT = 4,
    BUCKETS = 256,
    SESSION_MAX = 64,
    KIB = 1024,
};

struct trace_list {
    struct trace *oldest, *newest;
};

struct trace {
    struct trace *next_in_bucket;
    struct trace_list *list;
    struct trace *older, *newer; /* in it, by the time of the last span */
    uint8_t id[16];
    uint64_t touched_ns;
    struct console_span *spans;
    size_t count;
    struct console_event *events; /* of logs */
    size_t event_count;
    size_t held_count; /* what all that counts in HELD_MAX */
};

/* One set's console. */
struct console {
    struct console *next;
    struct loop *loop;
    const struct settings *settings;
    bool is_of_logs;             /* gets events alone */
    struct console_output *file; /* SPANSHIM_CONSOLE; else the session's output is used */
    struct console_columns columns;
    struct trace *buckets[BUCKETS];
    struct trace_list fresh;   /* got spans a short while ago */
    struct trace_list waiting; /* for a parent */
    size_t held_count;         /* of all traces */
    struct loop_timer timer;
};

struct session {
    struct session *next;
    char name[SESSION_MAX];
    struct console_output *output;
};

/* Loop thread only. */
static struct console *consoles;
static struct session *sessions;

static struct session *find_session(const char *name)
{
    struct session *session = sessions;

    while (session != NULL && name != NULL && strcmp(session->name, name) != 0)
        session = session->next;
    return name != NULL ? session : NULL;
}

static struct console_output *output_of(const struct console *console)
{
    if (console->file != NULL)
        return console->file;
    struct session *session = find_session(console->settings->console_session);
    return session != NULL ? session->output : NULL;
}

static struct trace **bucket_of(struct console *console, const uint8_t id[16])
{
    return &console->buckets[(id[15] ^ id[7]) % BUCKETS];
}

static void unlink_trace(struct trace *trace)
{
    struct trace_list *list = trace->list;

    *(trace->older != NULL ? &trace->older->newer : &list->oldest) = trace->newer;
    *(trace->newer != NULL ? &trace->newer->older : &list->newest) = trace->older;
    trace->older = trace->newer = NULL;
    trace->list = NULL;
}

static void link_newest(struct trace_list *list, struct trace *trace)
{
    trace->list = list;
    trace->older = list->newest;
    *(list->newest != NULL ? &list->newest->newer : &list->oldest) = trace;
    list->newest = trace;
}

static struct console_style style_of(const struct console *console, const struct console_output *output)
{
    struct console_style style = console_output_style(output);

    style.colours = style.colours && console->settings->no_color == NULL;
    return style;
}

static int by_time(const void *left, const void *right)
{
    const struct console_event *a = left, *b = right;

    return (a->unix_ns > b->unix_ns) - (a->unix_ns < b->unix_ns);
}

static void print_trace(struct console *console, struct trace *trace)
{
    struct console_output *output = output_of(console);
    char *text = NULL;
    size_t length = 0;
    FILE *stream = output != NULL ? open_memstream(&text, &length) : NULL;

    if (stream != NULL) {
        struct console_style style = style_of(console, output);
        console_tree_print(stream, trace->id, trace->spans, trace->count, &style, &console->columns);
        if (trace->event_count > 1)
            qsort(trace->events, trace->event_count, sizeof(*trace->events), by_time);
        for (size_t i = 0; i < trace->event_count; i++)
            console_event_print(stream, &trace->events[i], trace->count > 0 ? EVENT_INDENT : 0, &style);
        if (fclose(stream) == 0)
            console_output_write(output, text, length);
        free(text);
    }
}

static void end_trace(struct console *console, struct trace *trace, bool print)
{
    struct trace **p = bucket_of(console, trace->id);

    if (print)
        print_trace(console, trace);
    while (*p != trace)
        p = &(*p)->next_in_bucket;
    *p = trace->next_in_bucket;
    unlink_trace(trace);
    console->held_count -= trace->held_count;
    for (size_t i = 0; i < trace->count; i++)
        console_span_deinit(&trace->spans[i]);
    for (size_t i = 0; i < trace->event_count; i++)
        console_event_deinit(&trace->events[i]);
    free(trace->spans);
    free(trace->events);
    free(trace);
}

static struct trace *oldest_trace(const struct console *console)
{
    return console->waiting.oldest != NULL ? console->waiting.oldest : console->fresh.oldest;
}

static void end_all(struct console *console)
{
    for (struct trace *trace; (trace = oldest_trace(console)) != NULL;)
        end_trace(console, trace, true);
    loop_timer_clear(console->loop, &console->timer);
}

/* Since when the agent could have seen that nothing came: an event may have been on its way while it stood still. */
static uint64_t quiet_since_ns(const struct console *console, const struct trace *trace)
{
    uint64_t late_ns = loop_late_ns(console->loop), bound_ns = trace->touched_ns + LATE_MAX_MS * NS_PER_MS;

    if (late_ns <= trace->touched_ns)
        return trace->touched_ns;
    return late_ns < bound_ns ? late_ns : bound_ns;
}

/* When the list's next trace has been quiet for so long; UINT64_MAX: it has none. */
static uint64_t due_ns(const struct console *console, const struct trace_list *list, uint64_t quiet_ms)
{
    return list->oldest != NULL ? quiet_since_ns(console, list->oldest) + quiet_ms * NS_PER_MS : UINT64_MAX;
}

static void set_timer(struct console *console)
{
    uint64_t now_ns = loop_now_ns(console->loop);
    uint64_t fresh_ns = due_ns(console, &console->fresh, QUIET_MS);
    uint64_t waiting_ns = due_ns(console, &console->waiting, PARENT_MS);
    uint64_t next_ns = fresh_ns < waiting_ns ? fresh_ns : waiting_ns;

    if (next_ns != UINT64_MAX)
        (void)loop_timer_set(console->loop, &console->timer, next_ns > now_ns ? next_ns - now_ns : 0);
}

static void on_timer(void *arg)
{
    struct console *console = arg;
    uint64_t now_ns = loop_now_ns(console->loop);

    while (due_ns(console, &console->waiting, PARENT_MS) <= now_ns)
        end_trace(console, console->waiting.oldest, true);
    while (due_ns(console, &console->fresh, QUIET_MS) <= now_ns) {
        struct trace *trace = console->fresh.oldest;

        if (trace->count > 0 && console_tree_is_whole(trace->spans, trace->count)) {
            end_trace(console, trace, true);
        } else {
            unlink_trace(trace);
            link_newest(&console->waiting, trace);
        }
    }
    set_timer(console);
}

static struct trace *find_trace(struct console *console, const uint8_t id[16])
{
    struct trace **bucket = bucket_of(console, id);

    for (struct trace *trace = *bucket; trace != NULL; trace = trace->next_in_bucket)
        if (memcmp(trace->id, id, sizeof(trace->id)) == 0)
            return trace;

    struct trace *trace = calloc(1, sizeof(*trace));
    if (trace == NULL)
        return NULL;
    memcpy(trace->id, id, sizeof(trace->id));
    trace->next_in_bucket = *bucket;
    *bucket = trace;
    link_newest(&console->fresh, trace);
    return trace;
}

/* Something was added, with so much text. */
static void touch(struct console *console, struct trace *trace, size_t length)
{
    trace->held_count += 1 + length / KIB;
    console->held_count += 1 + length / KIB;
    trace->touched_ns = loop_now_ns(console->loop);
    unlink_trace(trace);
    link_newest(&console->fresh, trace);
}

static void print_early(struct console *console)
{
    while (console->held_count > HELD_MAX)
        end_trace(console, oldest_trace(console), true);
}

/* What was to be its first could not be added. */
static void end_empty(struct console *console, struct trace *trace)
{
    if (trace->count == 0 && trace->event_count == 0)
        end_trace(console, trace, false);
}

/* False when out of memory. */
static bool add_span(struct console *console, const struct span *span)
{
    struct trace *trace = find_trace(console, span->request->trace_id);

    if (trace == NULL)
        return false;
    struct console_span *grown = realloc(trace->spans, (trace->count + 1) * sizeof(*grown));
    if (grown != NULL)
        trace->spans = grown;
    if (grown == NULL || !console_span_init(&grown[trace->count], span)) {
        end_empty(console, trace);
        return false;
    }
    trace->count++;
    touch(console, trace, 0);
    if (trace->count == TRACE_SPANS_MAX)
        end_trace(console, trace, true);
    print_early(console);
    return true;
}

static void drop(struct exporter_result *result)
{
    result->outcome = EXPORTER_DROP;
    (void)snprintf(result->error, sizeof(result->error),
                   "no terminal to print on: start the program by `spanshim run`, or set SPANSHIM_CONSOLE to a file");
}

static void console_send_spans(void *instance, const struct span *const *spans, size_t span_count, exporter_done *done,
                               void *arg)
{
    struct console *console = instance;
    struct exporter_result result = {.outcome = EXPORTER_SENT};

    if (output_of(console) == NULL) {
        drop(&result);
    } else {
        for (size_t i = 0; i < span_count; i++)
            if (!add_span(console, spans[i]))
                result.rejected_count++;
        set_timer(console);
    }
    done(arg, &result);
}

/* Where events of the same settings find their traces; the logs' own console where traces go elsewhere. */
static struct console *console_of_traces(struct console *own)
{
    for (struct console *console = consoles; console != NULL; console = console->next)
        if (!console->is_of_logs &&
            memcmp(console->settings->digest, own->settings->digest, sizeof(own->settings->digest)) == 0)
            return console;
    return own;
}

static bool print_event(struct console *console, const struct log_event *event)
{
    struct trace alone = {0};
    struct console_event copy;

    if (!console_event_init(&copy, event))
        return false;
    alone.events = &copy;
    alone.event_count = 1;
    print_trace(console, &alone);
    console_event_deinit(&copy);
    return true;
}

static bool add_event(struct console *console, const struct log_event *event)
{
    static const uint8_t none[16];
    bool has_trace = !console->is_of_logs && memcmp(event->record->trace_id, none, sizeof(none)) != 0;
    struct trace *trace = has_trace ? find_trace(console, event->record->trace_id) : NULL;

    if (!has_trace || (trace != NULL && trace->event_count == TRACE_EVENTS_MAX))
        return print_event(console, event);
    if (trace == NULL)
        return false;
    struct console_event *grown = realloc(trace->events, (trace->event_count + 1) * sizeof(*grown));
    if (grown != NULL)
        trace->events = grown;
    if (grown == NULL || !console_event_init(&grown[trace->event_count], event)) {
        end_empty(console, trace);
        return false;
    }
    touch(console, trace, trace->events[trace->event_count].length);
    trace->event_count++;
    print_early(console);
    return true;
}

static void console_send_logs(void *instance, const struct log_event *const *events, size_t event_count,
                              exporter_done *done, void *arg)
{
    struct console *console = console_of_traces(instance);
    struct exporter_result result = {.outcome = EXPORTER_SENT};

    if (output_of(console) == NULL) {
        drop(&result);
    } else {
        for (size_t i = 0; i < event_count; i++)
            if (!add_event(console, events[i]))
                result.rejected_count++;
        set_timer(console);
    }
    done(arg, &result);
}

static void console_flush(void *instance)
{
    end_all(instance);
}

static void console_close(void *instance)
{
    struct console *console = instance;

    if (console == NULL)
        return;
    end_all(console);
    for (struct console **p = &consoles; *p != NULL; p = &(*p)->next) {
        if (*p == console) {
            *p = console->next;
            break;
        }
    }
    console_output_free(console->file);
    free(console);
}

static int open_console(const struct exporter_host *host, const struct settings *settings, bool is_of_logs,
                        void **ret_instance, char error[256])
{
    struct console *console = calloc(1, sizeof(*console));
    int r = console != NULL ? 0 : -ENOMEM;

    if (r == 0 && settings->console_path != NULL)
        r = console_output_append(host->loop, settings->console_path, &console->file);
    if (r < 0) {
        (void)snprintf(error, 256, "SPANSHIM_CONSOLE can't be opened: %s", strerror(-r));
        free(console);
        return r;
    }
    console->loop = host->loop;
    console->settings = settings;
    console->is_of_logs = is_of_logs;
    console->timer = (struct loop_timer){.fn = on_timer, .arg = console};
    console->next = consoles;
    consoles = console;
    *ret_instance = console;
    return 0;
}

static int console_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                        char error[256])
{
    return open_console(host, settings, false, ret_instance, error);
}

static int console_logs_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                             char error[256])
{
    return open_console(host, settings, true, ret_instance, error);
}

static void console_describe(const struct settings *settings, char *text, size_t size)
{
    (void)snprintf(text, size, "%s", settings->console_path != NULL ? settings->console_path : "terminal");
}

int console_attach(struct loop *loop, const char *name, int fd)
{
    struct console_output *output;
    int r = console_output_attach(loop, fd, &output);

    if (r < 0)
        return r;
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL || strlen(name) >= sizeof(session->name) || find_session(name) != NULL) {
        r = session == NULL ? -ENOMEM : find_session(name) != NULL ? -EEXIST : -EINVAL;
        console_output_free(output);
        free(session);
        return r;
    }
    (void)strcpy(session->name, name);
    session->output = output;
    session->next = sessions;
    sessions = session;
    return 0;
}

bool console_is_terminal(const char *name)
{
    const struct session *session = find_session(name);

    return session != NULL && console_output_is_terminal(session->output);
}

void console_detach(const char *name)
{
    struct session *session = find_session(name);

    if (session == NULL)
        return;
    for (struct console *console = consoles; console != NULL; console = console->next)
        if (console->settings->console_session != NULL && strcmp(console->settings->console_session, name) == 0)
            end_all(console);
    for (struct session **p = &sessions; *p != NULL; p = &(*p)->next) {
        if (*p == session) {
            *p = session->next;
            break;
        }
    }
    console_output_free(session->output);
    free(session);
}

const struct exporter exporter_console_logs = {
    .name = "console_logs",
    .max_delay_ms = DELAY_MS,
    .describe = console_describe,
    .open = console_logs_open,
    .send_logs = console_send_logs,
    .close = console_close,
};

const struct exporter exporter_console = {
    .name = "console",
    .max_delay_ms = DELAY_MS,
    .describe = console_describe,
    .open = console_open,
    .send_spans = console_send_spans,
    .flush = console_flush,
    .close = console_close,
};
