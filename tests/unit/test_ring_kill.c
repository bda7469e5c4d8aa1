/* SPDX-License-Identifier: Apache-2.0 */
/* Servers killed at any moment, with requests open, three at a time on one ring. The shim's own code writes, the
 * agent's own code reads: no lane is blocked, no record torn, no request is lost and none comes twice. */
#include "exporters/agent/drain.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/process.h"
#include "exporters/agent/source.h"
#include "exporters/agent/span.h"
#include "preload/conn.h"
#include "preload/ring.h"
#include "tests/support/shim_core.h"
#include "tests/support/wire_writer.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    SERVERS = 3,
    LANES = 4,
    CONNECTIONS = 3,
    CELLS = 512,
    SLOTS = 64,
    WINDOW = 1 << 15,
    FIRST_FD = 10,
    LIFE_NS = 200000
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KILLS = 1000 };
#else
enum { KILLS = 10000 };
#endif

/* What a server tells its killer: numbers whose request was opened. Shared. */
static _Atomic uint64_t *opened;

struct server {
    pid_t pid;
    uint64_t first;       /* its first number */
    uint64_t came;        /* how many of its numbers came */
    uint8_t seen[WINDOW]; /* by number */
};

static struct {
    struct wire_writer shared; /* the mapping */
    struct source source;
    struct journal *journal;
    struct server servers[SERVERS];
    uint64_t came_count, exited_count;
} test;

/* the server */

/* Its text: number and server, then bytes that tell where a record was cut. */
static size_t make_path(char path[1200], unsigned server, uint64_t number)
{
    int length = sprintf(path, "/%u/%llu/", server, (unsigned long long)number);

    for (uint64_t fill = number * 31 % 900; fill > 0; fill--)
        path[length++] = (char)('a' + (number + fill) % 26);
    path[length] = '\0';
    return (size_t)length;
}

static void receive(int fd, const char *bytes, size_t length)
{
    struct conn_ref ref;

    if (conn_capture(&ref, fd))
        conn_data_in(&ref, bytes, length, (ssize_t)length);
}

static void answer(int fd, uint64_t number)
{
    char head[200];
    int length = sprintf(head, "HTTP/1.1 200 OK\r\nX-Number: %llu\r\nContent-Length: %u\r\n\r\n",
                         (unsigned long long)number, (unsigned)(number % 1000));
    struct conn_ref ref;

    if (conn_capture(&ref, fd))
        conn_data_out(&ref, head, length);
    if (conn_capture(&ref, fd))
        conn_skip_out(&ref, (ssize_t)(number % 1000));
}

/* A full ring drops; that is not what is tested here. */
static void wait_for_room(void)
{
    struct wire_lane *lane = ring_lane();

    while (lane && atomic_load(&lane->head) - atomic_load(&lane->tail) > CELLS - CONNECTIONS * WIRE_RECORD_CELLS_MAX)
        sched_yield();
}

/* From within, for the killer's own turn comes when the scheduler wants it. */
static void arm_killer(long delay_ns)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    const struct itimerspec once = {.it_value.tv_nsec = delay_ns + 1};
    timer_t timer;

    if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &once, NULL))
        _exit(1);
}

/* Requests on all connections, then their answers. */
static uint64_t serve_round(unsigned server, uint64_t number)
{
    char path[1200], request[1300];

    wait_for_room();
    for (uint64_t i = 0; i < CONNECTIONS; i++) {
        (void)make_path(path, server, number + i);
        int length = sprintf(request, "GET %s HTTP/1.1\r\nHost: example.com\r\n\r\n", path);
        receive(FIRST_FD + (int)i, request, (size_t)length);
        atomic_store(&opened[server], number + i + 1);
    }
    for (uint64_t i = 0; i < CONNECTIONS; i++)
        answer(FIRST_FD + (int)i, number + i);
    return number + CONNECTIONS;
}

static void start_server(unsigned index)
{
    struct server *server = &test.servers[index];
    uint64_t number = atomic_load(&opened[index]);
    long delay_ns = rand() % LIFE_NS;

    server->first = number;
    server->came = 0;
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid > 0)
        return;
    for (int fd = FIRST_FD; fd < FIRST_FD + CONNECTIONS; fd++)
        conn_accepted(3, fd, NULL, 0);
    arm_killer(delay_ns);
    for (;;)
        number = serve_round(index, number);
}

/* the reader */

/* The request is one that was made, whole as far as it had come. */
static void check_request(const struct wire_request *request, size_t length)
{
    static const struct process process;
    char path[1200], header[40], buf[8];
    unsigned index;
    unsigned long long number;
    struct span span;

    assert_int_equal(span_parse(&process, request, length, &span), 0);
    assert_true(span.text[WIRE_TEXT_PATH].length < sizeof(path));
    memcpy(path, span.text[WIRE_TEXT_PATH].bytes, span.text[WIRE_TEXT_PATH].length);
    path[span.text[WIRE_TEXT_PATH].length] = '\0';
    assert_int_equal(sscanf(path, "/%u/%llu/", &index, &number), 2);
    assert_true(index < SERVERS);
    assert_int_equal(make_path(path, index, number), span.text[WIRE_TEXT_PATH].length);
    assert_memory_equal(path, span.text[WIRE_TEXT_PATH].bytes, span.text[WIRE_TEXT_PATH].length);

    bool exited = span_error_type(&span, buf).length > 0;
    size_t header_length = (size_t)sprintf(header, "x-number: %llu", number);
    assert_true(exited || span.response_header_count == 1);
    assert_true(exited || request->response_body_size == number % 1000);
    assert_int_equal(request->error, exited ? WIRE_ERROR_PROCESS_EXITED : WIRE_ERROR_NONE);
    assert_true(request->status == 200 || (exited && request->status == 0));
    if (span.response_header_count == 1) {
        assert_int_equal(span.response_headers[0].length, header_length);
        assert_memory_equal(span.response_headers[0].bytes, header, header_length);
    }

    struct server *server = &test.servers[index];
    assert_true(number >= server->first);
    assert_int_equal(server->seen[number % WINDOW], 0);
    server->seen[number % WINDOW] = 1;
    server->came++;
    test.came_count++;
    test.exited_count += exited;
}

