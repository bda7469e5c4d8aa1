/* SPDX-License-Identifier: Apache-2.0 */
/* Every way in which bytes go in and out of a socket, one scenario each; all are answered. Usage: fd_bytes [NAME...] */
#include "scenario.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define ANSWER_LENGTH (sizeof SCENARIO_ANSWER - 1)
#define HEAD_LENGTH   (sizeof SCENARIO_ANSWER_HEAD - 1)

static char *const buf = scenario_bytes;

/* The answer in two parts, its head cut. */
static struct iovec answer_parts[2] = {{(char *)(size_t)SCENARIO_ANSWER, 9},
                                       {(char *)(size_t)SCENARIO_ANSWER + 9, ANSWER_LENGTH - 9}};

/* Two places for what comes in, so that a head lies across them. */
static struct iovec in_parts[2] = {{scenario_bytes, 7}, {scenario_bytes + 7, SCENARIO_BUFFER - 7}};

/* What the compiler calls where it knows the buffer's size. */
ssize_t __read_chk(int fd, void *to, size_t length, size_t size);
ssize_t __recv_chk(int fd, void *to, size_t length, size_t size, int flags);
ssize_t __recvfrom_chk(int fd, void *to, size_t length, size_t size, int flags, struct sockaddr *from, socklen_t *room);

/* families of calls */

static void by_recvfrom(int fd)
{
    struct sockaddr_in from;
    socklen_t length = sizeof from;

    TRY(recvfrom(fd, buf, SCENARIO_BUFFER, 0, (struct sockaddr *)&from, &length));
    TRY(sendto(fd, SCENARIO_ANSWER, ANSWER_LENGTH, MSG_NOSIGNAL, NULL, 0));
}

static void by_recvmsg(int fd)
{
    struct msghdr in = {.msg_iov = in_parts, .msg_iovlen = 2}, out = {.msg_iov = answer_parts, .msg_iovlen = 2};

    TRY(recvmsg(fd, &in, 0));
    TRY(sendmsg(fd, &out, MSG_MORE));
}

static void by_recvmmsg(int fd)
{
    struct mmsghdr in = {.msg_hdr = {.msg_iov = in_parts, .msg_iovlen = 2}};
    struct mmsghdr out[2] = {{.msg_hdr = {.msg_iov = &answer_parts[0], .msg_iovlen = 1}},
                             {.msg_hdr = {.msg_iov = &answer_parts[1], .msg_iovlen = 1}}};

    TRY(recvmmsg(fd, &in, 1, MSG_WAITFORONE, NULL));
    TRY(sendmmsg(fd, out, 2, 0));
}

static void by_readv(int fd)
{
    TRY(readv(fd, in_parts, 2));
    TRY(writev(fd, answer_parts, 2));
}

/* With a position a socket is refused, with -1 it is none. */
static void by_preadv(int fd)
{
    TRY(pread(fd, buf, 8, 0));
    TRY(preadv(fd, in_parts, 2, 0));
    TRY(preadv2(fd, in_parts, 2, 0, 0));
    TRY(preadv2(fd, in_parts, 2, -1, 0));
    TRY(preadv64v2(fd, in_parts, 2, -1, RWF_NOWAIT));
    TRY(pwrite(fd, "x", 1, 0));
    TRY(pwritev(fd, answer_parts, 1, 0));
    TRY(pwritev2(fd, answer_parts, 1, -1, 0));
    TRY(pwritev64v2(fd, answer_parts + 1, 1, -1, 0));
}

static void by_preadv64(int fd)
{
    TRY(preadv64v2(fd, in_parts, 2, -1, 0));
    TRY(pwritev64v2(fd, answer_parts, 2, -1, 0));
}

static void by_checked_read(int fd)
{
    TRY(__read_chk(fd, buf, 10, SCENARIO_BUFFER));
    TRY(__recv_chk(fd, buf, 10, SCENARIO_BUFFER, 0));
    TRY(__recvfrom_chk(fd, buf, SCENARIO_BUFFER, SCENARIO_BUFFER, 0, NULL, NULL));
    scenario_answer(fd);
}

/* flags */

static void peeks(int fd)
{
    TRY(recv(fd, buf, 1, MSG_PEEK));
    TRY(recv(fd, buf, SCENARIO_BUFFER, MSG_PEEK));
    TRY(recv(fd, buf, 3, MSG_PEEK | MSG_TRUNC));
    TRY(recv(fd, buf, 3, 0));
    TRY(recv(fd, buf, SCENARIO_BUFFER, MSG_PEEK | MSG_DONTWAIT));
    TRY(recv(fd, buf, SCENARIO_BUFFER, MSG_DONTWAIT));
    TRY(recv(fd, buf, SCENARIO_BUFFER, MSG_DONTWAIT));
    scenario_answer(fd);
}

static void waits_for_all(int fd)
{
    TRY(recv(fd, buf, scenario_request_length, MSG_WAITALL));
    scenario_answer(fd);
}

