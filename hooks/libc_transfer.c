/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes, by way of the kernel: sendfile and splice. They are counted, not seen. */
#include "hooks/hook.h"

#include <fcntl.h>
#include <sys/sendfile.h>

HOOK
ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    struct hook_call call;

    if (!hook_enter(&call, out))
        return REAL(sendfile)(out, in, offset, count);
    if (!hook_send_owed(&call, 0))
        return -1;
    ssize_t n = REAL(sendfile)(out, in, offset, count);
    hook_done(&call);
    conn_skip_out(&call.conn, n);
    hook_leave(&call);
    return n;
}

HOOK
ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) SAME_AS(sendfile);

HOOK
ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t count, unsigned flags)
{
    struct hook_call from;
    struct hook_call to;
    bool receives = hook_enter(&from, in) && from.conn.conn;
    bool sends = hook_enter(&to, out) && to.conn.conn;

    if (sends && !hook_send_owed(&to, 0))
        return -1;
    ssize_t n = REAL(splice)(in, in_offset, out, out_offset, count, flags);
    int saved_errno = errno;

    if (receives)
        conn_skip_in(&from.conn, n);
    errno = saved_errno;
    if (sends)
        conn_skip_out(&to.conn, n);
    errno = saved_errno;
    return n;
}
