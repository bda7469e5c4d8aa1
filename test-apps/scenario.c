/* SPDX-License-Identifier: Apache-2.0 */
#include "scenario.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int scenario_client;
char scenario_bytes[SCENARIO_BUFFER];
size_t scenario_request_length;

void *scenario_nowhere(void)
{
    static void *volatile page;

    if (!page)
        page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page;
}

void scenario_take(int server)
{
    size_t got = 0;

    while (got < scenario_request_length) {
        ssize_t n = read(server, scenario_bytes + got, sizeof scenario_bytes - got);
        if (n <= 0)
            errx(1, "the request ends after %zu bytes", got);
        got += (size_t)n;
    }
}

void scenario_answer(int server)
{
    if (write(server, SCENARIO_ANSWER, sizeof SCENARIO_ANSWER - 1) != (ssize_t)sizeof SCENARIO_ANSWER - 1)
        err(1, "write");
}

int scenario_connect(int *ret_client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;

    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0 ||
        connect(client, (struct sockaddr *)&address, length) != 0)
        err(1, "connection");
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (server < 0)
        err(1, "accept4");
    (void)close(listener);
    *ret_client = client;
    return server;
}

static void send_request(const struct scenario *scenario)
{
    static char request[SCENARIO_BUFFER];
    int length;

    if (scenario->body)
        length = snprintf(request, sizeof request, "POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
                          scenario->name, strlen(scenario->body), scenario->body);
    else
        length = snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", scenario->name);
    scenario_request_length = (size_t)length;
    if (send(scenario_client, request, scenario_request_length, 0) != length)
        err(1, "send");
}

/* What the client got, up to the end. */
static void print_answer(void)
{
    static char answer[1 << 17];
    size_t got = 0;
    ssize_t n;

    while ((n = recv(scenario_client, answer + got, sizeof answer - got, 0)) > 0)
        got += (size_t)n;
    (void)printf("answer of %zu bytes: %.*s, errno %d\n", got, got < 15 ? (int)got : 15, answer, n < 0 ? errno : 0);
}

static void run(const struct scenario *scenario)
{
    int server = scenario_connect(&scenario_client);

    (void)printf("-- %s\n", scenario->name);
    send_request(scenario);
    scenario->run(server);
    TRY(close(server));
    print_answer();
    (void)close(scenario_client);
}

static bool is_named(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

int scenario_main(const struct scenario *scenarios, size_t count, int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)alarm(20); /* nothing here takes long */
    for (size_t i = 0; i < count; i++)
        if (is_named(scenarios[i].name, argc, argv))
            run(&scenarios[i]);
    return 0;
}
