/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/worker.h"

#include "exporters/agent/command.h"
#include "exporters/agent/crash_desk.h"
#include "exporters/agent/crash_helper.h"
#include "exporters/agent/destinations.h"
#include "exporters/agent/drain_logs.h"
#include "exporters/agent/http_client.h"
#include "exporters/agent/in_progress.h"
#include "exporters/agent/intake.h"
#include "exporters/agent/journals.h"
#include "exporters/agent/link.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/process.h"
#include "exporters/agent/rounds.h"
#include "exporters/agent/spool.h"
#include "exporters/agent/xray_sampling.h"
#include "exporters/exporter.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { STOP_TIMEOUT_MS = 4500, IDLE_ROUNDS = 4, MESSAGES_PER_ROUND = 64, TELL_TIMEOUT_MS = 1000 };
static const uint64_t idle_round_ns = 500000000, short_pause_ns = 100000000;

/* The worker; loop only. */
static struct {
    struct loop *loop;
    struct http_client *http;
    struct spool *spool;
    int link;
    struct link_hello hello;
    bool ready; /* what was there before has come */
    bool stopping;
    bool has_failed;
    uint32_t had_count; /* sources and commands */
    struct loop_timer idle_timer, short_timer;
    unsigned idle_rounds;
    struct link_message *message;
} worker;

/* Every message counts: what the keeper is not told it holds for ever, or loses. It never waits for the worker, so
 * the worker may wait for it. */
static int tell(uint32_t type, uint32_t id, const void *bytes, size_t length, const int *fd)
{
    struct link_packet packet = {.type = type, .id = id, .length = (uint32_t)length};
    struct pollfd room = {.fd = worker.link, .events = POLLOUT};
    int error;

    do
        error = link_send(worker.link, &packet, bytes, fd, fd ? 1 : 0);
    while (error == -EAGAIN && poll(&room, 1, TELL_TIMEOUT_MS) == 1);
    if (error)
        log_line(LOG_LEVEL_WARN, "the keeper was not told (%u): %s", type, strerror(-error));
    return error;
}

/* what the parts ask of the keeper */

static int keep_journal(void *arg, const uint8_t key[JOURNALS_KEY_SIZE], int memfd)
{
    (void)arg;
    return tell(LINK_KEEP_JOURNAL, 0, key, JOURNALS_KEY_SIZE, &memfd);
}

/* The keeper holds the lines that wait as it holds journals, by a key that can't be a journal's. */
static const uint8_t lines_key[JOURNALS_KEY_SIZE] = "lines that wait";

static int hold_lines(int memfd)
{
    return tell(LINK_KEEP_JOURNAL, 0, lines_key, sizeof(lines_key), &memfd);
}

static void journal_dropped(void *arg, const uint8_t key[JOURNALS_KEY_SIZE], struct journal *journal)
{
    (void)arg;
    intake_journal_dropped(journal);
    (void)tell(LINK_DROP_JOURNAL, 0, key, JOURNALS_KEY_SIZE, NULL);
}

static void source_unmapped(void *arg, uint32_t id)
{
    (void)arg;
    (void)tell(LINK_UNMAPPED, id, NULL, 0, NULL);
}

static void watch_for_idle(void)
{
    if (!worker.hello.stays && worker.ready && !loop_timer_is_set(&worker.idle_timer))
        (void)loop_timer_set(worker.loop, &worker.idle_timer, idle_round_ns);
}

static void entry_dropped(void *arg, uint32_t id)
{
    (void)arg;
    (void)tell(LINK_DROP, id, NULL, 0, NULL);
    watch_for_idle();
}

/* Nothing to trace and nothing to deliver for two seconds: the keeper may let us go. Runs only without sources. */
static void check_idle(void *arg)
{
    (void)arg;
    if (rounds_busy()) {
        worker.idle_rounds = 0;
        return; /* watched again when the last source is dropped */
    }
    if (destinations_busy() || command_busy())
        worker.idle_rounds = 0;
    else if (++worker.idle_rounds >= IDLE_ROUNDS)
        (void)tell(LINK_IDLE, worker.had_count, NULL, 0, NULL);
    watch_for_idle();
}

/* the end */

