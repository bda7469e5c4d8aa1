/* SPDX-License-Identifier: Apache-2.0 */
/* Segments to X-Ray's daemon: a datagram each, of a header line and the document. They go at a pace that its receive
 * buffer stands (xray_pace.h). A payload is sent when all of it was read, for a daemon on this machine; to another one,
 * when no refusal has come back for some time. */
#include "exporters/agent/clock.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/resolver.h"
#include "exporters/agent/settings.h"
#include "exporters/xray_address.h"
#include "exporters/xray_pace.h"
#include "exporters/xray_way.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEADER "{\"format\":\"json\",\"version\":1}\n"

enum {
    LOOKUP_MS = 10000,   /* for the name servers */
    LOOKUP_AGAIN_S = 30, /* a daemon that was started anew may have another address */
    ROOM_MS = 10000,     /* for the kernel to have room for a datagram */
    REFUSAL_MS = 20,     /* in which another machine says that nobody listens there */
    READ_MS = 5000,      /* for the daemon of this machine to read it all; others may send to it, too */
};

/* What the payload under way waits for. */
enum state {
    STATE_IDLE,  /* there is none */
    STATE_NAME,  /* an address */
    STATE_ROUND, /* the next round: to send more, or to see that all has arrived */
    STATE_ROOM,  /* the kernel */
};

struct daemon {
    struct loop *loop;
    struct xray_address address;
    char shown[XRAY_ADDRESS_HOST_SIZE + 16];
    char said[256]; /* the last problem: said again only when it has changed */
    enum state state;
    struct loop_timer timer; /* of the state */
    /* Where it is. */
    struct resolver *resolver; /* a lookup under way; NULL: none */
    struct resolver_address found[RESOLVER_ADDRESSES_MAX];
    size_t found_count;
    size_t next;             /* of these, the one to be tried */
    size_t refused_count;    /* of these, that did not take the payload under way */
    uint64_t found_until_ns; /* 0: to be looked up again; UINT64_MAX: written as a number */
    int fd;                  /* connected to found[next]; -1: not yet */
    bool is_local;           /* by the loopback interface, which says at once that nobody listens */
    bool has_moved;          /* fd is connected to where it was before, until the payload under way is done with */
    struct xray_pace pace;
    /* The payload under way. */
    const char *payload; /* borrowed */
    size_t length;
    size_t sent_length;
    uint64_t sent_ns; /* when all of it was */
    uint64_t too_long_count;
    exporter_done *done;
    void *arg;
};

static void describe(const struct settings *settings, char *text, size_t size)
{
    xray_address_describe(settings->xray_daemon_address, text, size);
}

/* the end of a payload */

static void finish(struct daemon *daemon, struct exporter_result *result)
{
    daemon->state = STATE_IDLE;
    loop_timer_clear(daemon->loop, &daemon->timer);
    if (daemon->fd >= 0)
        loop_fd_remove(daemon->loop, daemon->fd);
    if (strcmp(daemon->said, result->error) == 0)
        result->error[0] = '\0';
    else
        memcpy(daemon->said, result->error, sizeof(daemon->said));
    daemon->done(daemon->arg, result);
}

static void finish_sent(struct daemon *daemon)
{
    uint32_t dropped_count = daemon->pace.dropped_count;
    struct exporter_result result = {.outcome = EXPORTER_SENT,
                                     .rejected_count = daemon->too_long_count + dropped_count};

    if (daemon->too_long_count > 0)
        (void)snprintf(result.error, sizeof(result.error), "%.120s: a document is too long for a datagram; it is lost",
                       daemon->shown);
    else if (dropped_count > 0)
        (void)snprintf(result.error, sizeof(result.error),
                       "%.120s: documents are lost, for its receive buffer was full", daemon->shown);
    finish(daemon, &result);
}

static void finish_later(struct daemon *daemon, const char *problem)
{
    struct exporter_result result = {.outcome = EXPORTER_RETRY};

    (void)snprintf(result.error, sizeof(result.error), "%.120s: %.120s", daemon->shown, problem);
    finish(daemon, &result);
}

static void wait_for(struct daemon *daemon, enum state state, uint64_t delay_ms)
{
    daemon->state = state;
    if (loop_timer_set(daemon->loop, &daemon->timer, delay_ms * NS_PER_MS) < 0)
        finish_later(daemon, strerror(ENOMEM));
}

/* the socket */

static void disconnect(struct daemon *daemon)
{
    if (daemon->fd >= 0) {
        loop_fd_remove(daemon->loop, daemon->fd);
        (void)close(daemon->fd);
    }
    daemon->fd = -1;
    daemon->has_moved = false;
}