static void check_journal(void)
{
    struct journal_entry entry;

    while (journal_read(test.journal, journal_position(test.journal, 0), &entry)) {
        check_request((const void *)((const char *)entry.record + sizeof(struct wire_record)),
                      entry.length - sizeof(struct wire_record));
        journal_ack(test.journal, 0, entry.next);
    }
    assert_int_equal(journal_lost(test.journal, 0), 0);
}

/* A time that doesn't pass: the living are waited for. */
static void read_lane(uint32_t lane)
{
    test.source.lanes[lane].owner = atomic_load(&source_lane(&test.source, lane)->owner);
    (void)drain_lane(&test.source, lane, 1);
    check_journal();
}

static void bury(pid_t pid)
{
    for (uint32_t lane = 0; lane < LANES; lane++) {
        struct source_lane *state = &test.source.lanes[lane];

        if ((uint32_t)atomic_load(&source_lane(&test.source, lane)->owner) != (uint32_t)pid)
            continue;
        state->dead = true;
        read_lane(lane);
        assert_int_equal(state->tail, atomic_load(&source_lane(&test.source, lane)->head));
        (void)drain_open_requests(&test.source, lane, 1, NULL);
        check_journal();
        for (int cause = 0; cause < WIRE_DROP_COUNT; cause++)
            assert_int_equal(source_lane(&test.source, lane)->dropped[cause], 0);
        drain_release(&test.source, lane);
        *state = (struct source_lane){.source = &test.source, .tail = state->tail};
    }
}

/* Every request that was opened has come. */
static void check_life(unsigned index)
{
    struct server *server = &test.servers[index];
    uint64_t last = atomic_load(&opened[index]);

    assert_true(last - server->first < WINDOW);
    for (uint64_t number = server->first; number < last; number++)
        assert_int_equal(server->seen[number % WINDOW], 1);
    /* One more may have been opened and not been told. */
    assert_int_equal(server->came, last - server->first + server->seen[last % WINDOW]);
    memset(server->seen, 0, sizeof(server->seen));
    atomic_store(&opened[index], last + 1);
}

/* One server's life, read while it lives or only afterwards. */
static void outlive(unsigned index)
{
    struct server *server = &test.servers[index];
    int status = 0;

    while (waitpid(server->pid, &status, rand() % 4 ? WNOHANG : 0) == 0)
        for (uint32_t lane = 0; lane < LANES; lane++)
            read_lane(lane);
    server->pid = 0;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int setup(void **state)
{
    static char *environment[] = {(char *)(uintptr_t) "SPANSHIM_RESPONSE_HEADERS=x-number", NULL};
    int memfd;

    (void)state;
    opened = mmap(NULL, SERVERS * sizeof(*opened), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!shim_core_init(environment) || wire_writer_open(&test.shared, LANES, SLOTS, CELLS) ||
        source_map(&test.source, test.shared.ring_memfd, test.shared.control_memfd) ||
        journal_create(1 << 20, &memfd) || journal_open(memfd, &test.journal))
        return -1;
    close(memfd);
    ring_adopt(test.shared.ring);
    journal_set_consumers(test.journal, 1);
    test.source.outlets[SIGNAL_TRACES].journal = test.journal;
    srand(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SERVERS; i++) {
        if (test.servers[i].pid <= 0)
            continue;
        kill(test.servers[i].pid, SIGKILL);
        waitpid(test.servers[i].pid, NULL, 0);
    }
    source_unmap(&test.source);
    journal_close(test.journal);
    wire_writer_close(&test.shared);
    return 0;
}

static void test_ring_kill_loses_nothing(void **state)
{
    const char *wanted = getenv("SPANSHIM_TEST_KILLS");
    unsigned kills = wanted ? (unsigned)atoi(wanted) : KILLS;

    (void)state;
    for (unsigned i = 0; i < SERVERS; i++)
        start_server(i);
    for (unsigned i = 0; i < kills; i++) {
        pid_t pid = test.servers[i % SERVERS].pid;

        outlive(i % SERVERS);
        bury(pid);
        check_life(i % SERVERS);
        start_server(i % SERVERS);
    }
    print_message("%u servers killed, %llu requests, %llu of them open, %llu cells left in writing, %llu never begun\n",
                  kills, (unsigned long long)test.came_count, (unsigned long long)test.exited_count,
                  (unsigned long long)test.source.counts->quarantined_count,
                  (unsigned long long)test.source.counts->skipped_count);
    assert_int_equal(test.source.counts->corrupt_count, 0);
    assert_true(test.exited_count > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_ring_kill_loses_nothing, setup, teardown)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
