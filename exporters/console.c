/* SPDX-License-Identifier: Apache-2.0 */
/* Traces on a terminal. Spans of a trace arrive one by one, often from several processes and children first; a trace is
 * printed when nothing has been added to it for a short while, or at once when its session ends. One with a request
 * that was made for another, which goes on, waits longer: for that one. */
#include "exporters/console.h"

#include "exporters/agent/loop.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/span.h"
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

#define NS_PER_MS UINT64_C(1000000)

enum {
    QUIET_MS = 200,        /* a trace is complete when nothing came for this long, */
    PARENT_MS = 10000,     /* or for this long, when a parent is yet to come */
    DELAY_MS = 50,         /* from the journal to here */
    TRACE_SPANS_MAX = 512, /* in one print; further spans make a further tree */
    SPANS_MAX = 8192,      /* held in all; beyond, the oldest traces are printed early */
    BUCKETS = 256,
    SESSION_MAX = 64,
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
};

/* One set's console. */
struct console {
    struct console *next;
    struct loop *loop;
    const struct settings *settings;
    struct console_output *file; /* SPANSHIM_CONSOLE; else the session's output is used */
    struct console_columns columns;
    struct trace *buckets[BUCKETS];
    struct trace_list fresh;   /* got spans a short while ago */
    struct trace_list waiting; /* for a parent */
    size_t span_count;
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

static void print_trace(struct console *console, struct trace *trace)
{
    struct console_output *output = output_of(console);
    char *text = NULL;
    size_t length = 0;
    FILE *stream = output != NULL ? open_memstream(&text, &length) : NULL;

    if (stream != NULL) {
        struct console_style style = console_output_style(output);
        style.colours = style.colours && console->settings->no_color == NULL;
        console_tree_print(stream, trace->id, trace->spans, trace->count, &style, &console->columns);
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
    console->span_count -= trace->count;
    for (size_t i = 0; i < trace->count; i++)
        console_span_deinit(&trace->spans[i]);
    free(trace->spans);
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

/* When the list's next trace has been quiet for so long; UINT64_MAX: it has none. */
static uint64_t due_ns(const struct trace_list *list, uint64_t quiet_ms)
{
    return list->oldest != NULL ? list->oldest->touched_ns + quiet_ms * NS_PER_MS : UINT64_MAX;
}

static void set_timer(struct console *console)
{
    uint64_t now_ns = loop_now_ns(console->loop);
    uint64_t fresh_ns = due_ns(&console->fresh, QUIET_MS);
    uint64_t waiting_ns = due_ns(&console->waiting, PARENT_MS);
    uint64_t next_ns = fresh_ns < waiting_ns ? fresh_ns : waiting_ns;

    if (next_ns != UINT64_MAX)
        (void)loop_timer_set(console->loop, &console->timer, next_ns > now_ns ? next_ns - now_ns : 0);
}

static void on_timer(void *arg)
{
    struct console *console = arg;
    uint64_t now_ns = loop_now_ns(console->loop);

    while (due_ns(&console->waiting, PARENT_MS) <= now_ns)
        end_trace(console, console->waiting.oldest, true);
    while (due_ns(&console->fresh, QUIET_MS) <= now_ns) {
        struct trace *trace = console->fresh.oldest;

        if (console_tree_is_whole(trace->spans, trace->count)) {
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
        if (trace->count == 0)
            end_trace(console, trace, false);
        return false;
    }
    trace->count++;
    console->span_count++;
    trace->touched_ns = loop_now_ns(console->loop);
    unlink_trace(trace);
    link_newest(&console->fresh, trace);
    if (trace->count == TRACE_SPANS_MAX)
        end_trace(console, trace, true);
    while (console->span_count > SPANS_MAX)
        end_trace(console, oldest_trace(console), true);
    return true;
}

static void console_send_spans(void *instance, const struct span *const *spans, size_t span_count, exporter_done *done,
                               void *arg)
{
    struct console *console = instance;
    struct exporter_result result = {.outcome = EXPORTER_SENT};

    if (output_of(console) == NULL) {
        result.outcome = EXPORTER_DROP;
        (void)snprintf(
            result.error, sizeof(result.error),
            "no terminal to print on: start the program by `spanshim run`, or set SPANSHIM_CONSOLE to a file");
    } else {
        for (size_t i = 0; i < span_count; i++)
            if (!add_span(console, spans[i]))
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

static int console_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                        char error[256])
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
    console->timer = (struct loop_timer){.fn = on_timer, .arg = console};
    console->next = consoles;
    consoles = console;
    *ret_instance = console;
    return 0;
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

const struct exporter exporter_console = {
    .name = "console",
    .max_delay_ms = DELAY_MS,
    .describe = console_describe,
    .open = console_open,
    .send_spans = console_send_spans,
    .flush = console_flush,
    .close = console_close,
};
