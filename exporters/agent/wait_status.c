/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/wait_status.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* As kernel 6.15 has it; older headers don't. */
struct info {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t numbers[11];
    int32_t exit_code;
};
static_assert(sizeof(struct info) == 64, "struct pidfd_info, its first version");

#define GET_INFO  _IOWR(0xff, 11, struct info)
#define INFO_EXIT (UINT64_C(1) << 3)

int wait_status_of(int pidfd, int *ret_status)
{
    struct info info = {.mask = INFO_EXIT};

    if (ioctl(pidfd, GET_INFO, &info))
        return errno == ESRCH ? -EAGAIN : -errno;
    if (!(info.mask & INFO_EXIT))
        return -EAGAIN;
    *ret_status = info.exit_code;
    return 0;
}
