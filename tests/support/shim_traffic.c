/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/shim_traffic.h"

#include "preload/conn.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/slice.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct wire_ring *traffic_ring;

/* The numbers are sockets' for the kernel too, which is asked when an answer is missing. */
static bool make_sockets(void)
{
    int pair[2];
    bool made = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && dup2(pair[0], TRAFFIC_FD) == TRAFFIC_FD &&
                dup2(pair[0], TRAFFIC_OTHER_FD) == TRAFFIC_OTHER_FD;

    (void)close(pair[0]);
    (void)close(pair[1]);
    return made;
}

int traffic_setup(void **state)
{
    static const struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = 0x409c, .sin_addr.s_addr = 0x0100007f}; /* 127.0.0.1:40000 */

    (void)state;
    traffic_ring = shim_core_ring(2, 256, 1024);
    atomic_store(&process_page->forks, 0);
    conn_accepted(TRAFFIC_LISTENER, TRAFFIC_FD, (const struct sockaddr *)&peer, sizeof(peer));
    return traffic_ring && make_sockets() ? 0 : -1;
}

int traffic_teardown(void **state)
{
    (void)state;
    conn_closing_range(0, ~0u);
    return 0;
}

/* what a hook does */

bool traffic_captures(int fd)
{
    struct conn_ref ref;

    return conn_capture(&ref, fd);
}

void traffic_receive_bytes(int fd, const char *bytes, size_t length)
{
    struct conn_ref ref;

    if (conn_capture(&ref, fd))
        conn_data_in(&ref, bytes, length, (ssize_t)length);
}

void traffic_receive(int fd, const char *text)
{
    traffic_receive_bytes(fd, text, strlen(text));
}

void traffic_send_bytes(int fd, const char *bytes, size_t length)
{
    struct conn_ref ref;

    if (conn_capture(&ref, fd))
        conn_data_out(&ref, bytes, (ssize_t)length);
}

void traffic_send(int fd, const char *text)
{
    traffic_send_bytes(fd, text, strlen(text));
}

void traffic_receive_end(int fd)
{
    struct conn_ref ref;
    char byte;

    if (conn_capture(&ref, fd))
        conn_data_in(&ref, &byte, 1, 0);
}

void traffic_fail_in(int fd, int error)
{
    struct conn_ref ref;
    char byte;

    if (!conn_capture(&ref, fd))
        return;
    errno = error;
    conn_data_in(&ref, &byte, 1, -1);
}

void traffic_fail_out(int fd, int error)
{
    struct conn_ref ref;

    if (!conn_capture(&ref, fd))
        return;
    errno = error;
    conn_data_out(&ref, "x", -1);
}

/* what became of it */

uint64_t traffic_counted(enum wire_count what)
{
    return atomic_load(&ring_lane()->counted[what]);
}

uint64_t traffic_dropped(enum wire_drop cause)
{
    return atomic_load(&ring_lane()->dropped[cause]);
}

bool traffic_next_span(union shim_record *ret_record)
{
    size_t length;

    return shim_core_take(traffic_ring, 0, ret_record, &length) == WIRE_RECORD_REQUEST;
}

void traffic_assert_path(const struct wire_request *request, const char *path)
{
    struct slice text = shim_core_text(request, WIRE_TEXT_PATH, 0);

    assert_int_equal(text.length, strlen(path));
    assert_memory_equal(text.bytes, path, text.length);
}

/* The next span is of this request, and ended so. */
struct wire_request traffic_assert_span(const char *path, unsigned status, enum wire_error error)
{
    union shim_record record;

    assert_true(traffic_next_span(&record));
    traffic_assert_path(&record.request, path);
    assert_int_equal(record.request.status, status);
    assert_int_equal(record.request.error, error);
    assert_true(record.request.end_ns >= record.request.start_ns);
    return record.request;
}

void traffic_assert_no_span(void)
{
    union shim_record record;

    assert_false(traffic_next_span(&record));
}

void traffic_assert_nothing_open(void)
{
    traffic_assert_no_span();
    assert_int_equal(shim_core_slots_used(traffic_ring, 0), 0);
}
