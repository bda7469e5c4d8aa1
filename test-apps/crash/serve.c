/* SPDX-License-Identifier: Apache-2.0 */
/* A server that crashes when it is asked to: a thread for each connection, answers to one request each.
 *   GET /null /abort /divide   that fault, before the answer
 *   GET /hold                  no answer, until it is killed
 *   GET anything else          200 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int *volatile nowhere; /* never set */
static volatile int nothing;  /* the same */

__attribute__((noinline)) static void write_to_null(void)
{
    *nowhere = 1;
}

__attribute__((noinline)) static void divide(void)
{
    nothing = 7 / nothing;
}

__attribute__((noinline)) static void handle_request(int connection, const char *path)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

    if (strcmp(path, "/null") == 0)
        write_to_null();
    else if (strcmp(path, "/abort") == 0)
        abort();
    else if (strcmp(path, "/divide") == 0)
        divide();
    else if (strcmp(path, "/hold") == 0)
        pause();
    else
        (void)!write(connection, answer, sizeof(answer) - 1);
}

static void *serve(void *arg)
{
    int connection = (int)(intptr_t)arg;
    char head[4096], path[256];
    ssize_t length = read(connection, head, sizeof(head) - 1);

    if (length > 0) {
        head[length] = '\0';
        if (sscanf(head, "%*s %255[^ ?]", path) == 1)
            handle_request(connection, path);
    }
    (void)close(connection);
    return NULL;
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        return 1;
    (void)printf("port %d\n", ntohs(address.sin_port));
    (void)fflush(stdout);
    for (;;) {
        int connection = accept(listener, NULL, NULL);
        pthread_t thread;

        if (connection >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)connection) == 0)
            (void)pthread_detach(thread);
    }
}
