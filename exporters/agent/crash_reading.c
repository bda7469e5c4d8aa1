/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/crash_reading.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/crash_helper.h"
#include "exporters/agent/proc.h"
#include "exporters/crash/reader.h"
#include "preload/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 65534, NAMING_NICE = 10, COPY_POLL_NS = 1000000 };
enum { NAMING_AT_ONCE = 2, NAMING_POLL_NS = 10000000, NAMING_POLLS = 2000 };

/* One reading; its process has no other. */
struct reading {
    const struct crash_request *request;
    pid_t pid;
    int pidfd, ring, out;
    struct wire_crash crash;   /* our own: as it was noticed, or when more was copied */
    struct wire_crash *shared; /* NULL: can't be mapped */
    uint8_t *copy;             /* NULL: none */
    uint64_t held_ns;          /* 0: unknown */
};

/* limits and rights */

/* An address space as AddressSanitizer needs it can't be bounded. */
static void limit_memory(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const rlim_t memory_max = (rlim_t)4 << 30;

    (void)setrlimit(RLIMIT_AS, &(struct rlimit){memory_max, memory_max});
#endif
}

static void set_limits(const struct crash_request *request)
{
    unsigned seconds = CRASH_NAMING_TIMEOUT_S + (unsigned)(request->limit_ns / 1000000000u) + 1;

    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    (void)setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, seconds});
    limit_memory();
    (void)alarm(seconds); /* its default action: the end */
}

/* Are all four numbers of this line of /proc/PID/status the same, and `wanted` if that isn't UINT_MAX? */
static bool numbers_are(const char *status, const char *line, unsigned wanted)
{
    const char *at = strstr(status, line);
    unsigned numbers[4];

    if (!at || sscanf(at + strlen(line), "%u %u %u %u", &numbers[0], &numbers[1], &numbers[2], &numbers[3]) != 4)
        return false;
    if (wanted == UINT_MAX)
        wanted = numbers[0];
    for (int i = 0; i < 4; i++)
        if (numbers[i] != wanted)
            return false;
    return true;
}

/* An agent of root may read any process, so it must not be led to one that the user himself could not read, such as
 * a setuid program that he has started in place of the crashed one. A process whose user is not known is not read. */
static bool may_be_read(const struct reading *reading)
{
    uid_t uid = reading->request->uid;
    char status[4096];
    const char *capabilities;

    if (geteuid() != 0 || uid == 0)
        return true; /* the kernel judges */
    if (proc_read(proc_number(reading->pid, reading->pidfd), "status", status, sizeof(status)) <= 0)
        return false;
    capabilities = strstr(status, "\nCapPrm:");
    return numbers_are(status, "\nUid:", uid) && numbers_are(status, "\nGid:", UINT_MAX) && capabilities &&
           strtoull(capabilities + strlen("\nCapPrm:"), NULL, 16) == 0;
}

/* From here on only files are read, which the process's user chose: with that user's rights. */
static void drop_rights(const struct crash_request *request)
{
    pid_t parent = getppid();

    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (geteuid() != 0 || request->uid == 0)
        return;
    if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(request->uid, request->uid, request->uid))
        _exit(1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* forgotten with the user */
    if (getppid() != parent)
        _exit(1);
}

/* turns */

static bool take_turn(struct reading *reading, uint32_t from, uint32_t to)
{
    if (!reading->shared || !atomic_compare_exchange_strong(&reading->shared->state, &from, to))
        return false;
    (void)syscall(SYS_futex, &reading->shared->state, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return true;
}

/* The process may die now. */
static void release(struct reading *reading)
{
    uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
    bool was_held = take_turn(reading, WIRE_CRASH_READING, WIRE_CRASH_DONE) ||
                    take_turn(reading, WIRE_CRASH_COPIED, WIRE_CRASH_DONE);

    if (was_held && reading->request->same_clock && now_ns > reading->crash.mono_ns)
        reading->held_ns = now_ns - reading->crash.mono_ns;
    (void)!write(reading->out, "\n", 1);
}

/* The copy area that the process filled for us; NULL when there is none. It is zeroed and free again afterwards. */
static uint8_t *take_copy(struct reading *reading)
{
    const struct crash_request *request = reading->request;
    const struct wire_crash *crash = &reading->crash;
    uint32_t number = crash->copy_number - 1, owner = request->lane + 1;
    uint64_t length = (uint64_t)(crash->copy_length + UINT64_C(7)) / 8 * 8 + crash->maps_length;
    uint8_t *area, *copy = NULL;
    struct wire_ring *ring;

    if (crash->copy_number == 0 || number >= request->copy_count || length > WIRE_CRASH_COPY_SIZE)
        return NULL;
    ring = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reading->ring, 0);
    area = mmap(NULL, WIRE_CRASH_COPY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, reading->ring,
                (off_t)(request->copies_at + (uint64_t)number * WIRE_CRASH_COPY_SIZE));
    if (ring != MAP_FAILED && area != MAP_FAILED && atomic_load(&ring->copy_owner[number]) == owner) {
        copy = malloc(WIRE_CRASH_COPY_SIZE);
        if (copy)
            memcpy(copy, area, WIRE_CRASH_COPY_SIZE);
        explicit_bzero(area, WIRE_CRASH_COPY_SIZE);
        (void)atomic_compare_exchange_strong(&ring->copy_owner[number], &owner, 0);
    }
    return copy;
}

