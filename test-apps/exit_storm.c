/* SPDX-License-Identifier: Apache-2.0 */
/* Ends the process in the way asked for while eight threads are busy with I/O: it must end with that status and nothing
 * else. Usage: exit_storm return|exit|quick_exit|_exit|exit_group|abort|exec */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic int busy; /* threads that have made a round */

static void *talk(void *arg)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", answer[] = "HTTP/1.1 204 No\r\n\r\n";
    char bytes[64];

    (void)arg;
    for (int rounds = 0;; rounds++) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
            continue;
        (void)!write(ends[0], request, sizeof request - 1);
        (void)!read(ends[1], bytes, sizeof bytes);
        (void)!write(ends[1], answer, sizeof answer - 1);
        (void)!read(ends[0], bytes, sizeof bytes);
        (void)close(ends[0]);
        (void)close(ends[1]);
        if (rounds == 0)
            busy++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "return";
    pthread_t thread;

    for (int i = 0; i < 8; i++)
        if (pthread_create(&thread, NULL, talk, NULL) != 0)
            return 1;
    while (busy < 8)
        (void)usleep(100);
    if (strcmp(how, "exit") == 0)
        exit(3);
    if (strcmp(how, "quick_exit") == 0)
        quick_exit(4);
    if (strcmp(how, "_exit") == 0)
        _exit(5);
    if (strcmp(how, "exit_group") == 0)
        (void)syscall(SYS_exit_group, 6);
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "exec") == 0)
        (void)execl("/bin/sh", "sh", "-c", "exit 8", (char *)NULL);
    return 7;
}
