/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/cgi.h"

#include "preload/applog.h"
#include "preload/arena.h"
#include "preload/cgi_head.h"
#include "preload/clock.h"
#include "preload/config.h"
#include "preload/current.h"
#include "preload/gateway.h"
#include "preload/link.h"
#include "preload/process.h"
#include "preload/span.h"
#include "preload/start_env.h"
#include "preload/stdio.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MARK_SIZE = sizeof(CGI_MARK) + 12 + PROPAGATION_TRACEPARENT_SIZE };

/* The process's one request. A fork's child has a copy of this; the slot, where it writes the status that it finds
 * in the answer's head, is shared. */
struct cgi {
    struct request_ref request; /* written at start */
    uint32_t pid;               /* likewise */
    char mark[MARK_SIZE];       /* likewise */
    uint16_t flags_before;      /* of the request, while the process is about to become another program; its thread's */
    _Atomic bool shares_output; /* any thread, also a vfork child; relaxed */
    /* The rest belongs to who holds `claimed` (acquire, release). */
    _Atomic uint32_t claimed;
    bool was_begun, has_head, is_lost;
    uint64_t body_length;
    struct http1 answer;
    char stash[HTTP1_STASH_SIZE];
};

/* Written at start, then read-only; NULL: this is no CGI program. */
static struct cgi *cgi;

/* What is only needed while the request is read. */
struct reading {
    struct gateway gateway;
    struct http1 parser;
    struct span_head head;
};

static const char *find(char *const *envp, const char *name)
{
    size_t length = strlen(name);

    for (; *envp; envp++)
        if (strncmp(*envp, name, length) == 0)
            return *envp + length;
    return NULL;
}

bool cgi_is_described(char *const *envp)
{
    const char *interface = find(envp, "GATEWAY_INTERFACE=");

    return interface && strncmp(interface, "CGI/", 4) == 0 && find(envp, "REQUEST_METHOD=");
}

/* "PID-traceparent". False: there is none. */
static bool read_mark(const char *mark, uint32_t *ret_pid, struct trace_context *ret_context)
{
    uint32_t pid = 0;

    if (!mark)
        return false;
    for (; *mark >= '0' && *mark <= '9'; mark++)
        pid = pid * 10 + (uint32_t)(*mark - '0');
    *ret_pid = pid;
    return *mark == '-' && propagation_read_traceparent(mark + 1, strlen(mark + 1), ret_context);
}

static void write_mark(const struct wire_request *request)
{
    struct trace_context context = {.flags = request->trace_flags, .valid = true};
    char digits[12];
    char *first = digits + sizeof(digits), *at = cgi->mark;

    memcpy(context.trace_id, request->trace_id, sizeof(context.trace_id));
    memcpy(context.span_id, request->span_id, sizeof(context.span_id));
    *--first = '-';
    for (uint32_t rest = cgi->pid; rest > 0; rest /= 10)
        *--first = (char)('0' + rest % 10);
    memcpy(at, CGI_MARK, sizeof(CGI_MARK) - 1);
    at += sizeof(CGI_MARK) - 1;
    memcpy(at, first, (size_t)(digits + sizeof(digits) - first));
    propagation_write_traceparent(at + (digits + sizeof(digits) - first), &context);
}

/* The web server may be traced, too: then its own span of this request, in TRACEPARENT, is a child of what the header
 * names, and nearer. A TRACEPARENT of another trace was there before the request. */
static bool is_nearer(const struct start_env_parent *start, struct slice header)
{
    struct trace_context context;

    if (!start || header.length == 0)
        return start != NULL;
    return !propagation_read_traceparent(header.bytes, header.length, &context) ||
           memcmp(context.trace_id, start->context.trace_id, sizeof(context.trace_id)) == 0;
}

static void read_fields(struct reading *reading, struct wire_slot *slot, bool is_start_nearer)
{
    enum http1_event event;
    struct http1_out out;

    do {
        (void)gateway_feed(&reading->gateway, &reading->parser, "", 1, NULL, &event, &out);
        if (event == HTTP1_FIELD && !(is_start_nearer && start_env_is_field(out.a)))
            span_request_field(slot, &reading->head, out.a, out.b);
    } while (event == HTTP1_FIELD);
}