static bool is_on_loopback(const struct resolver_address *to)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&to->address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&to->address;

    return to->address.ss_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
                                            : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static int connect_to_next(struct daemon *daemon)
{
    const struct resolver_address *to = &daemon->found[daemon->next];
    int fd = socket(to->address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&to->address, to->length) < 0) {
        int r = -errno;
        (void)close(fd);
        return r;
    }
    daemon->fd = fd;
    daemon->is_local = is_on_loopback(to);
    return 0;
}

static void start_payload(struct daemon *daemon);

static const char *problem_of(int error)
{
    switch (error) {
    case ECONNREFUSED:
        return "nobody listens there; is X-Ray's daemon running?";
    case ETIMEDOUT:
        return "it does not read what it gets; is X-Ray's daemon stopped?";
    default:
        return strerror(error);
    }
}

/* This address doesn't take it: the next one gets all of it, for what was sent may be lost. */
static void try_next(struct daemon *daemon, int error)
{
    disconnect(daemon);
    if (daemon->found_until_ns != UINT64_MAX)
        daemon->found_until_ns = 0;
    daemon->next = (daemon->next + 1) % daemon->found_count;
    if (++daemon->refused_count < daemon->found_count)
        start_payload(daemon);
    else
        finish_later(daemon, problem_of(error));
}

