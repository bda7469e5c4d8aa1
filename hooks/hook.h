/* SPDX-License-Identifier: Apache-2.0 */
/* What the body of a hook needs. A body decides nothing: it asks whether the descriptor is followed, makes the real
 * call, and passes the result on.
 *
 *     HOOK ssize_t read(int fd, void *buf, size_t len)
 *     {
 *         struct hook_call call;
 *
 *         if (!hook_enter(&call, fd))
 *             return REAL(read)(fd, buf, len);
 *         ssize_t n = REAL(read)(fd, buf, len);
 *         hook_done(&call);
 *         conn_data_in(&call.conn, buf, len, n);
 *         hook_leave(&call);
 *         return n;
 *     }
 *
 * There is no re-entrancy flag: what is between hook_done and hook_leave takes no lock and calls nothing that is
 * hooked, and a signal handler that comes between meets try-claims, as another thread would. So nothing stays set when
 * a handler jumps away. errno is the program's again when the hook returns, also after success. Context: any thread,
 * signal handlers included. */
#ifndef SPANSHIM_HOOK_H
#define SPANSHIM_HOOK_H

#include "preload/applog.h"
#include "preload/conn.h"
#include "preload/process.h"
#include "preload/real.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

#define HOOK __attribute__((visibility("default")))

/* After a hook's declaration: it is another name of this hook. Only where libc has one function by both names: on
 * 64-bit machines offsets have one size. */
#define SAME_AS(hook) __attribute__((alias(#hook)))
static_assert(sizeof(off_t) == sizeof(off64_t), "SAME_AS");

struct hook_call {
    struct conn_ref conn; /* captured before the call: the number may mean something else after it */
    int saved_errno;
};

/* Are hooks to do more than forward at all? */
static inline bool hook_active(void)
{
    return __builtin_expect(atomic_load_explicit(&process_active, memory_order_acquire), 1) && process_in_vfork == 0;
}

/* Is it to be known what becomes of descriptors? That of logs from the start, before anything was written to them. */
static inline bool hook_follows(void)
{
    return hook_active() || (applog_is_on && process_in_vfork == 0);
}

/* Is this descriptor's traffic followed? Captures its connection. */
static inline bool hook_enter(struct hook_call *call, int fd)
{
    return hook_active() && conn_capture(&call->conn, fd);
}

/* After the real call: keep what it left in errno. */
static inline void hook_done(struct hook_call *call)
{
    call->saved_errno = errno;
}

static inline void hook_leave(const struct hook_call *call)
{
    errno = call->saved_errno;
}

/* Before a call sends bytes by a way on which they can't be replaced; `flags` as of send(). False: it is not to be
 * made, and has failed. */
bool hook_send_owed(const struct hook_call *call, int flags);

#endif