static void offer_start(struct reading *reading, struct wire_slot *slot)
{
    for (unsigned i = 0; i < START_ENV_COUNT; i++) {
        struct slice name, value;

        if (start_env_field(i, &name, &value))
            span_request_field(slot, &reading->head, name, value);
    }
}

__attribute__((noinline)) static struct wire_slot *open_request(struct reading *reading, char *const *envp)
{
    static const struct wire_address none;
    const struct span_ends ends = {
        .kind = WIRE_KIND_SERVER, .peer = &none, .local = &none, .client = &reading->gateway.client};
    struct gateway *gateway = &reading->gateway;
    struct wire_slot *slot;
    struct http1_out out;

    reading->parser.unreported = span_unused_request_letters();
    if (gateway_read_environment(gateway, &reading->parser, envp, &out) != HTTP1_START_LINE)
        return NULL;
    slot = span_open(&reading->head, clock_mono_ns(), &ends);
    if (!slot)
        return NULL;
    bool is_start_nearer = is_nearer(start_env_parent(), params_find(&gateway->params, "HTTP_TRACEPARENT"));
    span_request_line(slot, &reading->head, out.a, out.b, 1);
    span_protocol(slot, WIRE_PROTOCOL_CGI, gateway->is_https, gateway->server_port, gateway->params.truncated);
    read_fields(reading, slot, is_start_nearer);
    if (is_start_nearer)
        offer_start(reading, slot);
    span_head_end(slot, &reading->head);
    span_head_release(&reading->head);
    wire_slot_request(slot)->request_body_size = reading->parser.content_length;
    return slot;
}

/* The program that this process was before has begun the request, and may have started others for it. */
static void go_on(struct wire_request *request, const struct trace_context *context)
{
    memcpy(request->trace_id, context->trace_id, sizeof(request->trace_id));
    memcpy(request->span_id, context->span_id, sizeof(request->span_id));
}

void cgi_init(char *const *envp)
{
    struct trace_context before = {0};
    uint32_t pid = process_pid();
    bool goes_on = read_mark(find(envp, CGI_MARK), &pid, &before);
    struct reading *reading;
    struct wire_slot *slot;

    if (pid != process_pid())
        return;
    link_ensure();
    reading = arena_alloc(sizeof(*reading));
    cgi = arena_alloc(sizeof(*cgi));
    slot = reading && cgi ? open_request(reading, envp) : NULL;
    if (!slot) {
        cgi = NULL;
        return;
    }
    if (goes_on)
        go_on(wire_slot_request(slot), &before);
    cgi->request = request_in(slot);
    cgi->pid = pid;
    write_mark(wire_slot_request(slot));
    cgi->answer = (struct http1){.role = HTTP1_RESPONSES, .is_cgi = true};
    cgi->answer.unreported = span_unused_response_letters() & ~CGI_LETTERS;
    current_set_only(&cgi->request);
    applog_take_answer(STDOUT_FILENO);
}

/* The request, as long as it lives; and hooks do more than forward. */
static struct wire_request *live(void)
{
    return cgi && atomic_load_explicit(&process_active, memory_order_acquire) ? request_live(&cgi->request) : NULL;
}

/* Is this the process that was started for it, and no child of it? */
static bool is_own(void)
{
    return process_in_vfork == 0 && atomic_load_explicit(&process_page->valid, memory_order_relaxed) &&
           process_pid() == cgi->pid;
}

const char *cgi_mark(bool *ret_is_own)
{
    bool is_live = live() != NULL;

    *ret_is_own = is_live && is_own();
    return is_live ? cgi->mark : NULL;
}

void cgi_shares_output(void)
{
    if (cgi)
        atomic_store_explicit(&cgi->shares_output, true, memory_order_relaxed);
}

