/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/destinations.h"

#include "exporters/agent/clock.h"
#include "exporters/agent/deliver.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/log.h"
#include "exporters/agent/loop.h"
#include "exporters/agent/spool.h"
#include "exporters/agent/users.h"
#include "exporters/console.h"
#include "exporters/exporter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A set that nobody uses stays for status this long when all is delivered, and this long when it can't be. */
enum { LINGER_S = 30, GIVE_UP_S = 300, CONSOLE_END_MS = 1000 };

struct destinations {
    struct destinations *next;
    struct settings *settings;
    enum signal signal;
    struct journal *journal;
    struct deliver *delivers[SETTINGS_EXPORTERS_MAX];
    size_t deliver_count;
    uint32_t refs;
    bool outlives_launcher; /* its session's launcher has gone, and its programs go on on the terminal */
    uint64_t unused_since_ns;
    struct loop_timer timer; /* set only while nobody uses it */
};

/* Written by destinations_init and destinations_start; loop thread only. */
static struct destinations_host host;
static struct destinations *sets;
static bool is_started;

static const struct exporter *const exporters[] = {
#define EXPORTER(name) &exporter_##name,
#include "exporters/exporters.def"
#undef EXPORTER
};

void destinations_init(const struct destinations_host *given)
{
    host = *given;
}

void destinations_start(void)
{
    is_started = true;
    for (struct destinations *set = sets; set != NULL; set = set->next)
        destinations_wake(set);
}

static void free_set(struct destinations *set)
{
    for (struct destinations **p = &sets; *p != NULL; p = &(*p)->next) {
        if (*p == set) {
            *p = set->next;
            break;
        }
    }
    loop_timer_clear(host.loop, &set->timer);
    for (size_t i = 0; i < set->deliver_count; i++)
        deliver_free(set->delivers[i]);
    settings_unref(set->settings);
    free(set);
}

void destinations_deinit(void)
{
    while (sets != NULL)
        free_set(sets);
    is_started = false;
}

static const struct exporter *find_exporter(const char *name)
{
    for (size_t i = 0; i < sizeof(exporters) / sizeof(exporters[0]); i++)
        if (strcmp(exporters[i]->name, name) == 0)
            return exporters[i];
    return NULL;
}

bool destinations_is_delivered(const struct destinations *set)
{
    for (size_t i = 0; i < set->deliver_count; i++)
        if (!deliver_is_idle(set->delivers[i]))
            return false;
    return true;
}

/* Nobody has used it for long, and what it has is on the disk. */
static bool may_wait(const struct destinations *set)
{
    if (set->refs > 0 || loop_now_ns(host.loop) - set->unused_since_ns < GIVE_UP_S * NS_PER_S)
        return false;
    for (size_t i = 0; i < set->deliver_count; i++)
        if (!deliver_is_kept(set->delivers[i]))
            return false;
    return true;
}

static void on_timer(void *arg)
{
    struct destinations *set = arg;
    struct journal *journal = set->journal;
    uint64_t unused_ns = loop_now_ns(host.loop) - set->unused_since_ns;

    if (unused_ns >= GIVE_UP_S * NS_PER_S)
        for (size_t i = 0; i < set->deliver_count; i++)
            deliver_give_up(set->delivers[i]);
    if (!destinations_is_delivered(set)) {
        (void)loop_timer_set(host.loop, &set->timer, LINGER_S * NS_PER_S);
        return;
    }
    free_set(set);
    host.journal_drop(journal);
}

/* Memory of what was delivered goes back when the last of the queues is done. */
static void on_idle(void *arg)
{
    struct destinations *set = arg;

    if (destinations_is_delivered(set))
        journal_trim(set->journal);
}

static void on_more(void *arg)
{
    destinations_wake(arg);
}

static size_t exporter_count(const struct settings *settings, enum signal signal)
{
    return signal == SIGNAL_LOGS ? settings->log_exporter_count : settings->exporter_count;
}

static const char *exporter_name(const struct settings *settings, enum signal signal, size_t n)
{
    return signal == SIGNAL_LOGS ? settings->log_exporters[n] : settings->exporters[n];
}

static int open_queues(struct destinations *set)
{
    const struct settings *settings = set->settings;

    /* Before the queues look at their positions. */
    size_t count = exporter_count(settings, set->signal);

    journal_set_consumers(set->journal, (unsigned)count);
    for (size_t i = 0; i < count; i++) {
        struct deliver_options options = {
            .host = &host,
            .exporter = find_exporter(exporter_name(settings, set->signal, i)),
            .settings = settings,
            .journal = set->journal,
            .consumer = (unsigned)i,
            .on_idle = on_idle,
            .on_more = on_more,
            .arg = set,
        };
        int r = deliver_new(&options, &set->delivers[i]);
        if (r < 0)
            return r;
        set->deliver_count++;
    }
    return 0;
}

