/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that takes any number of bytes of any call, for what goes out by conn_send(). */
#ifndef SPANSHIM_SHIM_KERNEL_H
#define SPANSHIM_SHIM_KERNEL_H

#include <stddef.h>
#include <sys/types.h>

/* What it got, and how much it takes of the next call: 0 fails with `error`. */
extern struct shim_kernel {
    char bytes[65536];
    size_t length, takes;
    const size_t *later; /* likewise of the calls after it, one by one, up to SIZE_MAX. NULL: all */
    int error, calls;
    void (*meanwhile)(void); /* happens in the next call, before it takes anything */
} kernel;

struct conn_sender;
struct iovec;

/* It has got nothing, and takes all. */
void kernel_anew(void);

/* So much it takes of the next calls, one by one; ends with SIZE_MAX, which is all. Borrowed. */
void kernel_take(const size_t *takes);

/* A program's call: the send of its struct conn_sender. */
ssize_t kernel_send(const struct conn_sender *sender, const struct iovec *iov, int count);

/* One call of a program's. */
ssize_t kernel_offer(int fd, const char *bytes, size_t length);

/* All of it, call by call, as a program does whose calls may fail or be cut short. */
void kernel_offer_all(int fd, const char *bytes, size_t length);

#endif