static void stop_now(void *arg, const struct destinations_flushed *flushed)
{
    (void)arg;
    if (flushed->failed)
        log_line(LOG_LEVEL_WARN, "stopped with %llu spans not delivered: %s", (unsigned long long)flushed->failed,
                 flushed->error);
    rounds_drain_all(); /* what came meanwhile */
    destinations_stow();
    loop_stop(worker.loop);
}

static void stop(void)
{
    if (worker.stopping)
        return;
    worker.stopping = true;
    loop_timer_clear(worker.loop, &worker.idle_timer);
    rounds_drain_all();
    crash_desk_finish();
    destinations_flush_all(geteuid(), STOP_TIMEOUT_MS, stop_now, NULL);
}

/* what the keeper says */

static void take_handover(struct link_message *message)
{
    bool finished = message->packet.type == LINK_FINISHED;
    struct intake_handover handover = {.id = message->packet.id,
                                       .pid = message->packet.pid,
                                       .uid = message->packet.uid,
                                       .message = message->bytes,
                                       .length = message->packet.length,
                                       .ring = message->fds[0],
                                       .control = message->fds[1],
                                       .pidfd = -1,
                                       .finished = finished,
                                       .resumed = !worker.ready};

    worker.had_count++;
    if (!finished && message->fd_count < 2) {
        link_close_fds(message->fds, message->fd_count);
        entry_dropped(NULL, message->packet.id);
        return;
    }
    if (message->fd_count == 3)
        handover.pidfd = message->fds[2];
    (void)intake_take(&handover);
    link_close_fds(message->fds, message->fd_count < 2 ? message->fd_count : 2);
}

static void take_command(struct link_message *message)
{
    const struct command_request request = {.id = message->packet.id,
                                            .uid = message->packet.uid,
                                            .message = message->bytes,
                                            .length = message->packet.length,
                                            .connection = message->fds[0],
                                            .passed_fd = message->fd_count > 1 ? message->fds[1] : -1};

    worker.had_count++;
    if (message->fd_count == 0)
        entry_dropped(NULL, message->packet.id);
    else
        command_take(&request);
    if (message->fd_count > 2)
        close(message->fds[2]);
}

static void take_hello(const struct link_message *message)
{
    if (message->packet.length != sizeof(worker.hello))
        return;
    memcpy(&worker.hello, message->bytes, sizeof(worker.hello));
    process_init(worker.hello.seed);
    command_init(
        &(struct command_host){.loop = worker.loop, .done = entry_dropped, .stop = stop, .hello = worker.hello});
}

static void restore_journal(const struct link_message *message)
{
    bool is_lines = memcmp(message->bytes, lines_key, sizeof(lines_key)) == 0;
    int error = is_lines ? drain_logs_restore(message->fds[0]) : journals_restore(message->bytes, message->fds[0]);

    if (error)
        log_line(LOG_LEVEL_ERROR, "a journal could not be taken over: %s", strerror(-error));
    if (error && is_lines)
        (void)tell(LINK_DROP_JOURNAL, 0, lines_key, sizeof(lines_key), NULL); /* there will be another */
}

static void take_message(struct link_message *message)
{
    if (message->is_cut)
        log_line(LOG_LEVEL_ERROR, "what process %d sent can't be taken: %s", (int)message->packet.pid,
                 strerror(EMFILE));
    switch ((enum link_type)message->packet.type) {
    case LINK_HELLO:
        take_hello(message);
        break;
    case LINK_JOURNAL:
        if (message->fd_count == 1 && message->packet.length == JOURNALS_KEY_SIZE)
            restore_journal(message);
        break;
    case LINK_SOURCE:
    case LINK_FINISHED:
        take_handover(message);
        return;
    case LINK_READY:
        worker.ready = true;
        intake_resume();
        journals_drop_unclaimed();
        destinations_start();
        watch_for_idle();
        break;
    case LINK_COMMAND:
        take_command(message);
        return;
    case LINK_STOP:
        stop();
        break;
    case LINK_KEEP_JOURNAL:
    case LINK_DROP_JOURNAL:
    case LINK_UNMAPPED:
    case LINK_DROP:
    case LINK_IDLE:
        break;
    }
    link_close_fds(message->fds, message->fd_count);
}