/* A body that is thrown away in the kernel, by each call that can. */
static void throws_away(int fd)
{
    struct msghdr message = {.msg_iov = in_parts, .msg_iovlen = 1};
    struct mmsghdr messages = {.msg_hdr = message};

    TRY(recv(fd, buf, scenario_request_length - 40, 0));
    TRY(recv(fd, NULL, 10, MSG_TRUNC));
    TRY(recvfrom(fd, buf, 10, MSG_TRUNC, NULL, NULL));
    TRY(recvmsg(fd, &message, MSG_TRUNC));
    TRY(recvmmsg(fd, &messages, 1, MSG_TRUNC, NULL));
    TRY(recv(fd, buf, 6, MSG_TRUNC));
    scenario_answer(fd);
}

/* The host's name is thrown away in the kernel: what stands in the buffer instead must not be taken for it. */
static void throws_head_away(int fd)
{
    TRY(recv(fd, buf, scenario_request_length - 5, 0));
    TRY(recv(fd, buf, 1, MSG_TRUNC));
    TRY(recv(fd, buf, 4, 0));
    scenario_answer(fd);
}

/* One byte beside the stream: it belongs to no request. */
static void out_of_band(int fd)
{
    scenario_take(fd);
    TRY(send(scenario_client, "!", 1, MSG_OOB));
    TRY(recv(fd, buf, 8, MSG_OOB));
    TRY(buf[0]);
    TRY(send(fd, "?", 1, MSG_OOB));
    TRY(recv(scenario_client, buf, 8, MSG_OOB));
    scenario_answer(fd);
}

static void error_queue(int fd)
{
    struct msghdr message = {.msg_iov = in_parts, .msg_iovlen = 1};

    TRY(recvmsg(fd, &message, MSG_ERRQUEUE));
    TRY(recv(fd, buf, 8, MSG_ERRQUEUE | MSG_DONTWAIT));
    scenario_take(fd);
    scenario_answer(fd);
}

/* Without a copy: the kernel says on the error queue when it is done with the pages. */
static void without_copy(int fd)
{
    static char pages[65536];
    union {
        char bytes[CMSG_SPACE(sizeof(struct sock_extended_err)) + 64];
        struct cmsghdr align;
    } control;
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
    struct pollfd ready = {.fd = fd};
    int on = 1;

    scenario_take(fd);
    memcpy(pages, SCENARIO_ANSWER, ANSWER_LENGTH);
    TRY(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on));
    TRY(send(fd, pages, ANSWER_LENGTH, MSG_ZEROCOPY));
    TRY(poll(&ready, 1, 5000));
    TRY(recvmsg(fd, &message, MSG_ERRQUEUE));
    TRY(recvmsg(fd, &message, MSG_ERRQUEUE));
}

/* lengths */

static void zero_lengths(int fd)
{
    struct iovec none[3] = {{buf, 0}, {NULL, 0}, {buf, 0}};
    struct msghdr message = {.msg_iov = none, .msg_iovlen = 3};
    struct iovec mixed[4] = {{NULL, 0}, answer_parts[0], {buf, 0}, answer_parts[1]};

    TRY(read(fd, buf, 0));
    TRY(recv(fd, buf, 0, 0));
    TRY(readv(fd, none, 3));
    TRY(readv(fd, none, 0));
    TRY(recvmsg(fd, &message, 0));
    scenario_take(fd);
    TRY(write(fd, buf, 0));
    TRY(send(fd, buf, 0, 0));
    TRY(writev(fd, none, 3));
    TRY(writev(fd, none, 0));
    TRY(sendmsg(fd, &message, 0));
    TRY(writev(fd, mixed, 4));
}

/* As many elements as there may be, and one more. */
static void many_elements(int fd)
{
    static struct iovec parts[IOV_MAX + 1];
    volatile int too_many = IOV_MAX + 1;

    for (int i = 0; i <= IOV_MAX; i++)
        parts[i] = (struct iovec){buf + i, 1};
    TRY(readv(fd, parts, too_many));
    TRY(readv(fd, parts, IOV_MAX));
    memset(parts, 0, sizeof parts);
    for (size_t i = 0; i < ANSWER_LENGTH; i++)
        parts[i * 20] = (struct iovec){(char *)(size_t)SCENARIO_ANSWER + i, 1};
    TRY(writev(fd, parts, too_many));
    TRY(writev(fd, parts, IOV_MAX));
}

/* Memory that isn't there, wholly or from some byte on. */
static void unreadable(int fd)
{
    char *nowhere = scenario_nowhere();
    struct iovec bad_in[2] = {{buf, 5}, {nowhere, 100}};
    struct iovec bad_out[2] = {answer_parts[0], {nowhere, 100}};
    struct msghdr message = {.msg_iov = (struct iovec *)(void *)nowhere, .msg_iovlen = 1};
    struct sockaddr_in address;
    ssize_t sent;

    TRY(read(fd, nowhere, 8));
    TRY(recv(fd, nowhere, 8, 0));
    TRY(recvmsg(fd, (struct msghdr *)(void *)nowhere, 0));
    TRY(recvmsg(fd, &message, 0));
    TRY(readv(fd, (struct iovec *)(void *)nowhere, 2));
    TRY(getpeername(fd, (struct sockaddr *)&address, (socklen_t *)(void *)nowhere));
    TRY(readv(fd, bad_in, 2));
    TRY(recv(fd, buf, SCENARIO_BUFFER, 0));
    TRY(write(fd, nowhere, 8));
    TRY(send(fd, nowhere, 8, 0));
    TRY(sendmsg(fd, (struct msghdr *)(void *)nowhere, 0));
    TRY(sendmsg(fd, &message, 0));
    TRY(sendmmsg(fd, (struct mmsghdr *)(void *)nowhere, 1, 0));
    TRY(sent = writev(fd, bad_out, 2));
    sent = sent < 0 ? 0 : sent;
    TRY(write(fd, &SCENARIO_ANSWER[sent], ANSWER_LENGTH - (size_t)sent));
}

