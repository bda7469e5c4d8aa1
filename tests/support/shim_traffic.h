/* SPDX-License-Identifier: Apache-2.0 */
/* Connections driven as hooks do it: what a call did is told, what became of it is read from the ring and asserted. */
#ifndef SPANSHIM_SHIM_TRAFFIC_H
#define SPANSHIM_SHIM_TRAFFIC_H

#include "tests/support/shim_core.h"

/* The descriptor that is a fresh connection from 127.0.0.1:40000 when a test begins, and two more numbers. */
enum { TRAFFIC_LISTENER = 100, TRAFFIC_FD, TRAFFIC_OTHER_FD };

#define TRAFFIC_GET       "GET /one HTTP/1.1\r\nHost: a\r\n\r\n"
#define TRAFFIC_OK        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define TRAFFIC_EMPTY     "HTTP/1.1 204 No Content\r\n\r\n"
#define TRAFFIC_UNTIL_END "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

/* Of the test that runs: two lanes, 256 slots, 1024 cells. */
extern struct wire_ring *traffic_ring;

/* For cmocka: a ring and a connection; everything closed. */
int traffic_setup(void **state);
int traffic_teardown(void **state);

/* Is the descriptor followed? */
bool traffic_captures(int fd);

/* What a call moved, the end of the peer's bytes, and calls that failed with this errno. */
void traffic_receive(int fd, const char *text);
void traffic_receive_bytes(int fd, const char *bytes, size_t length);
void traffic_send(int fd, const char *text);
void traffic_send_bytes(int fd, const char *bytes, size_t length);
void traffic_receive_end(int fd);
void traffic_fail_in(int fd, int error);
void traffic_fail_out(int fd, int error);

/* Counters of this process's lane. */
uint64_t traffic_counted(enum wire_count what);
uint64_t traffic_dropped(enum wire_drop cause);

/* The next finished request of lane 0. */
bool traffic_next_span(union shim_record *ret_record);

/* It is there, of this path, and ended so. */
struct wire_request traffic_assert_span(const char *path, unsigned status, enum wire_error error);
void traffic_assert_path(const struct wire_request *request, const char *path);

void traffic_assert_no_span(void);

/* No span, and no slot of lane 0 in use. */
void traffic_assert_nothing_open(void);

#endif
