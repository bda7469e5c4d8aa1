/* SPDX-License-Identifier: Apache-2.0 */
/* The program leaves its connections: closes them, becomes another program, or ends. */
#include "preload/conn_internal.h"

#include "preload/clock.h"
#include "preload/fdtab.h"
#include "preload/process.h"
#include "preload/ring.h"
#include "preload/socket.h"
#include "preload/sys.h"

#include <netinet/in.h>
#include <time.h>

enum { LATE_NS = 20000000, LOOK_NS = 50000 }; /* how long a process that ends waits for its threads' hooks at most */
static const uint64_t no_socket = UINT64_MAX;

/* How much the program has written, whether hooks saw it or not (io_uring, AIO, assembly). 0: that is not known;
 * no_socket: the number is no socket any more. */
static uint64_t written_to(int fd)
{
    uint64_t written = 0;

    if (!socket_is_stream(fd))
        return no_socket;
    return socket_written(fd, &written) ? written : 0;
}

/* The last descriptor is about to be closed while a request waits for its answer: is it certain that no answer was
 * sent? */
__attribute__((cold)) static void doubt_silence(struct conn *conn, int fd)
{
    if (!socket_may_ask())
        return;
    uint64_t written = written_to(fd); /* first: a thread whose hook comes meanwhile must find the direction free */
    if (!conn_claim(&conn->responses))
        return;
    if (written > conn->sent)
        conn_turn_passive(conn, WIRE_DROP_BLIND);
    conn_unclaim(&conn->responses);
}

void conn_closing(int fd)
{
    struct conn *conn;

    if (fdtab_value(fdtab_get(fd)) == FDTAB_UNKNOWN)
        return;
    process_check_fork();
    conn = conn_of(fdtab_clear(fd));
    if (!conn)
        return;
    if (!conn_is_client(conn) && conn_is_busy(conn) && atomic_load_explicit(&conn->refs, memory_order_relaxed) == 1 &&
        !conn_left_to_other(conn))
        doubt_silence(conn, fd);
    conn_unref(conn);
}

void conn_closing_range(unsigned first, unsigned last)
{
    for (int fd = first < FDTAB_LIMIT ? fdtab_next((int)first) : -1; fd >= 0 && (unsigned)fd <= last;
         fd = fdtab_next(fd + 1))
        conn_closing(fd);
}

/* Does a request that this process has read wait for its answer on the connection? */
static bool capture_waiting(struct conn_ref *ref, int fd)
{
    return conn_capture(ref, fd) && ref->conn && conn_is_busy(ref->conn) &&
           atomic_load_explicit(&ref->conn->pid, memory_order_relaxed) == process_pid();
}

/* The program leaves without waiting for its answers. */
static void cancel_requests(struct conn *conn)
{
    if (conn_claim(&conn->requests)) {
        if (conn_claim(&conn->responses)) {
            if (!conn_left_to_other(conn))
                conn_end_requests(conn);
            conn_unclaim(&conn->responses);
        }
        conn_unclaim(&conn->requests);
    }
    conn_settle(conn);
}

/* After exec another program, without a trace of the request in memory, goes on with the connection. */
void conn_at_exec(void)
{
    struct conn_ref ref;

    if (!atomic_load_explicit(&process_page->valid, memory_order_relaxed))
        return; /* a fork's child that has done nothing */
    for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1))
        if (capture_waiting(&ref, fd)) {
            if (conn_is_client(ref.conn))
                cancel_requests(ref.conn);
            else
                conn_give_up(&ref);
        }
}

/* Has more been written than its hooks have looked at so far? */
static bool is_ahead_of_hooks(const struct conn_ref *ref)
{
    uint64_t written = written_to(ref->fd);
    bool is_ahead;

    if (written == no_socket || !conn_is_current(ref))
        return false;
    if (!conn_claim(&ref->conn->responses))
        return true; /* at this very moment */
    is_ahead = conn_is_busy(ref->conn) && written > ref->conn->sent;
    conn_unclaim(&ref->conn->responses);
    return is_ahead;
}

/* The client has its answer, and another thread may stand between the call that sent it and what the hook makes of it.
 * *until_ns is the same for all connections; 0 is not yet set. */
static void await_hook(const struct conn_ref *ref, uint64_t *until_ns)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};

    if (process_has_one_thread() || !socket_may_ask())
        return;
    while (is_ahead_of_hooks(ref)) {
        uint64_t now_ns = clock_mono_ns();

        if (*until_ns == 0)
            *until_ns = now_ns + LATE_NS;
        if (now_ns >= *until_ns)
            return;
        (void)sys_call2(SYS_nanosleep, (long)&pause, 0);
    }
}

/* The process ends, and the kernel closes the connection. The agent reports a request that is still open as ended by
 * the process's death. That would be wrong for one that a child or this program's stdio has answered, and for an
 * answer that ends with the connection: those end here. */
static void end_at_exit(int fd, uint64_t *until_ns)
{
    struct conn_ref ref;

    if (!capture_waiting(&ref, fd))
        return;
    if (conn_is_client(ref.conn)) {
        cancel_requests(ref.conn);
        return;
    }
    if (conn_left_to_other(ref.conn)) {
        conn_turn_passive(ref.conn, WIRE_DROP_BLIND);
    } else {
        await_hook(&ref, until_ns);
        doubt_silence(ref.conn, fd);
    }
    if (atomic_load_explicit(&ref.conn->passive, memory_order_relaxed))
        conn_settle(ref.conn);
    else
        conn_shut_out(&ref);
}

/* A program of inetd's that uses stdio: standard input and output are the connection, and no hook saw its bytes. */
static bool was_served_by_stdio(void)
{
    struct sockaddr_in6 peer;

    return fdtab_value(fdtab_get(0)) == FDTAB_UNKNOWN && fdtab_value(fdtab_get(1)) == FDTAB_UNKNOWN &&
           socket_may_ask() && socket_is_internet(0) && socket_is_same(0, 1) && socket_peer(0, &peer) > 0;
}

void conn_at_exit(void)
{
    uint64_t until_ns = 0;

    if (!atomic_load_explicit(&process_page->valid, memory_order_relaxed))
        return; /* a fork's child that has done nothing */
    for (int fd = fdtab_next(0); fd >= 0; fd = fdtab_next(fd + 1))
        end_at_exit(fd, &until_ns);
    exchange_at_exit();
    if (was_served_by_stdio())
        ring_drop(WIRE_DROP_BLIND);
}
