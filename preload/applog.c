/* SPDX-License-Identifier: Apache-2.0 */
#include "preload/applog.h"

#include "preload/cgi.h"
#include "preload/clock.h"
#include "preload/current.h"
#include "preload/link.h"
#include "preload/logfile.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/socket.h"
#include "preload/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CALL_MAX = 256 * 1024, /* of one call's bytes, so much is taken */
    BUFFER_MIN = 4096,     /* who writes as much at once writes out a buffer */
    SEVERITIES = 8,
};

bool applog_is_on;
unsigned applog_sources;

/* Ends of lines that were dropped since the last record, by stream. */
static _Atomic uint32_t lost_lines[WIRE_LOG_STREAMS];

static uint32_t value_of(enum wire_log_stream stream)
{
    return FDTAB_LOG + (uint32_t)stream - WIRE_LOG_STDOUT;
}

/* What number 1 or 2 stands for, if that is taken. */
static uint32_t standard_value(int fd)
{
    if (fd == STDOUT_FILENO && applog_sources & APPLOG_STDOUT)
        return value_of(WIRE_LOG_STDOUT);
    if (fd == STDERR_FILENO && applog_sources & APPLOG_STDERR)
        return value_of(WIRE_LOG_STDERR);
    return FDTAB_UNKNOWN;
}

/* One that is closed at start is none: what is opened under its number is data. */
static bool is_open(int fd)
{
    return sys_call2(SYS_fcntl, fd, F_GETFD) >= 0;
}

void applog_init(unsigned sources, const struct glob_list *files)
{
    uint64_t old;

    logfile_init(files);
    applog_sources = sources;
    applog_is_on = sources != 0 || logfile_is_on;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (standard_value(fd) != FDTAB_UNKNOWN && is_open(fd) && !socket_is_internet(fd))
            (void)fdtab_set(fd, standard_value(fd), &old);
}

void applog_take_answer(int fd)
{
    uint64_t old;

    applog_sources &= ~(unsigned)APPLOG_STDOUT;
    applog_is_on |= fdtab_set(fd, FDTAB_ANSWER, &old);
}

uint32_t applog_value_of_copy(int fd, uint32_t value)
{
    uint32_t own = value < FDTAB_LOG ? standard_value(fd) : FDTAB_UNKNOWN;

    if (own == FDTAB_UNKNOWN || (socket_may_ask() && socket_is_internet(fd)))
        return value;
    return own;
}

bool applog_looks_at(int fd)
{
    return logfile_is_on && process_in_vfork == 0 && logfile_classify(fd);
}

static uint32_t count_lines(const char *bytes, size_t length)
{
    const char *end = bytes + length;
    uint32_t count = 0;

    while ((bytes = memchr(bytes, '\n', (size_t)(end - bytes))) != NULL) {
        bytes++;
        count++;
    }
    return count;
}

/* What has no end of a line in it leaves a gap as well. */
static void lose(uint32_t stream, const char *bytes, size_t length)
{
    uint32_t count = count_lines(bytes, length);

    atomic_fetch_add_explicit(&lost_lines[stream], count > 0 ? count : 1, memory_order_relaxed);
    ring_drop_many(WIRE_DROP_LOG_LINES, count);
}

/* The address of anything that each thread has tells the thread. */
static uint32_t thread_number(void)
{
    return (uint32_t)((uintptr_t)&process_in_vfork >> 4) | 1;
}

/* When the request began for which standard error was taken last; 0: for none. Any thread stores; relaxed. */
static _Atomic uint64_t last_errors_of;

/* Of a piece that is written for this request, now. */
static void begin_for(struct wire_log *log, uint32_t stream, struct request_ref request)
{
    const struct wire_request *live = request_live(&request);

    *log = (struct wire_log){.mono_ns = clock_mono_ns(), .stream = (uint8_t)stream, .writer = thread_number()};
    if (!live)
        return;
    memcpy(log->trace_id, live->trace_id, sizeof(log->trace_id));
    memcpy(log->span_id, live->span_id, sizeof(log->span_id));
    atomic_thread_fence(memory_order_acquire);
    if (!request_live(&request)) { /* it may have ended meanwhile, and the slot be another's */
        memset(log->trace_id, 0, sizeof(log->trace_id));
        memset(log->span_id, 0, sizeof(log->span_id));
    }
}

/* The same; whose work it is tells the thread. */
static void begin(struct wire_log *log, uint32_t stream)
{
    struct request_ref request = current_certain();

    begin_for(log, stream, request);
    if (stream == WIRE_LOG_STDERR)
        atomic_store_explicit(&last_errors_of, request.start_ns, memory_order_relaxed);
}

