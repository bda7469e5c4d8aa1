/* SPDX-License-Identifier: Apache-2.0 */
/* What the shim does for one request, without system calls around it: ns per request on one core, best of several runs.
 * The floor under every other figure. The shim's settings are taken from the environment. Usage: bench_exchange
 * [small|browser [ROUNDS]]; under callgrind, the difference of two counts of rounds is exact. */
#include "preload/arena.h"
#include "preload/config.h"
#include "preload/conn.h"
#include "preload/facts.h"
#include "preload/ids.h"
#include "preload/process.h"
#include "preload/ring.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char request[] = "GET /ok HTTP/1.1\r\nHost: 127.0.0.1:18081\r\n\r\n";
static const char browser_request[] =
    "GET /api/users/42?page=3&sort=name HTTP/1.1\r\nHost: www.example.com\r\nConnection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
    "Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\nCookie: session=0123456789\r\n"
    "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n"
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
static const char response[] = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 06:00:00 GMT\r\n"
                               "Content-Type: application/octet-stream\r\nContent-Length: 3\r\n"
                               "Connection: keep-alive\r\n\r\nok\n";

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Plays the agent: takes all records. */
static void drain(struct wire_lane *lane)
{
    const struct wire_ring *ring = ring_current();
    struct wire_cell *cells = (struct wire_cell *)((char *)lane + ring->cells_offset);

    for (uint64_t at = lane->tail; at < lane->head; at++)
        cells[at % ring->cell_count].state = wire_cell_word(at, ring->cell_count, WIRE_CELL_CONSUMED);
    lane->tail = lane->head;
}

static void exchange(int fd, const char *bytes, size_t length)
{
    struct conn_ref ref;

    if (conn_capture(&ref, fd))
        conn_data_in(&ref, bytes, length, (ssize_t)length);
    if (conn_capture(&ref, fd))
        conn_data_out(&ref, response, sizeof(response) - 1);
}

/* ns per exchange. */
static double run(int fd, const char *bytes, size_t length, int rounds)
{
    enum { BATCH = 1000 };
    double sum = 0;

    for (int done = 0; done < rounds; done += BATCH) {
        double start = now_ns();

        for (int i = 0; i < BATCH; i++)
            exchange(fd, bytes, length);
        sum += now_ns() - start;
        drain(ring_lane());
    }
    return sum / rounds;
}

/* Use up the first-level caches, as kernel and server do between two calls: 64 KiB of data, 64 KiB of code. */
static void evict(void)
{
    static volatile char data[65536];

    for (size_t i = 0; i < sizeof(data); i += 64)
        data[i]++;
    __asm__ volatile(".p2align 6\n.rept 1024\njmp 1f\n.p2align 6\n1:\n.endr");
}

/* The same with cold caches; what reading the clock costs is not in it. */
static double run_cold(int fd, const char *bytes, size_t length, int rounds)
{
    double sum = 0, clock = 0;

    for (int i = 0; i < rounds; i++) {
        evict();
        double start = now_ns();
        exchange(fd, bytes, length);
        double end = now_ns();
        sum += end - start;
        clock += now_ns() - end;
        drain(ring_lane());
    }
    return (sum - clock) / rounds;
}

typedef double run_function(int fd, const char *bytes, size_t length, int rounds);

static double best_of(run_function *function, const char *bytes, size_t length, int rounds)
{
    enum { RUNS = 7 };
    double best = 1e9;

    for (int i = 0; i < RUNS; i++) {
        double ns = function(4, bytes, length, rounds);
        best = ns < best ? ns : best;
    }
    return best;
}

static void print(const char *name, const char *bytes, size_t length, int rounds)
{
    printf("%-16s %7.1f ns per request", name, best_of(run, bytes, length, rounds));
    printf("  %7.1f with cold caches\n", best_of(run_cold, bytes, length, rounds / 10));
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;
    int rounds = argc > 2 ? atoi(argv[2]) : 200000;
    struct ring_geometry geometry = {1, 2048, WIRE_CELLS_MAX, 0};
    struct wire_ring *ring = calloc(1, ring_size(&geometry));
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(40000), .sin_addr.s_addr = htonl(0x7f000001)};

    if (!ring || arena_init() < 0 || facts_init(NULL, environ) < 0 || process_init() < 0)
        return 1;
    config_init("", 0);
    ids_init();
    ring_format(ring, &geometry);
    ring_adopt(ring);
    conn_accepted(3, 4, (struct sockaddr *)&peer, sizeof(peer));
    if (!only || strcmp(only, "small") == 0)
        print("small head", request, sizeof(request) - 1, rounds);
    if (!only || strcmp(only, "browser") == 0)
        print("browser's head", browser_request, sizeof(browser_request) - 1, rounds);
    printf("requests %lu, passive %lu, records %lu\n", (unsigned long)ring_lane()->counted[WIRE_COUNT_REQUESTS],
           (unsigned long)ring_lane()->counted[WIRE_COUNT_PASSIVE], (unsigned long)ring_lane()->head);
    return 0;
}