/* Its journal's. */
static int obtain_journal(struct destinations *set)
{
    uint8_t key[SETTINGS_DIGEST_SIZE];

    memcpy(key, set->settings->digest, sizeof(key));
    key[0] ^= (uint8_t)set->signal; /* each kind has one of its own: a flood of logs costs no trace */
    return host.journal_obtain(key, set->settings->queue_bytes, &set->journal);
}

static struct destinations *make_set(struct settings *settings, enum signal signal)
{
    struct destinations *set = calloc(1, sizeof(*set));
    int r;

    if (set == NULL)
        return NULL;
    set->settings = settings_ref(settings);
    set->signal = signal;
    set->timer = (struct loop_timer){.fn = on_timer, .arg = set};
    r = obtain_journal(set);
    if (r == 0)
        r = open_queues(set);
    if (r < 0) {
        struct journal *journal = set->journal;
        free_set(set);
        if (journal != NULL)
            host.journal_drop(journal);
        errno = -r;
        return NULL;
    }
    set->next = sets;
    sets = set;
    return set;
}

/* Each takes memory and connections: a user who isn't trusted gets some. */
static bool may_have_more(uid_t uid)
{
    size_t count = 0;

    for (const struct destinations *set = sets; set != NULL; set = set->next)
        count += set->settings->uid == uid;
    if (users_is_trusted(uid) || count < USERS_SETS_MAX)
        return true;
    users_find(uid)->limited_count++;
    errno = EDQUOT;
    return false;
}

static bool is_set_of(const struct destinations *set, const struct settings *settings, enum signal signal)
{
    return set->signal == signal && memcmp(set->settings->digest, settings->digest, SETTINGS_DIGEST_SIZE) == 0;
}

struct destinations *destinations_for(struct settings *settings, enum signal signal)
{
    struct destinations *set = sets;

    errno = 0;
    if (exporter_count(settings, signal) == 0)
        return NULL;
    while (set != NULL && !is_set_of(set, settings, signal))
        set = set->next;
    if (set == NULL && may_have_more(settings->uid))
        set = make_set(settings, signal);
    if (set == NULL)
        return NULL;
    set->refs++;
    loop_timer_clear(host.loop, &set->timer);
    return set;
}

static void forget_flushed(void *arg, const struct destinations_flushed *flushed)
{
    (void)arg;
    (void)flushed;
}

void destinations_unref(struct destinations *set)
{
    if (set == NULL || --set->refs > 0)
        return;
    set->unused_since_ns = loop_now_ns(host.loop);
    (void)loop_timer_set(host.loop, &set->timer, LINGER_S * NS_PER_S);
    if (set->outlives_launcher)
        destinations_end_console(set->settings->console_session, CONSOLE_END_MS, forget_flushed, NULL);
}

struct journal *destinations_journal(struct destinations *set)
{
    return set->journal;
}

unsigned destinations_wants(const struct destinations *set)
{
    unsigned wants = WIRE_WANT_XRAY_ALONE;

    for (size_t i = 0; i < set->settings->exporter_count; i++) {
        const struct exporter *exporter = find_exporter(set->settings->exporters[i]);

        if (exporter->encode_spans == NULL && exporter->send_spans == NULL)
            continue;
        if (exporter->takes == EXPORTER_TAKES_ALL)
            wants |= WIRE_WANT_UNSAMPLED;
        if (exporter->takes == EXPORTER_TAKES_SAMPLED)
            wants &= ~(unsigned)WIRE_WANT_XRAY_ALONE;
    }
    return wants;
}

bool destinations_want_open(const struct destinations *set)
{
    for (size_t i = 0; i < set->settings->exporter_count; i++)
        if (find_exporter(set->settings->exporters[i])->takes_open)
            return true;
    return false;
}

void destinations_wake(struct destinations *set)
{
    for (size_t i = 0; is_started && i < set->deliver_count; i++)
        deliver_wake(set->delivers[i]);
}

void destinations_report(struct destinations *set, const json_t *report)
{
    for (size_t i = 0; i < set->deliver_count; i++)
        (void)deliver_report(set->delivers[i], report);
    destinations_wake(set);
}

bool destinations_busy(void)
{
    for (const struct destinations *set = sets; set != NULL; set = set->next)
        if (!destinations_is_delivered(set) && !may_wait(set))
            return true;
    return false;
}

void destinations_stow(void)
{
    for (const struct destinations *set = sets; set != NULL; set = set->next)
        for (size_t i = 0; i < set->deliver_count; i++)
            deliver_stow(set->delivers[i]);
}

/* A flush over several queues: ends with the last of them. */
struct gathering {
    size_t waiting_count;
    struct destinations_flushed total;
    char session[64]; /* the console session to end with it; "": none */
    destinations_flush_done *done;
    void *arg;
};

static struct destinations *find_session(const char *session)
{
    struct destinations *set = sets;

    while (set != NULL && (set->signal != SIGNAL_TRACES || set->settings->console_session == NULL ||
                           strcmp(set->settings->console_session, session) != 0))
        set = set->next;
    return set;
}

