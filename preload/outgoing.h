/* SPDX-License-Identifier: Apache-2.0 */
/* A head (of a client's request, of a server's response) as it goes out in the place of the program's own: a copy in
 * which lines are left out, short texts are replaced, and ours stand just before the blank line. The program never
 * learns of it: what the kernel takes of the copy is told to it as so many of its own bytes. What the kernel does not
 * take waits here; the program offers those bytes again.
 *
 * One call's part of a head: what went out in earlier calls is not in it. Context of all: pure but for the real call;
 * signal-safe; one thread at a time. */
#ifndef SPANSHIM_OUTGOING_H
#define SPANSHIM_OUTGOING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    OUTGOING_HEAD_MAX = 7680,          /* bytes of a head with our lines: the smallest limits of servers are 8 KiB */
    OUTGOING_FIELDS_MAX = 95,          /* the smallest limits are 100 */
    OUTGOING_RESPONSE_HEAD_MAX = 3840, /* the same of a response: nginx as a proxy takes 4 KiB */
    OUTGOING_RESPONSE_FIELDS_MAX = 50, /* Varnish takes 59 */
    OUTGOING_OMITTED_MAX = 32,         /* lines that are left out, texts that are replaced */
    OUTGOING_REPLACEMENT_MAX = 8,      /* bytes of such a text */
    OUTGOING_BYTES = 32768,            /* of head and body in one piece, for calls that take one buffer */
    OUTGOING_VECTOR_MAX = 1024,        /* IOV_MAX */
};

/* How the program sends: its own call, for other bytes than its own. */
struct conn_sender {
    ssize_t (*send)(const struct conn_sender *sender, const struct iovec *iov, int count);
    bool takes_one; /* buffer only */
    int fd;
    int flags;
    const void *more; /* what else the call takes */
    socklen_t more_length;
};

struct outgoing {
    _Atomic uint32_t pool_link; /* arena.h's while it is free */
    uint32_t callers;           /* the program's bytes that this stands for: up to the blank line's end */
    uint32_t accepted;          /* of them, as the program was told */
    uint32_t length;            /* of bytes[] */
    uint32_t sent;              /* of them */
    uint32_t own_before;        /* our lines stand before this one of the program's bytes */
    uint32_t own_length;
    uint32_t omitted_count, omitted_length; /* pieces, bytes; all before our own */
    uint32_t replaced_length;
    struct {
        uint32_t at, length; /* among the program's bytes, in their order */
        uint32_t replacement_length;
        char replacement[OUTGOING_REPLACEMENT_MAX];
    } omitted[OUTGOING_OMITTED_MAX];
    struct iovec iov[OUTGOING_VECTOR_MAX];
    char own[OUTGOING_HEAD_MAX];
    char bytes[OUTGOING_BYTES];
};

/* An empty one. */
void outgoing_begin(struct outgoing *outgoing);

/* Leave out a piece of the program's bytes. False: there are too many. */
bool outgoing_omit(struct outgoing *outgoing, size_t at, size_t length);

/* The same, and put these few bytes in its place. */
bool outgoing_replace(struct outgoing *outgoing, size_t at, size_t length, const char *replacement,
                      size_t replacement_length);

/* Put it together: the first `callers` bytes of what the program sends, and own[0..own_length) before number
 * own_before. */
void outgoing_build(struct outgoing *outgoing, const struct iovec *iov, size_t callers, size_t own_before,
                    size_t own_length);

/* Are these the bytes that the program still has to send of it? */
bool outgoing_is_offered(const struct outgoing *outgoing, const struct iovec *iov, int count);

/* The program goes on with something else: what must go out is the rest of our lines, if they are cut; then the
 * program's bytes as they are. */
void outgoing_cut(struct outgoing *outgoing);

/* Send what is left of it and then the rest of the program's bytes. Returns how many of the program's were taken, or -1
 * with errno as the call left it. */
ssize_t outgoing_send(struct outgoing *outgoing, const struct conn_sender *sender, const struct iovec *iov, int count);

/* Send what is left of one that was cut. Returns 0, or -1 with errno as the call left it. */
int outgoing_send_rest(struct outgoing *outgoing, const struct conn_sender *sender);

/* Bad pointers are the kernel's to refuse (EFAULT). Those that programs give are null, -1, or next to them; a program
 * that passes others while it begins a request is not protected from itself. */
static inline bool outgoing_may_read(const void *bytes, size_t length)
{
    const uintptr_t first = 4096, end = (uintptr_t)1 << 47;

    return length == 0 || ((uintptr_t)bytes >= first && length < end && (uintptr_t)bytes < end - length);
}

/* Has all of it been sent? */
static inline bool outgoing_is_over(const struct outgoing *outgoing)
{
    return outgoing->sent == outgoing->length;
}

#endif
