/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/command.h"

#include "exporters/agent/crash_desk.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/foreign.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/status.h"
#include "exporters/agent/submit.h"
#include "exporters/agent/users.h"
#include "exporters/console.h"
#include "preload/wire.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PACKET_SIZE = 16 << 10, FLUSH_TIMEOUT_MS = 30000, CONSOLE_TIMEOUT_MS = 5000 };
/* What crashed a moment ago has spans that end when it is filed. */
static const uint64_t settle_ns = UINT64_C(3000000000), settle_poll_ns = UINT64_C(10000000);
static const uint64_t answer_timeout_ns = UINT64_C(5000000000);

/* A connection of the command line, from its message to the last byte of its answer. */
struct command {
    struct command *next;
    uint32_t id;
    int connection;
    char session[64]; /* of CONSOLE */
    uid_t uid;
    uint64_t settled_ns;               /* crashes are waited for until then, */
    void (*settled)(struct command *); /* then this goes on */
    struct loop_timer timer;           /* for that, then for a client that doesn't read */
    char *answer;
    size_t length, sent;
};

static struct command_host host;
static struct command *commands; /* loop only */

void command_init(const struct command_host *with)
{
    host = *with;
}

bool command_busy(void)
{
    return commands != NULL;
}

/* Returns its connection, which the caller closes. */
static int release(struct command *command)
{
    int connection = command->connection;

    loop_timer_clear(host.loop, &command->timer);
    loop_fd_remove(host.loop, connection);
    free(command->answer);
    free(command);
    return connection;
}

static void finish(void *arg)
{
    struct command *command = arg;
    struct command **link = &commands;
    uint32_t id = command->id;

    while (*link != command)
        link = &(*link)->next;
    *link = command->next;
    foreign_hang_up(release(command));
    host.done(NULL, id);
}

void command_deinit(void)
{
    while (commands) {
        struct command *command = commands;

        commands = command->next;
        foreign_close(release(command)); /* it may be the next worker's to answer */
    }
}

/* answers */

static void send_more(void *arg, int fd, uint32_t events)
{
    struct command *command = arg;

    (void)events;
    while (command->sent < command->length) {
        size_t left = command->length - command->sent;
        ssize_t done = send(fd, command->answer + command->sent, left < PACKET_SIZE ? left : PACKET_SIZE,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN)
            return;
        if (done < 0)
            break;
        command->sent += (size_t)done;
    }
    finish(command);
}

/* Takes `object`; the command may be gone afterwards. */
static void answer(struct command *command, json_t *object)
{
    command->answer = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    command->length = command->answer ? strlen(command->answer) : 0;
    command->timer = (struct loop_timer){.fn = finish, .arg = command};
    if (!command->answer || loop_timer_set(host.loop, &command->timer, answer_timeout_ns) ||
        loop_fd_set(host.loop, command->connection, EPOLLOUT, send_more, command))
        finish(command);
    else
        send_more(command, command->connection, EPOLLOUT);
}

static void answer_flushed(void *arg, const struct destinations_flushed *flushed)
{
    struct command *command = arg;
    json_t *errors = json_array();

    if (flushed->error[0])
        (void)json_array_append_new(errors, json_string(flushed->error));
    answer(command, json_pack("{s:s, s:I, s:I, s:o}", "result", flushed->failed || flushed->error[0] ? "failed" : "ok",
                              "exported", (json_int_t)flushed->exported, "failed", (json_int_t)flushed->failed,
                              "errors", errors));
}

static void answer_submitted(void *arg, json_t *object)
{
    answer(arg, object);
}

/* crashes */

static void settle(void *arg)
{
    struct command *command = arg;

    rounds_drain_all();
    if (crash_desk_busy() && loop_now_ns(host.loop) < command->settled_ns)
        (void)loop_timer_set(host.loop, &command->timer, settle_poll_ns);
    else
        command->settled(command);
}

static void when_settled(struct command *command, void (*go_on)(struct command *))
{
    command->settled = go_on;
    command->settled_ns = loop_now_ns(host.loop) + settle_ns;
    command->timer = (struct loop_timer){.fn = settle, .arg = command};
    settle(command);
}