/* The head of the answer; returns how many of the bytes belong to it. */
static size_t feed_head(struct wire_request *request, const char *bytes, size_t length)
{
    size_t used = 0;

    while (!cgi->has_head && !cgi->is_lost) {
        enum http1_event event;
        struct http1_out out;

        used += cgi_head_feed(&cgi->answer, bytes + used, length - used, cgi->stash, &event, &out);
        if (event == HTTP1_NEED_MORE)
            break;
        if (event == HTTP1_START_LINE)
            request_note_answer(cgi->request.slot, clock_mono_ns());
        else if (event == HTTP1_FIELD)
            span_response_field(cgi->request.slot, out.a, out.b);
        cgi->has_head = event == HTTP1_HEAD_END;
        cgi->is_lost = event == HTTP1_NOT_MINE || event == HTTP1_BAD;
    }
    if (cgi->has_head)
        request->status = cgi->answer.status;
    return used;
}

static void feed(struct wire_request *request, const char *bytes, size_t length)
{
    size_t used = 0;

    if (length == 0 || (!cgi->has_head && request->status != 0))
        return; /* a child has answered */
    cgi->was_begun = true;
    if (!cgi->has_head)
        used = feed_head(request, bytes, length);
    cgi->body_length += length - used;
}

void cgi_written(const struct iovec *iov, int count, size_t n)
{
    struct wire_request *request = live();

    if (!request || process_in_vfork != 0)
        return;
    if (atomic_exchange_explicit(&cgi->claimed, 1, memory_order_acquire) != 0) {
        cgi_shares_output(); /* two threads at once: whose bytes came first nobody knows */
        return;
    }
    for (int i = 0; i < count && n > 0; i++) {
        size_t length = iov[i].iov_len < n ? iov[i].iov_len : n;

        feed(request, iov[i].iov_base, length);
        n -= length;
    }
    atomic_store_explicit(&cgi->claimed, 0, memory_order_release);
}

/* This process records nothing if it becomes another traced program: that one does. */
void cgi_before_exec(void)
{
    struct wire_request *request = live();

    if (!request || !is_own())
        return;
    cgi->flags_before = request->flags;
    request->flags &= (uint16_t) ~(WIRE_REQUEST_SAMPLED | WIRE_REQUEST_XRAY_SAMPLED);
    request->trace_flags |= WIRE_TRACE_UNWANTED;
}

void cgi_after_exec(void)
{
    struct wire_request *request = live();

    if (!request || !is_own())
        return;
    request->flags = cgi->flags_before;
    request->trace_flags &= (uint8_t)~WIRE_TRACE_UNWANTED;
}

/* How the answer ended. What others may have written says nothing of itself. */
static enum wire_error verdict(struct wire_request *request, bool is_shared)
{
    if (cgi->has_head || request->status != 0)
        return WIRE_ERROR_NONE;
    if (is_shared) {
        request->flags |= WIRE_REQUEST_FRAMING_UNSEEN;
        return WIRE_ERROR_NONE;
    }
    if (!cgi->was_begun)
        return WIRE_ERROR_NO_RESPONSE;
    return cgi->is_lost ? WIRE_ERROR_BAD_FRAMING : WIRE_ERROR_RESPONSE_INCOMPLETE;
}

void cgi_at_exit(void)
{
    struct wire_request *request = live();
    struct iovec pending;
    bool is_shared;

    if (!request || !is_own())
        return;
    if (stdio_pending(&pending)) /* libc writes it after our destructor */
        cgi_written(&pending, 1, pending.iov_len);
    is_shared = atomic_load_explicit(&cgi->shares_output, memory_order_relaxed) ||
                atomic_load_explicit(&process_page->forks, memory_order_relaxed) > 0;
    request->flags |= WIRE_REQUEST_BODY_SEEN;
    if (cgi->has_head && !is_shared) {
        request->response_body_size = cgi->body_length;
        request->flags |= WIRE_REQUEST_RESPONSE_BODY_SEEN;
        if (http1_has_length(&cgi->answer))
            request->flags |= WIRE_REQUEST_RESPONSE_LENGTH;
    }
    span_end(cgi->request.slot, clock_mono_ns(), verdict(request, is_shared));
}
