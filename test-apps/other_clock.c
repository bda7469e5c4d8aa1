/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded, as libfaketime is: programs live in another time, in which an hour lasts a second. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { YEARS_AGO = 10 * 365 * 86400, SLOWNESS = 3600 };

static volatile int is_ready;

static void __attribute__((constructor)) start(void)
{
    is_ready = 1;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!is_ready)
        abort(); /* who asks before we are initialised */

    long result = syscall(SYS_clock_gettime, clock, now);

    now->tv_sec = (now->tv_sec - YEARS_AGO) / SLOWNESS;
    return (int)result;
}
