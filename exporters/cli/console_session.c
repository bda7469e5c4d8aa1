/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/console_session.h"

#include "exporters/cli/agent_client.h"
#include "exporters/cli/deadline.h"
#include "exporters/cli/environment.h"
#include "preload/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NAME_BYTES = 16 };

static int make_name(char ret_name[2 * NAME_BYTES + 1])
{
    unsigned char random[NAME_BYTES];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    for (int i = 0; i < NAME_BYTES; i++)
        (void)snprintf(ret_name + 2 * i, 3, "%02x", random[i]);
    return 0;
}

int console_session_open(struct environment *env, const char *path)
{
    static const char key[] = "eSPANSHIM_SESSION=";
    char name[2 * NAME_BYTES + 1];
    char text[sizeof(key) + sizeof(name)];
    int err = make_name(name);

    if (err)
        return err;
    int text_len = snprintf(text, sizeof(text), "%s%s", key, name);
    int connection = agent_client_connect(path);
    if (connection < 0)
        return connection;
    err = agent_client_send(connection, WIRE_MESSAGE_CONSOLE, text, (size_t)text_len + 1, STDERR_FILENO);
    if (err) {
        (void)close(connection);
        return err;
    }
    environment_set(env, "SPANSHIM_SESSION", name);
    return connection;
}

void console_session_close(int connection, int timeout_ms, int interrupt)
{
    uint64_t deadline = deadline_in_ms(timeout_ms);
    struct pollfd pollers[] = {{.fd = connection, .events = POLLIN}, {.fd = interrupt, .events = POLLIN}};
    char answer[4096];
    int remaining;

    (void)shutdown(connection, SHUT_WR);
    while ((remaining = deadline_remaining_ms(deadline)) > 0) {
        if (poll(pollers, 2, remaining) < 0 && errno != EINTR)
            break;
        if (pollers[1].revents)
            break;
        if (pollers[0].revents) {
            ssize_t len = recv(connection, answer, sizeof(answer), MSG_DONTWAIT);

            if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
                break;
        }
    }
    (void)close(connection);
}
