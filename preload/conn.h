/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: what its descriptors share, its two directions and the requests open on it. Hooks report what a call
 * did; everything that follows from it happens here.
 *
 * Each direction is try-claimed while its bytes are parsed. Whoever finds it claimed turns the connection passive (its
 * traffic is no longer looked at) and the loss is counted: in doubt no span, never a wrong one. Connections live in the
 * arena and are reused; a generation tells a stale reference. Lock-free; signal-safe; any thread. */
#ifndef SPANSHIM_CONN_H
#define SPANSHIM_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;
struct conn_sender;
struct iovec;
struct sockaddr;

/* A connection as a hook found it before its real call. */
struct conn_ref {
    struct conn *conn; /* NULL: nothing is known of the descriptor yet */
    uint32_t generation;
    int fd;
    uint64_t entry; /* of the descriptor table */
};

/* Look the descriptor up. False: it is not followed. Context: hook; signal-safe. */
bool conn_capture(struct conn_ref *ref, int fd);

/* Bytes that the program received: n as the call returned it, negative with errno set; 0 is the end if there was room
 * for any. The first ones on an unknown descriptor decide whether it is followed. Context: hook; signal-safe. */
void conn_data_in(const struct conn_ref *ref, const void *bytes, size_t room, ssize_t n);
void conn_data_in_vector(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* Bytes that the program sent, likewise. Context: hook; signal-safe. */
void conn_data_out(const struct conn_ref *ref, const void *bytes, ssize_t n);
void conn_data_out_vector(const struct conn_ref *ref, const struct iovec *iov, int count, ssize_t n);

/* May lines of ours be added to the heads that the program sends on it? Then conn_send() makes the call. Context: hook;
 * signal-safe. */
bool conn_looks_ahead(const struct conn_ref *ref);

/* Send the program's bytes by its own call, with our header lines in a head. Returns what the program is to be told,
 * errno likewise: its own bytes only are counted. Context: hook; signal-safe. */
ssize_t conn_send(const struct conn_ref *ref, const struct conn_sender *sender, const struct iovec *iov, int count);

/* Before a call of another kind sends a client's bytes: if a header of ours is cut, its rest goes out first, and the
 * connection is followed no further. False: it can't go out, errno says why, and the call is not to be made. Context:
 * hook; signal-safe. */
bool conn_send_owed(const struct conn_ref *ref, const struct conn_sender *sender);

/* Bytes that moved without being seen (sendfile, splice, MSG_TRUNC), likewise. Context: hook; signal-safe. */
void conn_skip_in(const struct conn_ref *ref, ssize_t n);
void conn_skip_out(const struct conn_ref *ref, ssize_t n);

/* Its bytes go by a way that no hook sees: it can't be followed any further. Context: hook; signal-safe. */
void conn_give_up(const struct conn_ref *ref);

/* A descriptor that was just made (socket, recvmsg): nothing is known of it. What the number named before was closed
 * where no hook saw it. Context: hook; signal-safe. */
void conn_forget(int fd);

/* Another process was given the descriptor (SCM_RIGHTS), and may go on with it. Context: hook; signal-safe. */
void conn_passed(int fd);

/* A descriptor that is none of ours until it is closed. Context: hook; signal-safe. */
void conn_ignore(int fd);

/* A listening socket's address. Context: hook; signal-safe. */
void conn_bound(int fd, const struct sockaddr *address, size_t length);

/* A connection was accepted; address may be NULL. Context: hook; signal-safe. */
void conn_accepted(int listener, int fd, const struct sockaddr *address, size_t length);

/* connect() was called at this time, and failed with this error; 0: it did not. Context: hook; signal-safe. */
void conn_connecting(int fd, const struct sockaddr *address, size_t length, uint64_t start_ns, int error);

/* The program has asked what went wrong with it (SO_ERROR), and was told this; 0: nothing. Context: hook;
 * signal-safe. */
void conn_told(const struct conn_ref *ref, int error);

/* The program has asked about it otherwise. Context: hook; signal-safe. */
void conn_touched(const struct conn_ref *ref);

/* A pipe's two ends, or an eventfd (`other` is -1): who is woken by it works for whoever did that. Context: hook;
 * signal-safe. */
void conn_wakeup(int fd, int other);

/* What new work may this descriptor bring? Context: hook; signal-safe. */
enum conn_work {
    CONN_BRINGS_NONE,
    CONN_BRINGS_CONNECTIONS, /* a listening socket */
    CONN_BRINGS_REQUESTS,    /* a client's connection other than the one of this thread's current request */
};
enum conn_work conn_brings(int fd);

/* The program waited for the descriptor until its time was up. Context: hook; signal-safe. */
__attribute__((cold)) void conn_waited_in_vain(int fd);

/* `fd` now names what `of` names. Context: hook; signal-safe. */
void conn_duplicated(int of, int fd);

/* The program wants no more bytes: that none come says nothing of the peer. Context: hook; signal-safe. */
void conn_shut_in(const struct conn_ref *ref);

/* The program will send no more, and so answers nothing that comes from now on. Context: hook; signal-safe. */
void conn_shut_out(const struct conn_ref *ref);

/* The descriptor is about to be closed: before the real call, for afterwards the number may be another thread's.
 * Context: hook; signal-safe. */
void conn_closing(int fd);

/* All descriptors of first..last are about to be closed. Context: hook; signal-safe. */
void conn_closing_range(unsigned first, unsigned last);

/* The process is about to become another program. Context: hook; signal-safe. */
void conn_at_exec(void);

/* The process ends in the ordinary way. Context: hook, destructor; signal-safe. */
void conn_at_exit(void);

#endif
