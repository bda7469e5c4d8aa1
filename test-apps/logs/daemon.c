/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves its terminal as daemons do, and says so on standard error before and after: daemon WAY FILE. The way: by
 * daemon(3), by hand (file in the place of 1 and 2), or data (1 and 2 are closed, and the file, opened next, is no
 * log). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void by_hand(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);

    if (fork() > 0)
        _exit(0);
    setsid();
    if (fork() > 0)
        _exit(0);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void through_pipe(const char *path)
{
    char text[4096];
    int ends[2];
    ssize_t n;

    if (pipe(ends) < 0)
        return;
    if (fork() == 0) {
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);

        close(ends[1]);
        while ((n = read(ends[0], text, sizeof(text))) > 0)
            (void)!write(fd, text, (size_t)n);
        _exit(0);
    }
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
}

static void with_data(const char *path)
{
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    for (int i = 0; i < 2; i++)
        (void)!open(path, O_WRONLY | O_APPEND | O_CREAT, 0644);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    fprintf(stderr, "starting\n");
    if (strcmp(argv[1], "daemon") == 0)
        (void)!daemon(0, 0);
    else if (strcmp(argv[1], "hand") == 0)
        by_hand(argv[2]);
    else if (strcmp(argv[1], "pipe") == 0)
        through_pipe(argv[2]);
    else
        with_data(argv[2]);
    fprintf(stderr, "in the background\n");
    (void)!write(STDERR_FILENO, "done\n", 5);
    return 0;
}
