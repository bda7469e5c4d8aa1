// SPDX-License-Identifier: Apache-2.0
/* Writes numbered lines of 100 bytes to standard error: flood LINES RATE. The rate is lines per second, 0 as fast as
 * it goes. Prints how many milliseconds that took. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, BATCH = 100 };

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t moment_ns)
{
    const struct timespec moment = {(time_t)(moment_ns / 1000000000), (long)(moment_ns % 1000000000)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
}

int main(int argc, char **argv)
{
    const uint64_t lines = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    const uint64_t rate = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    const uint64_t start = now_ns();
    char line[LINE + 1];

    memset(line, 'x', LINE - 1);
    line[LINE - 1] = '\n';
    for (uint64_t n = 0; n < lines; n++) {
        for (uint64_t left = n, at = 10; at > 0; left /= 10)
            line[--at] = (char)('0' + left % 10);
        if (write(STDERR_FILENO, line, LINE) != LINE)
            return 1;
        if (rate > 0 && n % BATCH == BATCH - 1)
            sleep_until(start + (n + 1) * 1000000000 / rate);
    }
    printf("%.3f\n", (double)(now_ns() - start) / 1e6);
    return 0;
}
