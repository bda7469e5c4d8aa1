/* SPDX-License-Identifier: Apache-2.0 */
/* Scenarios: each is one HTTP connection whose server treats its descriptor in one particular way, and prints what the
 * calls gave. Bare and under a preload the output must be the same; under the shim each makes the span of its name. */
#ifndef TEST_APPS_SCENARIO_H
#define TEST_APPS_SCENARIO_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#define SCENARIO_ANSWER      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
#define SCENARIO_ANSWER_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

enum { SCENARIO_UNTOUCHED = 77, SCENARIO_BUFFER = 4096 };

struct scenario {
    const char *name;        /* the request is GET /name */
    void (*run)(int server); /* reads it and answers; the caller closes `server` */
    const char *body;        /* of the request, then a POST; may be NULL */
};

/* Print a call's result and errno. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        errno = SCENARIO_UNTOUCHED;                                                                                    \
        long try_result = (long)(call);                                                                                \
        int try_errno = errno;                                                                                         \
        (void)printf("%s = %ld, errno %d\n", #call, try_result, try_errno);                                            \
    } while (0)

/* The client's end of the scenario that runs. */
extern int scenario_client;

/* For the bytes that come in; and how long the request that was sent is. */
extern char scenario_bytes[SCENARIO_BUFFER];
extern size_t scenario_request_length;

/* A page that can't be read or written, in a form that no compiler sees through. Context: any. */
void *scenario_nowhere(void);

/* Read the whole request, or send the answer, by plain read and write. Context: scenario. */
void scenario_take(int server);
void scenario_answer(int server);

/* A fresh TCP connection over the loopback: the server's end is returned. Context: scenario. */
int scenario_connect(int *ret_client);

/* Run all of them, or those that are named in the arguments. The exit status. Context: start. */
int scenario_main(const struct scenario *scenarios, size_t count, int argc, char **argv);

#endif
