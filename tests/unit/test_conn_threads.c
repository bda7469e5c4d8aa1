/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in the hands of several threads at once. */
#include "preload/conn.h"

#include "preload/conn_internal.h"
#include "tests/support/shim_traffic.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { THREADS = 3, TURNS = 3000 };

static pthread_barrier_t barrier;

/* Two threads read from one connection: whose bytes come first can't be known. */
static void *receive_often(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TURNS; i++)
        traffic_receive(TRAFFIC_FD, "POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nGET");
    return NULL;
}

static void run_threads(void *(*run)(void *), void *(*last)(void *))
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i == THREADS - 1 ? last : run, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

static void test_conn_threads_gives_up_a_contended_direction(void **state)
{
    struct conn_ref ref;
    struct conn *conn;

    (void)state;
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn = ref.conn;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    atomic_store(&conn->requests.claimed, 1); /* as another thread would */
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_int_equal(traffic_dropped(WIRE_DROP_CONTENDED), 1);
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), 1); /* not ours to touch now */
    atomic_store(&conn->requests.claimed, 0);
    conn_data_out(&ref, TRAFFIC_OK, sizeof(TRAFFIC_OK) - 1); /* whoever comes next cleans up */
    traffic_assert_nothing_open();
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 1);
}

/* The last descriptor is closed in the middle of another thread's call: that thread ends the connection. */
static void test_conn_threads_is_ended_by_who_holds_it(void **state)
{
    struct conn_ref ref;
    struct conn *conn;

    (void)state;
    traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
    assert_true(conn_capture(&ref, TRAFFIC_FD));
    conn = ref.conn;
    atomic_store(&conn->responses.claimed, 1);
    conn_closing(TRAFFIC_FD);
    traffic_assert_no_span();
    atomic_store(&conn->responses.claimed, 0);
    conn_data_out(&ref, TRAFFIC_OK, sizeof(TRAFFIC_OK) - 1);
    (void)traffic_assert_span("/one", 200, WIRE_ERROR_NONE);
    traffic_assert_nothing_open();
}

static void test_conn_threads_never_makes_a_wrong_span_of_two_readers(void **state)
{
    union shim_record record;

    (void)state;
    for (int round = 0; round < 20; round++) {
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        run_threads(receive_often, receive_often);
        conn_closing(TRAFFIC_FD);
        while (traffic_next_span(&record)) {
            assert_int_equal(record.request.method, WIRE_METHOD_POST);
            traffic_assert_path(&record.request, "/1");
        }
        traffic_assert_nothing_open();
    }
    assert_true(traffic_dropped(WIRE_DROP_CONTENDED) + traffic_dropped(WIRE_DROP_BAD_FRAMING) +
                    traffic_dropped(WIRE_DROP_PIPELINE_LIMIT) >
                0);
}

static _Atomic unsigned served;

/* Servers with connections of their own, which they take from and give back to one pool. */
static void *serve(void *arg)
{
    int fd = 200 + (int)(uintptr_t)arg;
    char request[64];

    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TURNS; i++) {
        snprintf(request, sizeof(request), "GET /%d HTTP/1.1\r\n\r\n", fd);
        conn_accepted(TRAFFIC_LISTENER, fd, NULL, 0);
        traffic_receive(fd, request);
        conn_duplicated(fd, fd + 50);
        traffic_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        conn_closing(fd);
        conn_closing(fd + 50);
        atomic_fetch_add(&served, 1);
    }
    return NULL;
}

static void *take_spans(void *arg)
{
    union shim_record record;
    uintptr_t count = 0;
    char path[16];

    (void)arg;
    pthread_barrier_wait(&barrier);
    while (atomic_load(&served) < (THREADS - 1) * TURNS)
        for (; traffic_next_span(&record); count++) {
            snprintf(path, sizeof(path), "/%d", 200 + (record.request.text[4 + 3] - '0'));
            traffic_assert_path(&record.request, path);
            assert_int_equal(record.request.status, 200);
        }
    while (traffic_next_span(&record))
        count++;
    assert_int_equal(count + traffic_dropped(WIRE_DROP_RING_FULL), (THREADS - 1) * TURNS);
    return NULL;
}

static void test_conn_threads_serves_threads_at_once(void **state)
{
    (void)state;
    atomic_store(&served, 0);
    run_threads(serve, take_spans);
    assert_int_equal(traffic_counted(WIRE_COUNT_PASSIVE), 0);
    traffic_assert_nothing_open();
}

/* One thread reads and writes, another closes whenever it likes; the number is used again at once. */
static void *close_often(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TURNS; i++) {
        conn_closing(TRAFFIC_FD);
        conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, NULL, 0);
        conn_duplicated(TRAFFIC_FD, TRAFFIC_OTHER_FD);
    }
    return NULL;
}

static void *serve_whatever_is_there(void *arg)
{
    bool odd = (uintptr_t)arg % 2;

    pthread_barrier_wait(&barrier);
    for (int i = 0; i < TURNS; i++) {
        if (odd)
            traffic_receive(TRAFFIC_FD, TRAFFIC_GET);
        else
            traffic_send(TRAFFIC_OTHER_FD, TRAFFIC_OK);
    }
    return NULL;
}

static void test_conn_threads_survives_a_close_at_any_moment(void **state)
{
    union shim_record record;

    (void)state;
    for (int round = 0; round < 5; round++) {
        run_threads(serve_whatever_is_there, close_often);
        conn_closing_range(0, ~0u);
        while (traffic_next_span(&record))
            traffic_assert_path(&record.request, "/one");
        assert_int_equal(shim_core_slots_used(traffic_ring, 0), 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, traffic_setup, traffic_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_conn_threads_gives_up_a_contended_direction),
        TEST(test_conn_threads_is_ended_by_who_holds_it),
        TEST(test_conn_threads_never_makes_a_wrong_span_of_two_readers),
        TEST(test_conn_threads_serves_threads_at_once),
        TEST(test_conn_threads_survives_a_close_at_any_moment),
    };

    return shim_core_init(NULL) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