/* The launcher's program has ended. A terminal goes on showing what the session still does in the background; any
 * other output is closed, for whoever reads a pipe waits for its end. */
static void end_session(const char *session)
{
    struct destinations *set = find_session(session);

    if (set != NULL && set->refs > 0 && console_is_terminal(session))
        set->outlives_launcher = true;
    else
        console_detach(session);
}

static void gather(void *arg, const struct destinations_flushed *part)
{
    struct gathering *gathering = arg;

    if (part != NULL) {
        gathering->total.exported += part->exported;
        gathering->total.failed += part->failed;
        if (gathering->total.error[0] == '\0')
            memcpy(gathering->total.error, part->error, sizeof(part->error));
    }
    if (--gathering->waiting_count > 0)
        return;
    if (gathering->session[0] != '\0')
        end_session(gathering->session);
    gathering->done(gathering->arg, &gathering->total);
    free(gathering);
}

static struct gathering *start_gathering(destinations_flush_done *done, void *arg)
{
    struct gathering *gathering = calloc(1, sizeof(*gathering));

    if (gathering == NULL) {
        done(arg, &(struct destinations_flushed){.failed = 1, .error = "out of memory"});
        return NULL;
    }
    /* The flush counts one part for its starter, so that it can't end before all parts are known. */
    *gathering = (struct gathering){.waiting_count = 1, .done = done, .arg = arg};
    return gathering;
}

static void gather_set(struct gathering *gathering, struct destinations *set, uint32_t timeout_ms)
{
    for (size_t i = 0; i < set->deliver_count; i++) {
        gathering->waiting_count++;
        deliver_flush(set->delivers[i], timeout_ms, gather, gathering);
    }
}

void destinations_flush_all(uid_t viewer, uint32_t timeout_ms, destinations_flush_done *done, void *arg)
{
    struct gathering *gathering = start_gathering(done, arg);

    if (gathering == NULL)
        return;
    /* Logs first: a console prints them with their traces. */
    for (enum signal signal = SIGNAL_COUNT; signal-- > 0;)
        for (struct destinations *set = sets; set != NULL; set = set->next)
            if (set->signal == signal && users_may_see(viewer, set->settings->uid))
                gather_set(gathering, set, timeout_ms);
    gather(gathering, NULL);
}

/* 0: some queue has taken it. Else why one has not. */
static int give_report(struct destinations *set, const json_t *report)
{
    int result = -ENOTSUP;

    for (size_t i = 0; i < set->deliver_count; i++) {
        int r = deliver_report(set->delivers[i], report);

        if (result != 0 && r != -ENOTSUP)
            result = r;
    }
    return result;
}

int destinations_submit(struct destinations *set, const json_t *report, uint32_t timeout_ms,
                        destinations_flush_done *done, void *arg)
{
    int r = give_report(set, report);
    struct gathering *gathering = r == 0 ? start_gathering(done, arg) : NULL;

    if (gathering == NULL)
        return r;
    gather_set(gathering, set, timeout_ms);
    gather(gathering, NULL);
    return 0;
}

/* Those of the gathering's session. */
static void gather_consoles(struct gathering *gathering, enum signal signal, const char *name, uint32_t timeout_ms)
{
    for (struct destinations *set = sets; set != NULL; set = set->next) {
        const char *session = set->settings->console_session;

        if (set->signal != signal || session == NULL || strcmp(session, gathering->session) != 0)
            continue;
        for (size_t i = 0; i < set->deliver_count; i++) {
            if (strcmp(exporter_name(set->settings, signal, i), name) != 0)
                continue;
            gathering->waiting_count++;
            deliver_flush(set->delivers[i], timeout_ms, gather, gathering);
        }
    }
}

void destinations_end_console(const char *session, uint32_t timeout_ms, destinations_flush_done *done, void *arg)
{
    struct gathering *gathering = start_gathering(done, arg);

    if (gathering == NULL)
        return;
    (void)snprintf(gathering->session, sizeof(gathering->session), "%s", session);
    gather_consoles(gathering, SIGNAL_LOGS, "console_logs", timeout_ms);
    gather_consoles(gathering, SIGNAL_TRACES, "console", timeout_ms);
    gather(gathering, NULL);
}

static json_t *set_status(const struct destinations *set)
{
    json_t *queues = json_array();

    for (size_t i = 0; i < set->deliver_count; i++)
        (void)json_array_append_new(queues, deliver_status(set->delivers[i]));
    return json_pack("{s:i, s:o}", "programs", (int)set->refs, "exporters", queues);
}

json_t *destinations_status_all(uid_t viewer)
{
    json_t *list = json_array();

    for (const struct destinations *set = sets; set != NULL; set = set->next)
        if (users_may_see(viewer, set->settings->uid))
            (void)json_array_append_new(list, set_status(set));
    return list;
}

json_t *destinations_spool_status(uid_t viewer)
{
    return host.spool != NULL ? spool_status(host.spool, viewer) : json_null();
}
