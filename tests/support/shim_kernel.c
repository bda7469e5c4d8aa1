/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/shim_kernel.h"

#include "preload/conn.h"
#include "preload/outgoing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct shim_kernel kernel;

void kernel_take(const size_t *takes)
{
    kernel.takes = *takes;
    kernel.later = *takes == SIZE_MAX ? NULL : takes + 1;
}

ssize_t kernel_send(const struct conn_sender *sender, const struct iovec *iov, int count)
{
    void (*meanwhile)(void) = kernel.meanwhile;
    size_t room = kernel.takes, taken = 0;

    assert_true(!sender->takes_one || count == 1);
    kernel.calls++;
    if (kernel.later)
        kernel_take(kernel.later);
    else
        kernel.takes = SIZE_MAX;
    kernel.meanwhile = NULL;
    if (meanwhile)
        meanwhile();
    if (room == 0) {
        errno = kernel.error;
        return -1;
    }
    for (int i = 0; i < count && room > 0; i++) {
        size_t length = iov[i].iov_len < room ? iov[i].iov_len : room;

        memcpy(kernel.bytes + kernel.length, iov[i].iov_base, length);
        kernel.length += length;
        taken += length;
        room -= length;
    }
    return (ssize_t)taken;
}

void kernel_anew(void)
{
    memset(&kernel, 0, sizeof(kernel));
    kernel.takes = SIZE_MAX;
    kernel.error = EAGAIN;
}

ssize_t kernel_offer(int fd, const char *bytes, size_t length)
{
    const struct conn_sender sender = {.send = kernel_send, .takes_one = true};
    struct iovec iov = {(void *)(uintptr_t)bytes, length};
    struct conn_ref ref;

    if (!conn_capture(&ref, fd) || !conn_looks_ahead(&ref))
        return kernel_send(&sender, &iov, 1);
    return conn_send(&ref, &sender, &iov, 1);
}

void kernel_offer_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t n = kernel_offer(fd, bytes, length);

        assert_int_not_equal(n, 0);
        assert_true(n <= (ssize_t)length);
        if (n > 0) {
            bytes += n;
            length -= (size_t)n;
        }
    }
}
