/* SPDX-License-Identifier: Apache-2.0 */
#include "exporters/agent/process.h"

#include "exporters/agent/intake.h"
#include "exporters/agent/journal.h"
#include "exporters/agent/owner.h"
#include "exporters/agent/proc.h"
#include "exporters/agent/settings.h"
#include "exporters/agent/source.h"
#include "exporters/agent/user_name.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FIRST = 256 };
static const uint64_t believed_first_ns = UINT64_C(1000000), believed_max_ns = UINT64_C(1000000000);

static struct {
    struct process **buckets; /* a power of two */
    size_t bucket_count;
    size_t count;
} table;                 /* loop only */
static uint64_t seed[2]; /* written once at start */

void process_init(const uint8_t bytes[16])
{
    memcpy(seed, bytes, sizeof(seed));
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t hash(uint32_t source, uint32_t lane, uint32_t generation)
{
    return mix(((uint64_t)source << 32 | generation) + mix(lane + UINT64_C(0x9e3779b97f4a7c15)));
}

/* Looks like a random UUID, but is computed, so that a restarted worker arrives at the same one. */
static void make_instance_id(struct process *process)
{
    uint64_t high = mix(seed[0] ^ hash(process->source, process->lane, process->generation));
    uint64_t low = mix(seed[1] + high);

    memcpy(process->instance_id, &high, sizeof(high));
    memcpy(process->instance_id + 8, &low, sizeof(low));
    process->instance_id[6] = (uint8_t)((process->instance_id[6] & 0x0f) | 0x40);
    process->instance_id[8] = (uint8_t)((process->instance_id[8] & 0x3f) | 0x80);
}

void process_derive_id(const struct process *process, uint64_t number, uint8_t id[16])
{
    uint64_t high, low;

    memcpy(&high, process->instance_id, sizeof(high));
    memcpy(&low, process->instance_id + 8, sizeof(low));
    high = mix(high ^ mix(number + UINT64_C(0x9e3779b97f4a7c15)));
    low = mix(low + high);
    memcpy(id, &high, sizeof(high));
    memcpy(id + 8, &low, sizeof(low));
}

static struct process **bucket_of(uint32_t source, uint32_t lane, uint32_t generation)
{
    return &table.buckets[hash(source, lane, generation) & (table.bucket_count - 1)];
}

static int grow(void)
{
    struct process **old = table.buckets;
    size_t old_count = table.bucket_count;
    size_t count = old_count ? old_count * 2 : BUCKETS_FIRST;
    struct process **buckets = calloc(count, sizeof(*buckets));

    if (!buckets)
        return old_count ? 0 : -1; /* a fuller table serves too */
    table.buckets = buckets;
    table.bucket_count = count;
    for (size_t i = 0; i < old_count; i++)
        while (old[i]) {
            struct process *process = old[i];
            struct process **bucket = bucket_of(process->source, process->lane, process->generation);

            old[i] = process->next;
            process->next = *bucket;
            *bucket = process;
        }
    free(old);
    return 0;
}

static struct process *look_up(uint32_t source, uint32_t lane, uint32_t generation)
{
    struct process *process = table.bucket_count ? *bucket_of(source, lane, generation) : NULL;

    while (process && !(process->source == source && process->lane == lane && process->generation == generation))
        process = process->next;
    return process;
}

struct process *process_new(struct source *source, uint32_t lane, uint32_t generation, pid_t pid)
{
    struct process *process = look_up(source->id, lane, generation);
    struct process **bucket;

    if (!process) {
        if (table.count >= table.bucket_count && grow())
            return NULL;
        process = calloc(1, sizeof(*process));
        if (!process)
            return NULL;
        bucket = bucket_of(source->id, lane, generation);
        process->next = *bucket;
        *bucket = process;
        table.count++;
    }
    process->from = source;
    process->source = source->id;
    process->lane = lane;
    process->generation = generation;
    process->pid = pid;
    process->ended = false;
    process->uid = source->uid;
    memcpy(process->user, source->user, sizeof(process->user));
    process->wall_offset_ns = source->wall_offset_ns;
    process->resource = source->resource;
    process->routes = source->settings ? source->settings->routes : NULL;
    process->known_methods = source->settings ? source->settings->known_methods : NULL;
    process->zone = source->zone;
    process->xray_place = source->xray_place;
    process->xray_name = source_xray_name(source);
    process->xray_url = source->settings ? source->settings->xray_url : NULL;
    process->destinations = source->outlets[SIGNAL_TRACES].destinations;
    make_instance_id(process);
    return process;
}

struct process *process_find(const struct journal_origin *origin)
{
    struct process *process = look_up(origin->source, origin->lane, origin->generation);
    struct source *source;

    if (process)
        return process;
    /* Of a worker before this one: it had given the lane away already. */
    source = intake_find(origin->source);
    process = source ? process_new(source, origin->lane, origin->generation, origin->pid) : NULL;
    if (process) {
        process->ended = true;
        for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++)
            process->journal_end[signal] = source->outlets[signal].journal_end;
    }
    return process;
}