/* The kernel refuses us the process's memory: let the process copy what it can. False: it did not (it no longer
 * waits, or has no room). */
static bool ask_for_copy(struct reading *reading)
{
    uint64_t end_ns = clock_now_ns(CLOCK_MONOTONIC) + reading->request->limit_ns;
    const struct timespec pause = {.tv_nsec = COPY_POLL_NS};

    if (!take_turn(reading, WIRE_CRASH_READING, WIRE_CRASH_REFUSED))
        return false;
    while (atomic_load(&reading->shared->state) == WIRE_CRASH_REFUSED && clock_now_ns(CLOCK_MONOTONIC) < end_ns)
        (void)syscall(SYS_futex, &reading->shared->state, FUTEX_WAIT, WIRE_CRASH_REFUSED, &pause, NULL, 0);
    /* acquire; pairs with the release of COPIED */
    if (atomic_load(&reading->shared->state) != WIRE_CRASH_COPIED)
        return false;
    memcpy(&reading->crash, reading->shared, sizeof(reading->crash));
    reading->copy = take_copy(reading);
    return reading->copy != NULL;
}

/* The least that there is: the top of the stack, which the process wrote down when it crashed, in place of the copy. */
static void use_stack_as_copy(struct reading *reading)
{
    struct wire_crash *crash = &reading->crash;

    crash->copy_at = crash->stack_at;
    crash->copy_length = crash->stack_length < WIRE_CRASH_STACK ? crash->stack_length : WIRE_CRASH_STACK;
    crash->maps_length = 0;
    reading->copy = calloc(1, WIRE_CRASH_COPY_SIZE);
    if (reading->copy)
        memcpy(reading->copy, crash->stack, crash->copy_length);
}

/* reading */

static int capture_with(struct reading *reading, struct capture **ret_capture)
{
    const struct reader_options options = {.pid = reading->pid,
                                           .pidfd = reading->pidfd,
                                           .crash = &reading->crash,
                                           .copy = reading->copy,
                                           .limit_ns = reading->request->limit_ns,
                                           .debuginfod = reading->request->debuginfod};

    return reader_capture(&options, ret_capture);
}

/* It is not the process that crashed: nothing of it is looked at, not even what /proc shows to everybody. */
static int refuse(struct reading *reading)
{
    reading->pid = 0;
    reading->pidfd = -1;
    return -EPERM;
}

static int capture_from_process(struct reading *reading, struct capture **ret_capture)
{
    int error;

    if (reading->pidfd < 0)
        return -ESRCH;
    if (!may_be_read(reading))
        return refuse(reading);
    error = capture_with(reading, ret_capture);
    if (!error && !may_be_read(reading)) { /* it has become another program meanwhile */
        reader_free(*ret_capture);
        *ret_capture = NULL;
        return refuse(reading);
    }
    return error;
}

static struct capture *capture(struct reading *reading)
{
    struct capture *result = NULL;
    int error = capture_from_process(reading, &result);

    if (!error)
        return result;
    if (error != -EPERM || !ask_for_copy(reading))
        use_stack_as_copy(reading);
    drop_rights(reading->request); /* the process names the files that are read in the place of its memory */
    return capture_with(reading, &result) ? NULL : result;
}

static void write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t done = write(fd, bytes, length);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return;
        bytes += done;
        length -= (size_t)done;
    }
}

static void write_report(const struct reading *reading, struct capture *capture)
{
    json_t *report = reader_report(capture);
    char *text;

    if (report && reading->held_ns)
        (void)json_object_set_new(report, "held_ns", json_integer((json_int_t)reading->held_ns));
    text = report ? json_dumps(report, JSON_COMPACT) : NULL;
    if (text)
        write_all(reading->out, text, strlen(text));
}

/* Names take long. When many processes crash at once, most readings wait here, so that the processor is free for those
 * whose process is held. A lock ends with its process, whatever that one's end is. */
static void await_turn(int turns)
{
    const struct timespec pause = {.tv_nsec = NAMING_POLL_NS};

    for (int i = 0; i < NAMING_POLLS; i++) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = i % NAMING_AT_ONCE, .l_len = 1};

        if (fcntl(turns, F_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES))
            return;
        (void)nanosleep(&pause, NULL);
    }
}

void crash_reading_run(const struct crash_request *request, pid_t pid, int pidfd, int ring, int out, int turns)
{
    struct reading reading = {
        .request = request, .pid = pid, .pidfd = pidfd, .ring = ring, .out = out, .crash = request->crash};
    void *page = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ring, (off_t)request->crash_at);
    struct capture *captured;

    reading.shared = page == MAP_FAILED ? NULL : page;
    set_limits(request);
    captured = capture(&reading);
    release(&reading);
    if (captured)
        reader_let_go(captured);
    drop_rights(request);
    (void)setpriority(PRIO_PROCESS, 0, NAMING_NICE); /* other processes may be held */
    await_turn(turns);
    (void)alarm(CRASH_NAMING_TIMEOUT_S);
    if (captured)
        write_report(&reading, captured);
}
