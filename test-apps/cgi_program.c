/* SPDX-License-Identifier: Apache-2.0 */
/* A CGI program that answers as its query string says; by stdio, whose buffer is written when the process ends. */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void fields(const char *status)
{
    if (status)
        (void)printf("Status: %s\r\n", status);
    (void)printf("Content-Type: text/plain\r\n\r\n");
}

/* The head in many small writes, then the body in one call of several buffers. */
static void pieces(void)
{
    static char head[] = "Status: 203 Pieces\nContent-Type: text/plain\n\n";
    struct iovec body[2] = {{(char[]){"0123456789"}, 10}, {(char[]){"abcdefghij"}, 10}};

    for (const char *at = head; *at; at++)
        if (write(STDOUT_FILENO, at, 1) != 1)
            err(1, "write");
    if (writev(STDOUT_FILENO, body, 2) != 20)
        err(1, "writev");
}

/* A child writes the answer, and ends before its parent. */
static void by_child(void)
{
    pid_t child = fork();

    if (child == 0) {
        fields("206 Child");
        (void)printf("child\n");
        exit(0);
    }
    (void)waitpid(child, NULL, 0);
}

int main(void)
{
    const char *how = getenv("QUERY_STRING");

    if (!how)
        how = "";
    if (strcmp(how, "status") == 0)
        fields("404 Not Found");
    else if (strcmp(how, "location") == 0)
        (void)printf("Location: /elsewhere\r\n\r\n");
    else if (strcmp(how, "pieces") == 0)
        pieces();
    else if (strcmp(how, "child") == 0)
        by_child();
    else if (strcmp(how, "cut") == 0)
        (void)printf("Content-Type: text/plain\r\n");
    else if (strcmp(how, "garbage") == 0)
        (void)printf("this is no head\nat all\n\n");
    else if (strcmp(how, "nph") == 0)
        (void)printf("HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\ngone");
    else if (strcmp(how, "kill") == 0)
        (void)raise(SIGKILL);
    else if (strcmp(how, "exit") == 0) {
        fields(NULL);
        (void)fflush(stdout);
        _exit(3);
    } else if (strcmp(how, "moved") == 0) { /* its output goes on under another number */
        int copy = dup(STDOUT_FILENO);

        if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dprintf(copy, "Status: 207 Moved\n\nmoved\n") < 0)
            err(1, "dup2");
    } else if (strcmp(how, "silent") != 0) {
        fields(NULL);
        (void)printf("%s\n", how);
    }
    return 0;
}
