/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/udp_backlog.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
    struct nlmsghdr header;
    struct inet_diag_req_v2 body;
};

int udp_backlog_open(void)
{
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

    return netlink < 0 ? -errno : netlink;
}

static void put_name(const struct sockaddr_storage *name, uint16_t *port, uint32_t address[4])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)name;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)name;

    *port = name->ss_family == AF_INET ? v4->sin_port : v6->sin6_port;
    if (name->ss_family == AF_INET)
        memcpy(address, &v4->sin_addr, sizeof(v4->sin_addr));
    else
        memcpy(address, &v6->sin6_addr, sizeof(v6->sin6_addr));
}

/* The kernel finds the receiver as for a datagram: by the sender's address (src) and the destination (dst). */
static int make_request(int fd, struct request *request)
{
    struct inet_diag_sockid *id = &request->body.id;
    struct sockaddr_storage from, to;
    socklen_t from_length = sizeof(from), to_length = sizeof(to);

    if (getsockname(fd, (struct sockaddr *)&from, &from_length) < 0 ||
        getpeername(fd, (struct sockaddr *)&to, &to_length) < 0)
        return -errno;
    *request = (struct request){
        .header = {.nlmsg_len = sizeof(*request), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
        .body = {.sdiag_family = (uint8_t)to.ss_family,
                 .sdiag_protocol = IPPROTO_UDP,
                 .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1),
                 .idiag_states = UINT32_MAX,
                 .id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}};
    put_name(&from, &id->idiag_sport, id->idiag_src);
    put_name(&to, &id->idiag_dport, id->idiag_dst);
    return 0;
}

/* The memory's words among an answer's attributes. */
static int find_words(const char *answer, size_t length, uint32_t words[SK_MEMINFO_VARS])
{
    size_t at = NLMSG_LENGTH(sizeof(struct inet_diag_msg));
    struct nlattr attribute;

    for (; at + sizeof(attribute) <= length; at += NLA_ALIGN(attribute.nla_len)) {
        memcpy(&attribute, answer + at, sizeof(attribute));
        if (attribute.nla_len < sizeof(attribute) || attribute.nla_len > length - at)
            break;
        if (attribute.nla_type != INET_DIAG_SKMEMINFO ||
            attribute.nla_len < NLA_HDRLEN + (SK_MEMINFO_DROPS + 1) * sizeof(*words))
            continue;
        memcpy(words, answer + at + NLA_HDRLEN, (SK_MEMINFO_DROPS + 1) * sizeof(*words));
        return 0;
    }
    return -EBADMSG;
}

static int read_answer(const char *answer, size_t length, struct inet_diag_msg *ret_message,
                       uint32_t words[SK_MEMINFO_VARS])
{
    struct nlmsghdr header;
    struct nlmsgerr error;

    if (length < sizeof(header))
        return -EBADMSG;
    memcpy(&header, answer, sizeof(header));
    if (header.nlmsg_type == SOCK_DIAG_BY_FAMILY && length >= NLMSG_LENGTH(sizeof(*ret_message))) {
        memcpy(ret_message, answer + NLMSG_HDRLEN, sizeof(*ret_message));
        return find_words(answer, length, words);
    }
    if (header.nlmsg_type != NLMSG_ERROR || length < NLMSG_LENGTH(sizeof(error)))
        return -EBADMSG;
    memcpy(&error, answer + NLMSG_HDRLEN, sizeof(error));
    return error.error < 0 ? error.error : -EBADMSG;
}

int udp_backlog_look(int netlink, int fd, struct udp_backlog *ret_backlog)
{
    struct request request;
    struct inet_diag_msg message;
    uint32_t words[SK_MEMINFO_VARS] = {0};
    char answer[1024];
    int r = make_request(fd, &request);

    if (r == 0 && send(netlink, &request, sizeof(request), MSG_NOSIGNAL) < 0)
        r = -errno;
    ssize_t n = r == 0 ? recv(netlink, answer, sizeof(answer), 0) : 0; /* is there when send() returns */
    if (n < 0)
        r = -errno;
    if (r == 0)
        r = read_answer(answer, (size_t)n, &message, words);
    if (r == 0)
        *ret_backlog = (struct udp_backlog){
            .held_bytes = words[SK_MEMINFO_RMEM_ALLOC],
            .buffer_bytes = words[SK_MEMINFO_RCVBUF],
            .dropped_count = words[SK_MEMINFO_DROPS],
            .inode = message.idiag_inode,
        };
    return r;
}
