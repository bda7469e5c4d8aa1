/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/console_session.h"

#include "exporters/cli/agent_client.h"
#include "exporters/cli/deadline.h"
#include "exporters/cli/environment.h"
#include "preload/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
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

/* Wait until the agent has closed the connection: false when the time is up, or at an interrupt. */
static bool wait_for_end(int connection, uint64_t deadline, int interrupt)
{
    struct pollfd pollers[] = {{.fd = connection, .events = POLLIN}, {.fd = interrupt, .events = POLLIN}};
    char answer[4096];
    int remaining;

    while ((remaining = deadline_remaining_ms(deadline)) > 0) {
        if (poll(pollers, 2, remaining) < 0 && errno != EINTR)
            return false;
        if (pollers[1].revents)
            return false;
        if (pollers[0].revents) {
            ssize_t len = recv(connection, answer, sizeof(answer), MSG_DONTWAIT);

            if (len == 0 || (len < 0 && errno != EAGAIN && errno != EINTR))
                return true;
        }
    }
    return false;
}

/* The worker hears the end of the session from us, of the program's processes by the keeper: one that handed itself
 * over and ended at once may still be on its way. */
static bool wait_for_handovers(const char *path, uint64_t deadline, int interrupt)
{
    int connection = agent_client_connect(path);
    bool goes_on = true;

    if (connection < 0)
        return true;
    if (agent_client_send(connection, WIRE_MESSAGE_BARRIER, NULL, 0, -1) == 0)
        goes_on = wait_for_end(connection, deadline, interrupt);
    (void)close(connection);
    return goes_on;
}

void console_session_close(int connection, const char *path, int timeout_ms, int interrupt)
{
    uint64_t deadline = deadline_in_ms(timeout_ms);

    if (wait_for_handovers(path, deadline, interrupt)) {
        (void)shutdown(connection, SHUT_WR);
        (void)wait_for_end(connection, deadline, interrupt);
    }
    (void)close(connection);
}
