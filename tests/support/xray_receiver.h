/* SPDX-License-Identifier: Apache-2.0 */
/* X-Ray's daemon as a test plays it, with real sockets, and the exporter's sender to it (xray_daemon.c). The clock, the
 * names and what the kernel tells of sockets are the test's own. */
#ifndef SPANSHIM_XRAY_RECEIVER_H
#define SPANSHIM_XRAY_RECEIVER_H

#include "exporters/exporter.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECEIVER_DATAGRAM_MAX = 65508 };

/* A daemon. */
struct receiver {
    int fd; /* -1: it is not there */
    uint16_t port;
    unsigned count; /* of datagrams that it has read */
    size_t bytes;
    char last[RECEIVER_DATAGRAM_MAX];
};

/* What a test changes and looks at; the main thread's, but for the atomic ones. */
extern struct receiver_test {
    struct loop *loop;
    struct receiver receiver, other;
    void *sender; /* xray_daemon's instance */
    unsigned done_count;
    struct exporter_result result;
    size_t payload_length;
    uint64_t clock_offset_ns; /* added to every clock */
    bool hides_backlogs;      /* the kernel doesn't tell what a receiver has not read */

    const char *_Atomic name_means; /* the daemon's addresses, with blanks between them; "": its name has none */
    atomic_uint lookup_count;
    atomic_bool is_held; /* a lookup waits for let_go, for ever: its thread may outlive the test */
    sem_t let_go;
} receiver_test;

int receiver_set_up(void **state);
int receiver_tear_down(void **state);

/* Be there, at this address; reading at once, or when the test does. Context: test. */
void receiver_listen(struct receiver *one, const char *address, uint16_t port, bool reads);

/* Read what waits. A loop's callback. Context: test. */
void receiver_read(void *receiver, int fd, uint32_t events);

/* Be gone, with what was not read. Context: test. */
void receiver_leave(struct receiver *one);

/* Open the sender to receiver_test.receiver's port at this host; NULL: by a name. Context: test. */
void receiver_open_sender(const char *host);

/* Add a document of so many bytes to the payload. Context: test. */
void receiver_add_document(size_t length);

/* Send the payload; the second waits until it is done, and says how that went. Context: test. */
void receiver_send(void);
enum exporter_outcome receiver_send_all(void);

/* Run the loop until this is so, for 20 s at most. Context: test. */
void receiver_run_until(bool (*holds)(void));
bool receiver_is_done(void);
void receiver_run_until_received(unsigned count);
void receiver_run_until_looked_up(unsigned count);

#endif