static void flush(struct command *command)
{
    destinations_flush_all(command->uid, FLUSH_TIMEOUT_MS, answer_flushed, command);
}

/* the console */

static void end_session(struct command *command)
{
    destinations_end_console(command->session, CONSOLE_TIMEOUT_MS, answer_flushed, command);
}

static void end_console(void *arg, int fd, uint32_t events)
{
    struct command *command = arg;
    char bytes[64];
    ssize_t length = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    (void)events;
    if (length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    loop_fd_remove(host.loop, fd);
    when_settled(command, end_session);
}

/* The session's name out of the message's text: "eSPANSHIM_SESSION=...". */
static int read_session(const struct command_request *request, char *session, size_t size)
{
    static const char prefix[] = "eSPANSHIM_SESSION=";
    const char *text = (const char *)request->message + sizeof(struct wire_message);
    size_t length = strnlen(text, request->length - sizeof(struct wire_message));

    if (length < sizeof(prefix) || length - (sizeof(prefix) - 1) >= size ||
        memcmp(text, prefix, sizeof(prefix) - 1) != 0)
        return -EBADMSG;
    memcpy(session, text + sizeof(prefix) - 1, length - (sizeof(prefix) - 1));
    session[length - (sizeof(prefix) - 1)] = '\0';
    return 0;
}

/* Takes passed_fd. */
static void start_console(struct command *command, const struct command_request *request)
{
    int error = request->passed_fd < 0 ? -EBADMSG : read_session(request, command->session, sizeof(command->session));

    if (error && request->passed_fd >= 0)
        foreign_close(request->passed_fd);
    if (!error)
        error = console_attach(host.loop, command->session, request->passed_fd);
    if (!error)
        error = loop_fd_set(host.loop, command->connection, EPOLLIN | EPOLLRDHUP, end_console, command);
    if (error)
        answer(command, json_pack("{s:s}", "error", strerror(-error)));
}

/* commands */

static void serve(struct command *command, const struct command_request *request, unsigned type)
{
    /* A terminal that takes no output would stop the agent; and whoever ends the agent ends it for all sessions. */
    if (!users_is_trusted(request->uid) && (type == WIRE_MESSAGE_CONSOLE || type == WIRE_MESSAGE_STOP)) {
        if (type == WIRE_MESSAGE_CONSOLE && request->passed_fd >= 0)
            foreign_close(request->passed_fd);
        answer(command, json_pack("{s:s}", "error", "this agent is another user's: only that user and root may do so"));
        return;
    }
    switch (type) {
    case WIRE_MESSAGE_STATUS:
        answer(command, status_report(&host.hello, request->uid));
        return;
    case WIRE_MESSAGE_FLUSH:
        when_settled(command, flush);
        return;
    case WIRE_MESSAGE_CONSOLE:
        start_console(command, request);
        return;
    case WIRE_MESSAGE_REPORT:
        submit_take(request->uid, (const char *)request->message + sizeof(struct wire_message),
                    request->length - sizeof(struct wire_message), answer_submitted, command);
        return;
    case WIRE_MESSAGE_STOP:
        answer(command, json_pack("{s:s}", "result", "ok"));
        host.stop();
        return;
    case WIRE_MESSAGE_BARRIER:
        answer(command, json_pack("{s:s}", "result", "ok"));
        return;
    default:
        answer(command, json_pack("{s:s}", "error", "this agent doesn't know that command"));
    }
}

static void close_request(const struct command_request *request)
{
    foreign_hang_up(request->connection);
    if (request->passed_fd >= 0)
        foreign_close(request->passed_fd);
    host.done(NULL, request->id);
}

void command_take(const struct command_request *request)
{
    struct command *command;
    struct wire_message message;

    if (request->length < sizeof(message)) {
        close_request(request);
        return;
    }
    memcpy(&message, request->message, sizeof(message));
    command = calloc(1, sizeof(*command));
    if (!command) {
        close_request(request);
        return;
    }
    command->id = request->id;
    command->uid = request->uid;
    command->connection = request->connection;
    command->next = commands;
    commands = command;
    if (request->passed_fd >= 0 && message.type != WIRE_MESSAGE_CONSOLE)
        foreign_close(request->passed_fd);
    serve(command, request, message.type);
}