/* The parent's number and the effective user; false when they can't be seen. */
static bool read_status(pid_t number, pid_t *ret_parent, uid_t *ret_uid)
{
    char text[2048];
    const char *parent, *uid;

    if (proc_read(number, "status", text, sizeof(text)) <= 0)
        return false;
    parent = strstr(text, "\nPPid:");
    uid = strstr(text, "\nUid:");
    uid = uid ? strchr(uid + 6, '\t') : NULL; /* real, then effective */
    if (!parent || !uid || !(uid = strchr(uid + 1, '\t')))
        return false;
    *ret_parent = (pid_t)strtol(parent + 6, NULL, 10);
    *ret_uid = (uid_t)strtoul(uid, NULL, 10);
    return true;
}

static uint64_t longer(uint64_t believed_ns)
{
    if (!believed_ns)
        return believed_first_ns;
    return believed_ns * 2 < believed_max_ns ? believed_ns * 2 : believed_max_ns;
}

void process_refresh(struct process *process, int pidfd, uint64_t now_ns)
{
    pid_t number, parent;
    uid_t uid;

    if (process->refreshed_ns && now_ns - process->refreshed_ns < process->believed_ns)
        return;
    if (process->refreshed_ns)
        process->believed_ns = longer(process->believed_ns);
    process->refreshed_ns = now_ns;
    number = proc_number(process->pid, pidfd);
    if (!read_status(number, &parent, &uid) || owner_is_dead(pidfd))
        return; /* the number may be another's now */
    process->parent_pid = parent;
    if (uid == process->uid)
        return;
    process->uid = uid;
    user_name_find(number, uid, process->user);
}

static void exception_free(struct process_exception *exception)
{
    if (!exception)
        return;
    free(exception->type);
    free(exception->message);
    free(exception->stacktrace);
    free(exception->working_directory);
    json_decref(exception->frames);
    free(exception);
}

void process_add_exception(struct process *process, const struct process_exception *exception)
{
    struct process_exception *copy = malloc(sizeof(*copy)), **place;

    if (!copy)
        return;
    *copy = *exception;
    copy->type = strdup(exception->type);
    copy->message = strdup(exception->message);
    copy->stacktrace = strdup(exception->stacktrace);
    copy->working_directory = exception->working_directory ? strdup(exception->working_directory) : NULL;
    json_incref(copy->frames);
    if (!copy->type || !copy->message || !copy->stacktrace) {
        exception_free(copy);
        return;
    }
    place = &process->exceptions[process->exception_count++ % PROCESS_EXCEPTIONS_MAX];
    exception_free(*place);
    *place = copy;
}

const struct process_exception *process_find_exception(const struct process *process, const uint8_t span_id[8])
{
    for (size_t i = 1; i <= process->exception_count && i <= PROCESS_EXCEPTIONS_MAX; i++) {
        const struct process_exception *exception =
            process->exceptions[(process->exception_count - i) % PROCESS_EXCEPTIONS_MAX];

        if (memcmp(exception->span_id, span_id, sizeof(exception->span_id)) == 0)
            return exception;
    }
    return NULL;
}

static void process_free(struct process *process)
{
    for (size_t i = 0; i < PROCESS_EXCEPTIONS_MAX; i++)
        exception_free(process->exceptions[i]);
    free(process->recent);
    free(process->last_lines);
    free(process);
}

/* Free those for which `gone` says so; how many ended ones stay. */
static size_t remove_where(bool (*gone)(const struct process *process, const void *arg), const void *arg)
{
    size_t left_count = 0;

    for (size_t i = 0; i < table.bucket_count; i++)
        for (struct process **link = &table.buckets[i]; *link;) {
            struct process *process = *link;

            if (!gone(process, arg)) {
                left_count += process->ended;
                link = &process->next;
                continue;
            }
            *link = process->next;
            process_free(process);
            table.count--;
        }
    return left_count;
}

static bool is_delivered(const struct process *process, const void *arg)
{
    (void)arg;
    if (!process->ended)
        return false;
    for (enum signal signal = 0; signal < SIGNAL_COUNT; signal++) {
        const struct journal *journal = process->from->outlets[signal].journal;

        if (journal && journal_done(journal) < process->journal_end[signal])
            return false;
    }
    return true;
}

static bool is_of(const struct process *process, const void *source)
{
    return process->from == source;
}

size_t process_sweep(void)
{
    return remove_where(is_delivered, NULL);
}

void process_forget(const struct source *source)
{
    (void)remove_where(is_of, source);
}

void process_set_wall_offset(int64_t wall_offset_ns)
{
    for (size_t i = 0; i < table.bucket_count; i++)
        for (struct process *process = table.buckets[i]; process; process = process->next)
            if (process->from->same_clock)
                process->wall_offset_ns = wall_offset_ns;
}

void process_visit(void (*visit)(void *arg, const struct process *process), void *arg)
{
    for (size_t i = 0; i < table.bucket_count; i++)
        for (const struct process *process = table.buckets[i]; process; process = process->next)
            if (!process->ended)
                visit(arg, process);
}