static void on_link(void *arg, int fd, uint32_t events);

/* After a shortage. */
static void resume_link(void *arg)
{
    (void)arg;
    (void)loop_fd_set(worker.loop, worker.link, EPOLLIN, on_link, NULL);
}

/* Nothing can be received. The keeper is gone: deliver what we have, then go too. Otherwise it may pass, or the next
 * worker, with a link of its own, goes on. */
static void link_failed(int error)
{
    loop_fd_remove(worker.loop, worker.link); /* it would be reported again at once */
    if (error == 0) {
        stop();
        return;
    }
    log_line(LOG_LEVEL_ERROR, "the keeper can't be heard: %s", strerror(-error));
    if (!link_is_short(error) || loop_timer_set(worker.loop, &worker.short_timer, short_pause_ns)) {
        worker.has_failed = true;
        loop_stop(worker.loop);
    }
}

static void on_link(void *arg, int fd, uint32_t events)
{
    (void)arg;
    (void)events;
    for (int i = 0; i < MESSAGES_PER_ROUND; i++) {
        int result = link_receive(fd, worker.message);

        if (result == -EAGAIN)
            return;
        if (result == 1) {
            take_message(worker.message);
            continue;
        }
        if (result == -EBADMSG)
            continue;
        link_failed(result);
        return;
    }
}

/* Only a process without threads may fork it, so the worker that comes after us does. */
static void helper_gone(void)
{
    log_line(LOG_LEVEL_ERROR, "the crash helper ended");
    worker.has_failed = true;
    loop_stop(worker.loop);
}

static int start(int helper)
{
    const struct journals_host journals = {.keep = keep_journal, .dropped = journal_dropped};
    const struct intake_host intake = {.unmapped = source_unmapped, .dropped = entry_dropped};
    struct destinations_host destinations = {
        .journal_obtain = journals_obtain, .journal_drop = journals_drop, .process_find = process_find};
    int error = loop_new(&worker.loop);

    if (error)
        return error;
    worker.message = malloc(sizeof(*worker.message));
    if (!worker.message)
        return -ENOMEM;
    worker.http = http_client_new(worker.loop);
    worker.spool = spool_new(worker.loop);
    if (!worker.http || !worker.spool)
        return -ENOMEM;
    destinations.spool = worker.spool;
    destinations.loop = worker.loop;
    destinations.http = worker.http;
    destinations_init(&destinations);
    journals_init(&journals);
    drain_logs_init(hold_lines);
    intake_init(&intake);
    xray_sampling_init(&(struct exporter_host){.loop = worker.loop, .http = worker.http});
    crash_desk_init(worker.loop, helper, helper_gone);
    worker.idle_timer.fn = check_idle;
    worker.short_timer.fn = resume_link;
    in_progress_init(worker.loop);
    error = rounds_init(worker.loop);
    return error ? error : loop_fd_set(worker.loop, worker.link, EPOLLIN, on_link, NULL);
}

int worker_run(int link)
{
    int error, helper = -1;

    (void)prctl(PR_SET_NAME, "spanshim-worker");
    (void)signal(SIGINT, SIG_IGN); /* a terminal's; the keeper passes on what is meant */
    (void)signal(SIGTERM, SIG_IGN);
    worker.link = link;
    error = crash_helper_start(&helper);
    if (error)
        log_line(LOG_LEVEL_WARN, "crashes can't be read: %s", strerror(-error));
    error = start(helper);
    if (!error)
        error = loop_run(worker.loop);
    if (worker.has_failed)
        return 1;
    if (error) {
        log_line(LOG_LEVEL_ERROR, "the worker can't go on: %s", strerror(-error));
        return 1;
    }
    crash_desk_deinit();
    drain_logs_deinit();
    intake_deinit();
    in_progress_deinit();
    xray_sampling_deinit();
    rounds_deinit();
    destinations_deinit(); /* ends the flushes that commands wait for */
    spool_free(worker.spool);
    command_deinit();
    journals_deinit();
    http_client_free(worker.http);
    loop_free(worker.loop);
    free(worker.message);
    return 0;
}
