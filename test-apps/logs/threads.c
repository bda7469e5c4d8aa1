/* SPDX-License-Identifier: Apache-2.0 */
/* 16 threads write numbered lines at once: threads WAY LINES. The way: printf, stderr, write (a line by a call), pieces
 * (a line by three calls). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 16, LINE_MAX = 3100 };

static const char *way;
static int line_count;
static pthread_barrier_t start;

/* "thread-line-xxx...-thread-line", of many lengths. */
static size_t make_line(char *line, int thread, int number)
{
    size_t fill = number % 20 == 0 ? 3000 : (size_t)(number * 7 % 60);
    int length = sprintf(line, "%02d-%05d-", thread, number);

    memset(line + length, 'x', fill);
    return (size_t)length + fill + (size_t)sprintf(line + length + fill, "-%02d-%05d\n", thread, number);
}

static void put(const char *line, size_t length)
{
    size_t third = length / 3;

    if (strcmp(way, "printf") == 0)
        printf("%s", line);
    else if (strcmp(way, "stderr") == 0)
        fprintf(stderr, "%s", line);
    else if (strcmp(way, "write") == 0)
        (void)!write(STDOUT_FILENO, line, length);
    else {
        (void)!write(STDOUT_FILENO, line, third);
        (void)!write(STDOUT_FILENO, line + third, third);
        (void)!write(STDOUT_FILENO, line + 2 * third, length - 2 * third);
    }
}

static void *write_lines(void *number)
{
    char line[LINE_MAX];

    pthread_barrier_wait(&start);
    for (int i = 0; i < line_count; i++) {
        size_t length = make_line(line, (int)(long)number, i);

        put(line, length);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];

    if (argc < 3)
        return 2;
    way = argv[1];
    line_count = atoi(argv[2]);
    pthread_barrier_init(&start, NULL, THREADS);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_lines, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
