/* SPDX-License-Identifier: Apache-2.0 */
/* Writes numbered lines of 100 bytes to standard error: flood LINES RATE [THREADS]. A line starts with its thread's
 * number (two digits) and its own of that thread (eight). LINES and RATE, in lines per second, are of all threads
 * together; rate 0: as fast as it goes. Prints how many milliseconds that took. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, DIGITS = 10, BATCH = 100, THREADS_MAX = 16 };

static const uint64_t numbers_of_a_thread = 100000000;
static uint64_t start_ns, line_count, rate; /* of each thread */

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

static void *write_lines(void *thread)
{
    char line[LINE];

    memset(line, 'x', LINE - 1);
    line[LINE - 1] = '\n';
    for (uint64_t n = 0; n < line_count; n++) {
        for (uint64_t left = (uintptr_t)thread * numbers_of_a_thread + n, at = DIGITS; at > 0; left /= 10)
            line[--at] = (char)('0' + left % 10);
        if (write(STDERR_FILENO, line, LINE) != LINE)
            exit(1);
        if (rate > 0 && n % BATCH == BATCH - 1)
            sleep_until(start_ns + (n + 1) * 1000000000 / rate);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const unsigned long thread_count = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    pthread_t threads[THREADS_MAX];

    if (argc < 3 || thread_count < 1 || thread_count > THREADS_MAX)
        return 2;
    line_count = strtoull(argv[1], NULL, 10) / thread_count;
    rate = strtoull(argv[2], NULL, 10) / thread_count;
    start_ns = now_ns();
    for (unsigned long n = 1; n < thread_count; n++)
        pthread_create(&threads[n], NULL, write_lines, (void *)n);
    write_lines(NULL);
    for (unsigned long n = 1; n < thread_count; n++)
        pthread_join(threads[n], NULL);
    printf("%.3f\n", (double)(now_ns() - start_ns) / 1e6);
    return 0;
}