static int take_socket_error(const struct daemon *daemon)
{
    int error = 0;
    socklen_t length = sizeof(error);

    return getsockopt(daemon->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 ? errno : error;
}

/* sending */

static bool is_all_sent(const struct daemon *daemon)
{
    return daemon->sent_length == daemon->length;
}

/* The length of the document that is next. */
static size_t next_length(const struct daemon *daemon)
{
    const char *document = daemon->payload + daemon->sent_length;
    const char *end = memchr(document, '\n', daemon->length - daemon->sent_length);

    return end != NULL ? (size_t)(end - document) : daemon->length - daemon->sent_length;
}

/* The next document; 0: sent, or too long for ever; else -errno. */
static int send_document(struct daemon *daemon, size_t length)
{
    void *document = (void *)(uintptr_t)(daemon->payload + daemon->sent_length);
    struct iovec parts[] = {{.iov_base = (void *)(uintptr_t)HEADER, .iov_len = strlen(HEADER)},
                            {.iov_base = document, .iov_len = length}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (sendmsg(daemon->fd, &message, MSG_NOSIGNAL) < 0) {
        if (errno != EMSGSIZE)
            return -errno;
        daemon->too_long_count++;
    }
    daemon->sent_length += length;
    if (!is_all_sent(daemon))
        daemon->sent_length++; /* the line feed */
    if (is_all_sent(daemon))
        daemon->sent_ns = loop_now_ns(daemon->loop);
    return 0;
}

/* What there is room for. 0 or -errno. */
static int send_documents(struct daemon *daemon)
{
    int r = xray_pace_look(&daemon->pace, daemon->fd, loop_now_ns(daemon->loop));

    while (r == 0 && !is_all_sent(daemon)) {
        size_t length = next_length(daemon);

        if (!xray_pace_take(&daemon->pace, length))
            break;
        r = send_document(daemon, length);
    }
    return r < 0 ? r : -take_socket_error(daemon);
}

/* All was sent; has it arrived, as far as can be told? */
static bool has_arrived(const struct daemon *daemon)
{
    uint64_t passed_ns = loop_now_ns(daemon->loop) - daemon->sent_ns;

    if (daemon->is_local)
        return xray_pace_is_read(&daemon->pace) || passed_ns >= READ_MS * NS_PER_MS;
    return passed_ns >= REFUSAL_MS * NS_PER_MS;
}

static void on_socket(void *arg, int fd, uint32_t events);

static void go_on(struct daemon *daemon)
{
    int r = send_documents(daemon);

    if (r == -EAGAIN) {
        (void)loop_fd_set(daemon->loop, daemon->fd, EPOLLOUT, on_socket, daemon);
        wait_for(daemon, STATE_ROOM, ROOM_MS);
    } else if (r < 0) {
        try_next(daemon, -r);
    } else if (is_all_sent(daemon) && has_arrived(daemon)) {
        finish_sent(daemon);
    } else {
        wait_for(daemon, STATE_ROUND, XRAY_PACE_ROUND_MS);
    }
}

static void on_socket(void *arg, int fd, uint32_t events)
{
    struct daemon *daemon = arg;
    int error = (events & EPOLLERR) != 0 ? take_socket_error(daemon) : 0;

    if (error != 0) {
        try_next(daemon, error);
    } else if (daemon->state == STATE_ROOM) {
        (void)loop_fd_set(daemon->loop, fd, 0, on_socket, daemon);
        go_on(daemon);
    }
}

/* From the beginning, to the address that is next. */
static void start_payload(struct daemon *daemon)
{
    int r = daemon->fd < 0 ? connect_to_next(daemon) : 0;

    daemon->sent_length = 0;
    daemon->too_long_count = 0;
    if (r == 0)
        r = loop_fd_set(daemon->loop, daemon->fd, 0, on_socket, daemon);
    if (r < 0) {
        try_next(daemon, -r);
        return;
    }
    xray_pace_begin(&daemon->pace, daemon->fd, daemon->is_local, loop_now_ns(daemon->loop));
    go_on(daemon);
}

/* where it is */

static bool is_same(const struct resolver_address *one, const struct resolver_address *other)
{
    return one->length == other->length && memcmp(&one->address, &other->address, one->length) == 0;
}

static void take_addresses(struct daemon *daemon, const struct resolver_address *found, size_t count)
{
    size_t next = 0;

    while (next < count && !is_same(&found[next], &daemon->found[daemon->next]))
        next++;
    daemon->has_moved = next == count && daemon->fd >= 0;
    daemon->next = next < count ? next : 0;
    memcpy(daemon->found, found, count * sizeof(*found));
    daemon->found_count = count;
}

static void on_resolved(void *arg, const struct resolver_address *found, size_t count, const char *problem)
{
    struct daemon *daemon = arg;

    daemon->resolver = NULL;
    daemon->found_until_ns = loop_now_ns(daemon->loop) + LOOKUP_AGAIN_S * NS_PER_S;
    if (count > 0)
        take_addresses(daemon, found, count);
    if (daemon->state != STATE_NAME)
        return;
    loop_timer_clear(daemon->loop, &daemon->timer);
    if (count > 0)
        start_payload(daemon);
    else
        finish_later(daemon, problem);
}

/* Where it was before counts until the name servers say something else. */
static void look_up(struct daemon *daemon)
{
    bool is_due = daemon->found_count == 0 || loop_now_ns(daemon->loop) >= daemon->found_until_ns;

    if (daemon->resolver == NULL && is_due)
        (void)resolver_start(daemon->loop, daemon->address.udp_host, daemon->address.udp_port, on_resolved, daemon,
                             &daemon->resolver);
}

static void on_timer(void *arg)
{
    struct daemon *daemon = arg;

    switch (daemon->state) {
    case STATE_NAME:
        finish_later(daemon, "the name servers don't answer");
        break;
    case STATE_ROUND:
        go_on(daemon);
        break;
    case STATE_ROOM:
        finish_later(daemon, "the kernel has no room for datagrams");
        break;
    case STATE_IDLE:
        break;
    }
}

/* the way */

static int daemon_open(const struct exporter_host *host, const struct settings *settings, void **ret_instance,
                       char error[256])
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));

    if (daemon == NULL) {
        (void)snprintf(error, 256, "can't be set up: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    daemon->loop = host->loop;
    daemon->timer = (struct loop_timer){.fn = on_timer, .arg = daemon};
    daemon->fd = -1;
    xray_pace_init(&daemon->pace);
    if (xray_address_parse(settings->xray_daemon_address, &daemon->address, error) < 0) {
        free(daemon);
        return -EINVAL;
    }
    describe(settings, daemon->shown, sizeof(daemon->shown));
    if (resolver_parse(daemon->address.udp_host, daemon->address.udp_port, &daemon->found[0]) == 0) {
        daemon->found_count = 1;
        daemon->found_until_ns = UINT64_MAX;
    }
    *ret_instance = daemon;
    return 0;
}

static void daemon_send(void *instance, const void *payload, size_t length, exporter_done *done, void *arg)
{
    struct daemon *daemon = instance;

    daemon->payload = payload;
    daemon->length = length;
    daemon->refused_count = 0;
    daemon->done = done;
    daemon->arg = arg;
    if (daemon->has_moved)
        disconnect(daemon);
    look_up(daemon);
    if (daemon->found_count > 0)
        start_payload(daemon);
    else
        wait_for(daemon, STATE_NAME, LOOKUP_MS);
}

static void daemon_close(void *instance)
{
    struct daemon *daemon = instance;

    if (daemon == NULL)
        return;
    disconnect(daemon);
    xray_pace_deinit(&daemon->pace);
    resolver_cancel(daemon->resolver);
    loop_timer_clear(daemon->loop, &daemon->timer);
    free(daemon);
}

const struct xray_way xray_daemon = {
    .describe = describe,
    .open = daemon_open,
    .send = daemon_send,
    .close = daemon_close,
};
