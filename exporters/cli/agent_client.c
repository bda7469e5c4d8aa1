/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/cli/agent_client.h"

#include "exporters/agent/socket_path.h"
#include "exporters/cli/cli.h"
#include "exporters/cli/deadline.h"
#include "exporters/cli/env_file.h"
#include "exporters/cli/environment.h"
#include "exporters/cli/memory.h"
#include "preload/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_CHUNK = 256 * 1024, ANSWER_MAX = 64 * 1024 * 1024 };

int agent_client_path(const struct environment *env, char ret_path[AGENT_PATH_MAX])
{
    const struct socket_path_settings settings = {
        .agent = environment_get_setting(env, "SPANSHIM_AGENT"),
        .runtime_dir = environment_get_setting(env, "SPANSHIM_RUNTIME_DIR"),
        .xdg_runtime_dir = environment_get_setting(env, "XDG_RUNTIME_DIR"),
    };

    return socket_path_choose(&settings, ret_path);
}

bool agent_client_is_chosen(const struct environment *env)
{
    return environment_get_setting(env, "SPANSHIM_AGENT") || environment_get_setting(env, "SPANSHIM_RUNTIME_DIR");
}

static int check_peer(int connection, uid_t uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return -errno;
    return peer.uid == uid || peer.uid == 0 ? 0 : -EPERM;
}

int agent_client_connect_as(const char *path, uid_t uid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (connection < 0)
        return -errno;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int err = connect(connection, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : -errno;
    if (!err)
        err = check_peer(connection, uid);
    if (err) {
        (void)close(connection);
        return err;
    }
    return connection;
}

int agent_client_connect(const char *path)
{
    return agent_client_connect_as(path, geteuid());
}

static uint64_t boot_clock_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int agent_client_send(int connection, uint16_t type, const char *text, size_t text_len, int passed_fd)
{
    struct wire_message head = {
        .magic = WIRE_MAGIC,
        .version = WIRE_VERSION,
        .type = type,
        .pid = (uint32_t)getpid(),
        .text_length = (uint32_t)text_len,
        .boot_ns = boot_clock_ns(),
    };
    struct iovec parts[] = {{&head, sizeof(head)}, {(void *)(uintptr_t)text, text_len}};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (passed_fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        struct cmsghdr *ancillary = CMSG_FIRSTHDR(&message);

        ancillary->cmsg_level = SOL_SOCKET;
        ancillary->cmsg_type = SCM_RIGHTS;
        ancillary->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(ancillary), &passed_fd, sizeof(int));
    }
    return sendmsg(connection, &message, MSG_NOSIGNAL) >= 0 ? 0 : -errno;
}

/* Wait until there is something to receive. */
static int wait_readable(int connection, uint64_t deadline, void (*progress)(unsigned seconds), unsigned *waited_s)
{
    struct pollfd poller = {.fd = connection, .events = POLLIN};

    for (;;) {
        int remaining = deadline_remaining_ms(deadline);

        if (remaining == 0)
            return -ETIMEDOUT;
        int n = poll(&poller, 1, remaining < 1000 ? remaining : 1000);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0 && progress)
            progress(++*waited_s);
    }
}

int agent_client_receive(int connection, int timeout_ms, void (*progress)(unsigned seconds), char **ret_text)
{
    uint64_t deadline = deadline_in_ms(timeout_ms);
    unsigned waited_s = 0;
    char *text = NULL;
    size_t len = 0;

    for (;;) {
        int err = wait_readable(connection, deadline, progress, &waited_s);

        if (!err && len > ANSWER_MAX)
            err = -EMSGSIZE;
        if (err) {
            free(text);
            return err;
        }
        text = memory_resize(text, len + ANSWER_CHUNK + 1);
        ssize_t n = recv(connection, text + len, ANSWER_CHUNK, 0);
        if (n > 0)
            len += (size_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            break; /* a reset connection ends the answer as well: the reader judges what came */
    }
    text[len] = '\0';
    *ret_text = text;
    return 0;
}

int agent_client_own_path(char ret_path[AGENT_PATH_MAX], bool *ret_is_chosen)
{
    struct environment env;

    environment_init(&env, (const char *const *)environ);
    env_file_load_system(&env);
    int err = agent_client_path(&env, ret_path);
    *ret_is_chosen = agent_client_is_chosen(&env);
    environment_deinit(&env);
    return err;
}

bool agent_client_is_there(void)
{
    char path[AGENT_PATH_MAX];
    bool is_chosen;
    int connection = agent_client_own_path(path, &is_chosen) == 0 ? agent_client_connect(path) : -ENOENT;

    if (connection >= 0)
        (void)close(connection);
    return connection >= 0;
}

/* The agent of root, where it serves this user; else `otherwise`. */
static int connect_to_root(int otherwise)
{
    int connection = agent_client_connect(SOCKET_PATH_OF_ROOT);

    return connection >= 0 ? connection : otherwise;
}

int agent_client_find(void)
{
    char path[AGENT_PATH_MAX];
    bool is_chosen;
    int connection = agent_client_own_path(path, &is_chosen);

    if (connection == 0)
        connection = agent_client_connect(path);
    if ((connection == -ENOENT || connection == -ECONNREFUSED) && !is_chosen)
        connection = connect_to_root(connection);
    if (connection >= 0)
        return connection;
    switch (-connection) {
    case ENOENT:
    case ECONNREFUSED:
        return -ENOENT;
    case EPERM:
        cli_error("%s belongs to another user and is not used; set SPANSHIM_RUNTIME_DIR to a folder of your own", path);
        break;
    case ENAMETOOLONG:
        cli_error("the path of the agent's socket is too long; set SPANSHIM_RUNTIME_DIR to a shorter folder");
        break;
    default:
        cli_error("%s: %s", path, strerror(-connection));
    }
    return connection;
}

int agent_client_ask(uint16_t type, int timeout_ms, void (*progress)(unsigned seconds), char **ret_text)
{
    int connection = agent_client_find();

    return connection < 0 ? connection : agent_client_ask_on(connection, type, timeout_ms, progress, ret_text);
}

int agent_client_ask_on(int connection, uint16_t type, int timeout_ms, void (*progress)(unsigned seconds),
                        char **ret_text)
{
    return agent_client_ask_with(connection, type, "", 0, timeout_ms, progress, ret_text);
}

int agent_client_ask_with(int connection, uint16_t type, const char *entries, size_t entries_len, int timeout_ms,
                          void (*progress)(unsigned seconds), char **ret_text)
{
    char *text = NULL;
    int err = agent_client_send(connection, type, entries, entries_len, -1);
    if (!err)
        err = agent_client_receive(connection, timeout_ms, progress, &text);
    (void)close(connection);
    if (err) {
        cli_error("the agent does not answer: %s; see 'spanshim log'", strerror(-err));
        return err;
    }
    if (!*text) {
        free(text);
        return -ECONNRESET;
    }
    *ret_text = text;
    return 0;
}