/* The second message can't be sent: how many were is told, and the rest sent again. */
static void partly_sent_messages(int fd)
{
    struct iovec bad = {scenario_nowhere(), 100};
    struct mmsghdr out[2] = {{.msg_hdr = {.msg_iov = &answer_parts[0], .msg_iovlen = 1}},
                             {.msg_hdr = {.msg_iov = &bad, .msg_iovlen = 1}}};

    scenario_take(fd);
    TRY(sendmmsg(fd, out, 2, 0));
    TRY(out[0].msg_len);
    out[1].msg_hdr.msg_iov = &answer_parts[1];
    TRY(sendmmsg(fd, out + 1, 1, 0));
}

/* by way of the kernel */

static int file_of(const char *text)
{
    int file = memfd_create("answer", MFD_CLOEXEC);

    (void)!write(file, text, strlen(text));
    return file;
}

static void by_sendfile(int fd)
{
    int file = file_of("hi");
    off_t position = 0;
    off64_t far_position = 1;

    scenario_take(fd);
    TRY(send(fd, SCENARIO_ANSWER_HEAD, HEAD_LENGTH, MSG_MORE));
    TRY(sendfile(fd, file, &position, 0));
    TRY(sendfile(fd, file, &position, 1));
    TRY(sendfile64(fd, file, &far_position, 100));
    TRY(sendfile64(fd, file, &far_position, 100));
    TRY(sendfile(fd, -1, NULL, 1));
    (void)close(file);
}

/* The request's body goes through two pipes and back as the answer's: all in the kernel. */
static void by_splice(int fd)
{
    int first[2], second[2];

    if (pipe2(first, O_CLOEXEC) != 0 || pipe2(second, O_CLOEXEC) != 0)
        return;
    TRY(recv(fd, buf, scenario_request_length - 2, 0));
    TRY(splice(fd, NULL, first[1], NULL, 1, SPLICE_F_MOVE));
    TRY(splice(fd, NULL, first[1], NULL, 100, SPLICE_F_MORE));
    TRY(fcntl(fd, F_SETFL, O_NONBLOCK));
    TRY(splice(fd, NULL, first[1], NULL, 100, 0));
    TRY(tee(first[0], second[1], 100, 0));
    TRY(read(first[0], buf, 100));
    TRY(send(fd, SCENARIO_ANSWER_HEAD, HEAD_LENGTH, MSG_MORE));
    TRY(splice(second[0], NULL, fd, NULL, 1, SPLICE_F_MORE));
    TRY(splice(second[0], NULL, fd, NULL, 100, SPLICE_F_MOVE));
    for (int i = 0; i < 2; i++) {
        (void)close(first[i]);
        (void)close(second[i]);
    }
}

static void by_vmsplice(int fd)
{
    struct iovec body = {(char *)(size_t) "hi", 2};
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    scenario_take(fd);
    TRY(write(fd, SCENARIO_ANSWER_HEAD, HEAD_LENGTH));
    TRY(vmsplice(ends[1], &body, 1, 0));
    TRY(splice(ends[0], NULL, fd, NULL, 2, 0));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(int argc, char **argv)
{
    static const struct scenario scenarios[] = {
        {"recvfrom", by_recvfrom, NULL},
        {"recvmsg", by_recvmsg, NULL},
        {"recvmmsg", by_recvmmsg, NULL},
        {"readv", by_readv, NULL},
        {"preadv", by_preadv, NULL},
        {"preadv64", by_preadv64, NULL},
        {"checked-read", by_checked_read, NULL},
        {"peek", peeks, NULL},
        {"waitall", waits_for_all, NULL},
        {"trunc", throws_away, "0123456789012345678901234567890123456789"},
        {"trunc-head", throws_head_away, NULL},
        {"oob", out_of_band, NULL},
        {"errqueue", error_queue, NULL},
        {"zerocopy", without_copy, NULL},
        {"zero-length", zero_lengths, NULL},
        {"iov-max", many_elements, NULL},
        {"efault", unreadable, NULL},
        {"sendmmsg-partly", partly_sent_messages, NULL},
        {"sendfile", by_sendfile, NULL},
        {"splice", by_splice, "hi"},
        {"vmsplice", by_vmsplice, NULL},
    };

    return scenario_main(scenarios, sizeof scenarios / sizeof *scenarios, argc, argv);
}