/* One piece of a call, in as many records as it takes. */
static void write_piece(struct wire_log *log, struct slice path, const char *bytes, size_t length, bool has_more)
{
    const size_t most = WIRE_LOG_BYTES - path.length;
    const uint8_t flags = log->flags;

    log->path_length = (uint8_t)path.length;
    while (length > 0) {
        size_t take = length < most ? length : most;

        log->flags = flags | (take < length || has_more ? WIRE_LOG_CONTINUES : 0);
        log->lost_lines = atomic_exchange_explicit(&lost_lines[log->stream], 0, memory_order_relaxed);
        if (!ring_write_log(log, path.bytes, bytes, take)) {
            atomic_fetch_add_explicit(&lost_lines[log->stream], log->lost_lines, memory_order_relaxed);
            lose(log->stream, bytes, length);
            break;
        }
        bytes += take;
        length -= take;
    }
    log->flags = flags;
}

/* The first line ties the program to the agent, as the first socket does; a fork's child for which the ring has no lane
 * left gets a ring of its own. */
static bool is_ready(void)
{
    if (process_in_vfork != 0)
        return false;
    process_check_fork();
    if (!ring_lane())
        link_ensure();
    return ring_lane() && atomic_load_explicit(&process_active, memory_order_acquire);
}

void applog_before_thread(void)
{
    if (applog_is_on)
        (void)is_ready();
}

/* The first n bytes of these. */
static void take(struct wire_log *log, const struct iovec *iov, int count, size_t n)
{
    const struct slice path = logfile_path(log->stream);

    if (n > CALL_MAX) {
        log->left_out = (uint32_t)(n - CALL_MAX);
        n = CALL_MAX;
    }
    for (int i = 0; i < count && n > 0; i++) {
        size_t length = iov[i].iov_len < n ? iov[i].iov_len : n;

        n -= length;
        write_piece(log, path, iov[i].iov_base, length, n > 0);
    }
}

/* By a stream whose buffer threads share, or by one call. */
static void written(int fd, const struct iovec *iov, int count, ssize_t n, bool is_shared)
{
    uint32_t value = fdtab_value(fdtab_get(fd));
    int saved_errno = errno;
    struct wire_log log;

    if (n > 0 && value == FDTAB_ANSWER)
        cgi_written(iov, count, (size_t)n);
    if (n <= 0 || value - FDTAB_LOG >= FDTAB_ANSWER - FDTAB_LOG || !is_ready())
        return;
    begin(&log, value - FDTAB_LOG + WIRE_LOG_STDOUT);
    /* A long call writes out a buffer as well. */
    if (is_shared || n >= BUFFER_MIN)
        log.flags = WIRE_LOG_SHARED;
    take(&log, iov, count, (size_t)n);
    errno = saved_errno;
}

void applog_written_vector(int fd, const struct iovec *iov, int count, ssize_t n)
{
    written(fd, iov, count, n, false);
}

void applog_written(int fd, const void *bytes, ssize_t n)
{
    const struct iovec iov = {(void *)(uintptr_t)bytes, n > 0 ? (size_t)n : 0};

    written(fd, &iov, 1, n, false);
}

void applog_flushed(int fd, const void *bytes, ssize_t n)
{
    const struct iovec iov = {(void *)(uintptr_t)bytes, n > 0 ? (size_t)n : 0};

    written(fd, &iov, 1, n, true);
}

void applog_errors(struct request_ref request, struct slice text, uint32_t writer)
{
    const struct iovec iov = {(void *)(uintptr_t)text.bytes, text.length};
    struct wire_log log;

    /* It may write its errors to both (PHP-FPM). */
    if (!(applog_sources & APPLOG_STDERR) || !is_ready() ||
        request.start_ns == atomic_load_explicit(&last_errors_of, memory_order_relaxed))
        return;
    begin_for(&log, WIRE_LOG_STDERR, request);
    log.writer = writer;
    take(&log, &iov, 1, text.length);
}

void applog_syslog(int priority, const char *text, size_t length, size_t left_out)
{
    const struct iovec iov = {(void *)(uintptr_t)text, length};
    int saved_errno = errno;
    struct wire_log log;

    if (length > 0 && is_ready()) {
        begin(&log, WIRE_LOG_SYSLOG);
        log.severity = (uint8_t)((unsigned)priority % SEVERITIES + 1);
        log.left_out = (uint32_t)left_out;
        log.flags = WIRE_LOG_WHOLE;
        take(&log, &iov, 1, length);
    }
    errno = saved_errno;
}
