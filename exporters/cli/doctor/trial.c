/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/doctor/trial.h"

#include "exporters/cli/agent_client.h"
#include "exporters/cli/environment.h"
#include "preload/wire.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FLUSH_TIMEOUT_MS = 60000, HEAD_MAX = 512 };

/* the request */

static int listen_on_loopback(struct sockaddr_in *ret_address)
{
    socklen_t len = sizeof(*ret_address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (listener >= 0 && bind(listener, (struct sockaddr *)ret_address, len) == 0 && listen(listener, 1) == 0 &&
        getsockname(listener, (struct sockaddr *)ret_address, &len) == 0)
        return listener;
    int err = -errno;
    if (listener >= 0)
        (void)close(listener);
    return err;
}

/* Both texts are short enough for a socket's buffer: neither side waits for the other. */
static int exchange(int client, int server)
{
    static const char request[] = "GET /spanshim-doctor HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static const char response[] = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    char buffer[HEAD_MAX];

    if (send(client, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 || recv(server, buffer, sizeof(buffer), 0) <= 0 ||
        send(server, response, sizeof(response) - 1, MSG_NOSIGNAL) < 0 || recv(client, buffer, sizeof(buffer), 0) <= 0)
        return errno ? -errno : -ECONNRESET;
    return 0;
}

int trial_request(void)
{
    struct sockaddr_in address;
    int listener = listen_on_loopback(&address);
    int server = -1, err = 0;

    if (listener < 0)
        return listener;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        (server = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        err = -errno;
    if (!err)
        err = exchange(client, server);
    if (server >= 0)
        (void)close(server);
    if (client >= 0)
        (void)close(client);
    (void)close(listener);
    return err;
}

/* its way */

static char *literal(const char *text)
{
    return (char *)(uintptr_t)text; /* execve takes its arguments as if it changed them */
}

static bool run_request(const struct environment *env)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int status;

    if (len < 0)
        return false;
    self[len] = '\0';
    char *const argv[] = {literal("spanshim"),        literal("run"),       literal("--service"),
                          literal("spanshim-doctor"), literal("--"),        self,
                          literal("doctor"),          literal("--request"), NULL};
    pid_t child = fork();

    if (child == 0) {
        (void)execve(self, argv, env->entries);
        _exit(1);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return false;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The agent's answer, freed by the caller; NULL: none. */
static json_t *flush_agent(const struct environment *env)
{
    char path[AGENT_PATH_MAX];
    char *text = NULL;
    int connection = agent_client_path(env, path) == 0 ? agent_client_connect(path) : -ENOENT;

    if (connection < 0 || agent_client_ask_on(connection, WIRE_MESSAGE_FLUSH, FLUSH_TIMEOUT_MS, NULL, &text) != 0)
        return NULL;
    json_t *answer = json_loads(text, 0, NULL);
    free(text);
    return answer;
}

bool trial_send(const struct environment *env, bool on_terminal, char *ret_text, size_t size)
{
    struct environment sampled;

    environment_init(&sampled, (const char *const *)env->entries);
    environment_set(&sampled, "OTEL_TRACES_SAMPLER", "always_on");
    environment_set(&sampled, "SPANSHIM_IGNORE_PATHS", "");
    bool served = run_request(&sampled);
    environment_deinit(&sampled);
    if (!served) {
        (void)snprintf(ret_text, size, "no request could be served here");
        return false;
    }
    json_t *answer = flush_agent(env);
    const char *result = json_string_value(json_object_get(answer, "result"));
    const char *error = json_string_value(json_array_get(json_object_get(answer, "errors"), 0));
    json_int_t exported = json_integer_value(json_object_get(answer, "exported"));
    bool delivered = result && strcmp(result, "ok") == 0 && (exported > 0 || on_terminal);

    if (delivered)
        (void)snprintf(ret_text, size, "a request was traced and its span %s (service spanshim-doctor)",
                       on_terminal ? "shown" : "delivered");
    else if (!answer)
        (void)snprintf(ret_text, size, "a request was served, but no agent answers; see 'spanshim log'");
    else
        (void)snprintf(ret_text, size, "no span was delivered: %s", error ? error : "none came; see 'spanshim status'");
    json_decref(answer);
    return delivered;
}
